package minispike

import (
	"errors"
	"io"

	"go.uber.org/zap"
)

// write carries out a command that changes one record, as part of the
// session's change, and answers it. The record's stripe must be held.
func (s *session) write(c *command, index uint32) {
	replaces, mustExist, code := checkWrite(c)
	if code != codeOK {
		s.refuse(code, index)
		return
	}
	old, found, closer, err := s.store.get(&c.digest, s.now)
	if err != nil {
		s.fail(err, index)
		return
	}
	defer s.release(closer)
	if code := s.mayWrite(c, &old, found, mustExist); code != codeOK {
		s.unsettled = true // the answer tells of the record as others left it
		s.out = answer{code: code, generation: uint32(old.generation), void: old.void, index: index}.append(s.out)
		return
	}
	now := record{
		generation: old.nextGeneration(), updated: s.now.nanos,
		set: c.set, key: c.key,
	}
	if found && len(old.key) > 0 {
		now.key = old.key
	}
	if now.void, code = voidTime(c.ttl, old.void, found, s.now.seconds, s.store.ttl); code != codeOK {
		s.refuse(code, index)
		return
	}
	if (!found || replaces) && plainPut(c) {
		s.store.write(s, c, &now, &old, found, index)
		return
	}
	s.operate(c, &now, &old, found, replaces, index)
}

// release closes what a read has pinned.
func (s *session) release(closer io.Closer) {
	if err := closer.Close(); err != nil {
		s.log.Error("release a record", zap.Error(err))
	}
}

// checkWrite looks at a write by itself, before the record.
func checkWrite(c *command) (replaces, mustExist bool, code byte) {
	replaces = c.replaces()
	mustExist = c.info3&(info3UpdateOnly|info3ReplaceOnly) != 0
	switch {
	case c.refused != codeOK || !c.hasDigest:
		return false, false, refusal(c)
	case c.opCount == 0, len(c.set) > maxSetName:
		return false, false, codeParameter
	}
	reads, readsAll, answers := false, false, false
	for rest := c.ops; len(rest) > 0; {
		var o op
		o, rest = rest.next()
		if len(o.name()) > maxBinName {
			return false, false, codeBinName
		}
		switch o.code() {
		case opTouch:
			if replaces {
				return false, false, codeParameter
			}
			mustExist = true
		case opWrite:
			if replaces && o.kind() == 0 {
				return false, false, codeParameter
			}
			if len(o.name()) == 0 {
				return false, false, codeBinName
			}
		case opIncrement, opAppend, opPrepend, opDelete, opCDTModify:
			if replaces {
				return false, false, codeParameter
			}
			answers = answers || o.code() == opCDTModify
		case opRead:
			reads = true
			if len(o.name()) == 0 && c.info1&info1GetAll != 0 {
				if readsAll || c.info2&info2RespondAllOps != 0 {
					return false, false, codeParameter
				}
				readsAll = true
			} else {
				answers = true
			}
		case opCDTRead, opExpRead:
			reads, answers = true, true
		case opExpModify:
		case opBitsRead, opBitsModify, opHLLRead, opHLLModify:
			return false, false, codeUnsupported
		default:
			return false, false, codeParameter
		}
	}
	switch {
	case reads && c.info1&info1Read == 0, readsAll && answers, c.info1&info1GetAll != 0 && !readsAll:
		return false, false, codeParameter
	}
	return replaces, mustExist, codeOK
}

// mayWrite compares what the command expects with the record that there is.
func (s *session) mayWrite(c *command, old *record, found, mustExist bool) byte {
	switch {
	case mustExist && !found:
		return codeNotFound
	case c.info2&info2CreateOnly != 0 && found:
		return codeExists
	}
	if code := expectsGeneration(c, old); code != codeOK {
		return code
	}
	if !found {
		return codeOK
	}
	return s.admits(c, old)
}

func expectsGeneration(c *command, r *record) byte {
	switch {
	case c.info2&info2Generation != 0 && c.generation != uint32(r.generation),
		c.info2&info2GenerationGT != 0 && c.generation <= uint32(r.generation):
		return codeGeneration
	}
	return codeOK
}

// plainPut says that the operations only give distinct bins values, so that
// they can be stored as they stand.
func plainPut(c *command) bool {
	var names [8][]byte
	if c.opCount > len(names) {
		return false
	}
	n := 0
	for rest := c.ops; len(rest) > 0; {
		var o op
		o, rest = rest.next()
		if o.code() != opWrite || storable(o.kind(), o.value()) != codeOK {
			return false
		}
		for _, name := range names[:n] {
			if string(name) == string(o.name()) {
				return false
			}
		}
		names[n] = o.name()
		n++
	}
	return true
}

// write stores a record whose bins are the command's own operations.
func (st *store) write(s *session, c *command, now, old *record, found bool, index uint32) {
	now.bins, now.binCount = c.ops, c.opCount
	size := now.size()
	if size > maxRecordBytes {
		s.refuse(codeTooBig, index)
		return
	}
	st.begin(&s.change)
	if err := st.reindex(&s.change, c, now, old, found); err != nil {
		s.fail(err, index)
		return
	}
	now.encode(st.put(&s.change, &c.digest, size, !found))
	s.change.dies(&c.digest, now.void)
	head := answer{generation: uint32(now.generation), void: now.void, index: index}
	if c.info2&info2RespondAllOps == 0 {
		s.out = head.append(s.out)
		return
	}
	head.ops = c.opCount
	s.out = head.append(s.out)
	for rest := c.ops; len(rest) > 0; {
		var o op
		o, rest = rest.next()
		s.out = appendOp(s.out, opWrite, 0, o.name(), nil)
	}
}

// delete removes one record, as part of the session's change, and answers.
func (s *session) delete(c *command, index uint32) {
	switch {
	case c.refused != codeOK || !c.hasDigest:
		s.refuse(refusal(c), index)
		return
	case c.info2&info2DurableDelete != 0:
		s.refuse(codeEnterpriseOnly, index)
		return
	}
	old, found, closer, err := s.store.get(&c.digest, s.now)
	if err != nil {
		s.fail(err, index)
		return
	}
	defer s.release(closer)
	if !found {
		s.unsettled = true
		s.refuse(codeNotFound, index)
		return
	}
	code := expectsGeneration(c, &old)
	if code == codeOK {
		code = s.admits(c, &old)
	}
	if code != codeOK {
		s.unsettled = true
		s.refuse(code, index)
		return
	}
	if err := s.store.remove(&s.change, &c.digest, &old); err != nil {
		s.fail(err, index)
		return
	}
	s.refuse(codeOK, index)
}

// remove takes a record and its index entries out.
func (st *store) remove(c *change, digest *[digestBytes]byte, r *record) error {
	st.begin(c)
	return errors.Join(st.unindex(c, digest, r), c.drop(digest, r.size()))
}
