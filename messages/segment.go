package messages

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"unsafe"
)

// Segment is a group of events that became durable with one write: one record
// of the journal, at a sequence of a lane.
type Segment struct {
	Lane  LaneID
	Seq   Sequence
	Epoch Epoch
	// Token tells this very segment from another try at the same sequence: a
	// writer whose answer was lost reads the record back and compares.
	Token uint64
	// Base counts the lane's events before this segment, as its writer knew it.
	Base uint64
	// Events may be empty: such a segment seals a sequence that its writer
	// never filled, so that whoever reads the lane can go on.
	Events []Event
}

// Limits of a segment: what a decoder accepts, whatever wrote it.
const (
	// SegmentEventsMax bounds the events of one segment.
	SegmentEventsMax = 16384
	// SegmentBytesMax bounds a segment's encoded size. Aerospike's default
	// limit of a record is 8 MiB and was 1 MiB in older configurations; the
	// bound stays under the older one.
	SegmentBytesMax = 1<<20 - 4<<10
)

// ErrCorrupt is in the chain of every error for bytes that are no segment.
var ErrCorrupt = errors.New("corrupt segment")

// The stored format, docs/FORMATS.md:
//
//	"APS" version | token u64le | epoch, base, count uvarint |
//	count × (id 16 | type 1 | tag 16 | receivedAt varint |
//	         source length uvarint, bytes | body length uvarint, bytes) |
//	CRC-32C of everything before, u32le
//
// Lane and sequence are the record's key and are not repeated inside.
const (
	segmentMagic    = "APS\x01"
	segmentEventMin = 16 + 1 + 16 + 1 + 1 + 1
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// AppendSegment appends the stored form of s, without its lane and sequence.
func AppendSegment(dst []byte, s *Segment) []byte {
	start := len(dst)
	dst = append(dst, segmentMagic...)
	dst = binary.LittleEndian.AppendUint64(dst, s.Token)
	dst = binary.AppendUvarint(dst, uint64(s.Epoch))
	dst = binary.AppendUvarint(dst, s.Base)
	dst = binary.AppendUvarint(dst, uint64(len(s.Events)))
	for i := range s.Events {
		e := &s.Events[i]
		dst = append(dst, e.ID[:]...)
		dst = append(dst, byte(e.Type))
		dst = append(dst, e.Tag[:]...)
		dst = binary.AppendVarint(dst, e.ReceivedAt)
		dst = binary.AppendUvarint(dst, uint64(len(e.Source)))
		dst = append(dst, e.Source...)
		dst = binary.AppendUvarint(dst, uint64(len(e.Body)))
		dst = append(dst, e.Body...)
	}
	return binary.LittleEndian.AppendUint32(dst, crc32.Checksum(dst[start:], castagnoli))
}

// EncodedSize is the size of AppendSegment's output, in bytes.
func (s *Segment) EncodedSize() int {
	n := len(segmentMagic) + 8 + uvarintLen(uint64(s.Epoch)) + uvarintLen(s.Base) +
		uvarintLen(uint64(len(s.Events))) + crc32.Size
	for i := range s.Events {
		n += s.Events[i].encodedSize()
	}
	return n
}

func (e *Event) encodedSize() int {
	zigzag := uint64(e.ReceivedAt<<1) ^ uint64(e.ReceivedAt>>63)
	return 33 + uvarintLen(zigzag) + uvarintLen(uint64(len(e.Source))) + len(e.Source) +
		uvarintLen(uint64(len(e.Body))) + len(e.Body)
}

func uvarintLen(v uint64) int {
	n := 1
	for ; v >= 0x80; v >>= 7 {
		n++
	}
	return n
}

// DecodeSegment reads what AppendSegment wrote for the lane and sequence under
// which it was stored. The events alias stored, which must not change while
// the segment is in use. Errors have ErrCorrupt in their chain.
func DecodeSegment(lane LaneID, seq Sequence, stored []byte) (*Segment, error) {
	fail := func(what string) (*Segment, error) {
		return nil, fmt.Errorf("segment %s:%d: %w: %s", lane, seq, ErrCorrupt, what)
	}
	if len(stored) < len(segmentMagic)+8+3+crc32.Size || string(stored[:len(segmentMagic)]) != segmentMagic {
		return fail("no segment of a known version")
	}
	content, sum := stored[:len(stored)-crc32.Size], stored[len(stored)-crc32.Size:]
	if crc32.Checksum(content, castagnoli) != binary.LittleEndian.Uint32(sum) {
		return fail("checksum")
	}
	r := reader{rest: content[len(segmentMagic):]}
	s := &Segment{Lane: lane, Seq: seq}
	s.Token = binary.LittleEndian.Uint64(r.take(8)) // the length was checked above
	s.Epoch = Epoch(r.uvarint())
	s.Base = r.uvarint()
	count := r.uvarint()
	if r.failed || count > SegmentEventsMax || count*segmentEventMin > uint64(len(r.rest)) {
		return fail("event count")
	}
	s.Events = make([]Event, count)
	for i := range s.Events {
		e := &s.Events[i]
		copy(e.ID[:], r.take(16))
		if t := r.take(1); t != nil {
			e.Type = EventType(t[0])
		}
		copy(e.Tag[:], r.take(16))
		e.ReceivedAt = r.varint()
		e.Source = alias(r.take(r.length()))
		e.Body = r.take(r.length())
		if r.failed || !e.Type.Valid() {
			return fail(fmt.Sprintf("event %d", i))
		}
	}
	if len(r.rest) != 0 {
		return fail("bytes after the last event")
	}
	return s, nil
}

// alias makes a string of b without a copy; b is never changed.
func alias(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// reader takes fields off a byte slice and remembers a failure, so that its
// caller checks once.
type reader struct {
	rest   []byte
	failed bool
}

func (r *reader) take(n int) []byte {
	if r.failed || n > len(r.rest) {
		r.failed = true
		return nil
	}
	field := r.rest[:n:n]
	r.rest = r.rest[n:]
	return field
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.rest)
	r.skip(n)
	return v
}

func (r *reader) varint() int64 {
	v, n := binary.Varint(r.rest)
	r.skip(n)
	return v
}

// length reads a length that must fit the rest.
func (r *reader) length() int {
	v := r.uvarint()
	if v > uint64(len(r.rest)) {
		r.failed = true
		return 0
	}
	return int(v)
}

// skip passes over a varint of n bytes; n is not positive where there was none.
func (r *reader) skip(n int) {
	if n <= 0 {
		r.failed = true
		return
	}
	r.rest = r.rest[n:]
}
