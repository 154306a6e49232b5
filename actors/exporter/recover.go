package exporter

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"

	"github.com/asynkron/protoactor-go/actor"
	"go.uber.org/zap"

	"adpulse/messages"
)

// tail is what a recovery found.
type tail struct {
	sink  Sink
	ends  messages.Offsets
	lanes map[messages.LaneID]laneTail
	lost  map[messages.LaneID]error
}

type laneTail struct {
	checkpoint messages.Checkpoint
	found      map[messages.Sequence]*places
}

// opened holds the producer that a recovery has opened until the actor takes it
// over, so that whoever supersedes the recovery can close it.
type opened struct{ sink Sink }

func (o *opened) close() {
	if o != nil && o.sink != nil {
		o.sink.Close()
	}
}

func (e *Exporter) start(ctx actor.Context) {
	e.self, e.root = ctx.Self(), ctx.ActorSystem().Root
	e.life, e.end = context.WithCancel(context.Background())
	e.beginGeneration()
	e.startOver()
	e.scheduleTick()
}

// beginGeneration makes every answer that is still to come stale.
func (e *Exporter) beginGeneration() {
	if e.cancel != nil {
		e.cancel()
	}
	e.generation++
	e.ctx, e.cancel = context.WithCancel(e.life)
	e.steps = new(sync.WaitGroup)
}

// startOver recovers from the checkpoints: whatever was on its way is
// forgotten here and found again in the topic's tail or in the journal.
func (e *Exporter) startOver() {
	e.phase = recovering
	e.parts.Stats.Ready.Store(false)
	before, left := e.steps, []*opened{e.opened}
	if e.sink != nil {
		left = append(left, &opened{e.sink})
	}
	e.beginGeneration()
	e.sink, e.pipeline, e.opened = nil, nil, new(opened)
	e.checkpointing, e.trimming = false, false
	leases := make([]messages.Lease, 0, len(e.lanes))
	for _, l := range e.order {
		leases = append(leases, l.lease)
	}
	generation, mine := e.generation, e.opened
	e.goDo(func(ctx context.Context) {
		// A step of the generation before may still be moving a checkpoint.
		before.Wait()
		for _, o := range left {
			o.close()
		}
		ctx, cancel := context.WithTimeout(ctx, e.config.RecoverTimeout)
		defer cancel()
		found, err := e.readTail(ctx, leases)
		if err == nil {
			mine.sink = found.sink
		}
		e.root.Send(e.self, &recoveredStep{generation, found, err})
	})
}

// readTail makes this exporter the only one that produces for its lanes, and
// finds what its predecessors had produced behind the checkpoints.
//
// The order matters. The own transactional id is fenced first and the leases
// are checked after: who adopts a lane claims it before fencing us, so either
// the check fails here, or its fence comes after ours and our commits fail.
func (e *Exporter) readTail(ctx context.Context, leases []messages.Lease) (_ *tail, err error) {
	id := e.parts.TransactionalID
	sink, err := e.parts.Stream.OpenSink(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("open producer %s: %w", id, err)
	}
	defer func() {
		if err != nil {
			sink.Close()
		}
	}()
	found := &tail{sink: sink, lanes: make(map[messages.LaneID]laneTail), lost: make(map[messages.LaneID]error)}
	fenced := map[string]bool{"": true, id: true}
	var from messages.Offsets
	for _, lease := range leases {
		if previous := lease.TransactionalID; !fenced[previous] {
			if err := e.parts.Stream.Fence(ctx, previous); err != nil {
				return nil, fmt.Errorf("fence producer %s: %w", previous, err)
			}
			fenced[previous] = true
		}
		checkpoint, err := e.claim(ctx, lease)
		if errors.Is(err, messages.ErrFenced) {
			found.lost[lease.Lane] = err
			continue
		}
		if err != nil {
			return nil, err
		}
		found.lanes[lease.Lane] = laneTail{checkpoint, make(map[messages.Sequence]*places)}
		from = lower(from, checkpoint.Offsets)
	}
	if len(found.lanes) == 0 {
		return found, nil
	}
	found.ends, err = e.parts.Stream.ReadTail(ctx, from,
		func(lane messages.LaneID) bool { _, ours := found.lanes[lane]; return ours },
		func(origin messages.Origin) { found.note(origin) })
	if err != nil {
		return nil, fmt.Errorf("read the topic's tail: %w", err)
	}
	return found, nil
}

// claim says in the lane's record who produces for it from now on and returns
// its checkpoint. A lane that never had one starts at the topic's present end:
// nothing of it was ever produced.
func (e *Exporter) claim(ctx context.Context, lease messages.Lease) (messages.Checkpoint, error) {
	checkpoint, known, err := e.parts.Journal.Checkpoint(ctx, lease.Lane)
	if err != nil {
		return checkpoint, fmt.Errorf("checkpoint of lane %s: %w", lease.Lane, err)
	}
	if !known {
		if checkpoint.Offsets, err = e.parts.Stream.EndOffsets(ctx); err != nil {
			return checkpoint, fmt.Errorf("end of the topic: %w", err)
		}
		if err := e.parts.Journal.MoveCheckpoint(ctx, lease, checkpoint); err != nil {
			return checkpoint, fmt.Errorf("first checkpoint of lane %s: %w", lease.Lane, err)
		}
	}
	if err := e.parts.Journal.SetTransactionalID(ctx, lease, e.parts.TransactionalID); err != nil {
		return checkpoint, fmt.Errorf("producer of lane %s: %w", lease.Lane, err)
	}
	return checkpoint, nil
}

// lower keeps, by partition, the lower of two offsets; nil is no offsets yet. A
// partition that one of them does not know is read from its beginning.
func lower(into, offsets messages.Offsets) messages.Offsets {
	if into == nil {
		into = messages.Offsets{}
		maps.Copy(into, offsets)
		return into
	}
	for partition, offset := range into {
		other, known := offsets[partition]
		if !known {
			delete(into, partition)
		} else {
			into[partition] = min(offset, other)
		}
	}
	return into
}

func (t *tail) note(origin messages.Origin) {
	l := t.lanes[origin.Lane]
	if origin.Seq <= l.checkpoint.Seq {
		return
	}
	p := l.found[origin.Seq]
	if p == nil {
		p = new(places)
		l.found[origin.Seq] = p
	}
	p.add(origin.Index)
}

func (e *Exporter) recovered(m *recoveredStep) {
	if m.generation != e.generation {
		return
	}
	if m.err != nil {
		e.fail("recovery", m.err, e.startOver)
		return
	}
	e.failures = 0
	e.sink, e.ends, e.opened = m.tail.sink, maps.Clone(m.tail.ends), nil
	if e.ends == nil {
		e.ends = messages.Offsets{}
	}
	segments := 0
	for id, found := range m.tail.lanes {
		l := e.lanes[id]
		if l == nil {
			continue // released meanwhile
		}
		l.lease.TransactionalID = e.parts.TransactionalID
		l.reset(found.checkpoint, found.found, e.config.Now())
		segments += len(found.found)
		e.tell(l)
	}
	for id, err := range m.tail.lost {
		e.lose(id, err)
	}
	e.log.Info("tail read; exporting", zap.Int("lanes", len(e.lanes)), zap.Int("segments found behind the checkpoints", segments))
	e.phase = exporting
	e.checkpointed = e.config.Now()
	e.parts.Stats.Recoveries.Add(1)
	e.parts.Stats.Ready.Store(true)
	e.pump()
}

// adopt takes one more lane. Its tail has to be read, so the exporter recovers.
func (e *Exporter) adopt(m *Adopt) {
	if _, known := e.lanes[m.Lane.Lease.Lane]; known {
		return
	}
	e.adopted(m.Lane)
	e.addLane(m.Lane)
	e.startOver()
}

func (e *Exporter) addLane(l Lane) {
	added := &lane{
		id: l.Lease.Lane, lease: l.Lease, collector: l.Collector, cursor: 1,
		held: make(map[messages.Sequence]*messages.Segment),
	}
	e.lanes[added.id] = added
	e.order = append(e.order, added)
}

// release forgets a lane, without a word to anybody.
func (e *Exporter) release(m *Release) {
	e.forget(m.Lane)
	e.pump()
}

func (e *Exporter) forget(id messages.LaneID) {
	delete(e.lanes, id)
	for i, l := range e.order {
		if l.id == id {
			e.order = append(e.order[:i:i], e.order[i+1:]...)
			break
		}
	}
	e.dropped(id)
}

// lose gives up a lane that somebody else owns.
func (e *Exporter) lose(id messages.LaneID, err error) {
	e.forget(id)
	e.log.Error("lane lost", zap.String("lane", string(id)), zap.Error(err))
	e.parts.Lost(id, fmt.Errorf("exporter of lane %s: %w", id, err))
}

func (e *Exporter) stop() {
	e.parts.Stats.Ready.Store(false)
	e.generation++
	if e.end != nil {
		e.end()
		e.steps.Wait()
	}
	e.opened.close()
	if e.sink != nil {
		e.sink.Close()
	}
}
