package collector

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"go.uber.org/zap"

	"adpulse/messages"
)

// Config is a collector's sizes and times.
type Config struct {
	// SegmentEvents closes a segment, in events. More is cheaper by the event
	// and waits longer to fill.
	SegmentEvents int
	// Linger is how long an open segment waits for company while another is
	// being written; 0 closes it when the mailbox is empty.
	Linger time.Duration
	// InFlight bounds the journal writes without an answer. It must be under
	// messages.GapMax.
	InFlight int
	// WindowEvents and WindowBytes bound what the collector hands to its
	// exporter in memory and has not heard to be exported. Past either, the
	// exporter reads the journal instead.
	WindowEvents, WindowBytes int
	// HighWaterEvents is this lane's backlog past which batches are rejected.
	HighWaterEvents int
	// WriteTimeout bounds one try of a journal write.
	WriteTimeout time.Duration
	// RetryDelay is the wait before a failed write is tried again.
	RetryDelay time.Duration
	// GiveUpAfter bounds all tries of one write together; then its senders are
	// told to try again.
	GiveUpAfter time.Duration
	// SealDelay is how often a sequence that was given up is looked at, to be
	// sealed when no new segment has filled it.
	SealDelay time.Duration

	// Now and Token are the clock and the source of segment tokens; tests
	// replace them.
	Now   func() time.Time
	Token func() uint64
	// Go runs a step beside the actor, and Wait lets one wait until d has passed
	// or ctx ends, whose error it then returns; tests replace them to say what
	// happens when.
	Go   func(step func())
	Wait func(ctx context.Context, d time.Duration) error
	// Inspect, where set, sees every batch before it is gathered. A test that
	// makes it panic shows what one bad message does.
	Inspect func(*messages.Collect)
}

// DefaultConfig suits a store that answers within milliseconds.
func DefaultConfig() Config {
	return Config{
		SegmentEvents: 500, Linger: time.Millisecond, InFlight: 4,
		WindowEvents: 16384, WindowBytes: 32 << 20, HighWaterEvents: 5_000_000,
		WriteTimeout: 2 * time.Second, RetryDelay: 50 * time.Millisecond,
		GiveUpAfter: 5 * time.Second, SealDelay: 500 * time.Millisecond,
		Now: time.Now, Token: rand.Uint64,
		Go: func(step func()) { go step() }, Wait: wait,
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

// Validate checks the sizes against each other.
func (c Config) Validate() error {
	switch {
	case c.SegmentEvents < 1 || c.SegmentEvents > messages.SegmentEventsMax:
		return fmt.Errorf("segment events %d: use 1 to %d", c.SegmentEvents, messages.SegmentEventsMax)
	case c.InFlight < 1 || c.InFlight >= messages.GapMax:
		return fmt.Errorf("in flight %d: use 1 to %d", c.InFlight, messages.GapMax-1)
	case c.HighWaterEvents < 1:
		return fmt.Errorf("high water %d: use at least 1", c.HighWaterEvents)
	case c.WriteTimeout <= 0 || c.RetryDelay <= 0 || c.GiveUpAfter <= 0 || c.SealDelay <= 0:
		return fmt.Errorf("write timeout, retry delay, give up after and seal delay must be positive")
	}
	return nil
}

// MemoryBound is the most that one collector holds outside its mailbox, in
// bytes: segments being written and waiting, the open one, and the window.
func (c Config) MemoryBound() int64 {
	return int64(c.InFlight+2)*messages.SegmentBytesMax + int64(c.WindowBytes)
}

// Journal is what a collector needs of the edge store.
type Journal interface {
	// Append writes one segment. Its errors may have messages.ErrFenced,
	// ErrTaken or ErrOutcomeUnknown in their chain; anything else may be tried
	// again.
	Append(ctx context.Context, segment *messages.Segment) error
	// Head finds the highest sequence of a lane that exists, after one that is
	// known to be settled.
	Head(ctx context.Context, lane messages.LaneID, after messages.Sequence) (messages.Sequence, error)
	// Seal writes empty segments where from..to have none.
	Seal(ctx context.Context, lane messages.LaneID, epoch messages.Epoch, from, to messages.Sequence) error
	// Read returns the contiguous segments that start at from.
	Read(ctx context.Context, lane messages.LaneID, from messages.Sequence, segmentsMax, bytesMax int) ([]*messages.Segment, error)
	// Checkpoint returns how far the lane is exported; false if never.
	Checkpoint(ctx context.Context, lane messages.LaneID) (messages.Checkpoint, bool, error)
}

// Mailbox is what a collector needs of its own mailbox.
type Mailbox interface {
	// Pause holds the data lane back; control messages go on.
	Pause()
	// Resume ends Pause.
	Resume()
	// Events is what waits in the data lane.
	Events() int
}

// Parts is what a collector works with. All but Stale must be set.
type Parts struct {
	Lease    messages.Lease
	Journal  Journal
	Mailbox  Mailbox
	Exporter *actor.PID
	// Stale, where set, tells that this process has not renewed its lease for so
	// long that a successor's segments may have been exported and trimmed: what
	// was written then may lie where nobody looks, and is not acknowledged. It
	// may be called concurrently.
	Stale func() bool
	// Lost is told when the lane turns out to be somebody else's. It must not
	// block.
	Lost  func(messages.LaneID, error)
	Stats *Stats
	Log   *zap.Logger
}

// Stats is what a collector tells the world. Its fields may be read at any
// time; they survive restarts of the actor.
type Stats struct {
	// Owned: the lane is held and its head is known.
	Owned atomic.Bool
	// Segments, Events and Bytes count what the journal has taken.
	Segments, Events, Bytes atomic.Uint64
	// Rejections counts batches, WriteErrors failed tries of a write,
	// HintsDropped segments that the exporter has to read back.
	Rejections, WriteErrors, HintsDropped atomic.Uint64
	// Backlog is what the lane holds and Kafka does not, in events.
	Backlog atomic.Uint64
	// Exported is the highest sequence that is in Kafka with all before it.
	Exported atomic.Uint64
	// Head is the highest sequence given out, Writing the writes in flight.
	Head    atomic.Uint64
	Writing atomic.Int64
	// Segment, where set before the start, is called for each segment that
	// the journal took, on the actor's goroutine: events and bytes.
	Segment func(events, bytes int)
}

func (s *Stats) segment(events, bytes int) {
	s.Segments.Add(1)
	s.Events.Add(uint64(events))
	s.Bytes.Add(uint64(bytes))
	if s.Segment != nil {
		s.Segment(events, bytes)
	}
}

// counter numbers the incarnations of one actor.
type counter struct{ n atomic.Uint64 }

func (c *counter) next() uint64 { return c.n.Add(1) }
