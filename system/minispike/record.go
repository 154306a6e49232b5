package minispike

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// A stored record is one Pebble value:
//
//	version 1 · generation 2 · void time 4 · last update 8 · set length 1 · set
//	· key length 4 · key · bin count 2 · bins
//
// with every number big endian. The bins are read operations exactly as an
// answer carries them, so that a get copies them as they are and a plain put
// stores the request's own bytes. WIRE.md has the format in full.
const (
	recordVersion    byte = 1
	recordFixedBytes      = 1 + 2 + 4 + 8 + 1 + 4 + 2
)

var errRecord = errors.New("stored record is damaged")

// record is a stored record, taken apart; its slices are the stored bytes.
type record struct {
	generation uint16
	void       uint32 // when it dies, seconds of the protocol's epoch; 0 never
	updated    int64  // nanoseconds since 1970
	set, key   []byte
	binCount   int
	bins       ops
}

func parseRecord(stored []byte) (record, error) {
	if len(stored) < recordFixedBytes || stored[0] != recordVersion {
		return record{}, fmt.Errorf("%w: %d bytes", errRecord, len(stored))
	}
	r := record{
		generation: binary.BigEndian.Uint16(stored[1:]),
		void:       binary.BigEndian.Uint32(stored[3:]),
		updated:    int64(binary.BigEndian.Uint64(stored[7:])),
	}
	rest := stored[16:]
	setLength := int(stored[15])
	if len(rest) < setLength+4 {
		return record{}, fmt.Errorf("%w: set of %d bytes", errRecord, setLength)
	}
	r.set, rest = rest[:setLength], rest[setLength:]
	keyLength := binary.BigEndian.Uint32(rest)
	rest = rest[4:]
	if uint64(len(rest)) < uint64(keyLength)+2 {
		return record{}, fmt.Errorf("%w: key of %d bytes", errRecord, keyLength)
	}
	r.key, rest = rest[:keyLength], rest[keyLength:]
	r.binCount = int(binary.BigEndian.Uint16(rest))
	r.bins = ops(rest[2:])
	return r, nil
}

// size is how many bytes the record takes when stored.
func (r *record) size() int {
	return recordFixedBytes + len(r.set) + len(r.key) + len(r.bins)
}

// encodeHead writes everything before the bins and returns how long it is.
// stored must have room for size bytes.
func (r *record) encodeHead(stored []byte) int {
	stored[0] = recordVersion
	binary.BigEndian.PutUint16(stored[1:], r.generation)
	binary.BigEndian.PutUint32(stored[3:], r.void)
	binary.BigEndian.PutUint64(stored[7:], uint64(r.updated))
	stored[15] = byte(len(r.set))
	at := 16 + copy(stored[16:], r.set)
	binary.BigEndian.PutUint32(stored[at:], uint32(len(r.key)))
	at += 4
	at += copy(stored[at:], r.key)
	binary.BigEndian.PutUint16(stored[at:], uint16(r.binCount))
	return at + 2
}

// encode writes the record whose bins are a run of operations, marking each
// operation as the read that answers will carry.
func (r *record) encode(stored []byte) {
	at := r.encodeHead(stored)
	copy(stored[at:], r.bins)
	for rest := stored[at:]; len(rest) > 0; {
		rest[4], rest[6] = opRead, 0
		rest = rest[4+binary.BigEndian.Uint32(rest):]
	}
}

// bin finds a bin by name.
func (r *record) bin(name []byte) (op, bool) {
	for rest := r.bins; len(rest) > 0; {
		var o op
		if o, rest = rest.next(); string(o.name()) == string(name) {
			return o, true
		}
	}
	return nil, false
}

// nextGeneration is the generation after this one; it wraps past zero, which
// means that there is no record.
func (r *record) nextGeneration() uint16 {
	if r.generation == 1<<16-1 {
		return 1
	}
	return r.generation + 1
}

// protocolSeconds is the time in the protocol's own epoch.
func protocolSeconds(now time.Time) uint32 { return uint32(now.Unix() - epochSeconds) }

// voidTime is when a record written now with this time to live dies. was is
// the void time before the write, for a write that keeps it.
func voidTime(ttl, was uint32, exists bool, now, defaultTTL uint32) (uint32, byte) {
	if ttl == ttlKeep {
		if exists {
			return was, codeOK
		}
		ttl = ttlDefault
	}
	if ttl == ttlDefault {
		ttl = defaultTTL
		if ttl == 0 {
			return 0, codeOK
		}
	}
	switch {
	case ttl == ttlNever:
		return 0, codeOK
	case ttl > maxTTL:
		return 0, codeParameter
	}
	return now + ttl, codeOK
}

// partitionOf is the partition of the cluster's map that a digest belongs to.
func partitionOf(digest *[digestBytes]byte) int {
	return int(binary.LittleEndian.Uint16(digest[:])) & (partitions - 1)
}
