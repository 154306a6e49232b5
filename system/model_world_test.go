package system

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"pgregory.net/rapid"

	"adpulse/messages"
)

// world is what one history happens in. Production code runs in it as tasks,
// coroutines that stop at everything they ask of a store, of Kafka or of the
// clock. Only one runs at a time, and a history says which goes on, and with
// what answer: the same draws are the same history.
type world struct {
	*stage
	t       rapid.TB
	mistake mistake

	now     time.Time
	tasks   []*task
	running *task
	asked   int    // requests so far: the oldest is served first where nobody draws
	late    []late // writes still on the wire
	// signalsLost is how many of the next hints to exporters get lost.
	signalsLost int

	edge      *edgeModel
	kafka     *kafkaModel
	clients   *clients
	processes []*process
	replaced  int // processes that started while another of their node ran
	tokens    uint64

	// violation is the first promise that was broken.
	violation string
}

// stage is what histories have in common.
type stage struct {
	actors  *actor.ActorSystem
	workers []*worker // idle
	// seen counts what histories came across, to show what they are worth.
	seen map[string]int
}

func newStage(t *testing.T) *stage {
	s := &stage{seen: map[string]int{}, actors: actor.NewActorSystem(actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger {
		return slog.New(slog.DiscardHandler)
	}))}
	t.Cleanup(func() {
		for _, w := range s.workers {
			w.stop()
		}
		s.actors.Shutdown()
	})
	return s
}

// worker is a coroutine that runs one step after the other. It yields what a
// step asks for, and nil when that is over.
type worker struct {
	step   func()
	yield  func(*request) bool
	resume func() (*request, bool)
	stop   func()
}

// worker returns one that is idle.
func (s *stage) worker() *worker {
	if last := len(s.workers) - 1; last >= 0 {
		w := s.workers[last]
		s.workers = s.workers[:last]
		return w
	}
	w := new(worker)
	w.resume, w.stop = iter.Pull(func(yield func(*request) bool) {
		w.yield = yield
		for w.run(); yield(nil); w.run() {
		}
	})
	return w
}

func (w *worker) run() {
	defer func() {
		if fault := recover(); fault != nil && fault != errOver { //nolint:errorlint // ask panics with this very value
			panic(fault)
		}
	}()
	w.step()
}

// late is a write that its caller has given up, or not lived to see.
type late struct {
	what  fmt.Stringer
	apply func()
}

// task is production code on its way through a process.
type task struct {
	of    *process
	step  func()
	after []*task  // have to be over, or idle, before it begins
	on    *worker  // nil before it began
	gone  bool     // over, or to be ended
	at    *request // what it asks for; nil before it began and when it is over
}

// request is what a task asks of the world.
type request struct {
	what  fmt.Stringer
	ctx   context.Context
	age   int
	write func() // what it changes, if anything
	part  func() // half of that, where it is a batch
	until time.Time
	ready func() bool // nil: always
	// outcome is the answer.
	outcome outcome
}

// outcome is how a request ends.
type outcome uint8

const (
	done    outcome = iota
	refused         // nothing happened, and the caller is told
	lost            // it happened, and the caller is told that it failed
	delayed         // the caller is told that it failed, and it happens later
	partial         // a batch: half of it happened, and the caller is told that it failed
	slow            // a commit: decided, and visible only later
)

func (o outcome) String() string {
	return [...]string{"done", "refused", "done, answer lost", "answer lost, on the wire", "done by half, failed", "done, slowly"}[o]
}

// text is a request's words. It is put together when somebody reads it.
type text func() string

func (t text) String() string { return t() }

var (
	errRefused = errors.New("refused")
	errLost    = errors.New("answer lost")
	errOver    = errors.New("the process is gone")
)

func newWorld(t rapid.TB, stage *stage, mistake mistake) *world {
	w := &world{stage: stage, t: t, mistake: mistake, now: time.UnixMilli(1_700_000_000_000)}
	w.edge, w.kafka, w.clients = newEdgeModel(w), newKafkaModel(w), newClients(w)
	return w
}

// close ends what still runs.
func (w *world) close() {
	for _, p := range w.processes {
		w.end(p, nil)
	}
	w.clients.close()
}

// violate takes note of a broken promise; the first is the one to look at.
func (w *world) violate(format string, args ...any) {
	if w.violation == "" {
		w.violation = fmt.Sprintf(format, args...)
	}
}

// begin makes a task of a step. It runs from the next settle on.
func (w *world) begin(p *process, step func(), after ...*task) *task {
	task := &task{of: p, step: step, after: after}
	w.tasks = append(w.tasks, task)
	return task
}

// ask stops the running task until the history answers.
func (w *world) ask(r *request) outcome {
	task := w.running
	w.asked++
	r.age = w.asked
	if task.gone || !task.on.yield(r) || task.gone {
		panic(errOver)
	}
	return r.outcome
}

// goOn runs a task to its next request, or to its end.
func (w *world) goOn(task *task) {
	if task.on == nil {
		task.on = w.worker()
		task.on.step = task.step
	}
	before := w.running
	w.running = task
	task.at, _ = task.on.resume()
	w.running = before
	if task.at == nil {
		task.gone = true
		w.workers = append(w.workers, task.on)
	}
}

// settle begins what may begin and ends the processes that have given up.
func (w *world) settle() {
	for again := true; again; {
		again = false
		for _, t := range w.tasks {
			if t.on == nil && !t.gone && !slices.ContainsFunc(t.after, (*task).holdsUp) {
				w.goOn(t)
				again = true
			}
		}
		for _, p := range w.processes {
			if p.givenUp && !p.dead {
				w.t.Logf("%s gives up", p)
				w.end(p, nil)
				again = true
			}
		}
		w.tasks = slices.DeleteFunc(w.tasks, func(task *task) bool { return task.gone })
	}
}

// holdsUp tells whether somebody who waits for the task has to go on waiting:
// a tick's wait belongs to no generation of steps.
func (t *task) holdsUp() bool {
	return !t.gone && (t.at == nil || t.at.until.IsZero() || t.at.ctx.Err() != nil)
}

// runnable lists the tasks whose request can be answered now.
func (w *world) runnable(of *process) []*task {
	var tasks []*task
	for _, task := range w.tasks {
		if task.at != nil && (of == nil || task.of == of) && w.answerable(task.at) {
			tasks = append(tasks, task)
		}
	}
	return tasks
}

func (w *world) answerable(r *request) bool {
	return r.ctx.Err() != nil || (r.ready == nil || r.ready()) && !w.now.Before(r.until)
}

// answer lets a task go on.
func (w *world) answer(task *task, o outcome) {
	w.t.Logf("%s: %s: %s", task.of, task.at.what, o)
	w.seen["request "+o.String()]++
	task.at.outcome = o
	w.goOn(task)
	w.settle()
}

// oldest is the task that has waited longest.
func oldest(tasks []*task) *task {
	return slices.MinFunc(tasks, func(a, b *task) int { return a.at.age - b.at.age })
}

// nextWake is when the first task that waits for the clock goes on.
func (w *world) nextWake() (time.Time, bool) {
	var next time.Time
	for _, task := range w.tasks {
		if task.at != nil && task.at.until.After(w.now) && (next.IsZero() || task.at.until.Before(next)) {
			next = task.at.until
		}
	}
	return next, !next.IsZero()
}

// advance moves the clock. Whoever has slept past the end of its lease and the
// trim delay behind that is taken for dead: that is the one thing that the
// pipeline asks of time. A writer that sleeps longer may write where its
// successor's segments were, and does not know that they are trimmed.
func (w *world) advance(to time.Time) {
	w.now = to
	for _, p := range w.processes {
		if !p.dead && p.booted && w.now.Sub(p.renewed) >= modelLease+modelTrimDelay {
			w.t.Logf("%s has slept for too long", p)
			w.end(p, nil)
		}
	}
	w.settle()
}

// end kills a process between two instructions. Where onWire says so, what it
// was writing lands later.
func (w *world) end(p *process, onWire func(*request) bool) {
	if p.dead {
		return
	}
	p.dead = true
	for _, pid := range p.pids {
		w.actors.ProcessRegistry.Remove(pid)
	}
	for _, task := range w.tasks {
		if task.of != p || task.gone {
			continue
		}
		if r := task.at; r != nil && r.write != nil && onWire != nil && onWire(r) {
			w.late = append(w.late, late{r.what, r.write})
		}
		task.gone = true
		if task.on != nil {
			w.goOn(task)
		}
	}
	w.clients.forget(p)
}

// land applies a write that was on the wire.
func (w *world) land(i int) {
	l := w.late[i]
	w.late = slices.Delete(w.late, i, i+1)
	w.t.Logf("lands: %s", l.what)
	w.seen["write landed late"]++
	l.apply()
	w.settle()
}

// read asks for something that changes nothing. Where ready is given, it is
// answered only then, or when its caller no longer waits.
func (w *world) read(ctx context.Context, what text, ready func() bool) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if w.ask(&request{what: what, ctx: ctx, ready: ready}) != done || ready != nil && !ready() {
		return errRefused
	}
	return nil
}

// write asks for a change. Its error is the world's, or what apply had to say
// to a caller who heard it. part is half of the change, where that can be.
func (w *world) write(ctx context.Context, what text, apply func() error, part func()) error {
	_, err := w.decide(ctx, what, apply, part)
	return err
}

// decide is write, and tells the outcome too.
func (w *world) decide(ctx context.Context, what text, apply func() error, part func()) (outcome, error) {
	if ctx.Err() != nil {
		return refused, ctx.Err()
	}
	change := func() { _ = apply() }
	o := w.ask(&request{what: what, ctx: ctx, write: change, part: part})
	switch o {
	case refused:
		return o, errRefused
	case delayed:
		w.late = append(w.late, late{what, change})
		return o, errLost
	case partial:
		if part != nil {
			part()
			return o, errLost
		}
		return o, errRefused
	case lost:
		change()
		return o, errLost
	default:
		return o, apply()
	}
}

// wait is Config.Wait by the world's clock.
func (w *world) wait(ctx context.Context, d time.Duration) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	w.ask(&request{what: text(func() string { return "wait " + d.String() }), ctx: ctx, until: w.now.Add(d)})
	return ctx.Err()
}

func (w *world) token() uint64 {
	w.tokens++
	return w.tokens
}

// spawn starts an actor that runs on its sender's coroutine. One that panics
// breaks the history.
func (w *world) spawn(props *actor.Props) *actor.PID {
	return w.actors.Root.Spawn(props.Configure(
		actor.WithDispatcher(actor.NewSynchronizedDispatcher(1<<20)), actor.WithGuardian(broken{w})))
}

// listen makes a name under which hear is told what is sent there.
func (w *world) listen(hear func(message any)) *actor.PID {
	pid, _ := w.actors.ProcessRegistry.Add(listener{hear}, w.actors.ProcessRegistry.NextId())
	return pid
}

// listener is an actor without state, a mailbox or a life.
type listener struct{ hear func(message any) }

// SendUserMessage implements actor.Process.
func (l listener) SendUserMessage(_ *actor.PID, message any) {
	l.hear(actor.UnwrapEnvelopeMessage(message))
}

// SendSystemMessage implements actor.Process.
func (l listener) SendSystemMessage(*actor.PID, any) {}

// Stop implements actor.Process.
func (l listener) Stop(*actor.PID) {}

// broken is told of actors that panic.
type broken struct{ w *world }

func (b broken) HandleFailure(
	_ *actor.ActorSystem, _ actor.Supervisor, who *actor.PID, _ *actor.RestartStatistics, reason, message any,
) {
	b.w.violate("actor %s panics on %T: %v", who.Id, message, reason)
}

func place(lane messages.LaneID, seq messages.Sequence) string {
	return fmt.Sprintf("%s:%d", lane, seq)
}
