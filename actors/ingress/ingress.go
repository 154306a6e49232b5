// Package ingress is the way from request goroutines to collector actors: a
// call that returns when its events are durable.
package ingress

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"go.uber.org/zap"

	"adpulse/actors/credit"
	"adpulse/messages"
)

// Config is an ingress's sizes and times.
type Config struct {
	// BatchEvents bounds the events of one Collect message; longer submissions
	// are split.
	BatchEvents int
	// EnqueueTimeout is how long a submission waits for credit.
	EnqueueTimeout time.Duration
	// WaitingEvents bounds the events that wait for credit together; past it a
	// submission is refused at once, for its turn would come too late.
	WaitingEvents int
	// AnswerTimeout is how long a collector may take to answer before its
	// sender is told that the outcome is not known, and the credit comes back.
	AnswerTimeout time.Duration
	// Now is the clock; tests replace it.
	Now func() time.Time
}

// DefaultConfig suits collectors that answer within milliseconds.
func DefaultConfig() Config {
	return Config{BatchEvents: 500, WaitingEvents: 16384, EnqueueTimeout: 250 * time.Millisecond, AnswerTimeout: 15 * time.Second, Now: time.Now}
}

// Parts is what an ingress works with. All but the hooks must be set.
type Parts struct {
	// Collectors are addressed by their place in Credit.
	Collectors []*actor.PID
	Credit     *credit.Pool
	Log        *zap.Logger
	// Acknowledged and Rejected, where set, are told what became of each batch,
	// on the goroutine that submitted it.
	Acknowledged func(events []messages.Event, took time.Duration)
	Rejected     func(events []messages.Event, reason messages.Reason)
}

// Ingress hands events to the collectors and waits for their answers.
//
// It hears  Collected, Rejected  from collectors.
// It says   Collect              to the collector with the most credit.
//
// Submit may be called concurrently.
type Ingress struct {
	config Config
	parts  Parts
	system *actor.ActorSystem
	self   *actor.PID

	batches atomic.Uint64
	waiting atomic.Int64 // events that wait for credit

	mu      sync.Mutex
	pending map[messages.BatchID]*pending
	closed  bool
	idle    chan struct{} // closed when closed and nothing is pending
	stop    sync.Once
	// stopping ends the clock; swept is closed when it has.
	stopping, swept chan struct{}
}

// pending is a batch without an answer.
type pending struct {
	collector, events int
	sent              time.Time
	answer            chan error // of room one: the answer never waits for its reader
}

// Open registers the ingress with the actor system under the given name, so
// that collectors can answer it, and starts its clock.
func Open(system *actor.ActorSystem, name string, config Config, parts Parts) (*Ingress, error) {
	i := &Ingress{
		config: config, parts: parts, system: system,
		pending: make(map[messages.BatchID]*pending), idle: make(chan struct{}),
		stopping: make(chan struct{}), swept: make(chan struct{}),
	}
	self, absent := system.ProcessRegistry.Add(answers{i}, name)
	if !absent {
		return nil, fmt.Errorf("open ingress %s: there is one of that name", name)
	}
	i.self = self
	go i.sweepEvery(max(config.AnswerTimeout/4, time.Millisecond))
	return i, nil
}

// Submit returns nil once every event is in the edge journal. Any other outcome
// is a *messages.NotCollected: some of the events may be in the journal then,
// and a retry with the same event ids is harmless. events belong to the ingress
// from then on.
func (i *Ingress) Submit(ctx context.Context, events []messages.Event) error {
	most := min(i.config.BatchEvents, i.parts.Credit.Window())
	if len(events) <= most {
		return i.submit(ctx, events)
	}
	// The pieces go out one after the other and are awaited together.
	var (
		sent   []*pending
		pieces [][]messages.Event
		failed error
	)
	for len(events) > 0 {
		n := min(most, len(events))
		p, err := i.send(ctx, events[:n:n])
		if err != nil {
			failed = i.refuse(events, err)
			break
		}
		sent, pieces = append(sent, p), append(pieces, events[:n:n])
		events = events[n:]
	}
	for at, p := range sent {
		if err := i.await(ctx, p, pieces[at]); err != nil && failed == nil {
			failed = err
		}
	}
	return failed
}

func (i *Ingress) submit(ctx context.Context, events []messages.Event) error {
	if len(events) == 0 {
		return nil
	}
	p, err := i.send(ctx, events)
	if err != nil {
		return i.refuse(events, err)
	}
	return i.await(ctx, p, events)
}

// send takes credit and hands a batch to the collector that granted it.
func (i *Ingress) send(ctx context.Context, events []messages.Event) (*pending, error) {
	started := i.config.Now()
	collector, ok := i.parts.Credit.TryTake(len(events))
	if !ok {
		var err error
		if collector, err = i.takeInTurn(ctx, len(events)); err != nil {
			return nil, err
		}
	}
	id := messages.BatchID(i.batches.Add(1))
	p := &pending{collector: collector, events: len(events), sent: started, answer: make(chan error, 1)}
	i.mu.Lock()
	if i.closed {
		i.mu.Unlock()
		i.parts.Credit.Return(collector, len(events))
		return nil, &messages.NotCollected{Reason: messages.ReasonStopping, Retryable: true}
	}
	i.pending[id] = p
	i.mu.Unlock()
	i.system.Root.RequestWithCustomSender(i.parts.Collectors[collector], &messages.Collect{Batch: id, Events: events}, i.self)
	return p, nil
}

// takeInTurn waits for credit, among no more than WaitingEvents.
func (i *Ingress) takeInTurn(ctx context.Context, events int) (collector int, err error) {
	none := &messages.NotCollected{Reason: messages.ReasonCredit, Retryable: true}
	defer i.waiting.Add(-int64(events))
	if i.waiting.Add(int64(events)) > int64(i.config.WaitingEvents) {
		return 0, none
	}
	ctx, cancel := context.WithTimeout(ctx, i.config.EnqueueTimeout)
	defer cancel()
	if collector, err = i.parts.Credit.Take(ctx, events); err != nil {
		return 0, none
	}
	return collector, nil
}

// Crowded tells that so many events wait for credit that those of a request
// whose body is not even read would hardly find room: half of WaitingEvents are
// left to those that are being read now.
func (i *Ingress) Crowded() bool {
	return 2*i.waiting.Load() > int64(i.config.WaitingEvents)
}

// await returns the batch's answer. When ctx ends first the answer, when it
// comes, only returns the credit.
func (i *Ingress) await(ctx context.Context, p *pending, events []messages.Event) error {
	var err error
	select {
	case err = <-p.answer:
	case <-ctx.Done():
		err = &messages.NotCollected{Reason: messages.ReasonUnanswered, Retryable: true}
	}
	if err != nil {
		return i.refuse(events, err)
	}
	if i.parts.Acknowledged != nil {
		i.parts.Acknowledged(events, i.config.Now().Sub(p.sent))
	}
	return nil
}

// refuse counts events that are not acknowledged and returns why.
func (i *Ingress) refuse(events []messages.Event, err error) error {
	var not *messages.NotCollected
	if errors.As(err, &not) && i.parts.Rejected != nil {
		i.parts.Rejected(events, not.Reason)
	}
	return err
}

// settle answers a batch once; a second answer, or one that comes after the
// batch was given up, finds nothing.
func (i *Ingress) settle(id messages.BatchID, err error) {
	i.mu.Lock()
	p := i.pending[id]
	if p == nil {
		i.mu.Unlock()
		return
	}
	delete(i.pending, id)
	if i.closed && len(i.pending) == 0 {
		close(i.idle)
	}
	i.mu.Unlock()
	i.parts.Credit.Return(p.collector, p.events)
	p.answer <- err
}

// sweepEvery is the ingress's clock, until Close.
func (i *Ingress) sweepEvery(period time.Duration) {
	defer close(i.swept)
	ticker := time.NewTicker(period)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			i.sweep()
		case <-i.stopping:
			return
		}
	}
}

// sweep gives up the batches whose answer is overdue.
func (i *Ingress) sweep() {
	now := i.config.Now()
	var overdue []messages.BatchID
	i.mu.Lock()
	for id, p := range i.pending {
		if now.Sub(p.sent) >= i.config.AnswerTimeout {
			overdue = append(overdue, id)
		}
	}
	i.mu.Unlock()
	if len(overdue) > 0 {
		i.parts.Log.Error("collectors did not answer; the senders are told to try again", zap.Int("batches", len(overdue)))
	}
	for _, id := range overdue {
		i.settle(id, &messages.NotCollected{Reason: messages.ReasonUnanswered, Retryable: true})
	}
}

// Close refuses what comes from now on, waits until everything that was sent is
// answered or ctx ends, and takes the ingress out of the actor system.
func (i *Ingress) Close(ctx context.Context) error {
	i.mu.Lock()
	if !i.closed {
		i.closed = true
		if len(i.pending) == 0 {
			close(i.idle)
		}
	}
	i.mu.Unlock()
	var err error
	select {
	case <-i.idle:
	case <-ctx.Done():
		err = fmt.Errorf("drain the ingress: %w", context.Cause(ctx))
	}
	i.stop.Do(func() { close(i.stopping) })
	<-i.swept
	i.system.ProcessRegistry.Remove(i.self)
	return err
}

// answers is the ingress as collectors address it: a process of the actor system
// without a mailbox. It handles an answer where that is sent, on the collector's
// goroutine, which never waits for it.
type answers struct{ ingress *Ingress }

// SendUserMessage implements actor.Process.
func (a answers) SendUserMessage(_ *actor.PID, message any) {
	switch m := actor.UnwrapEnvelopeMessage(message).(type) {
	case *messages.Collected:
		for _, id := range m.Batches {
			a.ingress.settle(id, nil)
		}
	case *messages.Rejected:
		a.ingress.settle(m.Batch, &messages.NotCollected{Reason: m.Reason, Retryable: m.Retryable})
	}
}

// SendSystemMessage implements actor.Process. Nobody supervises or watches it.
func (answers) SendSystemMessage(*actor.PID, any) {}

// Stop implements actor.Process. Close ends it.
func (answers) Stop(*actor.PID) {}
