package ingress_test

import (
	"context"
	"errors"
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
	"adpulse/actors/ingress"
	"adpulse/messages"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// collectorScript answers each Collect as the test says.
type collectorScript func(ctx actor.Context, m *messages.Collect)

func acknowledge(ctx actor.Context, m *messages.Collect) {
	ctx.Send(ctx.Sender(), &messages.Collected{Batches: []messages.BatchID{m.Batch}})
}

type fixture struct {
	*ingress.Ingress
	credit *credit.Pool

	mu       sync.Mutex
	acked    int
	rejected map[messages.Reason]int
}

func open(t *testing.T, config ingress.Config, window int, scripts ...collectorScript) *fixture {
	t.Helper()
	system := actor.NewActorSystem(actor.WithDeadLetterThrottleInterval(time.Millisecond), actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger {
		return slog.New(slog.NewTextHandler(io.Discard, nil))
	}))
	f := &fixture{credit: credit.NewPool(len(scripts), window), rejected: map[messages.Reason]int{}}
	parts := ingress.Parts{
		Credit: f.credit, Log: zap.NewNop(),
		Acknowledged: func(events []messages.Event, _ time.Duration) {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.acked += len(events)
		},
		Rejected: func(events []messages.Event, reason messages.Reason) {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.rejected[reason] += len(events)
		},
	}
	for _, script := range scripts {
		parts.Collectors = append(parts.Collectors, system.Root.Spawn(actor.PropsFromFunc(func(ctx actor.Context) {
			if m, ok := ctx.Message().(*messages.Collect); ok {
				script(ctx, m)
			}
		})))
	}
	opened, err := ingress.Open(system, "ingress", config, parts)
	require.NoError(t, err)
	f.Ingress = opened
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		require.NoError(t, f.Close(ctx))
		for _, pid := range parts.Collectors {
			require.NoError(t, system.Root.StopFuture(pid).Wait())
		}
		system.Shutdown()
	})
	return f
}

func TestSubmitReturnsWhenEveryPieceIsDurable(t *testing.T) {
	config := ingress.DefaultConfig()
	config.BatchEvents = 10
	config.EnqueueTimeout = 10 * time.Second
	f := open(t, config, 40, acknowledge, acknowledge)
	var all sync.WaitGroup
	for range 20 {
		all.Add(1)
		go func() {
			defer all.Done()
			if err := f.Submit(context.Background(), make([]messages.Event, 95)); err != nil {
				t.Error(err)
			}
		}()
	}
	all.Wait()
	require.Equal(t, 20*95, f.acked)
	require.Zero(t, f.credit.Outstanding(0)+f.credit.Outstanding(1))
	require.NoError(t, f.Submit(context.Background(), nil))
}

func TestSubmitTellsWhyEventsWereNotCollected(t *testing.T) {
	f := open(t, ingress.DefaultConfig(), 40, func(ctx actor.Context, m *messages.Collect) {
		ctx.Send(ctx.Sender(), &messages.Rejected{Batch: m.Batch, Reason: messages.ReasonHighWater, Retryable: true})
		ctx.Send(ctx.Sender(), &messages.Collected{Batches: []messages.BatchID{m.Batch, 999}}) // a second answer
	})
	err := f.Submit(context.Background(), make([]messages.Event, 3))
	var not *messages.NotCollected
	require.ErrorAs(t, err, &not)
	require.Equal(t, messages.NotCollected{Reason: messages.ReasonHighWater, Retryable: true}, *not)
	require.Equal(t, 3, f.rejected[messages.ReasonHighWater])
	require.Zero(t, f.credit.Outstanding(0))
}

func TestSubmitWithoutCreditIsRefusedInTime(t *testing.T) {
	config := ingress.DefaultConfig()
	config.EnqueueTimeout = time.Millisecond
	config.AnswerTimeout = 50 * time.Millisecond
	silent := func(actor.Context, *messages.Collect) {}
	f := open(t, config, 4, silent)

	answered := make(chan error, 1)
	go func() { answered <- f.Submit(context.Background(), make([]messages.Event, 4)) }()
	require.Eventually(t, func() bool { return f.credit.Outstanding(0) == 4 }, 5*time.Second, time.Millisecond)
	var not *messages.NotCollected
	require.ErrorAs(t, f.Submit(context.Background(), make([]messages.Event, 1)), &not)
	require.Equal(t, messages.ReasonCredit, not.Reason)

	require.ErrorAs(t, <-answered, &not, "a collector that never answers does not hold its sender for ever")
	require.Equal(t, messages.ReasonUnanswered, not.Reason)
	require.Zero(t, f.credit.Outstanding(0))
}

func TestSubmitEndsWithItsContextAndTheLateAnswerReturnsTheCredit(t *testing.T) {
	late := make(chan struct{})
	f := open(t, ingress.DefaultConfig(), 4, func(ctx actor.Context, m *messages.Collect) {
		<-late
		acknowledge(ctx, m)
	})
	ctx, cancel := context.WithCancel(context.Background())
	answered := make(chan error, 1)
	go func() { answered <- f.Submit(ctx, make([]messages.Event, 4)) }()
	require.Eventually(t, func() bool { return f.credit.Outstanding(0) == 4 }, 5*time.Second, time.Millisecond)
	cancel()
	var not *messages.NotCollected
	require.ErrorAs(t, <-answered, &not)
	require.Equal(t, messages.ReasonUnanswered, not.Reason)
	close(late)
	require.Eventually(t, func() bool { return f.credit.Outstanding(0) == 0 }, 5*time.Second, time.Millisecond)
}

func TestCloseRefusesWhatComesAfter(t *testing.T) {
	f := open(t, ingress.DefaultConfig(), 4, acknowledge)
	require.NoError(t, f.Close(context.Background()))
	var not *messages.NotCollected
	require.ErrorAs(t, f.Submit(context.Background(), make([]messages.Event, 1)), &not)
	require.Equal(t, messages.ReasonStopping, not.Reason)
}

// A turn that would come too late is not waited for.
func TestSoManyWaitForCreditAndNoMore(t *testing.T) {
	config := ingress.DefaultConfig()
	config.EnqueueTimeout, config.WaitingEvents = 10*time.Second, 20
	var hold sync.Mutex
	hold.Lock()
	f := open(t, config, 10, func(ctx actor.Context, m *messages.Collect) {
		hold.Lock()
		defer hold.Unlock()
		acknowledge(ctx, m)
	})
	outcomes := make(chan error, 3)
	submit := func() { outcomes <- f.Submit(context.Background(), make([]messages.Event, 10)) }
	go submit() // takes all the credit
	require.Eventually(t, func() bool { return f.credit.Outstanding(0) == 10 }, 10*time.Second, time.Millisecond)
	require.False(t, f.Crowded())
	for range 2 {
		go submit()
	}
	require.Eventually(t, f.Crowded, 10*time.Second, time.Millisecond)
	require.Eventually(t, func() bool {
		var not *messages.NotCollected
		err := f.Submit(context.Background(), make([]messages.Event, 1))
		return errors.As(err, &not) && not.Reason == messages.ReasonCredit && not.Retryable
	}, 10*time.Second, time.Millisecond)
	hold.Unlock()
	for range cap(outcomes) {
		require.NoError(t, <-outcomes)
	}
	require.False(t, f.Crowded())
}
