// Package simulator is the actor that plays publishers, advertisers and
// vendors: it makes ad events and sends them straight to collectors.
package simulator

import (
	"cmp"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"go.uber.org/zap"

	"adpulse/actors/credit"
	"adpulse/messages"
)

// Config is what one simulator sends, and how fast.
type Config struct {
	// Mix, Tags, Seed, Number and Run choose the events: see NewGenerator.
	Mix    Mix
	Tags   []messages.TagID
	Seed   uint64
	Number int
	Run    uint64
	// Rate is in events a second; 0 is as fast as credit allows.
	Rate float64
	// Batch bounds the events of one Collect message. A window of credit that
	// is smaller bounds it too.
	Batch int
	// Tick is how often a simulator with a Rate looks at the clock. What is due
	// in a tick goes in one batch, or in as many as it needs.
	Tick time.Duration
	// RetryDelay is the wait after a rejection; it doubles up to RetryDelayMax
	// and starts over with the next acknowledgement.
	RetryDelay, RetryDelayMax time.Duration
	// AnswerTimeout is how long a collector may take to answer; then the events
	// are sent again, with the same ids.
	AnswerTimeout time.Duration
	// Now is the clock; tests replace it.
	Now func() time.Time
}

// DefaultConfig sends the reference's mix, a hundred events a message, as fast
// as credit allows. Tags are still to be set.
func DefaultConfig() Config {
	return Config{
		Mix: reference, Seed: 1, Batch: 100, Tick: 10 * time.Millisecond,
		RetryDelay: 50 * time.Millisecond, RetryDelayMax: 2 * time.Second, AnswerTimeout: 15 * time.Second,
		Now: time.Now,
	}
}

// Parts is what a simulator works with. All but the hooks must be set.
type Parts struct {
	// Collectors are addressed by their place in Credit, which is this
	// simulator's alone.
	Collectors []*actor.PID
	Credit     *credit.Pool
	Stats      *Stats
	Log        *zap.Logger
	// Acknowledged and Rejected, where set, are told on the actor's goroutine
	// what became of a batch, with the time since it was first sent. Rejected
	// is for events that are given up, not for those that are sent again.
	Acknowledged func(events []messages.Event, took time.Duration)
	Rejected     func(events []messages.Event, reason messages.Reason)
}

// Stats counts events. Its fields may be read at any time; they survive
// restarts of the actor.
type Stats struct {
	// Sent counts each event once, Resent its further tries.
	Sent, Resent atomic.Uint64
	// Acknowledged and GivenUp are how an event ends; what is neither is
	// outstanding.
	Acknowledged, GivenUp atomic.Uint64
}

// Drain asks a simulator to send nothing more, and to answer with Drained once
// everything that it sent is answered. What was rejected and waits to be sent
// again is given up.
type Drain struct{}

// ControlMessage puts Drain on the control lane.
func (*Drain) ControlMessage() {}

// Drained answers Drain.
type Drained struct{}

// ControlMessage puts Drained on the control lane.
func (*Drained) ControlMessage() {}

// Simulator makes events and sends them.
//
// It hears  Collected, Rejected  from collectors, with its credit,
//
//	tick                 from its own clock,
//	Drain                from the node.
//
// It says   Collect    to the collector with the most credit,
//
//	Drained    to whoever asked it to drain.
//
// Without credit it waits for answers. While rejected batches wait to be sent
// again it makes no new ones, so that what it holds is bounded by its credit.
type Simulator struct {
	config Config
	parts  Parts
	shared *shared

	generation  uint64
	clock       *time.Timer
	outstanding map[messages.BatchID]*batch
	rejected    []*batch // to be sent again, from retryAt on
	retryAt     time.Time
	retryDelay  time.Duration
	due         float64 // events that the rate allows now
	looked      time.Time
	swept       time.Time
	draining    bool
	drains      []*actor.PID
}

// shared is what goes from one life of the actor to the next: events and batch
// numbers must not come twice.
type shared struct {
	events      *Generator
	batches     messages.BatchID
	generations uint64
}

// batch is a Collect that has no answer yet, or a bad one.
type batch struct {
	events    []messages.Event
	collector int
	first     time.Time // when it was sent first
	sent      time.Time
}

// tick is the clock's; generation makes that of an earlier life harmless.
type tick struct{ generation uint64 }

// ControlMessage puts tick on the control lane.
func (tick) ControlMessage() {}

// Props tells Proto.Actor how to make (and remake) a simulator.
func Props(config Config, parts Parts, options ...actor.PropsOption) (*actor.Props, error) {
	if config.Batch < 1 || config.Rate < 0 || config.Tick <= 0 || config.RetryDelay <= 0 || config.AnswerTimeout <= 0 {
		return nil, fmt.Errorf("simulate: batch %d, rate %g, tick %s, retry delay %s, answer timeout %s: all but the rate must be positive",
			config.Batch, config.Rate, config.Tick, config.RetryDelay, config.AnswerTimeout)
	}
	events, err := NewGenerator(config.Mix, config.Tags, config.Seed, config.Number, config.Run)
	if err != nil {
		return nil, err
	}
	config.Batch = min(config.Batch, parts.Credit.Window())
	s := &shared{events: events}
	return actor.PropsFromProducer(func() actor.Actor {
		s.generations++
		return &Simulator{
			config: config, parts: parts, shared: s, generation: s.generations,
			outstanding: make(map[messages.BatchID]*batch), retryDelay: config.RetryDelay,
		}
	}, options...), nil
}

// Receive implements actor.Actor.
func (s *Simulator) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *actor.Started:
		s.looked, s.swept = s.config.Now(), s.config.Now()
		s.tick(ctx)
	case *messages.Collected:
		s.collected(ctx, m)
	case *messages.Rejected:
		s.reject(ctx, m)
	case tick:
		if m.generation == s.generation {
			s.tick(ctx)
		}
	case *Drain:
		s.drain(ctx)
	case *actor.Restarting, *actor.Stopping:
		s.abandon()
	}
}

// tick does what is due, and winds the clock.
func (s *Simulator) tick(ctx actor.Context) {
	now := s.config.Now()
	s.earn(now)
	s.sweep(now)
	s.produce(ctx, now)
	s.sayDrained(ctx) // what is overdue counts as answered
	root, self, generation := ctx.ActorSystem().Root, ctx.Self(), s.generation
	s.clock = time.AfterFunc(s.config.Tick, func() { root.Send(self, tick{generation}) })
}

// earn adds what the rate allows since the last look. What could not be sent
// for lack of credit is not made up for, but for a tenth of a second's worth.
func (s *Simulator) earn(now time.Time) {
	elapsed := now.Sub(s.looked)
	s.looked = now
	most := max(float64(s.config.Batch), s.config.Rate/10)
	s.due = min(most, s.due+s.config.Rate*elapsed.Seconds())
}

// produce sends as much as credit and rate allow, what was rejected first.
func (s *Simulator) produce(ctx actor.Context, now time.Time) {
	if s.draining {
		return
	}
	for len(s.rejected) > 0 {
		if now.Before(s.retryAt) || !s.send(ctx, s.rejected[0], now) {
			return
		}
		s.parts.Stats.Resent.Add(uint64(len(s.rejected[0].events)))
		s.rejected = s.rejected[1:]
	}
	for {
		n := s.config.Batch
		if s.config.Rate > 0 {
			n = min(n, int(s.due+1e-6)) // a sum of fractions may fall short of a whole
		}
		if n == 0 {
			return
		}
		collector, ok := s.parts.Credit.TryTake(n)
		if !ok {
			return
		}
		s.due -= float64(n)
		events := s.shared.events.Batch(n, now.UnixMilli())
		s.parts.Stats.Sent.Add(uint64(n))
		s.hand(ctx, &batch{events: events, collector: collector, first: now, sent: now})
	}
}

// send takes credit for a batch and sends it, or reports that there is none.
func (s *Simulator) send(ctx actor.Context, b *batch, now time.Time) bool {
	collector, ok := s.parts.Credit.TryTake(len(b.events))
	if !ok {
		return false
	}
	b.collector, b.sent = collector, now
	s.hand(ctx, b)
	return true
}

func (s *Simulator) hand(ctx actor.Context, b *batch) {
	s.shared.batches++
	s.outstanding[s.shared.batches] = b
	ctx.Request(s.parts.Collectors[b.collector], &messages.Collect{Batch: s.shared.batches, Events: b.events})
}

// settle takes a batch out of the outstanding ones and returns its credit. It
// is nil when the answer is not the first, or for an earlier life.
func (s *Simulator) settle(id messages.BatchID) *batch {
	b := s.outstanding[id]
	if b != nil {
		delete(s.outstanding, id)
		s.parts.Credit.Return(b.collector, len(b.events))
	}
	return b
}

func (s *Simulator) collected(ctx actor.Context, m *messages.Collected) {
	now := s.config.Now()
	for _, id := range m.Batches {
		b := s.settle(id)
		if b == nil {
			continue
		}
		s.retryDelay = s.config.RetryDelay
		s.parts.Stats.Acknowledged.Add(uint64(len(b.events)))
		if s.parts.Acknowledged != nil {
			s.parts.Acknowledged(b.events, now.Sub(b.first))
		}
	}
	s.produce(ctx, now)
	s.sayDrained(ctx)
}

func (s *Simulator) reject(ctx actor.Context, m *messages.Rejected) {
	b := s.settle(m.Batch)
	if b == nil {
		return
	}
	now := s.config.Now()
	if m.Retryable && !s.draining {
		s.retry(b, now)
	} else {
		s.giveUp(b, m.Reason)
	}
	s.produce(ctx, now)
	s.sayDrained(ctx)
}

// retry puts a batch among those to be sent again after the delay. Rejections
// that come while one is waited for do not lengthen it.
func (s *Simulator) retry(b *batch, now time.Time) {
	if !now.Before(s.retryAt) {
		s.retryAt = now.Add(s.retryDelay)
		s.retryDelay = min(2*s.retryDelay, max(s.config.RetryDelay, s.config.RetryDelayMax))
	}
	s.rejected = append(s.rejected, b)
}

func (s *Simulator) giveUp(b *batch, reason messages.Reason) {
	s.parts.Stats.GivenUp.Add(uint64(len(b.events)))
	if s.parts.Rejected != nil {
		s.parts.Rejected(b.events, reason)
	}
}

// sweep takes batches whose answer is overdue for rejected: a collector that
// died may have taken the answer with it, and its credit must not.
func (s *Simulator) sweep(now time.Time) {
	if now.Sub(s.swept) < s.config.AnswerTimeout/4 {
		return
	}
	s.swept = now
	var overdue []messages.BatchID
	for id, b := range s.outstanding {
		if now.Sub(b.sent) >= s.config.AnswerTimeout {
			overdue = append(overdue, id)
		}
	}
	if len(overdue) == 0 {
		return
	}
	s.parts.Log.Warn("collectors did not answer; sending again", zap.Int("batches", len(overdue)))
	slices.SortFunc(overdue, cmp.Compare[messages.BatchID])
	for _, id := range overdue {
		if b := s.settle(id); s.draining {
			s.giveUp(b, messages.ReasonUnanswered)
		} else {
			s.retry(b, now)
		}
	}
}

func (s *Simulator) drain(ctx actor.Context) {
	s.draining = true
	if asker := ctx.Sender(); asker != nil {
		s.drains = append(s.drains, asker)
	}
	for _, b := range s.rejected {
		s.giveUp(b, messages.ReasonStopping)
	}
	s.rejected = nil
	s.sayDrained(ctx)
}

func (s *Simulator) sayDrained(ctx actor.Context) {
	if len(s.outstanding) > 0 {
		return
	}
	for _, asker := range s.drains {
		ctx.Send(asker, &Drained{})
	}
	s.drains = nil
}

// abandon ends a life: its credit goes to the next one, and answers that still
// come find nothing.
func (s *Simulator) abandon() {
	if s.clock != nil {
		s.clock.Stop()
	}
	for id := range s.outstanding {
		s.giveUp(s.settle(id), messages.ReasonUnanswered)
	}
	for _, b := range s.rejected {
		s.giveUp(b, messages.ReasonStopping)
	}
	s.rejected = nil
}
