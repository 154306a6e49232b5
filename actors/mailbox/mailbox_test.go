package mailbox_test

import (
	"fmt"
	"io"
	"log/slog"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"adpulse/actors/mailbox"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type (
	data    struct{ id, weight int }
	control struct{ id int }
	both    struct{} // has a weight and asks for the control lane
	block   struct{ entered, leave chan struct{} }
	fail    struct{}
	call    struct{ do func(actor.Context) }
)

func (d *data) Weight() int      { return d.weight }
func (*control) ControlMessage() {}
func (*both) Weight() int        { return 1000 }
func (*both) ControlMessage()    {}

// recorder keeps what an actor received, over all its lives.
type recorder struct {
	mu      sync.Mutex
	got     []string
	refused []string
	stopped chan struct{}
}

func (r *recorder) add(list *[]string, what string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	*list = append(*list, what)
}

func (r *recorder) received() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.got...)
}

func (r *recorder) refusals() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.refused...)
}

func (r *recorder) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *actor.Started:
		r.add(&r.got, "started")
	case *data:
		r.add(&r.got, fmt.Sprint("data ", m.id))
	case *control:
		r.add(&r.got, fmt.Sprint("control ", m.id))
	case *both:
		r.add(&r.got, "both")
	case *block:
		close(m.entered)
		<-m.leave
	case *call:
		m.do(ctx)
	case *fail:
		panic("as told")
	case *actor.Stopped:
		close(r.stopped)
	}
}

// fixture is an actor behind a mailbox.
type fixture struct {
	*recorder
	t      *testing.T
	system *actor.ActorSystem
	box    *mailbox.Handle
	pid    *actor.PID
}

func newSystem(tb testing.TB) *actor.ActorSystem {
	tb.Helper()
	system := actor.NewActorSystem(actor.WithDeadLetterThrottleInterval(time.Millisecond), actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger {
		return slog.New(slog.NewTextHandler(io.Discard, nil))
	}))
	tb.Cleanup(system.Shutdown)
	return system
}

func start(t *testing.T, events int, wait time.Duration) *fixture {
	t.Helper()
	f := &fixture{recorder: &recorder{stopped: make(chan struct{})}, t: t, system: newSystem(t)}
	f.box = mailbox.New(mailbox.Config{Events: events, MaxWait: wait, Refused: func(message any, _ *actor.PID, why mailbox.Refusal) {
		f.add(&f.refused, fmt.Sprintf("%d %s", message.(*data).id, why))
	}})
	f.pid = f.system.Root.Spawn(actor.PropsFromProducer(func() actor.Actor { return f.recorder }, f.box.Option()))
	t.Cleanup(func() {
		f.system.Root.Stop(f.pid)
		f.await(f.stopped, "the actor's end")
	})
	return f
}

func (f *fixture) send(m any) { f.system.Root.Send(f.pid, m) }

func (f *fixture) await(c <-chan struct{}, what string) {
	f.t.Helper()
	select {
	case <-c:
	case <-time.After(20 * time.Second):
		f.t.Fatal("waited in vain for " + what)
	}
}

// hold keeps the actor busy until the returned function is called.
func (f *fixture) hold() (release func()) {
	f.t.Helper()
	b := &block{make(chan struct{}), make(chan struct{})}
	f.send(b)
	f.await(b.entered, "the actor to be busy")
	return sync.OnceFunc(func() { close(b.leave) })
}

// sync waits until the actor has handled the control messages sent so far.
func (f *fixture) sync() {
	f.t.Helper()
	f.hold()()
}

func (f *fixture) eventually(what string, condition func() bool) {
	f.t.Helper()
	require.Eventually(f.t, condition, 20*time.Second, time.Millisecond, what)
}

// parkedSend sends on a goroutine of its own and returns when that is parked.
func (f *fixture) parkedSend(m any) (sent <-chan struct{}) {
	f.t.Helper()
	before, done := f.box.Stats().Parked, make(chan struct{})
	go func() {
		defer close(done)
		f.send(m)
	}()
	f.eventually("a parked sender", func() bool { return f.box.Stats().Parked == before+1 })
	return done
}

func TestControlComesBeforeData(t *testing.T) {
	f := start(t, 100, time.Minute)
	release := f.hold()
	f.send(&data{1, 10})
	f.send(&control{1})
	f.system.Root.RequestWithCustomSender(f.pid, &data{2, 10}, f.pid) // in an envelope
	f.system.Root.RequestWithCustomSender(f.pid, &control{2}, f.pid)
	f.send(&both{})
	require.Equal(t, mailbox.Stats{Events: 20, Capacity: 100, Control: 3}, f.box.Stats())
	release()
	f.eventually("all messages", func() bool { return len(f.received()) == 6 })
	require.Equal(t, []string{"started", "control 1", "control 2", "both", "data 1", "data 2"}, f.received())
	require.Zero(t, f.box.Events())
}

func TestAFullLaneParksSendersInOrder(t *testing.T) {
	f := start(t, 10, time.Minute)
	release := f.hold()
	f.send(&data{1, 4})
	f.send(&data{2, 6})
	third := f.parkedSend(&data{3, 9})
	fourth := f.parkedSend(&data{4, 1})
	f.send(&control{1}) // never waits
	require.Equal(t, mailbox.Stats{Events: 10, Capacity: 10, Parked: 2, Control: 1}, f.box.Stats())
	release()
	f.await(third, "the third sender")
	f.await(fourth, "the fourth sender")
	f.eventually("all messages", func() bool { return len(f.received()) == 6 })
	require.Equal(t, []string{"started", "control 1", "data 1", "data 2", "data 3", "data 4"}, f.received())
	require.Empty(t, f.refusals())
}

func TestAMessageHeavierThanTheBoundGoesAlone(t *testing.T) {
	f := start(t, 10, time.Minute)
	release := f.hold()
	f.send(&data{1, 25})
	require.Equal(t, 25, f.box.Events())
	second := f.parkedSend(&data{2, 30})
	release()
	f.await(second, "the second sender")
	f.eventually("all messages", func() bool { return len(f.received()) == 3 })
}

func TestASenderIsParkedForMaxWaitAtMost(t *testing.T) {
	f := start(t, 1, time.Millisecond)
	release := f.hold()
	defer release()
	f.send(&data{1, 1})
	f.send(&data{2, 1})
	require.Equal(t, []string{"2 mailbox full"}, f.refusals())
	require.EqualValues(t, 1, f.box.Stats().Refused)
	require.Zero(t, f.box.Stats().Parked)
}

func TestWithoutMaxWaitAFullLaneRefusesAtOnce(t *testing.T) {
	f := start(t, 1, 0)
	release := f.hold()
	defer release()
	f.send(&data{1, 1})
	f.send(&data{2, 1})
	require.Equal(t, []string{"2 mailbox full"}, f.refusals())
}

func TestPauseHoldsDataAlone(t *testing.T) {
	f := start(t, 10, time.Minute)
	f.box.Pause()
	f.send(&data{1, 10})
	parked := f.parkedSend(&data{2, 1})
	f.send(&control{1})
	f.sync()
	require.Equal(t, []string{"started", "control 1"}, f.received())
	f.box.Resume()
	f.await(parked, "the parked sender")
	f.eventually("all messages", func() bool { return len(f.received()) == 4 })
}

func TestAnActorPausesItselfBetweenTwoMessages(t *testing.T) {
	f := start(t, 10, time.Minute)
	release := f.hold()
	f.send(&data{1, 1})
	f.send(&call{func(actor.Context) { f.box.Pause() }})
	release()
	f.sync()
	require.Equal(t, []string{"started"}, f.received())
	f.box.Resume()
	f.eventually("the data", func() bool { return len(f.received()) == 2 })
}

func TestStopReleasesParkedSendersAndRefusesWhatWaits(t *testing.T) {
	f := start(t, 2, time.Hour)
	release := f.hold()
	f.send(&data{1, 2})
	var parked []<-chan struct{}
	for id := 2; id <= 6; id++ {
		parked = append(parked, f.parkedSend(&data{id, 1}))
	}
	f.system.Root.Stop(f.pid)
	release()
	for _, p := range parked {
		f.await(p, "a parked sender")
	}
	f.await(f.stopped, "the end")
	f.eventually("all refusals", func() bool { return len(f.refusals()) == 6 })
	require.ElementsMatch(t, []string{
		"1 actor stopped", "2 actor stopped", "3 actor stopped", "4 actor stopped", "5 actor stopped", "6 actor stopped",
	}, f.refusals())
	require.Equal(t, []string{"started"}, f.received())
}

// With Proto.Actor's bounded mailbox these senders spin for ever: the child is
// suspended when its supervisor stops it, and nobody empties its mailbox.
func TestAFailedChildThatIsStoppedReleasesItsSenders(t *testing.T) {
	f := start(t, 2, time.Hour)
	strategy := actor.NewOneForOneStrategy(0, time.Hour, func(any) actor.Directive { return actor.StopDirective })
	child := &fixture{recorder: &recorder{stopped: make(chan struct{})}, t: t, system: f.system}
	child.box = mailbox.New(mailbox.Config{Events: 1, MaxWait: time.Hour, Refused: func(message any, _ *actor.PID, why mailbox.Refusal) {
		child.add(&child.refused, fmt.Sprintf("%d %s", message.(*data).id, why))
	}})
	spawned := make(chan *actor.PID, 1)
	parent := f.system.Root.Spawn(actor.PropsFromFunc(func(ctx actor.Context) {
		if _, ok := ctx.Message().(*actor.Started); ok {
			spawned <- ctx.Spawn(actor.PropsFromProducer(func() actor.Actor { return child.recorder }, child.box.Option()))
		}
	}, actor.WithSupervisor(strategy)))
	child.pid = <-spawned
	release := child.hold()
	child.send(&data{1, 1})
	parked := child.parkedSend(&data{2, 1})
	child.send(&fail{})
	release()
	child.await(child.stopped, "the child's end")
	child.await(parked, "the parked sender")
	child.eventually("both refusals", func() bool { return len(child.refusals()) == 2 })
	require.ElementsMatch(t, []string{"1 actor stopped", "2 actor stopped"}, child.refusals())
	require.NoError(t, f.system.Root.StopFuture(parent).Wait())
}

// Proto.Actor's bounded mailbox hangs here for ever: the supervisor sends into
// the full mailbox of the child whose failure it has yet to handle.
func TestASupervisorThatSendsToItsFailedFullChildGetsAway(t *testing.T) {
	f := start(t, 1, time.Minute)
	child := &recorder{stopped: make(chan struct{})}
	box := mailbox.New(mailbox.Config{Events: 5, MaxWait: 20 * time.Millisecond})
	parent := f.system.Root.Spawn(actor.PropsFromFunc(func(ctx actor.Context) {
		if _, ok := ctx.Message().(*actor.Started); ok {
			pid := ctx.Spawn(actor.PropsFromProducer(func() actor.Actor { return child }, box.Option()))
			ctx.Send(pid, &fail{})
			for id := range 8 {
				ctx.Send(pid, &data{id, 1})
			}
		}
	}, actor.WithSupervisor(actor.NewOneForOneStrategy(10, time.Hour, actor.DefaultDecider))))
	f.eventually("the second life", func() bool {
		starts := 0
		for _, what := range child.received() {
			if what == "started" {
				starts++
			}
		}
		return starts == 2
	})
	f.eventually("every message's outcome", func() bool {
		return len(child.received())-2+int(box.Stats().Refused) == 8
	})
	require.NoError(t, f.system.Root.StopFuture(parent).Wait())
}

func TestAnActorThatSendsItselfDataIsRefusedInTime(t *testing.T) {
	f := start(t, 2, 5*time.Millisecond)
	f.send(&call{func(ctx actor.Context) {
		for id := range 4 {
			ctx.Send(ctx.Self(), &data{id, 1})
		}
	}})
	f.sync()
	require.Equal(t, []string{"2 mailbox full", "3 mailbox full"}, f.refusals())
	f.eventually("the others", func() bool { return len(f.received()) == 3 })
}

func TestAFailureLosesNothingThatWaits(t *testing.T) {
	f := start(t, 3, time.Minute)
	release := f.hold()
	f.send(&fail{})
	f.send(&data{1, 3})
	parked := f.parkedSend(&data{2, 1})
	release()
	f.await(parked, "the parked sender")
	f.eventually("all messages", func() bool { return len(f.received()) == 4 })
	require.Equal(t, []string{"started", "started", "data 1", "data 2"}, f.received())
}

func TestManySendersAndFailuresLoseNothing(t *testing.T) {
	const senders, each = 8, 200
	f := start(t, 7, time.Minute)
	for range 5 {
		f.send(&fail{})
	}
	var all sync.WaitGroup
	for s := range senders {
		all.Add(1)
		go func() {
			defer all.Done()
			for i := range each {
				f.send(&data{s*each + i, 1 + (s+i)%9})
			}
		}()
	}
	all.Wait()
	f.eventually("all messages", func() bool { return len(f.received()) == senders*each+6 })
	// Each sender's messages kept their order.
	last := make(map[int]int)
	for _, what := range f.received() {
		var id int
		if _, err := fmt.Sscanf(what, "data %d", &id); err == nil {
			require.GreaterOrEqual(t, id, last[id/each])
			last[id/each] = id
		}
	}
	require.Zero(t, f.box.Events())
	require.Zero(t, f.box.Stats().Refused)
}

// Spawning under a name that is taken makes Proto.Actor produce a mailbox that
// is never used; the handle stays with the living one.
func TestASpawnThatFailsLeavesTheHandleAlone(t *testing.T) {
	f := start(t, 10, time.Minute)
	f.box.Pause()
	f.send(&data{1, 4})
	_, err := f.system.Root.SpawnNamed(actor.PropsFromProducer(func() actor.Actor { return f.recorder }, f.box.Option()), f.pid.Id)
	require.ErrorIs(t, err, actor.ErrNameExists)
	require.Equal(t, 4, f.box.Events())
	f.box.Resume()
	f.eventually("the data", func() bool { return len(f.received()) == 2 })
}

func TestAFullMailboxWithParkedSendersCostsNoCPU(t *testing.T) {
	f := start(t, 1, time.Hour)
	release := f.hold()
	f.send(&data{0, 1})
	var parked []<-chan struct{}
	for id := 1; id <= 8; id++ {
		parked = append(parked, f.parkedSend(&data{id, 1}))
	}
	before := cpu(t)
	timer := time.NewTimer(200 * time.Millisecond)
	<-timer.C // what is measured is this wait
	require.Less(t, cpu(t)-before, 100*time.Millisecond, "parked senders and an idle mailbox spin")
	release()
	for _, p := range parked {
		f.await(p, "a parked sender")
	}
}

func cpu(t *testing.T) time.Duration {
	t.Helper()
	var usage syscall.Rusage
	require.NoError(t, syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// The lanes as a model: what is let in, in what order it comes out.
func TestLanesKeepOrderAndBound(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		bound := rapid.IntRange(1, 20).Draw(rt, "bound")
		f := start(t, bound, 0)
		release := f.hold()
		depth, refused := 0, 0
		var wantControl, wantData []string
		for id := range rapid.IntRange(0, 40).Draw(rt, "messages") {
			if rapid.Bool().Draw(rt, "control") {
				f.send(&control{id})
				wantControl = append(wantControl, fmt.Sprint("control ", id))
				continue
			}
			weight := rapid.IntRange(-1, 25).Draw(rt, "weight")
			f.send(&data{id, weight})
			if w := max(1, weight); depth == 0 || depth+w <= bound {
				depth += w
				wantData = append(wantData, fmt.Sprint("data ", id))
			} else {
				refused++
			}
			require.Equal(rt, depth, f.box.Events())
		}
		require.Len(rt, f.refusals(), refused)
		release()
		want := append(append([]string{"started"}, wantControl...), wantData...)
		f.eventually("all messages", func() bool { return len(f.received()) == len(want) })
		require.Equal(rt, want, f.received())
	})
}
