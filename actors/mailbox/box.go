package mailbox

import (
	"container/list"
	"runtime"
	"sync"
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// box is the mailbox of one actor from its spawn to its end. It is either idle
// or one goroutine of the dispatcher runs it; which of the two is decided under
// the lock, together with what there is to run, so that no wake-up is lost and
// nothing spins.
type box struct {
	handle     *Handle
	invoker    actor.MessageInvoker
	dispatcher actor.Dispatcher
	process    actor.Process // in the registry while the actor lives

	mu        sync.Mutex
	started   bool // until Start, messages only gather
	running   bool
	suspended bool // by Proto.Actor, between a failure and the restart
	paused    bool // by Pause
	stopped   bool

	system, control ring[any]
	data            ring[entry]
	depth           int       // of data, in events
	parked          list.List // of *sender, first come first served
}

var _ actor.Mailbox = (*box)(nil)

// entry is a message in the data lane.
type entry struct {
	message any
	weight  int
}

// sender is parked until settled is closed; that happens under the lock, after
// admitted was set.
type sender struct {
	entry
	admitted bool
	settled  chan struct{}
}

// weigh tells a message's lane and its weight.
func weigh(message any) (weight int, data bool) {
	if envelope, ok := message.(*actor.MessageEnvelope); ok {
		message = envelope.Message
	}
	weighted, ok := message.(Weighted)
	if !ok {
		return 0, false
	}
	if _, ok := message.(Control); ok {
		return 0, false
	}
	return max(1, weighted.Weight()), true
}

// PostUserMessage implements actor.Mailbox. It parks the caller when message is
// data and the lane is full.
func (b *box) PostUserMessage(message any) {
	weight, data := weigh(message)
	if data {
		b.postData(entry{message, weight})
		return
	}
	b.mu.Lock()
	if b.stopped {
		b.mu.Unlock()
		b.deadLetter(message)
		return
	}
	b.control.push(message)
	b.unlockAndRun()
}

// PostSystemMessage implements actor.Mailbox. A stopped actor still answers
// those who want to watch it.
func (b *box) PostSystemMessage(message any) {
	b.mu.Lock()
	b.system.push(message)
	b.unlockAndRun()
}

// RegisterHandlers implements actor.Mailbox.
func (b *box) RegisterHandlers(invoker actor.MessageInvoker, dispatcher actor.Dispatcher) {
	b.invoker, b.dispatcher = invoker, dispatcher
	if context, ok := invoker.(actor.Context); ok {
		b.process, _ = context.ActorSystem().ProcessRegistry.GetLocal(context.Self().Id)
	}
	b.handle.current.Store(b)
}

// Start implements actor.Mailbox. What came since the actor's name was known
// is served from now on.
func (b *box) Start() {
	b.mu.Lock()
	b.started = true
	b.unlockAndRun()
}

// UserMessageCount implements actor.Mailbox: messages of both lanes.
func (b *box) UserMessageCount() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.control.count + b.data.count
}

func (b *box) postData(e entry) {
	b.mu.Lock()
	switch {
	case b.stopped:
		b.mu.Unlock()
		b.refuse(e.message, Stopped)
	case b.parked.Len() == 0 && b.fits(e.weight):
		b.admit(e)
		b.unlockAndRun()
	case b.handle.config.MaxWait <= 0:
		b.mu.Unlock()
		b.refuse(e.message, Full)
	default:
		s := &sender{entry: e, settled: make(chan struct{})}
		place := b.parked.PushBack(s)
		b.mu.Unlock()
		b.park(s, place)
	}
}

// park waits until s is admitted or the actor stops, at most MaxWait.
func (b *box) park(s *sender, place *list.Element) {
	timer := time.NewTimer(b.handle.config.MaxWait)
	defer timer.Stop()
	select {
	case <-s.settled:
		if !s.admitted {
			b.refuse(s.message, Stopped)
		}
		return
	case <-timer.C:
	}
	b.mu.Lock()
	select {
	case <-s.settled: // in the same moment
		b.mu.Unlock()
		if !s.admitted {
			b.refuse(s.message, Stopped)
		}
		return
	default:
	}
	b.parked.Remove(place)
	b.unpark() // whoever stood behind may be lighter
	b.unlockAndRun()
	b.refuse(s.message, Full)
}

// fits tells whether so many events may come in. The lock is held.
func (b *box) fits(weight int) bool {
	return b.depth == 0 || b.depth+weight <= b.handle.config.Events
}

// admit puts a message into the data lane. The lock is held.
func (b *box) admit(e entry) {
	b.data.push(e)
	b.depth += e.weight
}

// unpark lets in who waits, in order, as far as there is room. The lock is held.
func (b *box) unpark() {
	for b.parked.Len() > 0 {
		front := b.parked.Front()
		s := front.Value.(*sender) //nolint:forcetypeassert // the list holds nothing else
		if !b.fits(s.weight) {
			return
		}
		b.parked.Remove(front)
		b.admit(s.entry)
		s.admitted = true
		close(s.settled)
	}
}

// runnable tells whether next would return something. The lock is held.
func (b *box) runnable() bool {
	switch {
	case b.system.count > 0:
		return true
	case b.suspended:
		return false
	case b.control.count > 0:
		return true
	}
	return !b.paused && b.data.count > 0
}

// unlockAndRun releases the lock and sees to it that somebody runs the box if
// there is anything to run.
func (b *box) unlockAndRun() {
	start := b.started && !b.running && b.runnable()
	if start {
		b.running = true
	}
	b.mu.Unlock()
	if start {
		b.dispatcher.Schedule(b.serve)
	}
}

func (b *box) serve() {
	for !b.run() {
	}
}

// run hands messages to the actor until there are none, and reports true; or
// until the actor panics, and reports false after its supervisor was told.
func (b *box) run() (idle bool) {
	var message any
	defer func() {
		if idle {
			return
		}
		// A panic in Stopped leaves an actor that is gone all the same.
		b.noticeStop(message)
		if reason := recover(); reason != nil {
			b.invoker.EscalateFailure(reason, message)
		}
	}()
	throughput := b.dispatcher.Throughput()
	for turn := 1; ; turn++ {
		var system, ok bool
		message, system, ok = b.next()
		switch {
		case !ok:
			return true
		case !system:
			b.invoker.InvokeUserMessage(message)
		default:
			b.invoker.InvokeSystemMessage(message)
			b.noticeStop(message)
		}
		if turn == throughput {
			turn = 0
			runtime.Gosched()
		}
	}
}

// next takes out the next message to serve. Without one the box is idle.
func (b *box) next() (message any, system, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for b.system.count > 0 {
		message = b.system.pop()
		switch message.(type) {
		case *actor.SuspendMailbox:
			b.suspended = true
		case *actor.ResumeMailbox:
			b.suspended = false
		default:
			return message, true, true
		}
	}
	switch {
	case b.suspended:
	case b.control.count > 0:
		return b.control.pop(), false, true
	case !b.paused && b.data.count > 0:
		e := b.data.pop()
		b.depth -= e.weight
		b.unpark()
		return e.message, false, true
	}
	b.running = false
	return nil, false, false
}

// noticeStop closes both lanes once the actor is out of the registry, which
// happens while it handles Stop, or the end of its last child.
func (b *box) noticeStop(message any) {
	switch message.(type) {
	case *actor.Stop, *actor.Terminated:
	default:
		return
	}
	context, ok := b.invoker.(actor.Context)
	if !ok {
		return
	}
	if process, alive := context.ActorSystem().ProcessRegistry.GetLocal(context.Self().Id); alive && process == b.process {
		return
	}
	b.close()
}

// close refuses all that waits; parked senders do it on their own goroutines.
func (b *box) close() {
	b.mu.Lock()
	if b.stopped {
		b.mu.Unlock()
		return
	}
	b.stopped = true
	data, control := b.data, b.control
	b.data, b.control, b.depth = ring[entry]{}, ring[any]{}, 0
	for b.parked.Len() > 0 {
		s := b.parked.Remove(b.parked.Front()).(*sender) //nolint:forcetypeassert // the list holds nothing else
		close(s.settled)
	}
	b.mu.Unlock()
	for data.count > 0 {
		b.refuse(data.pop().message, Stopped)
	}
	for control.count > 0 {
		b.deadLetter(control.pop())
	}
}

func (b *box) refuse(message any, why Refusal) {
	b.handle.refused.Add(1)
	if b.handle.config.Refused == nil {
		b.deadLetter(message)
		return
	}
	_, bare, sender := actor.UnwrapEnvelope(message)
	b.handle.config.Refused(bare, sender, why)
}

func (b *box) deadLetter(message any) {
	if context, ok := b.invoker.(actor.Context); ok {
		context.ActorSystem().DeadLetter.SendUserMessage(context.Self(), message)
	}
}

func (b *box) pause(paused bool) {
	b.mu.Lock()
	b.paused = paused
	b.unlockAndRun()
}

func (b *box) events() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.depth
}

func (b *box) describe(s *Stats) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s.Events, s.Parked, s.Control = b.depth, b.parked.Len(), b.control.count
}
