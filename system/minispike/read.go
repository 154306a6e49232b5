package minispike

import "go.uber.org/zap"

// read answers a command that reads one record: some bins, all of them, or
// only whether it is there. index is its place in a batch.
func (s *session) read(c *command, index uint32) {
	if c.refused != codeOK || !c.hasDigest {
		s.refuse(refusal(c), index)
		return
	}
	if touchPercent := int32(c.ttl); touchPercent > 0 {
		s.refuse(codeUnsupported, index) // reads that extend the time to live
		return
	}
	r, found, closer, err := s.store.get(&c.digest, s.now)
	if err != nil {
		s.fail(err, index)
		return
	}
	defer func() {
		if err := closer.Close(); err != nil {
			s.log.Error("release a record", zap.Error(err))
		}
	}()
	s.unsettled = s.unsettled || s.store.unsettled(&c.digest)
	if !found {
		s.refuse(codeNotFound, index)
		return
	}
	if code := s.admits(c, &r); code != codeOK {
		s.out = answer{code: code, generation: uint32(r.generation), void: r.void, index: index}.append(s.out)
		return
	}
	s.describe(c, &r, index)
}

// refusal is why a command without a digest or with a feature that there is
// none of is not carried out.
func refusal(c *command) byte {
	if c.refused != codeOK {
		return c.refused
	}
	return codeParameter
}

// admits applies the conditions that hold for every access to a record that
// exists: the filter expression, then the key sent against the key stored.
func (s *session) admits(c *command, r *record) byte {
	if code := s.filter(c, r); code != codeOK {
		return code
	}
	if len(c.key) > 0 && len(r.key) > 0 && string(c.key) != string(r.key) {
		return codeKeyMismatch
	}
	return codeOK
}

// describe answers with what the command asks of the record.
func (s *session) describe(c *command, r *record, index uint32) {
	head := answer{generation: uint32(r.generation), void: r.void, index: index}
	switch {
	case c.info1&info1NoBins != 0:
		s.out = head.append(s.out)
		return
	case c.info1&info1GetAll != 0:
		head.ops = r.binCount
		s.out = append(head.append(s.out), r.bins...)
		return
	case c.opCount == 0:
		s.refuse(codeParameter, index)
		return
	}
	start := len(s.out)
	s.out = head.append(s.out)
	answered := 0
	all := c.info2&info2RespondAllOps != 0
	view := binsOf(r)
	for rest := c.ops; len(rest) > 0; {
		var o op
		o, rest = rest.next()
		if len(o.name()) > maxBinName {
			s.out = s.out[:start]
			s.refuse(codeBinName, index)
			return
		}
		result, state := s.readOp(o, &view, r, c.digest[:])
		if state != codeOK {
			s.out = s.out[:start]
			s.refuse(state, index)
			return
		}
		if all || result.kind != 0 {
			s.out = appendOp(s.out, o.code(), result.kind, o.name(), result.value)
			answered++
		}
	}
	setOps(s.out, start, answered)
}

// refuse answers with nothing but a result code.
func (s *session) refuse(code byte, index uint32) {
	s.out = answer{code: code, index: index}.append(s.out)
}

// fail answers for a command that the store could not carry out.
func (s *session) fail(err error, index uint32) {
	if s.server.Err() == nil { // it has said so, once
		s.log.Error("command failed", zap.Error(err))
	}
	s.refuse(codeUnknown, index)
}
