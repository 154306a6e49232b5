package minispike

import (
	"errors"
)

var (
	errDropped = errors.New("connection dropped by a fault")
	errFallen  = errors.New("the store cannot be written")
)

// handler carries out one kind of request. An error ends the connection.
type handler func(*session, *message) error

// route is one line of the dispatch table: the first whose condition holds
// takes the message.
type route struct {
	kind  Kind
	when  func(*message) bool
	serve handler
}

// routes is every message that there is.
var routes = [...]route{
	{Batch, (*message).isBatch, (*session).serveBatch},
	{Query, (*message).isQuery, (*session).serveQuery},
	{Write, (*message).isWrite, (*session).serveWrite},
	{Read, (*message).isRead, (*session).serveRead},
}

// dispatch serves one frame.
func (s *session) dispatch(kind byte) error {
	switch kind {
	case frameInfo:
		return s.faulty(Info, func() error { return s.serveInfo(s.frame) }, func(byte) {
			s.out = appendFrameHeader(s.out[:0], frameInfo) // an info answer has no result code
		})
	case frameSecurity:
		s.serveSecurity()
		return nil
	}
	m, err := parseMessage(s.frame)
	if err != nil {
		return err
	}
	for i := range routes {
		if r := &routes[i]; r.when(&m) {
			return s.faulty(r.kind, func() error { return r.serve(s, &m) }, func(code byte) {
				s.out = appendRefusal(s.out[:0], code, lastOf(r.kind))
			})
		}
	}
	s.out = appendRefusal(s.out, codeParameter, 0)
	return nil
}

// lastOf is the mark of a stream's end, for the kinds that are answered with
// a stream.
func lastOf(kind Kind) byte {
	if kind == Batch || kind == Query {
		return info3Last
	}
	return 0
}

func (m *message) isBatch() bool { return m.info1&info1Batch != 0 }

// isQuery tells a query from a command: it has no key.
func (m *message) isQuery() bool {
	rest := m.body
	for range m.fieldCount {
		kind, _, after, err := field(rest)
		if err != nil || kind == fieldDigest || kind == fieldKey {
			return false
		}
		rest = after
	}
	return true
}

func (m *message) isWrite() bool { return m.info2&info2Write != 0 }
func (m *message) isRead() bool  { return m.info1&info1Read != 0 }

// serveRead answers a command that reads one record.
func (s *session) serveRead(m *message) error {
	var c command
	if err := m.command(&c); err != nil {
		return err
	}
	s.out = appendFrameHeader(s.out, frameMessage)
	if string(c.namespace) != s.server.config.Namespace {
		s.refuse(codeNamespace, 0)
	} else {
		s.read(&c, 0)
	}
	closeFrame(s.out, 0)
	return s.settle()
}

// serveWrite answers a command that changes one record.
func (s *session) serveWrite(m *message) error {
	var c command
	if err := m.command(&c); err != nil {
		return err
	}
	s.out = appendFrameHeader(s.out, frameMessage)
	if string(c.namespace) != s.server.config.Namespace {
		s.refuse(codeNamespace, 0)
	} else {
		s.store.lock(&s.change, &c.digest)
		s.alter(&c, 0)
		if err := s.store.commit(&s.change); err != nil {
			s.out = s.out[:frameHeaderBytes]
			s.fail(err, 0)
		}
	}
	closeFrame(s.out, 0)
	return s.settle()
}

// alter carries out a command that changes one record.
func (s *session) alter(c *command, index uint32) {
	if c.deletes() {
		s.delete(c, index)
		return
	}
	s.write(c, index)
}

// settle keeps the answer back until what it tells of is certain.
func (s *session) settle() error {
	if !s.unsettled {
		return nil
	}
	return s.store.settle()
}
