// Package exporter is the actor that carries events from the edge journal to
// Kafka, each exactly once.
package exporter

import (
	"context"
	"sync"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"go.uber.org/zap"

	"adpulse/messages"
)

// Exporter carries the events of its lanes to Kafka, each exactly once.
//
// It hears  Appended   from its lanes' collectors: a segment is in the journal,
//
//	Adopt      from the node: one more lane is its own,
//	Release    from the node: one is not any more,
//	Drain      from the node: say when the lanes are empty,
//	recovered, read, prepared, committed, checkpointed, trimmed
//	           from its own steps.
//
// It says   Exported   to a lane's collector: how far the lane is in Kafka,
//
//	Drained    to who asked.
//
// It takes the segments of a lane in order, from memory while it keeps up and
// from the journal when it has fallen behind. Batches of whole segments pass
// through two steps: their change records are written, which also finds clients'
// duplicates, then they go to Kafka in one transaction. Checkpoints follow
// behind. When it starts, and whenever a commit's outcome is not known, it
// recovers: it fences its predecessor, reads the topic's tail behind the
// checkpoints, and goes on from there without what it found.
type Exporter struct {
	config Config
	parts  Parts
	log    *zap.Logger

	generation uint64 // of steps; moves with every recovery, so that late answers are dropped
	self       *actor.PID
	root       *actor.RootContext
	life       context.Context // of this incarnation
	end        context.CancelFunc
	ctx        context.Context // of this generation's steps
	cancel     context.CancelFunc
	steps      *sync.WaitGroup // of this generation

	phase    phase
	sink     Sink
	opened   *opened // by a recovery that is under way
	lanes    map[messages.LaneID]*lane
	order    []*lane // round robin over lanes
	turn     int
	pipeline []*batch // in order: committing or prepared first
	// ends is, by partition, the offset behind everything that this exporter
	// has produced or has read in the tail.
	ends     messages.Offsets
	failures int // in a row, for the back-off

	transactions  int // since the last checkpoint
	checkpointed  time.Time
	checkpointing bool
	trimming      bool
	trimmedAt     time.Time
	drains        []*actor.PID

	// adopted and dropped keep the lanes for the incarnations to come.
	adopted func(Lane)
	dropped func(messages.LaneID)
}

type phase uint8

const (
	recovering phase = iota
	exporting
)

// Adopt gives the exporter a lane.
type Adopt struct{ Lane Lane }

// ControlMessage puts Adopt on the control lane.
func (*Adopt) ControlMessage() {}

// Release takes a lane away that has nothing left to export.
type Release struct{ Lane messages.LaneID }

// ControlMessage puts Release on the control lane.
func (*Release) ControlMessage() {}

// Drain asks the exporter to answer with Drained once every segment of its
// lanes is in Kafka and the checkpoints say so. The lanes' collectors must have
// stopped writing.
type Drain struct{}

// ControlMessage puts Drain on the control lane.
func (*Drain) ControlMessage() {}

// Drained answers Drain.
type Drained struct{}

// ControlMessage puts Drained on the control lane.
func (*Drained) ControlMessage() {}

// Answers of the exporter's own steps. All are control messages; generation
// makes those of before a recovery, or of an old incarnation, harmless.
type (
	recoveredStep struct {
		generation uint64
		tail       *tail
		err        error
	}
	readStep struct {
		generation uint64
		lane       *lane
		segments   []*messages.Segment
		err        error
	}
	preparedStep struct {
		generation uint64
		batch      *batch
		err        error
	}
	committedStep struct {
		generation uint64
		batch      *batch
		ends       messages.Offsets
		took       time.Duration
		err        error
	}
	checkpointedStep struct {
		generation uint64
		moved      []moved
		err        error
	}
	trimmedStep struct {
		generation uint64
		trimmed    []moved
		err        error
	}
	tick  struct{ generation uint64 }
	retry struct {
		generation uint64
		step       func()
	}
)

func (*recoveredStep) ControlMessage()    {}
func (*readStep) ControlMessage()         {}
func (*preparedStep) ControlMessage()     {}
func (*committedStep) ControlMessage()    {}
func (*checkpointedStep) ControlMessage() {}
func (*trimmedStep) ControlMessage()      {}
func (*tick) ControlMessage()             {}
func (*retry) ControlMessage()            {}

// Props tells Proto.Actor how to make (and remake) an exporter of these lanes.
func Props(config Config, parts Parts, lanes []Lane, options ...actor.PropsOption) *actor.Props {
	book := &laneBook{lanes: lanes}
	return actor.PropsFromProducer(func() actor.Actor {
		e := &Exporter{
			config: config, parts: parts, generation: book.incarnation(),
			log:   parts.Log.With(zap.String("exporter", parts.TransactionalID)),
			lanes: make(map[messages.LaneID]*lane),
		}
		for _, l := range book.all() {
			e.addLane(l)
		}
		e.adopted, e.dropped = book.add, book.drop
		return e
	}, options...)
}

// Receive implements actor.Actor.
func (e *Exporter) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *actor.Started:
		e.start(ctx)
	case *messages.Appended:
		e.hint(m)
	case *Adopt:
		e.adopt(m)
	case *Release:
		e.release(m)
	case *recoveredStep:
		e.recovered(m)
	case *readStep:
		e.read(m)
	case *preparedStep:
		e.prepared(m)
	case *committedStep:
		e.committed(m)
	case *checkpointedStep:
		e.checkpointMoved(m)
	case *trimmedStep:
		e.trimmed(m)
	case *retry:
		e.again(m)
	case *tick:
		e.tick(m)
	case *Drain:
		e.drain(ctx)
	case *actor.Restarting, *actor.Stopping:
		e.stop()
	}
}
