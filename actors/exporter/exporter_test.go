package exporter_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"go.uber.org/zap"

	"adpulse/actors/exporter"
	"adpulse/messages"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds every wait for something that must happen.
const patience = 10 * time.Second

const (
	laneA messages.LaneID = "n/0"
	laneB messages.LaneID = "n/1"
	ownID                 = "exporter-0"
)

var (
	errAborted = errors.New("aborted")
	errUnknown = errors.New("no answer")
)

// world is an edge store and a Kafka of one partition in memory.
type world struct {
	mu          sync.Mutex
	journal     map[messages.LaneID][]*messages.Segment
	checkpoints map[messages.LaneID]messages.Checkpoint
	producers   map[messages.LaneID]string
	records     map[messages.EventID]messages.Origin
	topic       []messages.Origin
	sinks       int
	fenced      []string
	fence       map[messages.LaneID]bool // lanes that a newer owner has
	// commits decides the outcome of the transactions to come, in order;
	// written tells whether their records are in the topic all the same.
	commits []outcome
}

type outcome struct {
	err     error
	written bool
}

func newWorld() *world {
	return &world{
		journal: map[messages.LaneID][]*messages.Segment{}, checkpoints: map[messages.LaneID]messages.Checkpoint{},
		producers: map[messages.LaneID]string{}, records: map[messages.EventID]messages.Origin{}, fence: map[messages.LaneID]bool{},
	}
}

// append puts a segment of events with these ids into a lane's journal.
func (w *world) append(lane messages.LaneID, ids ...byte) *messages.Segment {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := &messages.Segment{Lane: lane, Seq: messages.Sequence(len(w.journal[lane]) + 1)}
	for _, before := range w.journal[lane] {
		s.Base += uint64(len(before.Events))
	}
	for _, id := range ids {
		s.Events = append(s.Events, messages.Event{ID: messages.EventID{id}, Type: messages.Click, Body: []byte("{}")})
	}
	w.journal[lane] = append(w.journal[lane], s)
	return s
}

// exported is what is in the topic of a lane, as sequence and index.
func (w *world) exported(lane messages.LaneID) (places [][2]int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, o := range w.topic {
		if o.Lane == lane {
			places = append(places, [2]int{int(o.Seq), int(o.Index)})
		}
	}
	return places
}

func (w *world) Read(_ context.Context, lane messages.LaneID, from messages.Sequence, most, _ int) ([]*messages.Segment, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := w.journal[lane]
	if int(from) > len(all) {
		return nil, nil
	}
	all = all[from-1:]
	return append([]*messages.Segment(nil), all[:min(most, len(all))]...), nil
}

func (w *world) Checkpoint(_ context.Context, lane messages.LaneID) (messages.Checkpoint, bool, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	c, known := w.checkpoints[lane]
	return c, known, nil
}

func (w *world) MoveCheckpoint(_ context.Context, lease messages.Lease, c messages.Checkpoint) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.fence[lease.Lane] {
		return messages.ErrFenced
	}
	c.Offsets = maps.Clone(c.Offsets)
	w.checkpoints[lease.Lane] = c
	return nil
}

func (*world) Trim(context.Context, messages.LaneID, messages.Sequence, messages.Sequence) error {
	return nil
}

func (w *world) SetTransactionalID(_ context.Context, lease messages.Lease, id string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.fence[lease.Lane] {
		return messages.ErrFenced
	}
	w.producers[lease.Lane] = id
	return nil
}

func (w *world) WriteChangeRecords(_ context.Context, records []messages.ChangeRecord) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range records {
		r := &records[i]
		switch origin, known := w.records[r.Event.ID]; {
		case !known:
			w.records[r.Event.ID], r.Outcome = r.Origin, messages.Fresh
		case origin == r.Origin:
			r.Outcome = messages.Replay
		default:
			r.Outcome = messages.Duplicate
		}
	}
	return nil
}

func (w *world) OpenSink(context.Context, string) (exporter.Sink, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sinks++
	return sink{w}, nil
}

func (w *world) Fence(_ context.Context, id string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fenced = append(w.fenced, id)
	return nil
}

func (w *world) ReadTail(_ context.Context, from messages.Offsets, wanted func(messages.LaneID) bool, visit func(messages.Origin)) (messages.Offsets, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, o := range w.topic[from[0]:] {
		if wanted(o.Lane) {
			visit(o)
		}
	}
	return messages.Offsets{0: int64(len(w.topic))}, nil
}

func (w *world) EndOffsets(context.Context) (messages.Offsets, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return messages.Offsets{0: int64(len(w.topic))}, nil
}

func (*world) Aborted(err error) bool { return errors.Is(err, errAborted) }

type sink struct{ *world }

func (s sink) Commit(_ context.Context, records []messages.Outbound) (messages.Offsets, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	result := outcome{written: true}
	if len(s.commits) > 0 {
		result, s.commits = s.commits[0], s.commits[1:]
	}
	if result.written {
		for i := range records {
			s.topic = append(s.topic, records[i].Origin)
		}
	}
	return messages.Offsets{0: int64(len(s.topic))}, result.err
}

func (sink) Close() {}

type fixture struct {
	t        *testing.T
	system   *actor.ActorSystem
	exporter *actor.PID
	listener *actor.PID
	heard    chan any // by the lanes' collector, and by who asks for a drain
	lost     chan messages.LaneID
	stats    exporter.Stats
}

func open(t *testing.T, w *world, lanes ...messages.LaneID) *fixture {
	t.Helper()
	f := &fixture{t: t, heard: make(chan any, 1000), lost: make(chan messages.LaneID, 10)}
	f.system = actor.NewActorSystem(actor.WithDeadLetterThrottleInterval(time.Millisecond), actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger {
		return slog.New(slog.NewTextHandler(io.Discard, nil))
	}))
	f.listener = f.system.Root.Spawn(actor.PropsFromFunc(func(c actor.Context) {
		switch m := c.Message().(type) {
		case *messages.Exported, *exporter.Drained:
			f.heard <- m
		}
	}))
	config := exporter.DefaultConfig()
	config.TransactionEvents, config.Poll, config.RetryDelay, config.CheckpointEvery = 4, time.Millisecond, time.Millisecond, time.Millisecond
	require.NoError(t, config.Validate())
	var owned []exporter.Lane
	for _, lane := range lanes {
		owned = append(owned, f.lane(lane))
	}
	f.exporter = f.system.Root.Spawn(exporter.Props(config, exporter.Parts{
		Journal: w, Stream: w, TransactionalID: ownID, Stats: &f.stats, Log: zap.NewNop(),
		Lost: func(lane messages.LaneID, _ error) { f.lost <- lane },
	}, owned))
	t.Cleanup(func() {
		for _, pid := range []*actor.PID{f.exporter, f.listener} {
			require.NoError(t, f.system.Root.StopFuture(pid).Wait())
		}
		f.system.Shutdown()
	})
	return f
}

func (f *fixture) lane(id messages.LaneID) exporter.Lane {
	return exporter.Lane{Lease: messages.Lease{Lane: id, Epoch: 3, TransactionalID: "predecessor"}, Collector: f.listener}
}

// drain waits until the exporter says that its lanes are empty.
func (f *fixture) drain() {
	f.t.Helper()
	f.system.Root.RequestWithCustomSender(f.exporter, &exporter.Drain{}, f.listener)
	end := time.After(patience)
	for {
		select {
		case m := <-f.heard:
			if _, drained := m.(*exporter.Drained); drained {
				return
			}
		case <-end:
			f.t.Fatal("it does not drain")
		}
	}
}

func TestExporterKeepsALanesOrderWhateverHintsItGets(t *testing.T) {
	w := newWorld()
	f := open(t, w, laneA)
	require.Eventually(t, f.stats.Ready.Load, patience, time.Millisecond)
	first, _, third := w.append(laneA, 1, 2), w.append(laneA), w.append(laneA, 3, 4, 5)
	for _, s := range []*messages.Segment{third, first} { // one is lost, two come in the wrong order
		f.system.Root.Send(f.exporter, &messages.Appended{Segment: s})
	}
	f.drain()
	require.Equal(t, [][2]int{{1, 0}, {1, 1}, {3, 0}, {3, 1}, {3, 2}}, w.exported(laneA))
	require.Equal(t, messages.Sequence(3), w.checkpoints[laneA].Seq)
	require.EqualValues(t, 5, w.checkpoints[laneA].Events)
	require.EqualValues(t, 5, f.stats.Exported.Load())
}

func TestAClientsDuplicateIsDropped(t *testing.T) {
	w := newWorld()
	w.append(laneA, 1, 2)
	w.append(laneA, 2, 3)
	f := open(t, w, laneA)
	f.drain()
	require.Equal(t, [][2]int{{1, 0}, {1, 1}, {2, 1}}, w.exported(laneA))
	require.EqualValues(t, 1, f.stats.Duplicates.Load())
}

func TestAnAbortedTransactionIsTriedAgainByTheSameProducer(t *testing.T) {
	w := newWorld()
	w.commits = []outcome{{err: errAborted}, {err: errAborted}}
	w.append(laneA, 1, 2)
	f := open(t, w, laneA)
	f.drain()
	require.Equal(t, [][2]int{{1, 0}, {1, 1}}, w.exported(laneA))
	require.Equal(t, 1, w.sinks)
	require.EqualValues(t, 1, f.stats.Recoveries.Load())
}

// When nobody knows whether a transaction is in the topic, the topic is asked.
func TestAnUnknownOutcomeIsReadFromTheTail(t *testing.T) {
	for name, written := range map[string]bool{"it was committed": true, "it was not": false} {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			w.commits = []outcome{{err: errUnknown, written: written}}
			w.append(laneA, 1, 2)
			w.append(laneA, 3)
			f := open(t, w, laneA)
			f.drain()
			require.Equal(t, [][2]int{{1, 0}, {1, 1}, {2, 0}}, w.exported(laneA))
			require.Equal(t, 2, w.sinks, "a new producer fences the one in doubt")
			require.EqualValues(t, 2, f.stats.Recoveries.Load())
			require.EqualValues(t, 3, f.stats.Exported.Load())
		})
	}
}

// A predecessor died between its commit and its checkpoint.
func TestWhatAPredecessorCommittedIsNotRepeated(t *testing.T) {
	w := newWorld()
	w.append(laneA, 1, 2)
	w.append(laneA, 3, 4)
	w.checkpoints[laneA] = messages.Checkpoint{Offsets: messages.Offsets{0: 0}}
	w.topic = []messages.Origin{{Lane: laneA, Seq: 1, Index: 0}, {Lane: laneA, Seq: 1, Index: 1}, {Lane: laneA, Seq: 2, Index: 1}}
	f := open(t, w, laneA)
	f.drain()
	require.ElementsMatch(t, [][2]int{{1, 0}, {1, 1}, {2, 0}, {2, 1}}, w.exported(laneA))
	require.Equal(t, []string{"predecessor"}, w.fenced)
	require.Equal(t, ownID, w.producers[laneA])
	require.EqualValues(t, 3, f.stats.Replayed.Load())
}

func TestLanesAreAdoptedAndReleased(t *testing.T) {
	w := newWorld()
	w.append(laneA, 1)
	w.append(laneB, 2)
	f := open(t, w, laneA)
	f.drain()
	require.Empty(t, w.exported(laneB))
	f.system.Root.Send(f.exporter, &exporter.Adopt{Lane: f.lane(laneB)})
	f.drain()
	require.Equal(t, [][2]int{{1, 0}}, w.exported(laneB))
	f.system.Root.Send(f.exporter, &exporter.Release{Lane: laneB})
	w.append(laneA, 3)
	f.system.Root.Send(f.exporter, &messages.Appended{Segment: w.append(laneB, 4)})
	f.drain()
	require.Len(t, w.exported(laneA), 2)
	require.Len(t, w.exported(laneB), 1)
}

func TestALaneOfANewerOwnerIsLostAndTheOthersGoOn(t *testing.T) {
	w := newWorld()
	w.fence[laneB] = true
	w.append(laneA, 1)
	w.append(laneB, 2)
	f := open(t, w, laneA, laneB)
	f.drain()
	require.Len(t, w.exported(laneA), 1)
	require.Empty(t, w.exported(laneB))
	select {
	case lane := <-f.lost:
		require.Equal(t, laneB, lane)
	case <-time.After(patience):
		t.Fatal("nobody is told")
	}
}
