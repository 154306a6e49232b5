package exporter

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"go.uber.org/zap"

	"adpulse/messages"
)

// Config is an exporter's sizes and times.
type Config struct {
	// TransactionEvents closes a Kafka transaction, in events. A transaction
	// holds whole segments, so it may end up one segment larger.
	TransactionEvents int
	// Prepared bounds the batches whose change records are written, or being
	// written, ahead of the transaction that is being committed.
	Prepared int
	// ReadSegments and ReadBytes bound one read of the journal.
	ReadSegments, ReadBytes int
	// Poll is how often an idle lane's journal is looked at: what a dropped
	// hint costs.
	Poll time.Duration
	// CheckpointEvery and CheckpointTransactions move the checkpoints, whichever
	// comes first. A lagging checkpoint costs a longer tail read, nothing else.
	CheckpointEvery        time.Duration
	CheckpointTransactions int
	// TrimDelay is how long exported segments stay in the journal; 0 removes
	// them with the next trim.
	TrimDelay time.Duration
	// TrimEvery is how often they are looked for.
	TrimEvery time.Duration
	// StepTimeout bounds one step against the edge store, CommitTimeout one
	// transaction, RecoverTimeout one recovery.
	StepTimeout, CommitTimeout, RecoverTimeout time.Duration
	// RetryDelay is the wait after a first failure; it doubles to RetryDelayMax.
	RetryDelay, RetryDelayMax time.Duration
	// Keyspace is where the change records lie; it stands in each message.
	Keyspace messages.Keyspace
	// Now is the clock; tests replace it.
	Now func() time.Time
	// Go runs a step beside the actor, and Wait lets one wait until d has passed
	// or ctx ends, whose error it then returns; tests replace them to say what
	// happens when.
	Go   func(step func())
	Wait func(ctx context.Context, d time.Duration) error
}

// DefaultConfig suits an edge and a Kafka that answer within milliseconds.
func DefaultConfig() Config {
	return Config{
		TransactionEvents: 4000, Prepared: 2, ReadSegments: 32, ReadBytes: 4 << 20,
		Poll:            500 * time.Millisecond,
		CheckpointEvery: 250 * time.Millisecond, CheckpointTransactions: 20,
		TrimDelay: 2 * time.Minute, TrimEvery: 10 * time.Second,
		StepTimeout: 10 * time.Second, CommitTimeout: 30 * time.Second, RecoverTimeout: 90 * time.Second,
		RetryDelay: 100 * time.Millisecond, RetryDelayMax: 5 * time.Second,
		Keyspace: messages.Keyspace{Namespace: "test", Set: "events"},
		Now:      time.Now,
		Go:       func(step func()) { go step() }, Wait: wait,
	}
}

// wait is Config.Wait by the real clock.
func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Validate checks the sizes.
func (c Config) Validate() error {
	switch {
	case c.TransactionEvents < 1 || c.Prepared < 1 || c.ReadSegments < 1 || c.ReadBytes < 1:
		return fmt.Errorf("transaction events, prepared, read segments and read bytes must be positive")
	case c.Poll <= 0 || c.CheckpointEvery <= 0 || c.TrimEvery <= 0 || c.RetryDelay <= 0 || c.RetryDelayMax < c.RetryDelay:
		return fmt.Errorf("poll, checkpoint, trim and retry times must be positive")
	}
	return nil
}

// MemoryBound is the most that one exporter with this many lanes holds beside
// the windows that it grants, in bytes: batches being prepared and committed,
// with their encoded form, and reads of the journal.
func (c Config) MemoryBound(lanes int) int64 {
	perBatch := int64(c.TransactionEvents)*averageEventBytes + messages.SegmentBytesMax
	return int64(c.Prepared+1)*2*perBatch + int64(lanes)*int64(c.ReadBytes)
}

// averageEventBytes is what an event counts in MemoryBound: generous for real
// events, which have some 300 bytes, and far below messages.EventBytesMax.
const averageEventBytes = 2 << 10

// Journal is what an exporter needs of the edge store.
type Journal interface {
	// Read returns the contiguous segments that start at from; none where
	// from does not exist yet.
	Read(ctx context.Context, lane messages.LaneID, from messages.Sequence, segmentsMax, bytesMax int) ([]*messages.Segment, error)
	// Checkpoint returns how far the lane is exported; false if never.
	Checkpoint(ctx context.Context, lane messages.LaneID) (messages.Checkpoint, bool, error)
	// MoveCheckpoint stores it. ErrFenced when a newer owner has the lane.
	MoveCheckpoint(ctx context.Context, lease messages.Lease, checkpoint messages.Checkpoint) error
	// Trim removes segments that are exported.
	Trim(ctx context.Context, lane messages.LaneID, from, to messages.Sequence) error
	// SetTransactionalID records who will produce for the lane, before it does.
	SetTransactionalID(ctx context.Context, lease messages.Lease, id string) error
	// WriteChangeRecords stores each event's change record and fills in its
	// digest and outcome. It may be repeated as a whole.
	WriteChangeRecords(ctx context.Context, records []messages.ChangeRecord) error
}

// Sink is one transactional producer.
type Sink interface {
	// Commit produces the records in one transaction and returns, for each
	// partition that got any, the offset after the last. When Aborted(err) is
	// true nothing of it is or will be visible; after any other error only the
	// topic's tail tells.
	Commit(ctx context.Context, records []messages.Outbound) (messages.Offsets, error)
	// Close gives the producer up without waiting for what is in flight.
	Close()
}

// Stream is what an exporter needs of Kafka.
type Stream interface {
	// OpenSink makes a producer and fences its predecessor of the same id.
	OpenSink(ctx context.Context, transactionalID string) (Sink, error)
	// Fence ends whatever a foreign transactional id has open.
	Fence(ctx context.Context, transactionalID string) error
	// ReadTail visits the origin of each committed record from the given
	// offsets to the end that the topic had when it was called, for the wanted
	// lanes, and returns those ends.
	ReadTail(ctx context.Context, from messages.Offsets, wanted func(messages.LaneID) bool, visit func(messages.Origin)) (messages.Offsets, error)
	// EndOffsets returns each partition's end.
	EndOffsets(ctx context.Context) (messages.Offsets, error)
	// Aborted tells whether an error of Commit means that nothing of the
	// transaction will ever be visible and the same sink may try again.
	Aborted(err error) bool
}

// Lane is one lane of the exporter's.
type Lane struct {
	Lease messages.Lease
	// Collector hears how far the lane is exported; nil for a leftover lane
	// that nobody writes any more.
	Collector *actor.PID
}

// Parts is what an exporter works with. All must be set.
type Parts struct {
	Journal Journal
	Stream  Stream
	// TransactionalID is the exporter's own.
	TransactionalID string
	// Lost is told when a lane turns out to be somebody else's. It must not
	// block.
	Lost  func(messages.LaneID, error)
	Stats *Stats
	Log   *zap.Logger
}

// Stats is what an exporter tells the world. Its fields may be read at any
// time; they survive restarts of the actor.
type Stats struct {
	// Exported counts events committed to Kafka, Duplicates those dropped
	// because their id was known, Replayed those found in the topic's tail.
	Exported, Duplicates, Replayed atomic.Uint64
	// Transactions counts commits, Failures failed steps of any kind,
	// Recoveries how often the tail was read.
	Transactions, Failures, Recoveries atomic.Uint64
	// Ready: the tail is read and export goes on.
	Ready atomic.Bool
	// Observe, where set before the start, is called on the actor's goroutine
	// for each finished transaction with its events by type.
	Observe func(exported, duplicates Counts, took time.Duration)
}

// Counts are numbers of events by messages.EventType.
type Counts [messages.Conversion + 1]int

func (c *Counts) add(other Counts) {
	for t, n := range other {
		c[t] += n
	}
}

func (c *Counts) sum() (n int) {
	for _, of := range c {
		n += of
	}
	return n
}
