package supervision_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"adpulse/actors/supervision"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// child fails on a *boom and counts its lives.
type child struct{ lives *atomic.Int64 }

type (
	boom     struct{ err error }
	question struct{}
	answer   struct{ lives int64 }
)

func (c *child) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *actor.Started:
		c.lives.Add(1)
	case *boom:
		panic(m.err)
	case *question:
		ctx.Respond(&answer{c.lives.Load()})
	}
}

func open(t *testing.T, config supervision.Config, hooks supervision.Hooks, log *zap.Logger) (*supervision.Guardian, *actor.ActorSystem) {
	t.Helper()
	system := actor.NewActorSystem(actor.WithDeadLetterThrottleInterval(time.Millisecond), actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger {
		return slog.New(slog.NewTextHandler(io.Discard, nil))
	}))
	g, err := supervision.Open(system, config, hooks, log)
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, g.Close(within(t)))
		system.Shutdown()
	})
	return g, system
}

func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func props(lives *atomic.Int64) *actor.Props {
	return actor.PropsFromProducer(func() actor.Actor { return &child{lives} })
}

func TestAChildIsRestartedByItselfAndKeepsItsMailbox(t *testing.T) {
	core, logs := observer.New(zap.InfoLevel)
	var restarted atomic.Int64
	config := supervision.Config{Backoff: time.Millisecond, BackoffMax: 4 * time.Millisecond, Restarts: 5, Window: time.Hour}
	g, system := open(t, config, supervision.Hooks{Restarted: func(name string) {
		if name == "a" {
			restarted.Add(1)
		}
	}}, zap.New(core))
	var a, b atomic.Int64
	require.NoError(t, g.Spawn(within(t), "a", props(&a)))
	require.NoError(t, g.Spawn(within(t), "b", props(&b)))
	require.ErrorContains(t, g.Spawn(within(t), "b", props(&b)), "there is one of that name")

	system.Root.Send(g.Child("a"), &boom{errors.New("bad day")})
	got, err := supervision.Request[*answer](within(t), g, "a", &question{})
	require.NoError(t, err)
	require.EqualValues(t, 2, got.lives, "the question waited for the second life")
	require.EqualValues(t, 1, b.Load(), "its sibling was left alone")
	require.EqualValues(t, 1, restarted.Load())
	entry := logs.FilterMessage("actor failed; restarting it").All()
	require.Len(t, entry, 1)
	require.Contains(t, entry[0].ContextMap()["stack"].(string), "supervision_test.(*child).Receive")
}

func TestAChildBeyondItsBudgetStaysDownAndTheNodeIsTold(t *testing.T) {
	type exhausted struct {
		name string
		err  error
	}
	told := make(chan exhausted, 10)
	config := supervision.Config{Backoff: time.Microsecond, BackoffMax: time.Millisecond, Restarts: 3, Window: time.Hour}
	g, system := open(t, config, supervision.Hooks{Exhausted: func(name string, err error) { told <- exhausted{name, err} }}, zap.NewNop())
	var lives atomic.Int64
	require.NoError(t, g.Spawn(within(t), "a", props(&lives)))
	cause := errors.New("bad day")
	for range 4 {
		system.Root.Send(g.Child("a"), &boom{cause})
	}
	select {
	case e := <-told:
		require.Equal(t, "a", e.name)
		require.ErrorIs(t, e.err, cause)
		require.ErrorContains(t, e.err, "failed 4 times")
	case <-within(t).Done():
		t.Fatal("nobody was told")
	}
	require.EqualValues(t, 4, lives.Load())
	require.NoError(t, g.Stop(within(t), "a"), "stopping what is gone already")
	require.Empty(t, told)
}

func TestStoppingDuringABackoffDoesNotWaitForIt(t *testing.T) {
	failed := make(chan string, 1)
	config := supervision.Config{Backoff: time.Hour, BackoffMax: time.Hour, Restarts: 3, Window: time.Hour}
	g, system := open(t, config, supervision.Hooks{Restarted: func(name string) { failed <- name }}, zap.NewNop())
	var lives atomic.Int64
	require.NoError(t, g.Spawn(within(t), "a", props(&lives)))
	system.Root.Send(g.Child("a"), &boom{errors.New("bad day")})
	<-failed
	require.NoError(t, g.Stop(within(t), "a"))
}

func TestWhoWaitsForTheMessageOfAFailureCanBeTold(t *testing.T) {
	type failed struct {
		name    string
		message any
		sender  *actor.PID
	}
	told := make(chan failed, 2)
	config := supervision.Config{Backoff: time.Microsecond, BackoffMax: time.Millisecond, Restarts: 3, Window: time.Hour}
	g, system := open(t, config, supervision.Hooks{Failed: func(name string, message any, sender *actor.PID) {
		told <- failed{name, message, sender}
	}}, zap.NewNop())
	var lives atomic.Int64
	require.NoError(t, g.Spawn(within(t), "a", props(&lives)))
	m := &boom{errors.New("bad day")}
	system.Root.RequestWithCustomSender(g.Child("a"), m, g.Child("b"))
	system.Root.Send(g.Child("a"), m)
	require.Equal(t, failed{"a", m, g.Child("b")}, <-told)
	require.Equal(t, failed{"a", m, nil}, <-told)
}

// A child that was stopped for good, or between a failure and its restart, can
// be spawned anew, with a new budget and without the old one's restart.
func TestANameCanBeUsedAgain(t *testing.T) {
	exhausted := make(chan string, 1)
	failed := make(chan string, 10)
	config := supervision.Config{Backoff: 50 * time.Millisecond, BackoffMax: time.Second, Restarts: 1, Window: time.Hour}
	g, system := open(t, config, supervision.Hooks{
		Restarted: func(name string) { failed <- name },
		Exhausted: func(name string, _ error) { exhausted <- name },
	}, zap.NewNop())
	for range 2 {
		var lives atomic.Int64
		require.NoError(t, g.Spawn(within(t), "a", props(&lives)))
		system.Root.Send(g.Child("a"), &boom{errors.New("bad day")})
		<-failed
		system.Root.Send(g.Child("a"), &boom{errors.New("bad day")})
		require.Equal(t, "a", <-exhausted)
		require.NoError(t, g.Stop(within(t), "a"))
	}
	var lives atomic.Int64
	require.NoError(t, g.Spawn(within(t), "a", props(&lives)))
	system.Root.Send(g.Child("a"), &boom{errors.New("bad day")})
	<-failed
	require.NoError(t, g.Stop(within(t), "a"))
	var next atomic.Int64
	require.NoError(t, g.Spawn(within(t), "a", props(&next)))
	got, err := supervision.Request[*answer](within(t), g, "a", &question{})
	require.NoError(t, err)
	require.EqualValues(t, 1, got.lives)
}

func TestRequestEndsWithItsContext(t *testing.T) {
	g, _ := open(t, supervision.DefaultConfig(), supervision.Hooks{}, zap.NewNop())
	require.NoError(t, g.Spawn(within(t), "silent", actor.PropsFromFunc(func(actor.Context) {})))
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := supervision.Request[*answer](ctx, g, "silent", &question{})
	require.ErrorIs(t, err, context.Canceled)
}
