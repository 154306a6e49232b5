package system

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"adpulse/messages"
)

// edgeModel is the edge store: records in memory, with generations. What is
// built on them is what edge.Store promises; a test compares the two.
type edgeModel struct {
	w           *world
	journal     map[messages.LaneID]map[messages.Sequence]*messages.Segment
	lanes       map[messages.LaneID]versioned[messages.Lease]
	names       []messages.LaneID // of lanes, in the order of their registration
	checkpoints map[messages.LaneID]versioned[ownedCheckpoint]
	events      map[messages.EventID]messages.Origin
	// landed is every event that ever was in the journal, checked how far each
	// lane's checkpoint was looked at.
	landed  map[messages.Origin]messages.EventID
	known   map[messages.EventID]bool
	checked map[messages.LaneID]messages.Sequence
}

// versioned is a record with its generation; 0 is no record.
type versioned[T any] struct {
	value      T
	generation uint32
}

type ownedCheckpoint struct {
	messages.Checkpoint
	epoch messages.Epoch
}

var (
	errExists     = errors.New("record exists")
	errGeneration = errors.New("wrong generation")
)

func newEdgeModel(w *world) *edgeModel {
	return &edgeModel{
		w:       w,
		journal: map[messages.LaneID]map[messages.Sequence]*messages.Segment{},
		lanes:   map[messages.LaneID]versioned[messages.Lease]{}, checkpoints: map[messages.LaneID]versioned[ownedCheckpoint]{},
		events: map[messages.EventID]messages.Origin{}, landed: map[messages.Origin]messages.EventID{},
		known: map[messages.EventID]bool{}, checked: map[messages.LaneID]messages.Sequence{},
	}
}

// create makes a journal record, which must not exist.
func (e *edgeModel) create(s *messages.Segment) error {
	lane := e.journal[s.Lane]
	if lane == nil {
		lane = map[messages.Sequence]*messages.Segment{}
		e.journal[s.Lane] = lane
	}
	if lane[s.Seq] != nil && e.w.mistake != overwritesSegments {
		return errExists
	}
	lane[s.Seq] = s
	for i := range s.Events {
		e.landed[messages.Origin{Lane: s.Lane, Seq: s.Seq, Index: uint32(i)}] = s.Events[i].ID
		e.known[s.Events[i].ID] = true
	}
	return nil
}

func (e *edgeModel) remove(lane messages.LaneID, seq messages.Sequence) {
	if at := e.checkpoints[lane].value.Seq; e.journal[lane][seq] != nil && seq > at {
		e.w.violate("segment %s is trimmed, the checkpoint is at %d", place(lane, seq), at)
	}
	if e.journal[lane][seq] != nil {
		e.w.seen["segment trimmed"]++
		delete(e.journal[lane], seq)
	}
}

func (e *edgeModel) head(lane messages.LaneID) messages.Sequence {
	highest := messages.Sequence(0)
	for seq := range e.journal[lane] {
		highest = max(highest, seq)
	}
	return highest
}

func (e *edgeModel) swapLane(generation uint32, next messages.Lease) error {
	now := e.lanes[next.Lane]
	if now.generation != generation {
		return errGeneration
	}
	if generation == 0 {
		e.names = append(e.names, next.Lane)
	}
	e.lanes[next.Lane] = versioned[messages.Lease]{next, generation + 1}
	return nil
}

func (e *edgeModel) swapCheckpoint(lane messages.LaneID, generation uint32, next ownedCheckpoint) error {
	if e.checkpoints[lane].generation != generation {
		return errGeneration
	}
	next.Offsets = maps.Clone(next.Offsets)
	e.checkpoints[lane] = versioned[ownedCheckpoint]{next, generation + 1}
	for seq := e.checked[lane] + 1; seq <= next.Seq; seq++ {
		e.checkPassed(lane, seq)
	}
	e.checked[lane] = max(e.checked[lane], next.Seq)
	return nil
}

// checkPassed holds a checkpoint to its word: behind it lies nothing that is
// not in the topic, save a duplicate of what is, or will be, there.
func (e *edgeModel) checkPassed(lane messages.LaneID, seq messages.Sequence) {
	s := e.journal[lane][seq]
	if s == nil {
		e.w.violate("the checkpoint of lane %s passes %d, which the journal does not hold", lane, seq)
		return
	}
	for i := range s.Events {
		id, origin := s.Events[i].ID, messages.Origin{Lane: lane, Seq: seq, Index: uint32(i)}
		owner, known := e.events[id]
		switch {
		case e.w.kafka.committed[id] > 0:
		case known && owner != origin && e.journal[owner.Lane][owner.Seq] != nil && owner.Seq > e.checkpoints[owner.Lane].value.Seq:
			// Dropped here: the event is still on its way from there.
		default:
			e.w.violate("the checkpoint of lane %s passes %s, whose event %s is not in the topic", lane, origin, name(id))
		}
	}
}

// edgeView is the edge store as one process reaches it. It does what
// edge.Store does, request by request.
type edgeView struct {
	w *world
	p *process
}

// Append implements Journal.
func (v edgeView) Append(ctx context.Context, segment *messages.Segment) error {
	s := *segment
	what := text(func() string { return fmt.Sprintf("append %s %s", place(s.Lane, s.Seq), namesOf(s.Events)) })
	o, failure := v.w.decide(ctx, what, func() error { return v.w.edge.create(&s) }, nil)
	if failure != nil && v.w.mistake == acknowledgesBeforeTheWrite {
		return nil
	}
	existed := errors.Is(failure, errExists)
	if failure == nil || !existed && o == refused {
		return failure
	}
	err := v.w.read(ctx, func() string { return "read back " + place(s.Lane, s.Seq) }, nil)
	there := v.w.edge.journal[s.Lane][s.Seq]
	switch {
	case err != nil:
		return fmt.Errorf("%w: %w; reading it back: %w", messages.ErrOutcomeUnknown, failure, err)
	case there == nil && existed:
		return fmt.Errorf("%w: it existed and is gone", messages.ErrOutcomeUnknown)
	case there == nil:
		return failure
	case there.Epoch > s.Epoch:
		v.w.seen["append fenced"]++
		return messages.ErrFenced
	case there.Epoch == s.Epoch && there.Token == s.Token:
		v.w.seen["append made up for"]++
		return nil
	default:
		v.w.seen["append behind another's"]++
		return messages.ErrTaken
	}
}

// Read implements Journal. It returns a copy of each segment, as a store does.
func (v edgeView) Read(
	ctx context.Context, lane messages.LaneID, from messages.Sequence, segmentsMax, _ int,
) (segments []*messages.Segment, err error) {
	if err := v.w.read(ctx, func() string { return "read from " + place(lane, from) }, nil); err != nil {
		return nil, err
	}
	for len(segments) < segmentsMax {
		s := v.w.edge.journal[lane][from+messages.Sequence(len(segments))]
		if s == nil {
			break
		}
		read := *s
		segments = append(segments, &read)
	}
	return segments, nil
}

// Head implements Journal.
func (v edgeView) Head(ctx context.Context, lane messages.LaneID, after messages.Sequence) (messages.Sequence, error) {
	if err := v.w.read(ctx, func() string { return "find the head of " + string(lane) }, nil); err != nil {
		return 0, err
	}
	return max(after, v.w.edge.head(lane)), nil
}

// Seal implements Journal.
func (v edgeView) Seal(ctx context.Context, lane messages.LaneID, epoch messages.Epoch, from, to messages.Sequence) error {
	seal := func(from, to messages.Sequence) {
		for seq := from; seq <= to; seq++ {
			_ = v.w.edge.create(&messages.Segment{Lane: lane, Seq: seq, Epoch: epoch})
		}
	}
	return v.w.write(ctx, func() string { return fmt.Sprintf("seal %s to %d", place(lane, from), to) },
		func() error { seal(from, to); return nil },
		func() { seal(from+(to-from+1)/2, to) })
}

// Trim implements Journal.
func (v edgeView) Trim(ctx context.Context, lane messages.LaneID, from, to messages.Sequence) error {
	if v.w.mistake == trimsAhead {
		to = max(to, v.w.edge.head(lane))
	}
	trim := func(from, to messages.Sequence) {
		for seq := from; seq <= to; seq++ {
			v.w.edge.remove(lane, seq)
		}
	}
	return v.w.write(ctx, func() string { return fmt.Sprintf("trim %s to %d", place(lane, from), to) },
		func() error { trim(from, to); return nil },
		func() { trim(from+(to-from+1)/2, to) })
}

// Checkpoint implements Journal.
func (v edgeView) Checkpoint(ctx context.Context, lane messages.LaneID) (messages.Checkpoint, bool, error) {
	if err := v.w.read(ctx, func() string { return "read the checkpoint of " + string(lane) }, nil); err != nil {
		return messages.Checkpoint{}, false, err
	}
	stored := v.w.edge.checkpoints[lane]
	c := stored.value.Checkpoint
	c.Offsets = maps.Clone(c.Offsets)
	return c, stored.generation != 0, nil
}

// MoveCheckpoint implements Journal.
func (v edgeView) MoveCheckpoint(ctx context.Context, lease messages.Lease, c messages.Checkpoint) error {
	var unsure error
	for range modelTries {
		err := v.w.read(ctx, func() string { return "read lane and checkpoint of " + string(lease.Lane) }, nil)
		if err != nil {
			if unsure != nil {
				return fmt.Errorf("%w: %w", messages.ErrOutcomeUnknown, err)
			}
			return err
		}
		owner, stored := v.w.edge.lanes[lease.Lane], v.w.edge.checkpoints[lease.Lane]
		if owner.generation == 0 || owner.value.Epoch > lease.Epoch || stored.value.epoch > lease.Epoch {
			return messages.ErrFenced
		}
		next := ownedCheckpoint{c, lease.Epoch}
		if c.Seq < stored.value.Seq {
			next.Checkpoint = stored.value.Checkpoint
		}
		next.Trimmed = max(c.Trimmed, stored.value.Trimmed)
		o, err := v.w.decide(ctx,
			func() string { return fmt.Sprintf("move the checkpoint of %s to %d", lease.Lane, next.Seq) },
			func() error { return v.w.edge.swapCheckpoint(lease.Lane, stored.generation, next) }, nil)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, errGeneration):
			unsure = nil
		case o == refused:
			return err
		default:
			unsure = err
		}
	}
	return errors.Join(unsure, errContended)
}

// WriteChangeRecords implements Journal.
func (v edgeView) WriteChangeRecords(ctx context.Context, records []messages.ChangeRecord) error {
	store := func(records []messages.ChangeRecord) error {
		for i := range records {
			r := &records[i]
			owner, known := v.w.edge.events[r.Event.ID]
			switch {
			case !known:
				v.w.edge.events[r.Event.ID], r.Outcome = r.Origin, messages.Fresh
			case owner == r.Origin && v.w.mistake != takesReplaysForDuplicates, v.w.mistake == forgetsIDs:
				v.w.seen["change record replayed"]++
				r.Outcome = messages.Replay
			default:
				v.w.seen["duplicate dropped"]++
				r.Outcome = messages.Duplicate
			}
			copy(r.Digest[:], r.Event.ID[:])
			r.Digest[len(r.Digest)-1] = r.Event.ID[len(r.Event.ID)-1] // which decides the partition
		}
		return nil
	}
	// What is written after its caller has gone must not touch the caller's.
	mine := slices.Clone(records)
	err := v.w.write(ctx, func() string { return "write change records" + origins(mine) },
		func() error { return store(mine) },
		func() { _ = store(mine[len(mine)/2:]) })
	if err == nil {
		copy(records, mine)
	}
	return err
}

// modelTries bounds how often a compare-and-set is tried.
const modelTries = 16

var errContended = errors.New("record keeps being changed by others")

// changeLane is the compare-and-set of a lane's record.
func (v edgeView) changeLane(
	ctx context.Context, verb string, lane messages.LaneID, change func(messages.Lease, bool) (messages.Lease, error),
) (messages.Lease, error) {
	var (
		unsure error
		wrote  messages.Lease
	)
	for range modelTries {
		if err := v.w.read(ctx, func() string { return "read lane " + string(lane) }, nil); err != nil {
			if unsure != nil {
				return messages.Lease{}, fmt.Errorf("%w: %w", messages.ErrOutcomeUnknown, err)
			}
			return messages.Lease{}, err
		}
		stored := v.w.edge.lanes[lane]
		now := stored.value
		now.Lane = lane
		if unsure != nil && now == wrote {
			return now, nil
		}
		next, err := change(now, stored.generation != 0)
		if err != nil {
			return messages.Lease{}, err
		}
		o, err := v.w.decide(ctx,
			func() string { return fmt.Sprintf("%s lane %s, epoch %d", verb, lane, next.Epoch) },
			func() error { return v.w.edge.swapLane(stored.generation, next) }, nil)
		switch {
		case err == nil:
			return next, nil
		case errors.Is(err, errGeneration):
			unsure = nil
		case o == refused:
			return messages.Lease{}, err
		default:
			unsure, wrote = err, next
		}
	}
	return messages.Lease{}, errors.Join(unsure, errContended)
}

func (v edgeView) changeHeld(
	ctx context.Context, verb string, lease messages.Lease, change func(*messages.Lease),
) (messages.Lease, error) {
	tried := false
	return v.changeLane(ctx, verb, lease.Lane, func(now messages.Lease, there bool) (messages.Lease, error) {
		want := lease
		change(&want)
		mine := now.Owner == lease.Owner || tried && now.Owner == want.Owner
		if !there || now.Epoch != lease.Epoch || !mine {
			return now, messages.ErrFenced
		}
		tried = true
		change(&now)
		return now, nil
	})
}

// Claim implements laneStore.
func (v edgeView) Claim(
	ctx context.Context, lane messages.LaneID, owner string, leaseFor time.Duration,
) (messages.Lease, error) {
	return v.changeLane(ctx, "claim", lane, func(now messages.Lease, there bool) (messages.Lease, error) {
		if there && !now.Retired && now.Owner != "" && now.Owner != owner && v.w.now.Before(now.Expires) {
			return now, messages.ErrHeld
		}
		if there && now.Owner != owner {
			v.w.seen["lane taken over"]++
		}
		now.Owner, now.Epoch, now.Expires, now.Retired = owner, now.Epoch+1, v.w.now.Add(leaseFor), false
		return now, nil
	})
}

// Renew implements laneStore.
func (v edgeView) Renew(ctx context.Context, lease messages.Lease, leaseFor time.Duration) (messages.Lease, error) {
	renewed, err := v.changeHeld(ctx, "renew", lease, func(now *messages.Lease) { now.Expires = v.w.now.Add(leaseFor) })
	if err == nil && lease.Lane == v.p.own() {
		v.p.renewed = renewed.Expires.Add(-leaseFor)
	}
	return renewed, err
}

// SetTransactionalID implements Journal.
func (v edgeView) SetTransactionalID(ctx context.Context, lease messages.Lease, id string) error {
	_, err := v.changeHeld(ctx, "enter a producer for", lease, func(now *messages.Lease) { now.TransactionalID = id })
	return err
}

// Release implements laneStore.
func (v edgeView) Release(ctx context.Context, lease messages.Lease) error {
	_, err := v.changeHeld(ctx, "release", lease, func(now *messages.Lease) {
		now.Owner, now.Expires = "", time.UnixMilli(0)
	})
	return err
}

// Retire implements laneStore.
func (v edgeView) Retire(ctx context.Context, lease messages.Lease) error {
	_, err := v.changeHeld(ctx, "retire", lease, func(now *messages.Lease) {
		v.w.seen["lane retired"]++
		now.Owner, now.Expires, now.Retired = "", time.UnixMilli(0), true
	})
	return err
}

// Lanes implements laneStore.
func (v edgeView) Lanes(ctx context.Context) ([]messages.Lease, error) {
	if err := v.w.read(ctx, func() string { return "list the lanes" }, nil); err != nil {
		return nil, err
	}
	leases := make([]messages.Lease, len(v.w.edge.names))
	for i, lane := range v.w.edge.names {
		leases[i] = v.w.edge.lanes[lane].value
	}
	return leases, nil
}

func origins(records []messages.ChangeRecord) string {
	var s string
	for i := range records {
		s += fmt.Sprintf(" %s=%s", records[i].Origin, name(records[i].Event.ID))
	}
	return s
}
