package collector_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"go.uber.org/zap"

	"adpulse/actors/collector"
	"adpulse/actors/mailbox"
	"adpulse/messages"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds every wait for something that must happen.
const patience = 10 * time.Second

const lane messages.LaneID = "n/0"

// journal is an edge store in memory. Append asks the test first.
type journal struct {
	// appends hands each write to the test, which answers with its outcome;
	// nil writes at once.
	appends chan appending
	// journaled is the collector's Stats.Segment.
	journaled func(events, bytes int)

	mu         sync.Mutex
	segments   map[messages.Sequence]*messages.Segment
	checkpoint messages.Checkpoint
}

type appending struct {
	segment *messages.Segment
	outcome chan error
}

var errEdge = errors.New("edge is away")

func (j *journal) Append(ctx context.Context, s *messages.Segment) error {
	if j.appends != nil {
		a := appending{s, make(chan error, 1)}
		select {
		case j.appends <- a:
		case <-ctx.Done():
			return ctx.Err()
		}
		select {
		case err := <-a.outcome:
			if err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.segments[s.Seq] = s
	return nil
}

func (j *journal) Head(_ context.Context, _ messages.LaneID, after messages.Sequence) (messages.Sequence, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for seq := range j.segments {
		after = max(after, seq)
	}
	return after, nil
}

func (j *journal) Seal(_ context.Context, id messages.LaneID, epoch messages.Epoch, from, to messages.Sequence) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	for ; from <= to; from++ {
		if j.segments[from] == nil {
			j.segments[from] = &messages.Segment{Lane: id, Seq: from, Epoch: epoch}
		}
	}
	return nil
}

func (j *journal) Read(_ context.Context, _ messages.LaneID, from messages.Sequence, most, _ int) (found []*messages.Segment, _ error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for ; len(found) < most && j.segments[from] != nil; from++ {
		found = append(found, j.segments[from])
	}
	return found, nil
}

func (j *journal) Checkpoint(context.Context, messages.LaneID) (messages.Checkpoint, bool, error) {
	return j.checkpoint, j.checkpoint.Seq > 0, nil
}

func (j *journal) at(seq messages.Sequence) *messages.Segment {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.segments[seq]
}

// fixture is a collector, its sender and its exporter, which put what they hear
// into channels.
type fixture struct {
	t              *testing.T
	system         *actor.ActorSystem
	collector      *actor.PID
	sender         *actor.PID
	answers, hints chan any
	lost           chan error
	stats          collector.Stats
	asleep         atomic.Bool
	batches        int
}

func open(t *testing.T, j *journal, change func(*collector.Config)) *fixture {
	t.Helper()
	f := &fixture{t: t, answers: make(chan any, 100), hints: make(chan any, 100), lost: make(chan error, 10)}
	f.system = actor.NewActorSystem(actor.WithDeadLetterThrottleInterval(time.Millisecond), actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger {
		return slog.New(slog.NewTextHandler(io.Discard, nil))
	}))
	if j.segments == nil {
		j.segments = map[messages.Sequence]*messages.Segment{}
	}
	listen := func(to chan any) *actor.PID {
		return f.system.Root.Spawn(actor.PropsFromFunc(func(c actor.Context) {
			switch m := c.Message().(type) {
			case *messages.Collected, *messages.Rejected, *messages.Appended, *collector.Drained:
				to <- m
			}
		}))
	}
	f.stats.Segment = j.journaled
	f.sender = listen(f.answers)
	exporter := listen(f.hints)
	config := collector.DefaultConfig()
	config.RetryDelay, config.SealDelay = time.Millisecond, time.Millisecond
	if change != nil {
		change(&config)
	}
	require.NoError(t, config.Validate())
	box := mailbox.New(mailbox.Config{Events: 1000, MaxWait: patience})
	f.collector = f.system.Root.Spawn(collector.Props(config, collector.Parts{
		Lease: messages.Lease{Lane: lane, Epoch: 7}, Journal: j, Mailbox: box, Exporter: exporter,
		Lost: func(_ messages.LaneID, err error) { f.lost <- err }, Stats: &f.stats, Log: zap.NewNop(), Stale: f.asleep.Load,
	}, box.Option()))
	require.Eventually(t, f.stats.Owned.Load, patience, time.Millisecond)
	t.Cleanup(func() {
		for _, pid := range []*actor.PID{f.collector, f.sender, exporter} {
			require.NoError(t, f.system.Root.StopFuture(pid).Wait())
		}
		f.system.Shutdown()
	})
	return f
}

// collect sends a batch of so many events and returns its id.
func (f *fixture) collect(events int) messages.BatchID {
	f.batches++
	id := messages.BatchID(f.batches)
	f.system.Root.RequestWithCustomSender(f.collector, &messages.Collect{Batch: id, Events: make([]messages.Event, events)}, f.sender)
	return id
}

// heard is the next message on a channel.
func heard[T any, C any](t *testing.T, from chan C) (m T) {
	t.Helper()
	select {
	case got := <-from:
		m, ok := any(got).(T)
		require.True(t, ok, "heard %T %+v", got, got)
		return m
	case <-time.After(patience):
		t.Fatalf("heard nothing, not even %T", m)
	}
	return m
}

func silent[C any](t *testing.T, from chan C) {
	t.Helper()
	select {
	case got := <-from:
		t.Fatalf("heard %+v", got)
	default:
	}
}

func TestCollectorAcknowledgesOnlyWhatTheJournalHolds(t *testing.T) {
	j := &journal{appends: make(chan appending)}
	f := open(t, j, nil)
	first := f.collect(3)
	write := heard[appending](t, j.appends)
	require.Len(t, write.segment.Events, 3)
	require.EqualValues(t, 1, write.segment.Seq)
	silent(t, f.answers)

	write.outcome <- errEdge // and again, at the same sequence
	write = heard[appending](t, j.appends)
	require.EqualValues(t, 1, write.segment.Seq)
	silent(t, f.answers)

	write.outcome <- nil
	require.Equal(t, []messages.BatchID{first}, heard[*messages.Collected](t, f.answers).Batches)
	require.Len(t, j.at(1).Events, 3)
	require.EqualValues(t, 1, heard[*messages.Appended](t, f.hints).Segment.Seq)
}

// A batch in several segments is acknowledged with the last, and once.
func TestABatchInSeveralSegmentsIsAcknowledgedOnce(t *testing.T) {
	j := &journal{appends: make(chan appending)}
	f := open(t, j, func(c *collector.Config) { c.SegmentEvents, c.InFlight = 10, 4 })
	id := f.collect(25)
	writes := map[messages.Sequence]appending{}
	for range 2 {
		w := heard[appending](t, j.appends)
		writes[w.segment.Seq] = w
	}
	third := heard[appending](t, j.appends) // it lingered for company
	writes[third.segment.Seq] = third
	for seq := messages.Sequence(3); seq > 1; seq-- {
		writes[seq].outcome <- nil
	}
	require.Eventually(t, func() bool { return f.stats.Segments.Load() == 2 }, patience, time.Millisecond)
	silent(t, f.answers)
	silent(t, f.hints) // in order: the first is still missing
	writes[1].outcome <- nil
	require.Equal(t, []messages.BatchID{id}, heard[*messages.Collected](t, f.answers).Batches)
	for seq := messages.Sequence(1); seq <= 3; seq++ {
		require.Equal(t, seq, heard[*messages.Appended](t, f.hints).Segment.Seq)
	}
	silent(t, f.answers)
}

func TestPastTheHighWaterMarkBatchesAreRejectedUntilExported(t *testing.T) {
	f := open(t, &journal{}, func(c *collector.Config) { c.HighWaterEvents = 10 })
	f.collect(10)
	heard[*messages.Collected](t, f.answers)
	id := f.collect(1)
	rejected := heard[*messages.Rejected](t, f.answers)
	require.Equal(t, messages.Rejected{Batch: id, Reason: messages.ReasonHighWater, Retryable: true}, *rejected)
	f.system.Root.Send(f.collector, &messages.Exported{Lane: lane, Seq: 1, Events: 10})
	f.collect(1)
	heard[*messages.Collected](t, f.answers)
}

// What cannot be written in time is given up: its senders are told, and its
// sequence is sealed, for the exporter cannot pass one that is missing.
func TestAWriteGivenUpLeavesNoHole(t *testing.T) {
	j := &journal{appends: make(chan appending)}
	var clock sync.Mutex
	now := time.Unix(0, 0)
	f := open(t, j, func(c *collector.Config) {
		c.GiveUpAfter = time.Minute
		c.Now = func() time.Time {
			clock.Lock()
			defer clock.Unlock()
			return now
		}
	})
	id := f.collect(2)
	write := heard[appending](t, j.appends)
	clock.Lock()
	now = now.Add(time.Minute)
	clock.Unlock()
	write.outcome <- errEdge
	rejected := heard[*messages.Rejected](t, f.answers)
	require.Equal(t, messages.Rejected{Batch: id, Reason: messages.ReasonEdge, Retryable: true}, *rejected)

	seal := heard[appending](t, j.appends)
	require.EqualValues(t, 1, seal.segment.Seq)
	require.Empty(t, seal.segment.Events)
	seal.outcome <- nil
	require.Empty(t, heard[*messages.Appended](t, f.hints).Segment.Events)
	f.collect(1)
	write = heard[appending](t, j.appends)
	require.EqualValues(t, 2, write.segment.Seq)
	write.outcome <- nil
	heard[*messages.Collected](t, f.answers)
}

func TestAFencedCollectorLosesItsLane(t *testing.T) {
	j := &journal{appends: make(chan appending)}
	f := open(t, j, nil)
	f.collect(1)
	heard[appending](t, j.appends).outcome <- messages.ErrFenced
	require.Equal(t, messages.ReasonLane, heard[*messages.Rejected](t, f.answers).Reason)
	require.ErrorIs(t, heard[error](t, f.lost), messages.ErrFenced)
	require.False(t, f.stats.Owned.Load())
	f.collect(1)
	require.Equal(t, messages.ReasonLane, heard[*messages.Rejected](t, f.answers).Reason)
	require.Nil(t, j.at(1))
}

// An older owner's segment that landed late stays; the new one goes behind it.
// A process that slept past its lease may have written where a successor's
// segment was exported and trimmed: nobody looks there again.
func TestWhatWasWrittenAfterALongSleepIsNotAcknowledged(t *testing.T) {
	f := open(t, &journal{}, nil)
	f.asleep.Store(true)
	batch := f.collect(2)
	rejected := heard[*messages.Rejected](t, f.answers)
	require.Equal(t, batch, rejected.Batch)
	require.True(t, rejected.Retryable)
	f.asleep.Store(false) // the lease was renewed: nobody else had it
	f.collect(2)
	heard[*messages.Collected](t, f.answers)
}

func TestASequenceThatIsTakenIsPassed(t *testing.T) {
	j := &journal{appends: make(chan appending)}
	f := open(t, j, nil)
	f.collect(1)
	heard[appending](t, j.appends).outcome <- messages.ErrTaken
	again := heard[appending](t, j.appends)
	require.EqualValues(t, 2, again.segment.Seq)
	again.outcome <- nil
	heard[*messages.Collected](t, f.answers)
	require.EqualValues(t, 2, heard[*messages.Appended](t, f.hints).Segment.Seq)
}

func TestACollectorGoesOnAfterItsLanesHead(t *testing.T) {
	j := &journal{
		checkpoint: messages.Checkpoint{Seq: 2, Events: 20},
		segments: map[messages.Sequence]*messages.Segment{
			3: {Lane: lane, Seq: 3, Base: 20, Events: make([]messages.Event, 5)},
			5: {Lane: lane, Seq: 5, Base: 25, Events: make([]messages.Event, 5)},
		},
	}
	f := open(t, j, nil)
	require.NotNil(t, j.at(4), "what the predecessor left open is sealed")
	require.EqualValues(t, 10, f.stats.Backlog.Load())
	f.collect(1)
	heard[*messages.Collected](t, f.answers)
	require.EqualValues(t, 30, j.at(6).Base)
}

func TestAPanicRejectsItsBatchAlone(t *testing.T) {
	j := &journal{appends: make(chan appending)}
	f := open(t, j, func(c *collector.Config) {
		c.Linger = patience
		c.Inspect = func(m *messages.Collect) {
			if len(m.Events) == 13 {
				panic("thirteen")
			}
		}
	})
	held := f.collect(1)
	write := heard[appending](t, j.appends)
	before, bad, after := f.collect(2), f.collect(13), f.collect(3)
	require.Equal(t, messages.Rejected{Batch: bad, Reason: messages.ReasonFault}, *heard[*messages.Rejected](t, f.answers))
	write.outcome <- nil
	require.Equal(t, []messages.BatchID{held}, heard[*messages.Collected](t, f.answers).Batches)
	write = heard[appending](t, j.appends)
	require.Len(t, write.segment.Events, 5, "the segment holds its neighbours and nothing of it")
	write.outcome <- nil
	require.Equal(t, []messages.BatchID{before, after}, heard[*messages.Collected](t, f.answers).Batches)
}

// One that fails between the journal and the acknowledgement tells its senders
// before it is restarted; the journal keeps what it has, and the lane goes on
// behind it.
func TestACollectorThatFailsAnswersItsSendersFirst(t *testing.T) {
	failing := true
	j := &journal{appends: make(chan appending), journaled: func(int, int) {
		if failing {
			failing = false
			panic("no acknowledgement")
		}
	}}
	f := open(t, j, nil)
	id := f.collect(1)
	heard[appending](t, j.appends).outcome <- nil
	require.Equal(t, messages.Rejected{Batch: id, Reason: messages.ReasonFault, Retryable: true}, *heard[*messages.Rejected](t, f.answers))
	require.Eventually(t, f.stats.Owned.Load, patience, time.Millisecond)
	id = f.collect(2)
	write := heard[appending](t, j.appends)
	require.EqualValues(t, 2, write.segment.Seq)
	write.outcome <- nil
	require.Equal(t, []messages.BatchID{id}, heard[*messages.Collected](t, f.answers).Batches)
}

// A drain writes what is open, takes no more, and says so last.
func TestDrainWritesWhatIsOpenAndTakesNoMore(t *testing.T) {
	j, gathered := &journal{appends: make(chan appending)}, make(chan *messages.Collect, 10)
	f := open(t, j, func(c *collector.Config) {
		c.Linger, c.Inspect = patience, func(m *messages.Collect) { gathered <- m }
	})
	first := f.collect(1)
	write := heard[appending](t, j.appends)
	second := f.collect(2)
	for range 2 {
		heard[*messages.Collect](t, gathered)
	}
	f.system.Root.RequestWithCustomSender(f.collector, &collector.Drain{}, f.sender)
	last := heard[appending](t, j.appends)
	require.Len(t, last.segment.Events, 2, "it lingers no longer")
	late := f.collect(3)
	require.Equal(t, messages.Rejected{Batch: late, Reason: messages.ReasonStopping, Retryable: true}, *heard[*messages.Rejected](t, f.answers))
	write.outcome <- nil
	require.Equal(t, []messages.BatchID{first}, heard[*messages.Collected](t, f.answers).Batches)
	silent(t, f.answers)
	last.outcome <- nil
	require.Equal(t, []messages.BatchID{second}, heard[*messages.Collected](t, f.answers).Batches)
	heard[*collector.Drained](t, f.answers)
}

// A collector that ends tells everybody whom it will not acknowledge.
func TestACollectorThatStopsRejectsWhatItHolds(t *testing.T) {
	j := &journal{appends: make(chan appending)}
	f := open(t, j, nil)
	id := f.collect(1)
	heard[appending](t, j.appends)
	f.system.Root.Stop(f.collector)
	require.Equal(t, messages.Rejected{Batch: id, Reason: messages.ReasonStopping, Retryable: true}, *heard[*messages.Rejected](t, f.answers))
}
