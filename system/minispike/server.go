package minispike

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
)

// Config is what a server is to be. The zero value is a server in memory, on
// a free port of the loopback interface, with the namespace "test".
type Config struct {
	// Listen is the address to listen on, "127.0.0.1:0" without one.
	Listen string
	// Advertise is the address that clients are told to use: host:port, or a
	// host for the port listened on. Without one it is the address listened
	// on, or, when that is every interface, 127.0.0.1.
	Advertise string
	// Dir is the data directory, made if it is missing. Without one the
	// records live in memory and end with the server.
	Dir string
	// Namespace is the only namespace, "test" without one.
	Namespace string
	// ClusterName is what clients that insist on a cluster's name compare.
	ClusterName string
	// Sync makes every write wait for the device. Without it an answered
	// write survives the death of the process, but not that of the machine.
	Sync bool
	// MemoryBytes bounds what the store keeps in memory, its write buffers
	// included: 256 MiB without one.
	MemoryBytes int64
	// DefaultTTL is the time to live of records written without one; 0 never.
	DefaultTTL time.Duration
	// SweepEvery is how often expired records are removed, 5 s without one.
	// They are invisible from the moment they expire.
	SweepEvery time.Duration
	// MaxConnections bounds the connections; more are closed at once. 4096
	// without one.
	MaxConnections int
	// MaxFrameBytes bounds a request, 32 MiB without one. A larger one ends
	// its connection. A batch can be larger than a record.
	MaxFrameBytes int
	// ReadTimeout is how long a frame may take to arrive once it has begun,
	// 10 s without one.
	ReadTimeout time.Duration
	// IdleTimeout is how long a connection may be silent, an hour without one.
	IdleTimeout time.Duration
	// Log is told of what goes wrong; nothing is logged without one.
	Log *zap.Logger
	// Faults are what goes wrong on purpose; nothing does without.
	Faults *Faults
}

// ErrConfig says that a configuration cannot be.
var ErrConfig = errors.New("minispike: bad configuration")

func (c Config) withDefaults() (Config, error) {
	orElse(&c.Listen, "127.0.0.1:0")
	orElse(&c.Namespace, "test")
	orElse(&c.MemoryBytes, 256<<20)
	orElse(&c.SweepEvery, 5*time.Second)
	orElse(&c.MaxConnections, 4096)
	orElse(&c.MaxFrameBytes, 32<<20)
	orElse(&c.ReadTimeout, 10*time.Second)
	orElse(&c.IdleTimeout, time.Hour)
	if c.Log == nil {
		c.Log = zap.NewNop()
	}
	switch {
	case len(c.Namespace) > 31:
		return c, fmt.Errorf("%w: namespace %q has more than 31 bytes", ErrConfig, c.Namespace)
	case c.MemoryBytes < 8<<20:
		return c, fmt.Errorf("%w: %d bytes of memory, at least 8 MiB are needed", ErrConfig, c.MemoryBytes)
	case c.MaxFrameBytes < 1<<20:
		return c, fmt.Errorf("%w: frames of %d bytes, at least 1 MiB is needed", ErrConfig, c.MaxFrameBytes)
	case c.DefaultTTL < 0 || c.DefaultTTL > maxTTL*time.Second || c.DefaultTTL%time.Second != 0:
		return c, fmt.Errorf("%w: default time to live %s", ErrConfig, c.DefaultTTL)
	case c.SweepEvery < 0 || c.ReadTimeout < 0 || c.IdleTimeout < 0 || c.MaxConnections < 0:
		return c, fmt.Errorf("%w: a negative limit", ErrConfig)
	}
	return c, nil
}

func orElse[T comparable](value *T, otherwise T) {
	if *value == *new(T) {
		*value = otherwise
	}
}

// Server is a running server. Its methods may be called concurrently.
type Server struct {
	config   Config
	log      *zap.Logger
	store    *store
	listener net.Listener
	node     string
	access   string
	started  time.Time
	sessions atomic.Int64

	falling sync.Once
	seized  atomic.Bool
	fallen  chan struct{}
	why     error

	defining sync.Mutex // index definitions and truncations
	mu       sync.Mutex
	closed   bool
	conns    map[net.Conn]struct{}
	work     sync.WaitGroup
	stopping chan struct{}
}

// Start opens the store and listens. The server runs until Close.
//
// It fails when the address is taken, the data directory cannot be used or is
// in use by another process, or the configuration is impossible.
func Start(config Config) (*Server, error) {
	config, err := config.withDefaults()
	if err != nil {
		return nil, err
	}
	listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", config.Listen)
	if err != nil {
		return nil, fmt.Errorf("minispike: %w", err)
	}
	s := &Server{
		config: config, log: config.Log, listener: listener, started: time.Now(),
		conns: make(map[net.Conn]struct{}), stopping: make(chan struct{}), fallen: make(chan struct{}),
	}
	if s.access, err = accessAddress(config.Advertise, listener.Addr()); err == nil {
		s.store, err = openStore(config, s.fall, s.seize)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("minispike: %w", err), listener.Close())
	}
	sum := sha256.Sum256([]byte(listener.Addr().String() + config.Dir))
	s.node = "BB9" + hexUpper(sum[:6])
	for _, x := range s.store.indexes.Load().all {
		s.spawn(func() { s.buildIndex(x) })
	}
	s.spawn(s.learn)
	s.spawn(s.expire)
	s.spawn(s.accept)
	return s, nil
}

func hexUpper(b []byte) string {
	text := []byte(hex.EncodeToString(b))
	for i, c := range text {
		if c >= 'a' {
			text[i] = c - 'a' + 'A'
		}
	}
	return string(text)
}

// accessAddress is the address that clients are told to use.
func accessAddress(advertise string, listening net.Addr) (string, error) {
	tcp := listening.(*net.TCPAddr)
	port := fmt.Sprint(tcp.Port)
	switch {
	case advertise == "" && tcp.IP.IsUnspecified():
		return net.JoinHostPort("127.0.0.1", port), nil
	case advertise == "":
		return net.JoinHostPort(tcp.IP.String(), port), nil
	}
	if _, _, err := net.SplitHostPort(advertise); err == nil {
		return advertise, nil
	}
	if address := net.JoinHostPort(advertise, port); len(address) < 256 {
		return address, nil
	}
	return "", fmt.Errorf("%w: advertised address of %d bytes", ErrConfig, len(advertise))
}

// Addr is the address that the server listens on.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// Close ends every connection, waits for what is being done, and closes the
// store. A second Close does nothing. A store whose disk failed may be beyond
// closing; then Close says so, and goroutines stay behind.
func (s *Server) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	close(s.stopping)
	err := s.listener.Close()
	for conn := range s.conns {
		_ = conn.Close() // its session, waited for below, closes it as well
	}
	s.mu.Unlock()
	if s.seized.Load() {
		return errors.Join(err, fmt.Errorf("leave the store as it is: %w", s.Err()))
	}
	s.work.Wait()
	return errors.Join(err, s.store.close())
}

// Done is closed when the store cannot be written, on a full disk for instance.
// Readers may have seen by then what a restart takes back, so nobody is answered
// any more; close the server.
func (s *Server) Done() <-chan struct{} { return s.fallen }

// Err is why Done was closed, nil before.
func (s *Server) Err() error {
	select {
	case <-s.fallen:
		return s.why
	default:
		return nil
	}
}

// seize falls, and makes Close leave the store as it is: whoever waits for it
// waits for ever.
func (s *Server) seize(why error) {
	s.seized.Store(true)
	s.fall(why)
}

func (s *Server) fall(why error) {
	s.falling.Do(func() {
		s.why = why
		s.log.Error("the store cannot be written; nobody is answered any more", zap.Error(why))
		close(s.fallen)
	})
}

// learn has the store find out which records it has.
func (s *Server) learn() {
	if s.store.known.stale() {
		if err := s.store.known.build(s.store.db, s.stopped); err != nil {
			s.log.Error("build the presence filter", zap.Error(err))
		}
	}
}

// stopped says whether the server is closing; work that takes long asks.
func (s *Server) stopped() bool {
	select {
	case <-s.stopping:
		return true
	default:
		return false
	}
}

// spawn runs work that Close waits for; the work asks stopped. It is false, and the work
// is not done, once the server is closing.
func (s *Server) spawn(work func()) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.work.Go(work)
	return true
}

func (s *Server) accept() {
	for {
		conn, err := s.listener.Accept()
		if err != nil {
			select {
			case <-s.stopping:
				return
			case <-time.After(10 * time.Millisecond): // out of file descriptors, most likely
				s.log.Warn("accept a connection", zap.Error(err))
				continue
			}
		}
		s.admit(conn)
	}
}

// admit starts a connection's session, unless there are too many.
func (s *Server) admit(conn net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || len(s.conns) >= s.config.MaxConnections {
		_ = conn.Close() // nobody to tell
		return
	}
	s.conns[conn] = struct{}{}
	s.sessions.Add(1)
	s.work.Go(func() {
		defer s.leave(conn)
		s.serve(conn)
	})
}

func (s *Server) leave(conn net.Conn) {
	_ = conn.Close() // closed twice when the server closes
	s.sessions.Add(-1)
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, conn)
}

// serve runs a connection's session. What one connection sends must not end
// the others, so a panic ends the connection only.
func (s *Server) serve(conn net.Conn) {
	session := newSession(s, conn)
	defer func() {
		if cause := recover(); cause != nil {
			s.log.Error("connection failed", zap.Any("cause", cause), zap.ByteString("stack", debug.Stack()))
			if err := s.store.abandon(&session.change); err != nil {
				s.log.Error("abandon a change", zap.Error(err))
			}
		}
	}()
	if err := session.serve(); !expected(err) {
		s.log.Warn("connection ended", zap.Stringer("from", conn.RemoteAddr()), zap.Error(err))
	}
}
