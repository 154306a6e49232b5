package minispike

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"slices"

	"github.com/cockroachdb/pebble/v2"
	"go.uber.org/zap"
)

// query is a scan or a query by secondary index, by partition.
type query struct {
	command            // the parts that a single record's command has too
	partitions         []resume
	maxRecords         uint64
	where              *where
	sent               uint64
	background, partly bool
}

// resume is a partition to be read, from the start or after a record.
type resume struct {
	partition int
	after     *[digestBytes]byte
	value     int64 // of the index entry to go on after
}

// where is the condition on an indexed bin.
type where struct {
	bin        string
	kind       byte
	from, to   int64
	text       []byte // of a string's equality
	collection byte   // 0: the bin itself
}

// serveQuery streams the records of a scan or query, partition by partition,
// then an end mark. A client that is told to stop at so many records goes on
// later after the last digest that it saw.
func (s *session) serveQuery(m *message) error {
	q, code, err := parseQuery(m)
	if err != nil {
		return err
	}
	if code == codeOK && string(q.namespace) != s.server.config.Namespace {
		code = codeNamespace
	}
	if code == codeOK && q.background {
		code = codeUnsupported
	}
	var x *index
	if code == codeOK && q.where != nil {
		x, code = s.indexFor(q)
	}
	if code == codeOK {
		code = s.compiles(&q.command)
	}
	if code != codeOK {
		s.out = appendRefusal(s.out, code, info3Last)
		return nil
	}
	if err := s.stream(q, x); err != nil {
		return err
	}
	s.out = appendRefusal(s.out, codeOK, info3Last)
	return s.store.settle()
}

// stream sends the records. One iterator walks through all the partitions,
// most of which may be empty.
func (s *session) stream(q *query, x *index) error {
	lower, upper := []byte{prefixRecord}, []byte{prefixRecord + 1}
	if x != nil {
		lower, upper = indexBounds(x.Number)
	}
	iterator, err := s.store.db.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return fmt.Errorf("query: %w", err)
	}
	slices.SortFunc(q.partitions, func(a, b resume) int { return a.partition - b.partition })
	start := len(s.out)
	s.out = appendFrameHeader(s.out, frameMessage)
	iterator.First()
	for i := range q.partitions {
		if err != nil || q.full() || !iterator.Valid() {
			break
		}
		if err = s.queryPartition(q, x, &q.partitions[i], iterator, &start); s.server.stopped() {
			err = net.ErrClosed
		}
	}
	if err := errors.Join(err, iterator.Error(), iterator.Close()); err != nil {
		return err
	}
	if len(s.out)-start > frameHeaderBytes {
		closeFrame(s.out, start)
	} else {
		s.out = s.out[:start]
	}
	return nil
}

func (q *query) full() bool { return q.maxRecords > 0 && q.sent >= q.maxRecords }

// indexFor finds the index that the query's condition wants.
func (s *session) indexFor(q *query) (*index, byte) {
	if q.where.collection != 0 {
		return nil, codeUnsupported
	}
	x := s.store.indexes.Load().defined(string(q.set), q.where.bin, q.where.kind)
	switch {
	case x == nil:
		return nil, codeIndexNotFound
	case x.built.Load() < 100:
		return nil, codeIndexNotReadable
	}
	return x, codeOK
}

// queryPartition streams one partition's records that the query is after. The
// iterator stands before, at or after the partition's first.
func (s *session) queryPartition(q *query, x *index, from *resume, iterator *pebble.Iterator, start *int) error {
	lower, upper := q.bounds(x, from)
	if bytes.Compare(iterator.Key(), lower) < 0 {
		iterator.SeekGE(lower)
	}
	for ; iterator.Valid() && bytes.Compare(iterator.Key(), upper) < 0 && !q.full(); iterator.Next() {
		if x != nil {
			if err := s.queryEntry(q, x, iterator.Key()); err != nil {
				return err
			}
		} else {
			r, err := parseRecord(iterator.Value())
			if err != nil {
				return err
			}
			if s.store.alive(&r, s.now) {
				s.emit(q, &r, [digestBytes]byte(iterator.Key()[3:]), nil)
			}
		}
		if len(s.out) > writeChunkBytes {
			s.unsettled = true
			if err := s.flush(*start); err != nil {
				return err
			}
			*start = 0
			s.out = appendFrameHeader(s.out, frameMessage)
		}
	}
	return nil
}

// bounds are the first key to read of a partition and the first after it.
func (q *query) bounds(x *index, from *resume) (lower, upper []byte) {
	if x == nil {
		lower, upper = partitionBounds(from.partition)
		if from.after != nil {
			last := recordKey(from.after)
			lower = append(last[:], 0)
		}
		return lower, upper
	}
	first := indexKey(x.Number, from.partition, q.where.from, new([digestBytes]byte))
	last := indexKey(x.Number, from.partition, q.where.to, &lastDigest)
	lower, upper = first[:], append(last[:], 0)
	if from.after != nil {
		entry := indexKey(x.Number, from.partition, from.value, from.after)
		lower = append(entry[:], 0)
	}
	return lower, upper
}

var lastDigest = [digestBytes]byte{
	255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
}

// queryEntry streams the record of an index entry if the entry still holds.
func (s *session) queryEntry(q *query, x *index, key []byte) error {
	if len(key) != indexKeyBytes {
		return fmt.Errorf("index entry of %d bytes: %w", len(key), errRecord)
	}
	digest, filed := [digestBytes]byte(key[15:]), indexKeyValue(key)
	r, found, closer, err := s.store.get(&digest, s.now)
	if err != nil || !found {
		return err
	}
	if o, ok := r.bin([]byte(x.Bin)); ok {
		v, ok := x.entry(value{o.kind(), o.value()})
		if ok && v == filed && (q.where.text == nil || string(q.where.text) == string(o.value())) {
			s.emit(q, &r, digest, &filed)
		}
	}
	return closer.Close()
}

// emit adds a record to the stream, if it is one that the query is after.
func (s *session) emit(q *query, r *record, digest [digestBytes]byte, filed *int64) {
	if len(q.set) > 0 && string(r.set) != string(q.set) {
		return
	}
	q.digest = digest
	if s.filter(&q.command, r) != codeOK {
		return
	}
	start := len(s.out)
	head := answer{generation: uint32(r.generation), void: r.void, fields: 2}
	if len(r.set) > 0 {
		head.fields++
	}
	if len(r.key) > 0 {
		head.fields++
	}
	if filed != nil {
		head.fields++
	}
	s.out = head.append(s.out)
	s.out = appendField(s.out, fieldNamespace, q.namespace)
	if len(r.set) > 0 {
		s.out = appendField(s.out, fieldSet, r.set)
	}
	s.out = appendField(s.out, fieldDigest, digest[:])
	if len(r.key) > 0 {
		s.out = appendField(s.out, fieldKey, r.key)
	}
	if filed != nil {
		s.out = appendField(s.out, fieldIndexValues, binary.LittleEndian.AppendUint64(nil, uint64(*filed)))
	}
	switch {
	case q.info1&info1NoBins != 0:
	case q.opCount == 0:
		s.out = append(s.out, r.bins...)
		setOps(s.out, start, r.binCount)
	default:
		chosen := s.choose(q, r)
		if chosen == 0 {
			s.out = s.out[:start]
			return
		}
		setOps(s.out, start, chosen)
	}
	q.sent++
}

// choose adds what the query's operations read of a record; a record with
// none of it is left out of the stream.
func (s *session) choose(q *query, r *record) int {
	view := binsOf(r)
	chosen := 0
	for rest := q.ops; len(rest) > 0; {
		var o op
		o, rest = rest.next()
		v, code := s.readOp(o, &view, r, q.digest[:])
		if code != codeOK {
			s.log.Debug("query operation failed", zap.Uint8("code", code))
			continue
		}
		if v.kind != 0 {
			s.out = appendOp(s.out, o.code(), v.kind, o.name(), v.value)
			chosen++
		}
	}
	return chosen
}
