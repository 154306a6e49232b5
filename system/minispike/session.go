package minispike

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"go.uber.org/zap"
)

const (
	readBufferBytes = 64 << 10
	keptBytes       = 1 << 20 // a session's buffers larger than this are given back
	writeChunkBytes = 1 << 20 // a stream is sent in pieces of about this size
	writeWithin     = 30 * time.Second
)

// session serves one connection, a request at a time. It is used by the
// connection's own goroutine only.
type session struct {
	server *Server
	store  *store
	log    *zap.Logger
	conn   net.Conn
	in     *bufio.Reader
	frame  []byte // the request
	out    []byte // the answer so far
	head   [frameHeaderBytes]byte

	now       instant // when the request came
	change    change  // what it does to the store
	unsettled bool    // the answer may tell of a write that a crash could take back
	room      []bin
	items     []batchItem
	order     []int32
	filters   filterCache
}

func newSession(server *Server, conn net.Conn) *session {
	return &session{
		server: server, store: server.store, log: server.log, conn: conn,
		in: bufio.NewReaderSize(conn, readBufferBytes),
	}
}

// serve answers requests until the connection ends or sends what is no frame.
func (s *session) serve() error {
	for {
		kind, err := s.receive()
		if err != nil {
			return err
		}
		s.now, s.unsettled, s.out = s.store.now(), false, s.out[:0]
		if err := s.dispatch(kind); err != nil {
			return err
		}
		if err := s.send(); err != nil {
			return err
		}
		s.shrink()
	}
}

// receive reads the next frame. The wait for its first byte may be long, a
// frame once begun has to arrive within the read timeout.
func (s *session) receive() (kind byte, err error) {
	if err := s.deadline(s.server.config.IdleTimeout); err != nil {
		return 0, err
	}
	if _, err := s.in.Peek(1); err != nil {
		return 0, err
	}
	if err := s.deadline(s.server.config.ReadTimeout); err != nil {
		return 0, err
	}
	if _, err := io.ReadFull(s.in, s.head[:]); err != nil {
		return 0, fmt.Errorf("read a frame's header: %w", err)
	}
	kind, size, err := frameHeader(s.head[:], s.server.config.MaxFrameBytes)
	if err != nil {
		return 0, err
	}
	if s.frame, err = readBody(s.in, s.frame[:0], size); err != nil {
		return 0, err
	}
	if kind == frameCompressed {
		kind, s.frame, err = inflate(s.frame, s.server.config.MaxFrameBytes)
	}
	return kind, err
}

// readBody reads size bytes. It takes memory as the bytes arrive, not as the
// header promises them.
func readBody(in io.Reader, body []byte, size int) ([]byte, error) {
	for len(body) < size {
		step := min(size-len(body), max(keptBytes, len(body)))
		if cap(body)-len(body) < step {
			grown := make([]byte, len(body), len(body)+step)
			copy(grown, body)
			body = grown
		}
		at := len(body)
		body = body[:at+step]
		if _, err := io.ReadFull(in, body[at:]); err != nil {
			return body[:0], fmt.Errorf("read a frame of %d bytes: %w", size, err)
		}
	}
	return body, nil
}

func (s *session) deadline(wait time.Duration) error {
	if err := s.conn.SetReadDeadline(time.Now().Add(wait)); err != nil {
		return fmt.Errorf("set the read deadline: %w", err)
	}
	return nil
}

// send writes what there is of the answer.
func (s *session) send() error {
	if len(s.out) == 0 {
		return nil
	}
	select {
	case <-s.server.fallen:
		return errFallen
	default:
	}
	if err := s.conn.SetWriteDeadline(time.Now().Add(writeWithin)); err != nil {
		return fmt.Errorf("set the write deadline: %w", err)
	}
	if _, err := s.conn.Write(s.out); err != nil {
		return fmt.Errorf("send an answer of %d bytes: %w", len(s.out), err)
	}
	s.out = s.out[:0]
	return nil
}

// shrink gives large buffers back after a large request.
func (s *session) shrink() {
	if cap(s.frame) > keptBytes {
		s.frame = nil
	}
	if cap(s.out) > keptBytes {
		s.out = nil
	}
	clear(s.room[:cap(s.room)])
	if cap(s.items) > 4*batchChunk {
		s.items, s.order = nil, nil
	}
}

// expected says whether the end of a connection needs no word in the log.
func expected(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) || errors.Is(err, os.ErrDeadlineExceeded) ||
		errors.Is(err, errDropped) || errors.Is(err, errFallen)
}
