package simulator_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"adpulse/actors/collector"
	"adpulse/actors/credit"
	"adpulse/actors/mailbox"
	"adpulse/actors/simulator"
	"adpulse/actors/supervision"
	"adpulse/messages"
)

// journal is an edge in memory. Every seventh write fails when it is told to.
type journal struct {
	failing bool

	mu     sync.Mutex
	writes int
	lanes  map[messages.LaneID]map[messages.Sequence]*messages.Segment
}

func (j *journal) lane(lane messages.LaneID) map[messages.Sequence]*messages.Segment {
	if j.lanes[lane] == nil {
		j.lanes[lane] = map[messages.Sequence]*messages.Segment{}
	}
	return j.lanes[lane]
}

func (j *journal) Append(_ context.Context, s *messages.Segment) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.writes++; j.failing && j.writes%7 == 0 {
		return errors.New("as told")
	}
	if other := j.lane(s.Lane)[s.Seq]; other != nil && other.Token != s.Token {
		return messages.ErrTaken
	}
	kept := *s
	j.lane(s.Lane)[s.Seq] = &kept
	return nil
}

func (j *journal) Head(_ context.Context, lane messages.LaneID, _ messages.Sequence) (head messages.Sequence, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for seq := range j.lane(lane) {
		head = max(head, seq)
	}
	return head, nil
}

func (j *journal) Seal(_ context.Context, lane messages.LaneID, epoch messages.Epoch, from, to messages.Sequence) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	for seq := from; seq <= to; seq++ {
		if j.lane(lane)[seq] == nil {
			j.lane(lane)[seq] = &messages.Segment{Lane: lane, Seq: seq, Epoch: epoch}
		}
	}
	return nil
}

func (j *journal) Read(_ context.Context, lane messages.LaneID, from messages.Sequence, _, _ int) ([]*messages.Segment, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if s := j.lane(lane)[from]; s != nil {
		return []*messages.Segment{s}, nil
	}
	return nil, nil
}

func (*journal) Checkpoint(context.Context, messages.LaneID) (messages.Checkpoint, bool, error) {
	return messages.Checkpoint{}, false, nil
}

type crash struct{}

// ControlMessage puts crash on the control lane.
func (crash) ControlMessage() {}

// fragile fails on a crash as the actor in it would on a bug.
func fragile(next actor.ReceiverFunc) actor.ReceiverFunc {
	return func(ctx actor.ReceiverContext, envelope *actor.MessageEnvelope) {
		if _, ok := envelope.Message.(crash); ok {
			panic("as told")
		}
		next(ctx, envelope)
	}
}

// Simulators and collectors run under full load, in mailboxes too small for the
// credit that is out, over a journal that fails and with collectors that crash:
// nobody hangs, all credit comes back, and what was acknowledged is there.
func TestWhatWasAcknowledgedIsInTheJournal(t *testing.T) {
	const collectors, simulators = 2, 3
	system := actor.NewActorSystem(actor.WithDeadLetterThrottleInterval(time.Millisecond), actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger {
		return slog.New(slog.NewTextHandler(io.Discard, nil))
	}))
	defer system.Shutdown()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	guardian, err := supervision.Open(system, supervision.Config{Backoff: time.Millisecond, BackoffMax: time.Millisecond, Restarts: 1000, Window: time.Hour}, supervision.Hooks{}, zap.NewNop())
	require.NoError(t, err)
	store := &journal{failing: true, lanes: map[messages.LaneID]map[messages.Sequence]*messages.Segment{}}
	nobody := system.Root.Spawn(actor.PropsFromFunc(func(actor.Context) {}))

	var names []string
	var pids []*actor.PID
	for i := range collectors {
		name := fmt.Sprint("collector-", i)
		box := mailbox.New(mailbox.Config{Events: 300, MaxWait: 5 * time.Second, Refused: func(message any, sender *actor.PID, _ mailbox.Refusal) {
			if m, ok := message.(*messages.Collect); ok && sender != nil {
				system.Root.Send(sender, &messages.Rejected{Batch: m.Batch, Reason: messages.ReasonCredit, Retryable: true})
			}
		}})
		config := collector.DefaultConfig()
		config.RetryDelay, config.GiveUpAfter = time.Millisecond, 5*time.Millisecond
		props := collector.Props(config, collector.Parts{
			Lease: messages.Lease{Lane: messages.LaneID(fmt.Sprint("test/", i)), Epoch: 1}, Journal: store, Mailbox: box,
			Exporter: nobody, Lost: func(messages.LaneID, error) { t.Error("a lane was lost") }, Stats: new(collector.Stats), Log: zap.NewNop(),
		}, box.Option(), actor.WithReceiverMiddleware(fragile))
		require.NoError(t, guardian.Spawn(ctx, name, props))
		names, pids = append(names, name), append(pids, guardian.Child(name))
	}
	var (
		mu           sync.Mutex
		acknowledged = map[messages.EventID]bool{}
		stats        [simulators]simulator.Stats
		pools        [simulators]*credit.Pool
	)
	for i := range simulators {
		pools[i] = credit.NewPool(collectors, 300) // three times as much as is safe
		config := simulator.DefaultConfig()
		config.Tags, config.Number, config.Batch, config.RetryDelay = tags, i, 20, time.Millisecond
		props, err := simulator.Props(config, simulator.Parts{
			Collectors: pids, Credit: pools[i], Stats: &stats[i], Log: zap.NewNop(),
			Acknowledged: func(events []messages.Event, _ time.Duration) {
				mu.Lock()
				defer mu.Unlock()
				for i := range events {
					acknowledged[events[i].ID] = true
				}
			},
		})
		require.NoError(t, err)
		require.NoError(t, guardian.Spawn(ctx, fmt.Sprint("simulator-", i), props))
	}
	enough := func(n int) func() bool {
		return func() bool {
			mu.Lock()
			defer mu.Unlock()
			return len(acknowledged) >= n
		}
	}
	for crashes := range 6 {
		require.Eventually(t, enough(2000*(crashes+1)), patience, time.Millisecond)
		system.Root.Send(pids[crashes%collectors], crash{})
	}
	require.Eventually(t, enough(20_000), patience, time.Millisecond)
	for i := range simulators {
		name := fmt.Sprint("simulator-", i)
		_, err := supervision.Request[*simulator.Drained](ctx, guardian, name, &simulator.Drain{})
		require.NoError(t, err)
		require.NoError(t, guardian.Stop(ctx, name))
		require.Zero(t, pools[i].Outstanding(0)+pools[i].Outstanding(1))
		require.Equal(t, stats[i].Sent.Load(), stats[i].Acknowledged.Load()+stats[i].GivenUp.Load())
	}
	for _, name := range names {
		_, err := supervision.Request[*collector.Drained](ctx, guardian, name, &collector.Drain{})
		require.NoError(t, err)
	}
	require.NoError(t, guardian.Close(ctx))
	require.NoError(t, system.Root.StopFuture(nobody).Wait())

	stored := map[messages.EventID]bool{}
	for _, lane := range store.lanes {
		for _, s := range lane {
			for i := range s.Events {
				stored[s.Events[i].ID] = true
			}
		}
	}
	for id := range acknowledged {
		require.True(t, stored[id], "event %s was acknowledged and is not in the journal", id)
	}
}
