package broker

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/zap"

	"adpulse/system/internal/fault"
)

// guard is the listener between the world and kfake, which trusts its clients:
// it allocates what a frame's length says and dies of a request that it does
// not know. What comes out of a guard's connection is whole, well-formed and
// known.
//
// Until open, only dial makes connections.
type guard struct {
	config   *Config
	listener net.Listener
	accepted chan net.Conn
	stopped  chan struct{}
	stopping sync.Once

	mu    sync.Mutex
	live  map[*guarded]struct{}
	ended bool
	// work is the accepting goroutine and every live connection.
	work sync.WaitGroup

	// faults are a test's; sick is set for good when the log cannot be written.
	faults fault.Set[Fault]
	sick   atomic.Bool
}

func newGuard(listener net.Listener, config *Config) *guard {
	return &guard{
		config: config, listener: listener, accepted: make(chan net.Conn),
		stopped: make(chan struct{}), live: make(map[*guarded]struct{}),
	}
}

// Accept implements net.Listener, for kfake.
func (g *guard) Accept() (net.Conn, error) {
	select {
	case conn := <-g.accepted:
		return conn, nil
	case <-g.stopped:
		return nil, net.ErrClosed
	}
}

// Addr implements net.Listener.
func (g *guard) Addr() net.Addr { return g.listener.Addr() }

// Close implements net.Listener: nothing is accepted any more. kfake calls it
// first of all when it closes, and ends its connections later.
func (g *guard) Close() error {
	var err error
	g.stopping.Do(func() {
		close(g.stopped)
		err = g.listener.Close()
	})
	return err
}

// stop closes the listener and every connection, and waits until they are gone.
func (g *guard) stop() error {
	err := g.Close()
	g.mu.Lock()
	g.ended = true
	for conn := range g.live {
		// What is closed twice is closed.
		_ = conn.Conn.Close()
	}
	g.mu.Unlock()
	g.work.Wait()
	if err != nil {
		return fmt.Errorf("close the broker's listener: %w", err)
	}
	return nil
}

// dial connects within the process; it is a kgo.Dialer.
func (g *guard) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	conn := g.add(theirs)
	if conn == nil {
		return nil, errors.Join(net.ErrClosed, ours.Close())
	}
	select {
	case g.accepted <- conn:
		return ours, nil
	case <-g.stopped:
	case <-ctx.Done():
	}
	return nil, errors.Join(net.ErrClosed, conn.Close(), ours.Close())
}

// open lets the world in.
func (g *guard) open() {
	g.work.Go(func() {
		for {
			conn, err := g.listener.Accept()
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err != nil {
				// Out of descriptors, most likely. It passes or it does not;
				// clients wait in the listener's queue meanwhile.
				g.config.Log.Warn("accepting a Kafka client failed; trying again", zap.Error(err))
				select {
				case <-time.After(100 * time.Millisecond):
					continue
				case <-g.stopped:
					return
				}
			}
			g.admit(conn)
		}
	})
}

func (g *guard) admit(raw net.Conn) {
	conn := g.add(raw)
	if conn == nil {
		return
	}
	select {
	case g.accepted <- conn:
	case <-g.stopped:
		_ = conn.Close() // it was never used
	}
}

// add takes note of a connection, or closes it when there are too many.
func (g *guard) add(raw net.Conn) *guarded {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.ended || len(g.live) >= g.config.ConnectionsMax {
		if !g.ended {
			g.config.Log.Warn("Kafka client refused: too many connections", zap.Int("connections", len(g.live)))
		}
		_ = raw.Close() // nothing was said on it
		return nil
	}
	conn := &guarded{Conn: raw, guard: g}
	g.live[conn] = struct{}{}
	g.work.Add(1)
	return conn
}

// guarded is a connection whose frames are checked. One goroutine at a time
// reads.
type guarded struct {
	net.Conn
	guard   *guard
	frame   []byte // checked and not yet handed over
	buffer  []byte
	closing sync.Once
	// unanswered is 1 more than the correlation id whose answer a fault keeps
	// back, 0 when there is none.
	unanswered atomic.Int64
}

// Close implements net.Conn.
func (c *guarded) Close() (err error) {
	c.closing.Do(func() {
		err = c.Conn.Close()
		c.guard.mu.Lock()
		delete(c.guard.live, c)
		c.guard.mu.Unlock()
		c.guard.work.Done()
	})
	return err
}

// Write implements net.Conn. A client that does not take its answer in time is
// cut off. kfake writes whole answers.
//
// Once the log could not be written no answer goes out any more: kfake says
// that a transaction is committed also where its marker found no room.
func (c *guarded) Write(answer []byte) (int, error) {
	if c.guard.sick.Load() || c.withheld(answer) {
		return 0, errors.Join(net.ErrClosed, c.Close())
	}
	if err := c.Conn.SetWriteDeadline(time.Now().Add(c.guard.config.FrameTimeout)); err != nil {
		return 0, err
	}
	return c.Conn.Write(answer)
}

// Read implements net.Conn. It hands out checked frames only; the first that is
// not well-formed ends the connection.
func (c *guarded) Read(into []byte) (int, error) {
	if len(c.frame) == 0 {
		if err := c.next(); err != nil {
			var bad *frameError
			if errors.As(err, &bad) {
				c.guard.config.Log.Warn("Kafka client cut off", zap.Stringer("client", c.RemoteAddr()), zap.Error(err))
			}
			return 0, err
		}
	}
	n := copy(into, c.frame)
	c.frame = c.frame[n:]
	return n, nil
}

// keepBytes is the buffer that an idle connection keeps.
const keepBytes = 64 << 10

// next reads and checks one frame. The buffer grows with what arrives, not with
// what the length promises.
func (c *guarded) next() error {
	config := c.guard.config
	if err := c.SetReadDeadline(time.Now().Add(config.IdleTimeout)); err != nil {
		return err
	}
	if cap(c.buffer) > keepBytes {
		c.buffer = nil
	}
	c.buffer = append(c.buffer[:0], 0, 0, 0, 0)
	if _, err := io.ReadFull(c.Conn, c.buffer[:1]); err != nil {
		return err
	}
	if err := c.SetReadDeadline(time.Now().Add(config.FrameTimeout)); err != nil {
		return err
	}
	if _, err := io.ReadFull(c.Conn, c.buffer[1:]); err != nil {
		return err
	}
	size := int64(binary.BigEndian.Uint32(c.buffer))
	if size > int64(config.FrameBytesMax) {
		return &frameError{fmt.Sprintf("a frame of %d bytes, and %d are allowed", size, config.FrameBytesMax)}
	}
	for missing := int(size); missing > 0; {
		start := len(c.buffer)
		step := min(missing, max(start, keepBytes))
		c.buffer = append(c.buffer, make([]byte, step)...)
		if _, err := io.ReadFull(c.Conn, c.buffer[start:]); err != nil {
			return err
		}
		missing -= step
	}
	if err := checkRequest(c.buffer[4:]); err != nil {
		return err
	}
	if !c.strike(c.buffer[4:]) {
		return net.ErrClosed
	}
	c.frame = c.buffer
	return nil
}

// frameError says what is wrong with a frame.
type frameError struct{ problem string }

// Error implements error.
func (e *frameError) Error() string { return "no Kafka request: " + e.problem }

// apiVersions is the one request that clients send before they know what the
// broker understands; an unknown version of it is answered, not refused.
const apiVersions = 18

// checkRequest parses a request as kfake will.
func checkRequest(frame []byte) error {
	request, body, err := readHeader(frame)
	if err != nil {
		return err
	}
	if err := request.ReadFrom(body); err != nil {
		return &frameError{fmt.Sprintf("%s version %d: %v", kmsg.NameForKey(request.Key()), request.GetVersion(), err)}
	}
	return nil
}

// readHeader finds out what a frame asks for.
func readHeader(frame []byte) (request kmsg.Request, body []byte, err error) {
	reader := kbin.Reader{Src: frame}
	key, version := reader.Int16(), reader.Int16()
	reader.Int32() // correlation id
	reader.NullableString()
	if !reader.Ok() {
		return nil, nil, &frameError{"its header is cut short"}
	}
	request = kmsg.RequestForKey(key)
	if request == nil {
		return nil, nil, &frameError{fmt.Sprintf("there is no API key %d", key)}
	}
	if version < 0 || version > request.MaxVersion() && key != apiVersions {
		return nil, nil, &frameError{fmt.Sprintf("%s has no version %d", kmsg.NameForKey(key), version)}
	}
	request.SetVersion(version)
	if request.IsFlexible() {
		if err := skipTags(&reader); err != nil {
			return nil, nil, err
		}
	}
	return request, reader.Src, nil
}

// skipTags passes over a header's tagged fields. Their number comes from
// outside, and kmsg's own way would count all of them down.
func skipTags(reader *kbin.Reader) error {
	for left := reader.Uvarint(); left > 0 && reader.Ok(); left-- {
		reader.Uvarint() // the tag
		reader.Span(int(reader.Uvarint()))
	}
	if !reader.Ok() {
		return &frameError{"its header is cut short"}
	}
	return nil
}
