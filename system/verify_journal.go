package system

import (
	"context"
	"errors"
	"fmt"

	"adpulse/messages"
)

// Bounds of one read of the journal.
const (
	verifySegments = 64
	verifyBytes    = 16 << 20
)

// readJournal holds every lane's segments against the topic and the change
// records.
func (v *verifier) readJournal(ctx context.Context) error {
	for i := range v.found.Lanes {
		l := &v.found.Lanes[i]
		if v.options.All && !l.Retired { // a retired lane keeps nothing but seals
			if err := v.readExported(ctx, l); err != nil {
				return err
			}
		}
		if err := v.readPending(ctx, l); err != nil {
			return err
		}
		v.found.PendingEvents += l.Pending
	}
	return nil
}

// segments visits what a lane's journal holds of from..to. Sequences that hold
// nothing are passed over: they are trimmed, or not written.
func (v *verifier) segments(ctx context.Context, lane messages.LaneID, from, to messages.Sequence, visit func(*messages.Segment) error) error {
	for from <= to {
		read, err := v.store.Read(ctx, lane, from, verifySegments, verifyBytes)
		if errors.Is(err, messages.ErrCorrupt) {
			v.problem("segments that cannot be read", "%s:%d: %v", lane, from, err)
			from++
			continue
		}
		if err != nil {
			return err
		}
		if len(read) == 0 {
			from++
		}
		for _, s := range read {
			if s.Seq > to {
				return nil
			}
			if err := visit(s); err != nil {
				return err
			}
			from = s.Seq + 1
		}
	}
	return nil
}

// readPending counts what is on its way.
func (v *verifier) readPending(ctx context.Context, l *LaneState) error {
	ahead := 0
	err := v.segments(ctx, l.Lane, l.Checkpoint+1, l.Head, func(s *messages.Segment) error {
		v.found.PendingSegments++
		l.Pending += len(s.Events)
		for i := range s.Events {
			if _, there := v.there[messages.Origin{Lane: l.Lane, Seq: s.Seq, Index: uint32(i)}]; there {
				ahead++
			}
		}
		return nil
	})
	l.Pending -= ahead // in the topic already, only the checkpoint lags
	return err
}

// readExported checks that every event behind the checkpoint is in the topic,
// or was dropped because its id was known.
func (v *verifier) readExported(ctx context.Context, l *LaneState) error {
	first, err := v.firstKept(ctx, l)
	if err != nil {
		return err
	}
	return v.segments(ctx, l.Lane, first, l.Checkpoint, func(s *messages.Segment) error {
		var ids []messages.EventID
		var absent []string
		for i := range s.Events {
			origin := messages.Origin{Lane: l.Lane, Seq: s.Seq, Index: uint32(i)}
			if _, there := v.there[origin]; !there {
				ids, absent = append(ids, s.Events[i].ID), append(absent, origin.String())
			}
		}
		recorded, err := v.store.Origins(ctx, ids)
		if err != nil {
			return err
		}
		for i, id := range ids {
			switch {
			case recorded[i] != "" && recorded[i] != absent[i]: // a client's duplicate, dropped
			case !v.whole:
				v.warn("exported events that cannot be looked up: the topic cannot be read from its beginning", "event %s of %s", id, absent[i])
			default:
				v.problem("events that the checkpoint says are exported and that are not in the topic", "event %s of %s", id, absent[i])
			}
		}
		return nil
	})
}

// firstKept searches for the first segment that is not trimmed: the checkpoint's
// note of it lags. Everything behind it up to the checkpoint is there.
func (v *verifier) firstKept(ctx context.Context, l *LaneState) (messages.Sequence, error) {
	low, high := l.Trimmed, l.Checkpoint+1 // gone; there, or the end
	for high-low > 1 {
		middle := low + (high-low)/2
		read, err := v.store.Read(ctx, l.Lane, middle, 1, verifyBytes)
		switch {
		case errors.Is(err, messages.ErrCorrupt), err == nil && len(read) > 0:
			high = middle
		case err != nil:
			return 0, err
		default:
			low = middle
		}
	}
	return high, nil
}

// Summary is the verification in one line.
func (v *Verification) Summary() string {
	switch {
	case !v.Agree():
		n := 0
		for _, p := range v.Problems {
			n += p.Count
		}
		return fmt.Sprintf("wrong: %d problems", n)
	case v.PendingEvents > 0:
		return fmt.Sprintf("agree: %d events are on their way", v.PendingEvents)
	}
	return "agree: nothing is on its way"
}
