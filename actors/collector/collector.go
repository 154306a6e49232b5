// Package collector is the actor that makes events durable.
//
// A collector owns one lane of the edge journal. It gathers what its mailbox
// holds into segments, writes each as one record, and acknowledges an event
// only when the journal holds it.
package collector

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"go.uber.org/zap"

	"adpulse/messages"
)

// Collector makes events durable. It owns one lane of the edge journal.
//
// It hears  Collect    from gateways and simulators that hold its credit,
//
//	written    from its own journal writes,
//	Exported   from the lane's exporter: how far the lane is in Kafka,
//	Drain      from the node: write what is open and say when it is done.
//
// It says   Collected  to the senders, once their events are in the journal,
//
//	Rejected   when they are not and will not be,
//	Appended   to the lane's exporter: a hint that may be dropped.
//
// A segment is closed when it is full; when the mailbox is empty and nothing is
// being written; or when it has lingered. At most Config.InFlight segments are
// being written; while that many are, Collect messages wait in the mailbox and
// their credit with them.
type Collector struct {
	config Config
	parts  Parts
	log    *zap.Logger

	// generation tells this incarnation's completions from its predecessor's.
	generation uint64
	phase      phase
	self       *actor.PID
	root       *actor.RootContext
	cancel     context.CancelFunc
	writes     sync.WaitGroup
	ctx        context.Context // bounds the writes of this incarnation

	open    open
	writing map[messages.Sequence]*flight
	waiting []*flight // closed, waiting for a place among the writing
	next    messages.Sequence
	holes   []messages.Sequence // sequences given up, to be filled
	total   uint64              // events of the lane so far
	window  window
	// landed holds what is in the journal behind a sequence that is not yet;
	// signalled is the highest sequence with everything before it landed.
	landed    map[messages.Sequence]*flight
	signalled messages.Sequence
	paused    bool

	draining bool
	drains   []*actor.PID // who waits for Drained
}

type phase uint8

const (
	resuming phase = iota // finding the lane's head
	collecting
	lost // the lane is somebody else's
)

// Completions and ticks, from the collector to itself. All are control
// messages; generation makes an old incarnation's harmless.
type (
	resumed struct {
		generation uint64
		head       head
		err        error
	}
	written struct {
		generation uint64
		flight     *flight
		err        error
	}
	lingered struct {
		generation, segment uint64
	}
	tick struct{ generation uint64 }
)

func (*resumed) ControlMessage()  {}
func (*written) ControlMessage()  {}
func (*lingered) ControlMessage() {}
func (*tick) ControlMessage()     {}

// Drain asks a collector to write what it holds and to answer with Drained
// once every event that it accepted is answered.
type Drain struct{}

// ControlMessage puts Drain on the control lane.
func (*Drain) ControlMessage() {}

// Drained answers Drain.
type Drained struct{}

// ControlMessage puts Drained on the control lane.
func (*Drained) ControlMessage() {}

// Props tells Proto.Actor how to make (and remake) the collector of a lane.
// The mailbox is the caller's to add; parts.Mailbox must be its handle.
func Props(config Config, parts Parts, options ...actor.PropsOption) *actor.Props {
	generations := new(counter)
	return actor.PropsFromProducer(func() actor.Actor {
		return &Collector{
			config: config, parts: parts, generation: generations.next(),
			log:     parts.Log.With(zap.String("lane", string(parts.Lease.Lane))),
			writing: make(map[messages.Sequence]*flight), landed: make(map[messages.Sequence]*flight),
			window: window{events: config.WindowEvents, bytes: config.WindowBytes},
		}
	}, options...)
}

// Receive implements actor.Actor.
func (c *Collector) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *actor.Started:
		c.start(ctx)
	case *messages.Collect:
		c.gather(ctx, m)
	case *messages.Exported:
		c.exported(m)
	case *resumed:
		c.resume(m)
	case *written:
		c.answer(m)
	case *lingered:
		c.closeLingered(m)
	case *tick:
		c.tick(m)
	case *Drain:
		c.drain(ctx)
	case *actor.Restarting:
		c.abandon(messages.ReasonFault)
	case *actor.Stopping:
		c.abandon(messages.ReasonStopping)
	}
}

// start finds the lane's head in the background; until it is known the data
// lane is paused, and credit stays out.
func (c *Collector) start(ctx actor.Context) {
	c.self, c.root = ctx.Self(), ctx.ActorSystem().Root
	c.ctx, c.cancel = context.WithCancel(context.Background())
	c.pause()
	c.findHead()
}

func (c *Collector) findHead() {
	c.goDo(func() {
		ctx, cancel := context.WithTimeout(c.ctx, c.config.WriteTimeout)
		defer cancel()
		head, err := resume(ctx, c.parts.Journal, c.parts.Lease)
		c.root.Send(c.self, &resumed{c.generation, head, err})
	})
}

// resume goes on after the head that was found.
func (c *Collector) resume(m *resumed) {
	if m.generation != c.generation {
		return
	}
	switch {
	case errors.Is(m.err, messages.ErrFenced):
		c.lose(m.err)
		return
	case m.err != nil:
		c.log.Warn("cannot find the head of the lane yet; trying again", zap.Error(m.err))
		c.after(c.config.RetryDelay, func() { c.findHead() })
		return
	}
	c.signalled, c.total = max(m.head.seq, c.window.exportedSeq), m.head.events
	c.next = c.signalled + 1
	c.window.exportedEvents = min(m.head.exported, c.total)
	c.phase = collecting
	c.publish()
	c.parts.Stats.Owned.Store(true)
	c.unpause()
	c.scheduleTick()
}

// gather takes a batch into the open segment. A panic on one batch rejects that
// batch alone: what it had added is taken out again and the lane goes on.
func (c *Collector) gather(ctx actor.Context, m *messages.Collect) {
	sender := ctx.Sender()
	if reason, refused := c.refuses(); refused {
		c.reject(sender, m.Batch, reason, true)
		return
	}
	mark := c.open.mark()
	defer func() {
		if fault := recover(); fault != nil {
			c.open.rewind(mark)
			c.log.Error("a batch made the collector panic; it alone is rejected",
				zap.Uint64("batch", uint64(m.Batch)), zap.Any("fault", fault), zap.Stack("stack"))
			c.reject(sender, m.Batch, messages.ReasonFault, false)
		}
	}()
	if c.config.Inspect != nil {
		c.config.Inspect(m)
	}
	c.add(sender, m)
}

// add puts the batch's events into the open segment, and closes segments as
// they fill. A batch may end up in several; it is acknowledged with the last.
func (c *Collector) add(sender *actor.PID, m *messages.Collect) {
	b := &batch{sender: sender, id: m.Batch, pieces: 1}
	rest := m.Events
	for {
		n := c.open.room(rest, c.config.SegmentEvents)
		c.open.take(b, rest[:n])
		if rest = rest[n:]; len(rest) == 0 {
			break
		}
		b.pieces++
		c.closeSegment()
	}
	c.afterGather()
}

func (c *Collector) refuses() (messages.Reason, bool) {
	switch {
	case c.phase != collecting:
		return messages.ReasonLane, true
	case c.draining:
		return messages.ReasonStopping, true
	case c.backlog() >= uint64(c.config.HighWaterEvents):
		return messages.ReasonHighWater, true
	}
	return "", false
}

// afterGather decides whether the open segment goes now, lingers, or waits for
// one that is being written.
func (c *Collector) afterGather() {
	switch {
	case c.open.full(c.config.SegmentEvents):
		c.closeSegment()
	case len(c.writing) == 0 && c.parts.Mailbox.Events() == 0:
		c.closeSegment()
	case c.config.Linger == 0 && c.parts.Mailbox.Events() == 0:
		c.closeSegment()
	case !c.open.lingers && len(c.open.events) > 0:
		c.open.lingers = true
		segment := c.open.number
		c.after(c.config.Linger, func() { c.root.Send(c.self, &lingered{c.generation, segment}) })
	}
}

func (c *Collector) closeLingered(m *lingered) {
	if m.generation == c.generation && m.segment == c.open.number {
		c.closeSegment()
	}
}

// closeSegment hands the open segment to the journal.
func (c *Collector) closeSegment() {
	if len(c.open.events) == 0 {
		return
	}
	f := c.open.close(c.parts.Lease, c.config.Token(), c.total)
	c.total += uint64(len(f.segment.Events))
	c.dispatch(f)
}

// dispatch gives a flight its sequence and starts its write, or queues it when
// as many as may be are being written.
func (c *Collector) dispatch(f *flight) {
	if len(c.writing) >= c.config.InFlight {
		c.waiting = append(c.waiting, f)
		c.pause()
		return
	}
	f.segment.Seq = c.takeSequence()
	c.write(f)
}

// takeSequence returns the lowest sequence that is free.
func (c *Collector) takeSequence() messages.Sequence {
	if len(c.holes) > 0 {
		seq := c.holes[0]
		c.holes = c.holes[1:]
		return seq
	}
	seq := c.next
	c.next++
	return seq
}

func (c *Collector) write(f *flight) {
	c.writing[f.segment.Seq] = f
	if f.started.IsZero() {
		f.started = c.config.Now()
	}
	if len(c.writing) >= c.config.InFlight {
		c.pause()
	}
	c.publish()
	c.goDo(func() {
		ctx, cancel := context.WithTimeout(c.ctx, c.config.WriteTimeout)
		defer cancel()
		err := c.parts.Journal.Append(ctx, f.segment)
		c.root.Send(c.self, &written{c.generation, f, err})
	})
}

// answer does what a write's outcome asks for.
func (c *Collector) answer(m *written) {
	if m.generation != c.generation || c.phase == lost {
		return
	}
	f := m.flight
	if m.err == nil && c.parts.Stale != nil && c.parts.Stale() {
		c.log.Warn("slept past the lease; what was written is not acknowledged", zap.Uint64("sequence", uint64(f.segment.Seq)))
		delete(c.writing, f.segment.Seq)
		c.signal(f.segment.Seq, nil)
		c.finish(f, messages.ReasonLane)
		c.goOn()
		return
	}
	landed := m.err == nil && f.segment.Seq > c.window.exportedSeq
	if landed {
		c.acknowledge(f)
	}
	// Only now: had that failed, whoever abandons this incarnation would find
	// the flight and answer its senders.
	delete(c.writing, f.segment.Seq)
	switch {
	case landed:
	case errors.Is(m.err, messages.ErrFenced):
		c.finish(f, messages.ReasonLane)
		c.lose(m.err)
		return
	case m.err == nil, errors.Is(m.err, messages.ErrTaken):
		// An older owner's segment is there and valid, or was there, exported and
		// trimmed before this one was written: this one goes behind it. If it was
		// this very one that was exported, its events are dropped as duplicates.
		c.signal(f.segment.Seq, nil)
		f.segment.Seq = c.takeSequence()
		c.write(f)
	case c.config.Now().Sub(f.started) < c.config.GiveUpAfter:
		c.log.Warn("journal write failed; trying again", zap.Uint64("sequence", uint64(f.segment.Seq)), zap.Error(m.err))
		c.parts.Stats.WriteErrors.Add(1)
		c.writing[f.segment.Seq] = f // it keeps its sequence and its place
		c.after(c.config.RetryDelay, func() { c.retry(f) })
	default:
		c.log.Error("journal write given up; its senders are told to try again",
			zap.Uint64("sequence", uint64(f.segment.Seq)), zap.Int("events", len(f.segment.Events)), zap.Error(m.err))
		c.parts.Stats.WriteErrors.Add(1)
		if f.segment.Seq > c.window.exportedSeq {
			c.holes = append(c.holes, f.segment.Seq)
		}
		c.finish(f, messages.ReasonEdge)
	}
	c.goOn()
}

// retry runs outside the actor, after a delay; it only starts the write again.
func (c *Collector) retry(f *flight) {
	ctx, cancel := context.WithTimeout(c.ctx, c.config.WriteTimeout)
	defer cancel()
	err := c.parts.Journal.Append(ctx, f.segment)
	c.root.Send(c.self, &written{c.generation, f, err})
}

// goOn uses the place that a finished write has left.
func (c *Collector) goOn() {
	for len(c.waiting) > 0 && len(c.writing) < c.config.InFlight {
		f := c.waiting[0]
		c.waiting = c.waiting[1:]
		f.segment.Seq = c.takeSequence()
		c.write(f)
	}
	if len(c.writing) < c.config.InFlight && len(c.waiting) == 0 {
		c.unpause()
		if len(c.open.events) > 0 {
			c.afterGather()
		}
	}
	c.publish()
	c.sayDrained()
}

// acknowledge answers every sender whose batch is now wholly in the journal,
// each with one message, and signals the exporter.
func (c *Collector) acknowledge(f *flight) {
	c.parts.Stats.segment(len(f.segment.Events), f.bytes)
	c.finish(f, "")
	c.signal(f.segment.Seq, f)
}

// finish settles the batches of a flight: acknowledged where reason is empty,
// else rejected. A batch in several segments is settled with its last piece,
// and rejected if any piece was.
func (c *Collector) finish(f *flight, reason messages.Reason) {
	var collected []reply
	for _, b := range f.batches {
		b.pieces--
		if reason != "" {
			b.rejected = reason
		}
		switch {
		case b.pieces > 0:
		case b.rejected != "":
			c.reject(b.sender, b.id, b.rejected, true)
		default:
			collected = addReply(collected, b)
		}
	}
	for _, r := range collected {
		c.root.Send(r.sender, &messages.Collected{Batches: r.batches})
	}
}

func (c *Collector) reject(sender *actor.PID, id messages.BatchID, reason messages.Reason, retryable bool) {
	c.parts.Stats.Rejections.Add(1)
	if sender != nil {
		c.root.Send(sender, &messages.Rejected{Batch: id, Reason: reason, Retryable: retryable})
	}
}

// tick seals what a given-up write has left open when no traffic does: the
// exporter cannot pass a sequence that is missing.
func (c *Collector) tick(m *tick) {
	if m.generation != c.generation || c.phase != collecting {
		return
	}
	if len(c.holes) > 0 && len(c.open.events) == 0 && len(c.writing) < c.config.InFlight {
		c.seal()
	}
	c.scheduleTick()
}

func (c *Collector) scheduleTick() {
	c.after(c.config.SealDelay, func() { c.root.Send(c.self, &tick{c.generation}) })
}

func (c *Collector) drain(ctx actor.Context) {
	c.draining = true
	c.drains = append(c.drains, ctx.Sender())
	if c.phase == collecting {
		c.closeSegment()
	}
	c.sayDrained()
}

// sayDrained answers Drain once nothing is left to write or to seal.
func (c *Collector) sayDrained() {
	if len(c.drains) == 0 {
		return
	}
	if c.phase == collecting {
		if len(c.writing) > 0 || len(c.waiting) > 0 || len(c.open.events) > 0 {
			return
		}
		if len(c.holes) > 0 {
			c.seal()
			return
		}
	}
	for _, asker := range c.drains {
		c.root.Send(asker, &Drained{})
	}
	c.drains = nil
}

// seal fills the lowest hole with an empty segment.
func (c *Collector) seal() {
	c.dispatch(&flight{segment: &messages.Segment{
		Lane: c.parts.Lease.Lane, Epoch: c.parts.Lease.Epoch, Token: c.config.Token(), Base: c.total,
	}})
}

// lose stops using a lane that somebody else owns now.
func (c *Collector) lose(err error) {
	c.phase = lost
	c.parts.Stats.Owned.Store(false)
	c.settleAll(messages.ReasonLane)
	c.unpause() // what still comes is refused, not left waiting
	c.parts.Lost(c.parts.Lease.Lane, fmt.Errorf("collector of lane %s: %w", c.parts.Lease.Lane, err))
}

// abandon ends an incarnation: nothing it holds will be acknowledged, though
// what was being written may still land, and is then valid.
func (c *Collector) abandon(reason messages.Reason) {
	c.parts.Stats.Owned.Store(false)
	c.cancel()
	c.writes.Wait()
	c.settleAll(reason)
	c.unpause()
}

func (c *Collector) settleAll(reason messages.Reason) {
	for seq, f := range c.writing {
		delete(c.writing, seq)
		c.finish(f, reason)
	}
	for _, f := range c.waiting {
		c.finish(f, reason)
	}
	c.waiting = nil
	if len(c.open.events) > 0 {
		c.finish(c.open.close(c.parts.Lease, 0, c.total), reason)
	}
}

func (c *Collector) pause() {
	if !c.paused {
		c.paused = true
		c.parts.Mailbox.Pause()
	}
}

func (c *Collector) unpause() {
	if c.paused {
		c.paused = false
		c.parts.Mailbox.Resume()
	}
}

// goDo runs f beside the actor; abandon waits for it.
func (c *Collector) goDo(f func()) {
	c.writes.Add(1)
	c.config.Go(func() {
		defer c.writes.Done()
		f()
	})
}

// after runs f beside the actor once d has passed, unless the incarnation ends.
func (c *Collector) after(d time.Duration, f func()) {
	ctx := c.ctx
	c.goDo(func() {
		if c.config.Wait(ctx, d) == nil {
			f()
		}
	})
}

func (c *Collector) publish() {
	c.parts.Stats.Backlog.Store(c.backlog())
	c.parts.Stats.Writing.Store(int64(len(c.writing)))
	c.parts.Stats.Head.Store(uint64(c.next - 1))
}
