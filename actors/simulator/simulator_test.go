package simulator_test

import (
	"io"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"go.uber.org/zap"

	"adpulse/actors/credit"
	"adpulse/actors/simulator"
	"adpulse/messages"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 20 * time.Second

// collect is a Collect as a scripted collector got it.
type collect struct {
	*messages.Collect
	sender *actor.PID
}

// fixture is a simulator that faces collectors which the test plays.
type fixture struct {
	t      *testing.T
	system *actor.ActorSystem
	pid    *actor.PID
	credit *credit.Pool
	stats  *simulator.Stats
	got    chan collect

	mu           sync.Mutex
	acknowledged int
	givenUp      map[messages.Reason]int
}

func start(t *testing.T, window int, change func(*simulator.Config)) *fixture {
	t.Helper()
	f := &fixture{t: t, got: make(chan collect, 1000), stats: new(simulator.Stats), givenUp: map[messages.Reason]int{}}
	f.system = actor.NewActorSystem(actor.WithDeadLetterThrottleInterval(time.Millisecond), actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger {
		return slog.New(slog.NewTextHandler(io.Discard, nil))
	}))
	f.credit = credit.NewPool(2, window)
	parts := simulator.Parts{
		Credit: f.credit, Stats: f.stats, Log: zap.NewNop(),
		Acknowledged: func(events []messages.Event, _ time.Duration) {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.acknowledged += len(events)
		},
		Rejected: func(events []messages.Event, reason messages.Reason) {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.givenUp[reason] += len(events)
		},
	}
	for range 2 {
		parts.Collectors = append(parts.Collectors, f.system.Root.Spawn(actor.PropsFromFunc(func(ctx actor.Context) {
			if m, ok := ctx.Message().(*messages.Collect); ok {
				f.got <- collect{m, ctx.Sender()}
			}
		})))
	}
	config := simulator.DefaultConfig()
	config.Tags, config.Batch, config.RetryDelay, config.Tick = tags, 10, time.Millisecond, time.Millisecond
	if change != nil {
		change(&config)
	}
	props, err := simulator.Props(config, parts)
	require.NoError(t, err)
	f.pid = f.system.Root.Spawn(props)
	t.Cleanup(func() {
		for _, pid := range append(parts.Collectors, f.pid) {
			require.NoError(t, f.system.Root.StopFuture(pid).Wait())
		}
		require.Zero(t, f.credit.Outstanding(0)+f.credit.Outstanding(1), "credit was not returned")
		f.system.Shutdown()
	})
	return f
}

func (f *fixture) next() collect {
	f.t.Helper()
	select {
	case c := <-f.got:
		return c
	case <-time.After(patience):
		f.t.Fatal("no Collect came")
		return collect{}
	}
}

func (f *fixture) acknowledge(c collect) {
	f.system.Root.Send(c.sender, &messages.Collected{Batches: []messages.BatchID{c.Batch}})
}

func (f *fixture) reject(c collect, retryable bool) {
	f.system.Root.Send(c.sender, &messages.Rejected{Batch: c.Batch, Reason: messages.ReasonEdge, Retryable: retryable})
}

// drain asks for Drained; what it returns is closed when it comes.
func (f *fixture) drain() <-chan struct{} {
	drained := make(chan struct{})
	asker := f.system.Root.Spawn(actor.PropsFromFunc(func(ctx actor.Context) {
		if _, ok := ctx.Message().(*simulator.Drained); ok {
			close(drained)
			ctx.Stop(ctx.Self())
		}
	}))
	f.system.Root.RequestWithCustomSender(f.pid, &simulator.Drain{}, asker)
	return drained
}

func (f *fixture) await(c <-chan struct{}) {
	f.t.Helper()
	select {
	case <-c:
	case <-time.After(patience):
		f.t.Fatal("waited in vain")
	}
}

// settled waits until so many events have ended in each way.
func (f *fixture) settled(acknowledged, givenUp uint64) {
	f.t.Helper()
	require.Eventually(f.t, func() bool {
		return f.stats.Acknowledged.Load() == acknowledged && f.stats.GivenUp.Load() == givenUp
	}, patience, time.Millisecond)
}

func TestASimulatorSendsAsMuchAsItHasCreditFor(t *testing.T) {
	f := start(t, 25, nil) // two collectors, two batches of ten each
	first := []collect{f.next(), f.next(), f.next(), f.next()}
	require.Equal(t, 20, f.credit.Outstanding(0))
	require.Equal(t, 20, f.credit.Outstanding(1))
	require.Empty(t, f.got)
	f.acknowledge(first[0])
	f.next()
	require.Empty(t, f.got, "one answer, one batch")
	require.EqualValues(t, 50, f.stats.Sent.Load())
	f.settled(10, 0)
	f.mu.Lock()
	defer f.mu.Unlock()
	require.Equal(t, 10, f.acknowledged)
}

func TestARejectedBatchIsSentAgainBeforeAnythingNew(t *testing.T) {
	f := start(t, 10, nil)
	one, two := f.next(), f.next()
	f.reject(one, true)
	again := f.next()
	require.Equal(t, one.Events, again.Events, "the same events, the same ids")
	require.NotEqual(t, one.Batch, again.Batch)
	f.acknowledge(one) // too late: this batch was answered
	f.acknowledge(again)
	f.acknowledge(two)
	f.settled(20, 0)
	require.EqualValues(t, 10, f.stats.Resent.Load())
}

func TestABatchThatCannotBeRetriedIsGivenUp(t *testing.T) {
	f := start(t, 10, nil)
	f.reject(f.next(), false)
	f.settled(0, 10)
	f.mu.Lock()
	defer f.mu.Unlock()
	require.Equal(t, map[messages.Reason]int{messages.ReasonEdge: 10}, f.givenUp)
}

func TestAnAnswerThatNeverComesDoesNotKeepTheCredit(t *testing.T) {
	f := start(t, 10, func(c *simulator.Config) { c.AnswerTimeout = 5 * time.Millisecond })
	one := f.next()
	for {
		if again := f.next(); again.Batch != one.Batch && again.Events[0].ID == one.Events[0].ID {
			return
		}
	}
}

func TestTheRateBoundsWhatIsSent(t *testing.T) {
	var mu sync.Mutex
	now, reads := time.Unix(1000, 0), 0
	f := start(t, 1_000_000, func(c *simulator.Config) {
		c.Rate = 1000
		c.Now = func() time.Time {
			mu.Lock()
			defer mu.Unlock()
			reads++
			return now
		}
	})
	advance := func(d time.Duration) {
		mu.Lock()
		defer mu.Unlock()
		now = now.Add(d)
	}
	sum := func(n int) {
		t.Helper()
		for n > 0 {
			c := f.next()
			require.LessOrEqual(t, len(c.Events), 10)
			n -= len(c.Events)
		}
		require.Zero(t, n)
	}
	require.Eventually(t, func() bool { // it has looked at the clock, and begun
		mu.Lock()
		defer mu.Unlock()
		return reads > 10
	}, patience, time.Millisecond)
	require.Empty(t, f.got)
	advance(7 * time.Millisecond)
	sum(7)
	advance(25 * time.Millisecond)
	sum(25)
	advance(10 * time.Second) // what was missed is not made up for
	sum(100)
	f.await(f.drainAnswered())
	require.EqualValues(t, 132, f.stats.Sent.Load())
	require.Empty(t, f.got)
}

// drainAnswered drains a simulator and acknowledges all that it sent.
func (f *fixture) drainAnswered() <-chan struct{} {
	drained := f.drain()
	for id := messages.BatchID(1); id <= 1000; id++ {
		f.system.Root.Send(f.pid, &messages.Collected{Batches: []messages.BatchID{id}})
	}
	return drained
}

func TestDrainWaitsForEveryAnswerAndSendsNothingMore(t *testing.T) {
	f := start(t, 10, nil)
	one, two := f.next(), f.next()
	drained := f.drain()
	f.acknowledge(one)
	f.settled(10, 0)
	select {
	case <-drained:
		t.Fatal("drained, but a batch has no answer")
	default:
	}
	f.reject(two, true)
	f.await(drained)
	f.settled(10, 10)
	f.await(f.drain())
	require.Empty(t, f.got)
	require.EqualValues(t, 20, f.stats.Sent.Load())
}

func TestImpossibleSizesAreRefused(t *testing.T) {
	config := simulator.DefaultConfig()
	config.Tags = tags
	config.Batch = 0
	_, err := simulator.Props(config, simulator.Parts{Credit: credit.NewPool(1, 1)})
	require.ErrorContains(t, err, "batch 0")
	config.Batch, config.Tags = 1, nil
	_, err = simulator.Props(config, simulator.Parts{Credit: credit.NewPool(1, 1)})
	require.ErrorContains(t, err, "no tags")
}
