package exporter

import (
	"context"
	"errors"
	"maps"

	"github.com/asynkron/protoactor-go/actor"
	"go.uber.org/zap"

	"adpulse/messages"
)

// moved is a checkpoint that was written, or a lane's trim.
type moved struct {
	lane       *lane
	checkpoint messages.Checkpoint
	err        error
}

// moveCheckpoints writes the checkpoints of the lanes that have gone on, when
// enough has happened since the last time.
func (e *Exporter) moveCheckpoints() {
	now := e.config.Now()
	due := now.Sub(e.checkpointed) >= e.config.CheckpointEvery || e.transactions >= e.config.CheckpointTransactions ||
		len(e.drains) > 0 && len(e.pipeline) == 0
	if e.checkpointing || !due {
		return
	}
	var steps []moved
	var leases []messages.Lease
	for _, l := range e.order {
		if l.done > l.checkpoint.Seq {
			steps = append(steps, moved{lane: l, checkpoint: messages.Checkpoint{
				Seq: l.done, Offsets: maps.Clone(l.offsets(e.ends)), Events: l.doneEvents, Trimmed: l.checkpoint.Trimmed,
			}})
			leases = append(leases, l.lease)
		}
	}
	e.checkpointed, e.transactions = now, 0
	if len(steps) == 0 {
		return
	}
	e.checkpointing = true
	generation := e.generation
	e.goDo(func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(ctx, e.config.StepTimeout)
		defer cancel()
		var all error
		for i := range steps {
			steps[i].err = e.parts.Journal.MoveCheckpoint(ctx, leases[i], steps[i].checkpoint)
			all = errors.Join(all, steps[i].err)
		}
		e.root.Send(e.self, &checkpointedStep{generation, steps, all})
	})
}

func (e *Exporter) checkpointMoved(m *checkpointedStep) {
	if m.generation != e.generation {
		return
	}
	e.checkpointing = false
	for _, step := range m.moved {
		switch {
		case step.err == nil:
			trimmed := max(step.lane.checkpoint.Trimmed, step.checkpoint.Trimmed)
			step.lane.checkpoint = step.checkpoint
			step.lane.checkpoint.Trimmed = trimmed
			step.lane.trims = append(step.lane.trims, trimMark{step.checkpoint.Seq, e.config.Now()})
		case errors.Is(step.err, messages.ErrFenced):
			e.lose(step.lane.id, step.err)
		}
	}
	if m.err != nil {
		e.parts.Stats.Failures.Add(1)
		e.log.Warn("checkpoint not moved; trying again", zap.Error(m.err))
		return
	}
	e.pump()
}

// trim removes the segments of checkpoints that are older than the trim delay.
func (e *Exporter) trim() {
	now := e.config.Now()
	if e.trimming || now.Sub(e.trimmedAt) < e.config.TrimEvery || len(e.drains) > 0 {
		return
	}
	e.trimmedAt = now
	var steps []moved
	for _, l := range e.order {
		upTo := messages.Sequence(0)
		for len(l.trims) > 0 && now.Sub(l.trims[0].at) >= e.config.TrimDelay {
			upTo = l.trims[0].seq
			l.trims = l.trims[1:]
		}
		if upTo > l.checkpoint.Trimmed {
			steps = append(steps, moved{lane: l, checkpoint: messages.Checkpoint{Seq: upTo, Trimmed: l.checkpoint.Trimmed}})
		}
	}
	if len(steps) == 0 {
		return
	}
	e.trimming = true
	generation := e.generation
	e.goDo(func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(ctx, e.config.StepTimeout)
		defer cancel()
		var all error
		for i := range steps {
			c := &steps[i].checkpoint
			steps[i].err = e.parts.Journal.Trim(ctx, steps[i].lane.id, c.Trimmed+1, c.Seq)
			all = errors.Join(all, steps[i].err)
		}
		e.root.Send(e.self, &trimmedStep{generation, steps, all})
	})
}

// trimmed takes note; the next checkpoint of the lane stores it. What was
// removed but not noted before a crash is removed again, which does nothing.
func (e *Exporter) trimmed(m *trimmedStep) {
	if m.generation != e.generation {
		return
	}
	e.trimming = false
	for _, step := range m.trimmed {
		if step.err == nil {
			step.lane.checkpoint.Trimmed = step.checkpoint.Seq
		} else {
			step.lane.trims = append([]trimMark{{step.checkpoint.Seq, e.trimmedAt}}, step.lane.trims...)
		}
	}
	if m.err != nil {
		e.parts.Stats.Failures.Add(1)
		e.log.Warn("journal not trimmed; trying again", zap.Error(m.err))
	}
}

// drain looks at every lane's journal once more, and says when all is done.
func (e *Exporter) drain(ctx actor.Context) {
	e.drains = append(e.drains, ctx.Sender())
	for _, l := range e.order {
		l.behind = true
	}
	e.pump()
}

// sayDrained answers Drain once nothing is left: every lane's journal was found
// to have no more, and the checkpoints are behind everything.
func (e *Exporter) sayDrained() {
	if len(e.drains) == 0 || len(e.pipeline) > 0 || e.checkpointing {
		return
	}
	for _, l := range e.order {
		if l.reading || l.behind || len(l.held) > 0 || l.done > l.checkpoint.Seq {
			return
		}
	}
	for _, asker := range e.drains {
		e.root.Send(asker, &Drained{})
	}
	e.drains = nil
}
