package system

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"go.uber.org/zap"

	"adpulse/messages"
	"adpulse/system/edge"
	"adpulse/system/stream"
	"adpulse/system/telemetry"
)

// VerifyOptions are what Verify looks at.
type VerifyOptions struct {
	// All reads the whole topic and every segment that is still in the journal;
	// otherwise what lies behind the checkpoints. It takes some 150 bytes of
	// memory for each message of the topic.
	All bool
	// Offline opens the embedded stores of Config.DataDir, whose node must not
	// run. Otherwise they are reached where they listen.
	Offline bool
	// Progress, where set, hears of messages read and in all.
	Progress func(done, total int64)
}

// Verification is what journal, checkpoints, change records and topic say
// about each other.
type Verification struct {
	Lanes []LaneState `json:"lanes"`
	// Messages were read from the topic.
	Messages int64 `json:"messages_read"`
	// PendingSegments and PendingEvents are in the journal and not yet behind a
	// checkpoint: what is on its way.
	PendingSegments int `json:"pending_segments"`
	PendingEvents   int `json:"pending_events"`
	// Problems are contradictions: events lost, or there twice. Warnings are
	// what may become one.
	Problems []Finding `json:"problems"`
	Warnings []Finding `json:"warnings"`
}

// Agree tells that nothing is wrong.
func (v *Verification) Agree() bool { return len(v.Problems) == 0 }

// Finding is one kind of thing that is wrong.
type Finding struct {
	What  string `json:"what"`
	Count int    `json:"count"`
	// Examples are some of them.
	Examples []string `json:"examples"`
}

// LaneState is a lane as it was found.
type LaneState struct {
	Lane    messages.LaneID `json:"lane"`
	Owner   string          `json:"owner"`
	Epoch   messages.Epoch  `json:"epoch"`
	Expires time.Time       `json:"lease_expires"`
	Retired bool            `json:"retired"`
	// Trimmed, Checkpoint and Head are sequences: removed from the journal,
	// known to be in the topic, last written.
	Trimmed    messages.Sequence `json:"trimmed"`
	Checkpoint messages.Sequence `json:"checkpoint"`
	Head       messages.Sequence `json:"head"`
	// Pending is what lies between Checkpoint and Head, in events.
	Pending int `json:"pending_events"`

	offsets messages.Offsets
}

// Verify reads journal, checkpoints, change records and topic and holds them
// against each other. It changes nothing, save that opening an embedded Kafka
// aborts what its node left open.
//
// A node that runs moves while it is read: the checkpoints are read first, so
// that whatever they say must be found in what is read later.
func Verify(ctx context.Context, c Config, o VerifyOptions) (_ *Verification, err error) {
	log := zap.NewNop()
	edgeAt, kafkaAt := c.EdgeListen, c.KafkaListen
	if o.Offline {
		dir, err := openDataDir(c.DataDir)
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, dir.Close()) }()
		if c.Edge == "" {
			server, err := startAerospike(&c, dir.sub(edgeName), c.EdgeListen, "edge-listen", log)
			if err != nil {
				return nil, err
			}
			defer func() { err = errors.Join(err, server.Close()) }()
			edgeAt = server.Addr().String()
		}
		if c.Kafka == "" {
			server, err := startBroker(ctx, &c, dir.sub(kafkaName), log)
			if err != nil {
				return nil, err
			}
			defer func() { err = errors.Join(err, server.Close()) }()
			kafkaAt = server.Addr().String()
		}
	}
	store, err := openEdge(ctx, &c, edgeAt, log, telemetry.New(), time.Now)
	if err != nil {
		return nil, notRunning("edge", c.Edge, err)
	}
	defer store.Close()
	topic, err := openStream(ctx, &c, kafkaAt, false, log, nil)
	if err != nil {
		return nil, notRunning("kafka", c.Kafka, err)
	}
	defer topic.Close()
	v := verifier{store: store, topic: topic, options: o, found: &Verification{}}
	for _, step := range []func(context.Context) error{v.readLanes, v.readTopic, v.readJournal} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	return v.found, nil
}

// notRunning says what to do where no node listens.
func notRunning(flag, given string, err error) error {
	if given != "" {
		return err
	}
	return &FlagError{flag, err.Error(), "start the node, look at a stopped one with --offline, or name --edge and --kafka"}
}

// verifier is one Verify.
type verifier struct {
	store   *edge.Store
	topic   *stream.Stream
	options VerifyOptions
	found   *Verification
	// there is where each origin lies in the topic, as far as it was read.
	there map[messages.Origin]position
	// whole: the topic was read from its very beginning.
	whole bool
}

// position is where a message lies in the topic.
type position struct {
	partition int32
	offset    int64
}

func (p position) String() string { return fmt.Sprintf("%d/%d", p.partition, p.offset) }

// examplesMax bounds a finding's examples.
const examplesMax = 10

func note(findings *[]Finding, what, format string, args ...any) {
	i := slices.IndexFunc(*findings, func(f Finding) bool { return f.What == what })
	if i < 0 {
		*findings = append(*findings, Finding{What: what})
		i = len(*findings) - 1
	}
	f := &(*findings)[i]
	if f.Count++; len(f.Examples) < examplesMax {
		f.Examples = append(f.Examples, fmt.Sprintf(format, args...))
	}
}

func (v *verifier) problem(what, format string, args ...any) {
	note(&v.found.Problems, what, format, args...)
}

func (v *verifier) warn(what, format string, args ...any) {
	note(&v.found.Warnings, what, format, args...)
}

// readLanes takes down what the lanes' records and checkpoints say.
func (v *verifier) readLanes(ctx context.Context) error {
	lanes, err := v.store.Lanes(ctx)
	if err != nil {
		return err
	}
	slices.SortFunc(lanes, func(a, b messages.Lease) int {
		if a.Lane < b.Lane {
			return -1
		}
		return 1
	})
	for _, l := range lanes {
		checkpoint, known, err := v.store.Checkpoint(ctx, l.Lane)
		if err != nil {
			return err
		}
		head, err := v.store.Head(ctx, l.Lane, checkpoint.Seq)
		if err != nil {
			return err
		}
		state := LaneState{
			Lane: l.Lane, Owner: l.Owner, Epoch: l.Epoch, Expires: l.Expires, Retired: l.Retired,
			Trimmed: checkpoint.Trimmed, Checkpoint: checkpoint.Seq, Head: head, offsets: checkpoint.Offsets,
		}
		if !known {
			state.offsets = nil
		}
		if checkpoint.Trimmed > checkpoint.Seq {
			v.problem("segments trimmed that are not exported", "lane %s: trimmed to %d, checkpoint at %d", l.Lane, checkpoint.Trimmed, checkpoint.Seq)
		}
		if l.Retired && head > checkpoint.Seq {
			v.problem("retired lane with a backlog", "lane %s: head at %d, checkpoint at %d", l.Lane, head, checkpoint.Seq)
		}
		v.found.Lanes = append(v.found.Lanes, state)
	}
	return nil
}

// readTopic reads what lies behind the checkpoints, or everything, and looks
// for events that are there twice.
func (v *verifier) readTopic(ctx context.Context) error {
	starts, err := v.topic.StartOffsets(ctx)
	if err != nil {
		return err
	}
	ends, err := v.topic.EndOffsets(ctx)
	if err != nil {
		return err
	}
	from, reached := v.from(starts, ends)
	stable, err := v.settled(ctx, reached)
	if err != nil {
		return err
	}
	total := int64(0)
	for partition, end := range stable {
		total += max(0, end-max(from[partition], starts[partition]))
		v.whole = v.whole && starts[partition] == 0
	}
	v.there = make(map[messages.Origin]position, min(total, 1<<20))
	ids := make(map[messages.EventID]position, min(total, 1<<20))
	// A Kafka that goes away leaves its readers waiting.
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silent := time.AfterFunc(silentFor, func() {
		cancel(fmt.Errorf("nothing came for %s", silentFor))
	})
	defer silent.Stop()
	err = v.topic.Scan(ctx, from, stable, func(m stream.Message) {
		if v.found.Messages++; v.found.Messages%1000 == 0 {
			silent.Reset(silentFor)
		}
		if v.options.Progress != nil && v.found.Messages%1000 == 0 {
			v.options.Progress(v.found.Messages, total)
		}
		at := position{m.Partition, m.Offset}
		id, err := messages.ChangeRecordID(m.Value)
		if err != nil {
			v.warn("messages that are no change records", "%s: %v", at, err)
			return
		}
		if first, twice := ids[id]; twice {
			v.problem("events in the topic twice", "event %s at %s and %s", id, first, at)
		} else {
			ids[id] = at
		}
		origin, err := messages.ParseOrigin(m.Headers[stream.OriginHeader])
		if err != nil {
			v.warn("messages without an origin: a recovery cannot tell them from new ones", "%s", at)
			return
		}
		v.there[origin] = at
	})
	if err != nil {
		return err
	}
	return nil
}

// from is where the topic has to be read from, and how far it must be readable
// for what the checkpoints say to be found.
func (v *verifier) from(starts, ends messages.Offsets) (from, reached messages.Offsets) {
	from, reached = maps.Clone(ends), messages.Offsets{}
	for _, l := range v.found.Lanes {
		for partition, end := range ends {
			at := l.offsets[partition]
			if at < starts[partition] && l.Head > l.Checkpoint {
				v.warn("the topic no longer holds what lies behind a checkpoint: it may be exported again",
					"lane %s: partition %d, checkpoint at %d, first offset kept is %d", l.Lane, partition, at, starts[partition])
			}
			if at > end {
				v.problem("checkpoint behind the topic's end: the topic was replaced, or cut", "lane %s: partition %d, checkpoint at %d, end at %d", l.Lane, partition, at, end)
			}
			from[partition] = min(from[partition], at)
			reached[partition] = max(reached[partition], min(at, end))
		}
	}
	if v.options.All {
		v.whole = true
		from = messages.Offsets{}
	}
	return from, reached
}

// silentFor bounds how long the topic may give nothing.
const silentFor = 30 * time.Second

// stuckAfter is how long a transaction may hold up readers before it is told.
const stuckAfter = 10 * time.Second

// settled returns how far the topic can be read. Another exporter's open
// transaction may hide for a moment what a checkpoint knows to be committed.
func (v *verifier) settled(ctx context.Context, reached messages.Offsets) (messages.Offsets, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*stuckAfter)
	defer cancel()
	stuck := time.NewTimer(stuckAfter)
	defer stuck.Stop()
	for {
		stable, err := v.topic.CommittedOffsets(ctx)
		if err != nil {
			return nil, err
		}
		hidden := slices.DeleteFunc(slices.Sorted(maps.Keys(reached)), func(p int32) bool { return stable[p] >= reached[p] })
		if len(hidden) == 0 {
			return stable, nil
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-stuck.C:
			v.whole = false
			for _, p := range hidden {
				v.warn("an open transaction holds up the topic's readers", "partition %d: readable up to %d, a checkpoint is at %d", p, stable[p], reached[p])
			}
			return stable, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}
