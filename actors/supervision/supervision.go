// Package supervision is how a node's actors live: children with names under
// one guardian, each restarted by itself after a failure, later and later, and
// never for ever.
package supervision

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"sync"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"go.uber.org/zap"
)

// Config is how often and how fast children are restarted.
type Config struct {
	// Backoff is the wait before a first restart; it doubles with each failure
	// in the window, up to BackoffMax, and varies by a fifth either way.
	Backoff, BackoffMax time.Duration
	// Restarts is the budget: so many restarts of one child within Window. What
	// fails once more stays down, and the node is told.
	Restarts int
	Window   time.Duration
}

// DefaultConfig restarts ten times within five minutes.
func DefaultConfig() Config {
	return Config{Backoff: 100 * time.Millisecond, BackoffMax: 10 * time.Second, Restarts: 10, Window: 5 * time.Minute}
}

// Hooks tell a node what happens to its actors. They are called on the
// guardian's goroutine and must not block. All may be nil.
type Hooks struct {
	// Restarted: the child is being restarted after a failure.
	Restarted func(name string)
	// Failed: the child failed on this message, which it will not see again;
	// sender is nil where there is none. Whoever waits for an answer to it can
	// be told here.
	Failed func(name string, message any, sender *actor.PID)
	// Exhausted: the child has used up its budget and stays down. It is told
	// once a child.
	Exhausted func(name string, reason error)
}

// guardianName is the guardian's id, and the first part of its children's.
const guardianName = "guardian"

// Guardian owns a node's actors. It is an actor itself; its methods may be
// called from outside, concurrently, but never by one of its children.
type Guardian struct {
	system *actor.ActorSystem
	self   *actor.PID
}

// Open spawns the guardian of an actor system. There is one a system.
func Open(system *actor.ActorSystem, config Config, hooks Hooks, log *zap.Logger) (*Guardian, error) {
	s := &strategy{config: config, hooks: hooks, log: log, failures: make(map[string][]time.Time), restarts: make(map[string]*time.Timer), down: make(map[string]bool)}
	props := actor.PropsFromProducer(func() actor.Actor { return &guardian{strategy: s} }, actor.WithSupervisor(s))
	self, err := system.Root.SpawnNamed(props, guardianName)
	if err != nil {
		return nil, fmt.Errorf("spawn the guardian: %w", err)
	}
	return &Guardian{system: system, self: self}, nil
}

// Child is the address of a child by its name. It is known before the child is
// spawned, so that children can be told of each other.
func (g *Guardian) Child(name string) *actor.PID {
	return actor.NewPID(g.system.Address(), guardianName+"/"+name)
}

// Spawn starts a child.
func (g *Guardian) Spawn(ctx context.Context, name string, props *actor.Props) error {
	// What a panic's stack was is known only where it passes.
	props = props.Clone(actor.WithReceiverMiddleware(keepStack))
	answer := make(chan error, 1)
	g.system.Root.Send(g.self, &spawn{name: name, props: props, answer: answer})
	select {
	case err := <-answer:
		if err != nil {
			return fmt.Errorf("spawn %s: %w", name, err)
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("spawn %s: %w", name, context.Cause(ctx))
	}
}

// Stop stops a child and waits until it is gone. What waits in its mailbox is
// not handled any more: drain it first.
func (g *Guardian) Stop(ctx context.Context, name string) error {
	return g.await(ctx, g.Child(name), name)
}

// Close stops the guardian with all its children, and waits.
func (g *Guardian) Close(ctx context.Context) error {
	return g.await(ctx, g.self, guardianName)
}

func (g *Guardian) await(ctx context.Context, pid *actor.PID, name string) error {
	if _, alive := g.system.ProcessRegistry.GetLocal(pid.Id); !alive {
		return nil
	}
	gone := make(chan struct{})
	watcher := g.system.Root.Spawn(actor.PropsFromFunc(func(c actor.Context) {
		switch c.Message().(type) {
		case *actor.Started:
			c.Watch(pid)
			g.system.Root.Stop(pid)
		case *actor.Terminated:
			c.Stop(c.Self())
		case *actor.Stopped:
			close(gone)
		}
	}))
	select {
	case <-gone:
		return nil
	case <-ctx.Done():
		g.system.Root.Stop(watcher)
		return fmt.Errorf("stop %s: %w", name, context.Cause(ctx))
	}
}

// Request sends a message to a child and waits for its one answer of type T.
// It is for rare questions, drains above all.
func Request[T any](ctx context.Context, g *Guardian, name string, question any) (T, error) {
	answers := make(chan T, 1)
	asker := g.system.Root.Spawn(actor.PropsFromFunc(func(c actor.Context) {
		if answer, ok := c.Message().(T); ok {
			select {
			case answers <- answer:
			default: // a second answer has nobody to read it
			}
		}
	}))
	defer g.system.Root.Stop(asker)
	g.system.Root.RequestWithCustomSender(g.Child(name), question, asker)
	select {
	case answer := <-answers:
		return answer, nil
	case <-ctx.Done():
		var none T
		return none, fmt.Errorf("ask %s: %w", name, context.Cause(ctx))
	}
}

// guardian hears spawn from the node, and owns the children.
type guardian struct{ strategy *strategy }

type spawn struct {
	name   string
	props  *actor.Props
	answer chan<- error // of room one
}

// Receive implements actor.Actor.
func (g *guardian) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *spawn:
		_, err := ctx.SpawnNamed(m.props, m.name) // its id is guardian/name
		if errors.Is(err, actor.ErrNameExists) {
			err = errors.New("there is one of that name")
		}
		m.answer <- err
	case *actor.Terminated:
		g.strategy.forget(m.Who.Id[len(guardianName)+1:])
	case *actor.Stopping:
		g.strategy.stop()
	}
}

// strategy restarts one child for its own failure.
type strategy struct {
	config Config
	hooks  Hooks
	log    *zap.Logger

	mu       sync.Mutex
	stopped  bool
	failures map[string][]time.Time // by child, those within the window
	restarts map[string]*time.Timer // under way
	down     map[string]bool        // those past their budget
}

// HandleFailure implements actor.SupervisorStrategy. The child's mailbox stays
// suspended until it is restarted; nothing here waits for that.
func (s *strategy) HandleFailure(_ *actor.ActorSystem, supervisor actor.Supervisor, child *actor.PID, _ *actor.RestartStatistics, reason, message any) {
	name := child.Id[len(guardianName)+1:]
	fault := faultOf(reason)
	if s.hooks.Failed != nil {
		_, bare, sender := actor.UnwrapEnvelope(message)
		s.hooks.Failed(name, bare, sender)
	}
	failures, exhausted, known := s.count(name)
	if known {
		// It failed while it was stopping; the node was told, and nothing more
		// can be done for it.
		s.log.Error("actor failed while it was stopping", zap.String("actor", name), zap.Error(fault))
		return
	}
	if exhausted {
		s.log.Error("actor failed too often; it stays down", zap.String("actor", name), zap.Int("failures", failures), zap.Error(fault))
		supervisor.StopChildren(child)
		if s.hooks.Exhausted != nil {
			s.hooks.Exhausted(name, fmt.Errorf("actor %s failed %d times within %s: %w", name, failures, s.config.Window, fault))
		}
		return
	}
	delay := s.delay(failures)
	s.log.Error("actor failed; restarting it", zap.String("actor", name), zap.Duration("after", delay),
		zap.String("message", fmt.Sprintf("%T", actor.UnwrapEnvelopeMessage(message))), zap.Error(fault), zap.ByteString("stack", stackOf(reason)))
	s.after(delay, name, func() { supervisor.RestartChildren(child) })
	if s.hooks.Restarted != nil {
		s.hooks.Restarted(name)
	}
}

// count takes note of a failure and forgets those before the window. known
// tells that the child was past its budget before.
func (s *strategy) count(name string) (failures int, exhausted, known bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	recent := s.failures[name]
	for len(recent) > 0 && now.Sub(recent[0]) > s.config.Window {
		recent = recent[1:]
	}
	recent = append(recent, now)
	s.failures[name] = recent
	exhausted, known = len(recent) > s.config.Restarts, s.down[name]
	if exhausted {
		s.down[name] = true
	}
	return len(recent), exhausted, known
}

// delay is the wait before the restart that follows so many failures.
func (s *strategy) delay(failures int) time.Duration {
	delay := s.config.BackoffMax
	if shift := failures - 1; shift < 32 && s.config.Backoff<<shift < delay {
		delay = s.config.Backoff << shift
	}
	return time.Duration(float64(delay) * (0.8 + 0.4*rand.Float64()))
}

func (s *strategy) after(delay time.Duration, name string, restart func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return
	}
	s.restarts[name] = time.AfterFunc(delay, restart)
}

// forget clears what is known of a child that is gone: another of that name
// starts with a budget of its own, and no restart of the old one finds it.
func (s *strategy) forget(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if timer := s.restarts[name]; timer != nil {
		timer.Stop()
	}
	delete(s.restarts, name)
	delete(s.failures, name)
	delete(s.down, name)
}

func (s *strategy) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopped = true
	for _, timer := range s.restarts {
		timer.Stop()
	}
}

// fault is a panic with the stack that it came from.
type fault struct {
	reason any
	stack  []byte
}

// keepStack passes a panic on with its stack.
func keepStack(next actor.ReceiverFunc) actor.ReceiverFunc {
	return func(ctx actor.ReceiverContext, envelope *actor.MessageEnvelope) {
		defer func() {
			if reason := recover(); reason != nil {
				panic(&fault{reason, debug.Stack()})
			}
		}()
		next(ctx, envelope)
	}
}

func faultOf(reason any) error {
	if f, ok := reason.(*fault); ok {
		reason = f.reason
	}
	if err, ok := reason.(error); ok {
		return err
	}
	return fmt.Errorf("panic: %v", reason)
}

func stackOf(reason any) []byte {
	if f, ok := reason.(*fault); ok {
		return f.stack
	}
	return nil
}
