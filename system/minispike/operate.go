package minispike

import (
	"encoding/binary"
	"math"
)

// operate runs a command's operations in order on a record's bins and answers
// with what they return. Nothing is stored unless all of them succeed.
func (s *session) operate(c *command, now, old *record, found, replaces bool, index uint32) {
	work := bins{}
	if found && !replaces {
		work.stored = old
	}
	work.load(s.room)
	defer func() { s.room = work.changed[:0] }()
	hadBins := found && old.binCount > 0

	start := len(s.out)
	head := answer{generation: uint32(now.generation), void: now.void, index: index}
	s.out = head.append(s.out)
	answered := 0
	respondAll := c.info2&info2RespondAllOps != 0
	for rest := c.ops; len(rest) > 0; {
		var o op
		o, rest = rest.next()
		if o.code() == opRead && len(o.name()) == 0 && c.info1&info1GetAll != 0 {
			for i := range work.changed {
				b := &work.changed[i]
				s.out = appendOp(s.out, opRead, b.kind, b.name, b.value.value)
			}
			answered += len(work.changed)
			continue
		}
		result, touches, code := s.apply(o, &work, now, c.digest[:])
		if code != codeOK {
			s.out = s.out[:start]
			s.refuse(code, index)
			return
		}
		// A touch answers nothing, ever; a read through an expression always.
		if result.kind != 0 || respondAll && !touches || o.code() == opCDTRead {
			s.out = appendOp(s.out, o.code(), result.kind, o.name(), result.value)
			answered++
		}
	}
	setOps(s.out, start, answered)
	if code, err := s.finish(c, now, old, &work, found, hadBins); code != codeOK {
		s.out = s.out[:start]
		if err != nil {
			s.fail(err, index)
			return
		}
		s.refuse(code, index)
		return
	}
	if len(work.changed) == 0 { // the record is gone, and its generation with it
		binary.BigEndian.PutUint64(s.out[start+6:], 0)
	}
}

// finish stores what the operations made of the record.
func (s *session) finish(c *command, now, old *record, work *bins, found, hadBins bool) (byte, error) {
	if len(work.changed) == 0 {
		switch {
		case !hadBins:
			return codeNotFound, nil
		case c.info2&info2DurableDelete != 0:
			return codeEnterpriseOnly, nil
		}
		if err := s.store.remove(&s.change, &c.digest, old); err != nil {
			return codeUnknown, err
		}
		return codeOK, nil
	}
	if len(work.changed) > maxBins {
		return codeParameter, nil
	}
	size := now.size() + work.size()
	if size > maxRecordBytes {
		return codeTooBig, nil
	}
	s.store.begin(&s.change)
	now.binCount = len(work.changed)
	stored := s.store.put(&s.change, &c.digest, size, !found)
	at := now.encodeHead(stored)
	work.encode(stored[at:])
	now.bins = ops(stored[at:])
	if s.store.indexes.Load().none() {
		s.change.dies(&c.digest, now.void)
		return codeOK, nil
	}
	// Adding index entries may move the batch's bytes: keep a copy to read.
	copied := *now
	copied.bins = append(ops(nil), now.bins...)
	if err := s.store.reindex(&s.change, c, &copied, old, found); err != nil {
		return codeUnknown, err
	}
	s.change.dies(&c.digest, now.void)
	return codeOK, nil
}

// apply runs one operation. touches says that it has no answer of its own.
func (s *session) apply(o op, work *bins, r *record, digest []byte) (result value, touches bool, code byte) {
	switch o.code() {
	case opTouch:
		return value{}, true, codeOK
	case opWrite:
		if o.kind() != 0 {
			if code := storable(o.kind(), o.value()); code != codeOK {
				return value{}, false, code
			}
		}
		work.set(o.name(), value{o.kind(), o.value()})
		return value{}, false, codeOK
	case opIncrement, opAppend, opPrepend:
		v, code := modify(o, work.find(o.name()))
		if code == codeOK {
			work.set(o.name(), v)
		}
		return value{}, false, code
	case opDelete:
		work.changed = work.changed[:0]
		return value{}, false, codeOK
	case opCDTModify:
		v, result, code := modifyCollection(work.find(o.name()), o.value())
		if code == codeOK {
			work.set(o.name(), v)
		}
		return result, false, code
	case opExpModify:
		return value{}, false, s.modifyByExpression(o, work, r, digest)
	default:
		result, code := s.readOp(o, work, r, digest)
		return result, false, code
	}
}

// readOp runs one operation that only reads.
func (s *session) readOp(o op, work *bins, r *record, digest []byte) (value, byte) {
	switch o.code() {
	case opRead:
		return work.find(o.name()), codeOK
	case opCDTRead:
		v := work.find(o.name())
		if v.kind == 0 {
			return value{}, codeOK
		}
		return readCollection(v, o.value())
	case opExpRead:
		return s.readByExpression(o, work, r, digest)
	case opBitsRead, opHLLRead:
		return value{}, codeUnsupported
	}
	return value{}, codeParameter
}

// modify adds to a number or a string; without a bin the operand is the value.
func modify(o op, v value) (value, byte) {
	if code := storable(o.kind(), o.value()); code != codeOK {
		return value{}, code
	}
	if v.kind == 0 {
		return value{o.kind(), o.value()}, codeOK
	}
	if o.code() == opIncrement {
		return increment(o, v)
	}
	switch {
	case o.kind() != v.kind, v.kind != kindString && (v.kind < kindBlob || v.kind > 12):
		return value{}, codeIncompatibleType
	}
	first, second := v.value, o.value()
	if o.code() == opPrepend {
		first, second = second, first
	}
	joined := make([]byte, 0, len(first)+len(second))
	return value{v.kind, append(append(joined, first...), second...)}, codeOK
}

// increment adds to a number of the same kind; integers wrap around.
func increment(o op, v value) (value, byte) {
	if o.kind() != v.kind || v.kind != kindInteger && v.kind != kindFloat || len(v.value) != 8 {
		return value{}, codeIncompatibleType
	}
	was, by := binary.BigEndian.Uint64(v.value), binary.BigEndian.Uint64(o.value())
	if v.kind == kindInteger {
		return value{v.kind, binary.BigEndian.AppendUint64(nil, was+by)}, codeOK
	}
	sum := math.Float64frombits(was) + math.Float64frombits(by)
	return value{v.kind, binary.BigEndian.AppendUint64(nil, math.Float64bits(sum))}, codeOK
}
