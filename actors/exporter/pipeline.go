package exporter

import (
	"context"
	"time"

	"go.uber.org/zap"

	"adpulse/messages"
)

// batch is a run of whole segments on its way through the two steps.
type batch struct {
	parts    []part
	records  []messages.ChangeRecord
	outbound []messages.Outbound
	arena    []byte // what the outbound values are made of
	found    Counts // events that the tail already has
	stage    stage
}

// part is what a batch holds of one lane: everything up to last.
type part struct {
	lane   *lane
	last   messages.Sequence
	events uint64 // of the lane, up to last
}

type stage uint8

const (
	preparing stage = iota
	ready
	committing
)

// hint takes a segment from memory.
func (e *Exporter) hint(m *messages.Appended) {
	if l := e.lanes[m.Segment.Lane]; l != nil {
		// Hints come in order: a sequence left out is one to be read.
		if m.Segment.Seq > l.cursor && l.held[m.Segment.Seq-1] == nil {
			l.behind = true
		}
		l.hold(m.Segment)
		if e.phase == exporting {
			e.pump()
		}
	}
}

// pump starts every step that can be started.
func (e *Exporter) pump() {
	if e.phase != exporting {
		return
	}
	for len(e.pipeline) <= e.config.Prepared {
		b := e.gather()
		if b == nil {
			break
		}
		e.pipeline = append(e.pipeline, b)
		e.prepare(b)
	}
	if len(e.pipeline) > 0 && e.pipeline[0].stage == ready {
		e.commit(e.pipeline[0])
	}
	for _, l := range e.order {
		e.readOn(l)
	}
	e.moveCheckpoints()
	e.trim()
	e.sayDrained()
}

// gather makes a batch of what is in memory, lane by lane in turn.
func (e *Exporter) gather() *batch {
	var b batch
	for range e.order {
		l := e.order[e.turn%len(e.order)]
		e.turn++
		var p part
		for len(b.records) < e.config.TransactionEvents {
			s := l.take()
			if s == nil {
				break
			}
			p = part{lane: l, last: s.Seq, events: max(p.events, s.Base+uint64(len(s.Events)))}
			b.add(s, l.found[s.Seq])
		}
		if p.lane != nil {
			b.parts = append(b.parts, p)
		}
		if len(b.records) >= e.config.TransactionEvents {
			break
		}
	}
	if len(b.parts) == 0 {
		return nil
	}
	return &b
}

// add takes a segment's events, except those that are in Kafka already.
func (b *batch) add(s *messages.Segment, found *places) {
	for i := range s.Events {
		if found.has(uint32(i)) {
			b.found[s.Events[i].Type]++
			continue
		}
		b.records = append(b.records, messages.ChangeRecord{
			Origin: messages.Origin{Lane: s.Lane, Seq: s.Seq, Index: uint32(i)},
			Event:  &s.Events[i],
		})
	}
}

// prepare writes the change records and encodes what goes to Kafka.
func (e *Exporter) prepare(b *batch) {
	b.stage = preparing
	generation := e.generation
	e.goDo(func(ctx context.Context) {
		var err error
		if len(b.records) > 0 {
			step, cancel := context.WithTimeout(ctx, e.config.StepTimeout)
			err = e.parts.Journal.WriteChangeRecords(step, b.records)
			cancel()
		}
		if err == nil {
			b.encode(e.config.Keyspace)
		}
		e.root.Send(e.self, &preparedStep{generation, b, err})
	})
}

// messageOverhead is what a change record's JSON has beside body and source.
const messageOverhead = 400

func (b *batch) encode(space messages.Keyspace) {
	size := 0
	for i := range b.records {
		size += b.records[i].Event.Size() + messageOverhead
	}
	b.arena = make([]byte, 0, size)
	b.outbound = make([]messages.Outbound, 0, len(b.records))
	for i := range b.records {
		r := &b.records[i]
		if r.Outcome == messages.Duplicate {
			continue
		}
		start := len(b.arena)
		b.arena = messages.AppendChangeRecord(b.arena, space, r.Digest, r.Event)
		b.outbound = append(b.outbound, messages.Outbound{
			Origin: r.Origin, Key: r.Digest[:], Value: b.arena[start:len(b.arena):len(b.arena)],
		})
	}
}

func (e *Exporter) prepared(m *preparedStep) {
	if m.generation != e.generation {
		return
	}
	if m.err != nil {
		e.fail("writing change records", m.err, func() { e.prepare(m.batch) })
		return
	}
	e.failures = 0
	m.batch.stage = ready
	e.pump()
}

// commit sends the first batch to Kafka. One transaction is open at a time, so
// that the lanes stay in order.
func (e *Exporter) commit(b *batch) {
	b.stage = committing
	generation, sink := e.generation, e.sink
	started := e.config.Now()
	e.goDo(func(ctx context.Context) {
		var (
			ends messages.Offsets
			err  error
		)
		if len(b.outbound) > 0 {
			step, cancel := context.WithTimeout(ctx, e.config.CommitTimeout)
			ends, err = sink.Commit(step, b.outbound)
			cancel()
		}
		e.root.Send(e.self, &committedStep{generation, b, ends, e.config.Now().Sub(started), err})
	})
}

func (e *Exporter) committed(m *committedStep) {
	if m.generation != e.generation {
		return
	}
	if m.err != nil {
		if e.parts.Stream.Aborted(m.err) {
			e.fail("transaction (aborted)", m.err, func() { e.commit(m.batch) })
		} else {
			e.fail("transaction (outcome to be read from the tail)", m.err, e.startOver)
		}
		return
	}
	e.failures = 0
	for partition, end := range m.ends {
		e.ends[partition] = max(e.ends[partition], end)
	}
	e.pipeline = e.pipeline[1:]
	for _, p := range m.batch.parts {
		p.lane.finish(p)
		e.tell(p.lane)
	}
	e.transactions++
	e.count(m)
	e.pump()
}

func (e *Exporter) count(m *committedStep) {
	stats, b := e.parts.Stats, m.batch
	if len(b.outbound) > 0 {
		stats.Transactions.Add(1)
	}
	var exported, duplicates Counts
	for i := range b.records {
		if r := &b.records[i]; r.Outcome == messages.Duplicate {
			duplicates[r.Event.Type]++
		} else {
			exported[r.Event.Type]++
		}
	}
	// What a later recovery finds in the tail was committed by this process,
	// which never heard of it; what the first one finds was by an earlier one.
	if stats.Recoveries.Load() > 1 {
		exported.add(b.found)
	}
	stats.Exported.Add(uint64(exported.sum()))
	stats.Duplicates.Add(uint64(duplicates.sum()))
	stats.Replayed.Add(uint64(b.found.sum()))
	if stats.Observe != nil {
		stats.Observe(exported, duplicates, m.took)
	}
}

// tell lets a lane's collector know how far the lane is in Kafka.
func (e *Exporter) tell(l *lane) {
	if l.collector != nil {
		e.root.Send(l.collector, &messages.Exported{Lane: l.id, Seq: l.done, Events: l.doneEvents})
	}
}

// readOn reads the journal for a lane that memory does not have the next
// segment of.
func (e *Exporter) readOn(l *lane) {
	if l.reading || !l.behind || l.held[l.cursor] != nil || len(e.pipeline) > e.config.Prepared {
		return
	}
	l.reading = true
	generation, from, most := e.generation, l.cursor, l.missing(e.config.ReadSegments)
	e.goDo(func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(ctx, e.config.StepTimeout)
		defer cancel()
		segments, err := e.parts.Journal.Read(ctx, l.id, from, most, e.config.ReadBytes)
		e.root.Send(e.self, &readStep{generation, l, segments, err})
	})
}

// read takes what the journal had. The lane is behind until a read finds
// nothing more.
func (e *Exporter) read(m *readStep) {
	if m.generation != e.generation {
		return
	}
	if m.err != nil {
		// Until then nothing else makes it read.
		e.fail("reading the journal", m.err, func() {
			m.lane.reading = false
			e.pump()
		})
		return
	}
	m.lane.reading = false
	for _, s := range m.segments {
		m.lane.hold(s)
	}
	m.lane.behind = len(m.segments) > 0
	e.pump()
}

// fail counts a failed step and does it again after a growing delay.
func (e *Exporter) fail(step string, err error, again func()) {
	e.failures++
	e.parts.Stats.Failures.Add(1)
	delay := e.config.RetryDelay << min(e.failures-1, 16)
	if delay > e.config.RetryDelayMax || delay <= 0 {
		delay = e.config.RetryDelayMax
	}
	e.log.Warn("export step failed; trying again", zap.String("step", step), zap.Duration("after", delay), zap.Error(err))
	generation := e.generation
	e.after(delay, func() { e.root.Send(e.self, &retry{generation, again}) })
}

func (e *Exporter) again(m *retry) {
	if m.generation == e.generation {
		m.step()
	}
}

// tick looks at idle lanes, checkpoints and trims.
func (e *Exporter) tick(m *tick) {
	if m.generation/generationsPerIncarnation != e.generation/generationsPerIncarnation {
		return
	}
	for _, l := range e.order {
		if l.held[l.cursor] == nil {
			l.behind = true
		}
	}
	e.pump()
	e.scheduleTick()
}

// scheduleTick outlives recoveries: its wait belongs to no generation's steps,
// and ends with the incarnation.
func (e *Exporter) scheduleTick() {
	life, generation, root, self := e.life, e.generation, e.root, e.self
	e.config.Go(func() {
		if e.config.Wait(life, e.config.Poll) == nil {
			root.Send(self, &tick{generation})
		}
	})
}

// goDo runs a step beside the actor; whoever ends the generation waits for it.
func (e *Exporter) goDo(step func(context.Context)) {
	ctx, steps := e.ctx, e.steps
	steps.Add(1)
	e.config.Go(func() {
		defer steps.Done()
		step(ctx)
	})
}

// after runs f once d has passed, unless the generation ends before.
func (e *Exporter) after(d time.Duration, f func()) {
	e.goDo(func(ctx context.Context) {
		if e.config.Wait(ctx, d) == nil {
			f()
		}
	})
}
