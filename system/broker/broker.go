// Package broker is the Kafka that a node runs inside itself when it is not
// told of a real one: franz-go's kfake on a loopback port, with its log in the
// data directory.
//
// kfake is made for tests and says so. What a process that lives on needs
// beside it is done here: the directory is locked, frames are read and checked
// before kfake sees them, topics are bounded and the bound is enforced, and what
// a killed predecessor left open is aborted before anybody can read or produce.
// Transactions are nevertheless not crash-safe here: a commit can be torn by
// kill -9. Whoever produces has to read the topic's tail after a crash, as
// adpulse's exporters do.
package broker

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"
)

// Config is what a broker is to be.
type Config struct {
	// Listen is the address to listen on and the one that clients are told.
	Listen string
	// Dir holds the log. It is made if it is missing, and one process at a time
	// may use it.
	Dir string
	// Sync makes every produced batch wait for the device. Without it what was
	// acknowledged survives the death of the process, but not of the machine.
	Sync bool
	// Topics are made if they are missing. One that exists keeps its partitions.
	Topics []Topic
	// RetainFor and RetainBytes bound each topic: the time that messages are
	// kept, and the bytes of all partitions of a topic together. kfake reads
	// what is kept into memory when it starts.
	RetainFor   time.Duration
	RetainBytes int64
	// RetentionEvery is how often the bounds are enforced.
	RetentionEvery time.Duration
	// FrameBytesMax bounds a request. A larger one ends its connection.
	FrameBytesMax int
	// ConnectionsMax bounds the connections; more are closed at once.
	ConnectionsMax int
	// FrameTimeout is how long a request may take to arrive once it has begun,
	// and an answer to be taken; IdleTimeout how long a connection may be
	// silent.
	FrameTimeout, IdleTimeout time.Duration
	// StartTimeout bounds what Start does through the broker's own protocol.
	StartTimeout time.Duration
	// Log is told of what goes wrong.
	Log *zap.Logger
}

// Topic is one to make.
type Topic struct {
	Name       string
	Partitions int
}

// DefaultConfig suits a node on a laptop. Listen and Dir are still to be set.
func DefaultConfig() Config {
	return Config{
		RetainFor: 7 * 24 * time.Hour, RetainBytes: 2 << 30, RetentionEvery: 15 * time.Second,
		FrameBytesMax: 32 << 20, ConnectionsMax: 512,
		FrameTimeout: 30 * time.Second, IdleTimeout: 10 * time.Minute,
		StartTimeout: 30 * time.Second, Log: zap.NewNop(),
	}
}

// ErrLocked is in the chain of Start's error when another process uses the
// directory.
var ErrLocked = errors.New("in use by another process")

// Names in the directory beside kfake's own.
const (
	lockName = "broker.lock"
	// openName exists while a broker runs, so that the next one can tell that
	// it was not closed.
	openName = "broker.open"
	logName  = "log"
)

// Broker is a running broker. Its methods may be called concurrently.
type Broker struct {
	config  Config
	cluster *kfake.Cluster
	guard   *guard
	lock    *os.File
	opened  string

	retention  chan struct{} // closed to end the ticker
	background sync.WaitGroup
	closing    sync.Once
	closed     error

	faulting sync.Mutex
	refusals *kfake.FaultHandle

	falling sync.Once
	fallen  chan struct{}
	why     error
}

// Start opens the log and listens. The broker runs until Close.
//
// It fails when the address is taken (syscall.EADDRINUSE is in the chain then),
// when the directory cannot be used, and with ErrLocked when another process
// uses it.
func Start(ctx context.Context, config Config) (_ *Broker, err error) {
	b := &Broker{config: config, retention: make(chan struct{}), fallen: make(chan struct{})}
	if err := b.lockDir(); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, b.lock.Close())
		}
	}()
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", config.Listen)
	if err != nil {
		return nil, fmt.Errorf("listen for Kafka clients: %w", err)
	}
	b.guard = newGuard(listener, &b.config)
	clean, err := b.markOpen()
	if err != nil {
		return nil, errors.Join(err, b.guard.stop())
	}
	if !clean {
		if err := b.forgetSnapshots(); err != nil {
			return nil, errors.Join(err, b.guard.stop())
		}
	}
	if err := b.startCluster(); err != nil {
		return nil, errors.Join(err, b.guard.stop())
	}
	if err := b.prepare(ctx, clean); err != nil {
		return nil, errors.Join(err, b.Close())
	}
	b.background.Go(b.retain)
	b.guard.open()
	return b, nil
}

func (b *Broker) startCluster() (err error) {
	options := []kfake.Opt{
		kfake.NumBrokers(1),
		kfake.DataDir(filepath.Join(b.config.Dir, logName)),
		kfake.ListenFn(func(string, string) (net.Listener, error) { return b.guard, nil }),
		kfake.WithLogger(kfakeLog{b.config.Log, b.fall}),
	}
	if b.config.Sync {
		options = append(options, kfake.SyncWrites())
	}
	if b.cluster, err = kfake.NewCluster(options...); err != nil {
		return fmt.Errorf("start the broker in %s: %w", b.config.Dir, err)
	}
	return nil
}

// prepare does what must be done before the first client.
func (b *Broker) prepare(ctx context.Context, clean bool) error {
	ctx, cancel := context.WithTimeout(ctx, b.config.StartTimeout)
	defer cancel()
	client, err := kgo.NewClient(kgo.SeedBrokers(b.Addr().String()), kgo.Dialer(b.guard.dial))
	if err != nil {
		return fmt.Errorf("prepare the broker: %w", err)
	}
	defer client.Close()
	if err := b.makeTopics(ctx, client); err != nil {
		return err
	}
	aborted, err := abortOpen(ctx, client)
	if err != nil {
		return fmt.Errorf("abort what a predecessor left open: %w", err)
	}
	if !clean || aborted > 0 {
		b.config.Log.Info("the broker had not been closed; its log was read anew", zap.Int("transactions aborted", aborted))
	}
	return nil
}

func (b *Broker) lockDir() error {
	if err := os.MkdirAll(b.config.Dir, 0o700); err != nil {
		return fmt.Errorf("make the broker's directory: %w", err)
	}
	lock, err := os.OpenFile(filepath.Join(b.config.Dir, lockName), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("lock the broker's directory: %w", err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		if errors.Is(err, syscall.EWOULDBLOCK) {
			err = ErrLocked
		}
		return errors.Join(fmt.Errorf("lock %s: %w", b.config.Dir, err), lock.Close())
	}
	b.lock = lock
	return nil
}

// markOpen leaves a mark for the next Start and tells whether there was none.
func (b *Broker) markOpen() (clean bool, err error) {
	b.opened = filepath.Join(b.config.Dir, openName)
	mark, err := os.OpenFile(b.opened, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, os.ErrExist) {
		return false, nil
	}
	if err == nil {
		err = mark.Close()
	}
	if err != nil {
		return false, fmt.Errorf("mark the broker's directory: %w", err)
	}
	return true, nil
}

// forgetSnapshots makes kfake read the log itself. A snapshot that it writes when
// it closes tells what it believes of transactions, and it believes those
// committed whose markers found no room; the log, read after the next kill, says
// otherwise. What a reader has seen must not vanish: exporters rely on it.
func (b *Broker) forgetSnapshots() error {
	dir := filepath.Join(b.config.Dir, logName)
	snapshots, err := fs.Glob(os.DirFS(dir), "partitions/*/snapshot.json")
	if err != nil {
		return fmt.Errorf("look for snapshots of the log: %w", err)
	}
	for _, snapshot := range snapshots {
		if err := os.Remove(filepath.Join(dir, snapshot)); err != nil {
			return fmt.Errorf("forget a snapshot of the log: %w", err)
		}
	}
	return nil
}

// retain enforces the bounds: kfake's own timer does not survive a restart.
func (b *Broker) retain() {
	tick := time.NewTicker(b.config.RetentionEvery)
	defer tick.Stop()
	for {
		select {
		case <-b.retention:
			return
		case <-tick.C:
			b.cluster.ApplyRetention()
		}
	}
}

// Addr is the address that the broker listens on.
func (b *Broker) Addr() net.Addr { return b.guard.Addr() }

// Close ends every connection, writes what the next Start reads, and waits
// until all is done. A second Close does nothing.
func (b *Broker) Close() error {
	b.closing.Do(func() {
		close(b.retention)
		b.background.Wait()
		b.cluster.Close()
		b.closed = errors.Join(b.guard.stop(), b.unmark())
	})
	return b.closed
}

func (b *Broker) unmark() error {
	if b.Err() != nil { // the next Start is to read the log as after a kill
		return b.lock.Close()
	}
	if err := errors.Join(os.Remove(b.opened), b.lock.Close()); err != nil {
		return fmt.Errorf("close the broker's directory: %w", err)
	}
	return nil
}

// Done is closed when the broker cannot write its log, on a full disk for
// instance. Nobody is answered from then on; close it.
func (b *Broker) Done() <-chan struct{} { return b.fallen }

// Err is why Done was closed, nil before.
func (b *Broker) Err() error {
	select {
	case <-b.fallen:
		return b.why
	default:
		return nil
	}
}

// fall is called by kfake before it answers what it could not write.
func (b *Broker) fall(why string) {
	b.guard.sick.Store(true)
	b.falling.Do(func() {
		b.why = fmt.Errorf("write the log in %s: %s", b.config.Dir, why)
		close(b.fallen)
	})
}

// kfakeLog carries kfake's own log into ours. What kfake cannot write it only
// logs; its words for that are checked by a test.
type kfakeLog struct {
	log  *zap.Logger
	fell func(why string)
}

// Logf implements kfake.Logger.
func (l kfakeLog) Logf(level kfake.LogLevel, format string, args ...any) {
	message := fmt.Sprintf(format, args...)
	if level <= kfake.LogLevelWarn && strings.Contains(format, "persist") {
		l.fell(message)
	}
	switch level {
	case kfake.LogLevelError:
		l.log.Error(message)
	case kfake.LogLevelWarn:
		l.log.Warn(message)
	default:
		l.log.Debug(message)
	}
}
