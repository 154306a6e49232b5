package edge

import (
	"context"
	"fmt"

	as "github.com/aerospike/aerospike-client-go/v7"
	"github.com/aerospike/aerospike-client-go/v7/types"

	"adpulse/messages"
	"adpulse/system/internal/aero"
)

// Bins of a checkpoint's record, beside epochBin.
const (
	seqBin     = "seq"
	eventsBin  = "events"
	trimmedBin = "trimmed"
	offsetsBin = "offsets"
)

// Checkpoint returns how far a lane is exported; false if it never was.
func (s *Store) Checkpoint(ctx context.Context, lane messages.LaneID) (checkpoint messages.Checkpoint, found bool, err error) {
	defer s.observe("checkpoint", s.config.Now(), &err)
	fail := func(err error) (messages.Checkpoint, bool, error) {
		return messages.Checkpoint{}, false, fmt.Errorf("checkpoint of lane %s: %w", lane, err)
	}
	key, err := s.key(checkpointSet, string(lane))
	if err != nil {
		return fail(err)
	}
	record, err := s.get(ctx, key)
	if err != nil {
		return fail(err)
	}
	if record == nil {
		return messages.Checkpoint{}, false, nil
	}
	stored, err := checkpointOf(record)
	if err != nil {
		return fail(err)
	}
	return stored.Checkpoint, true, nil
}

// MoveCheckpoint stores a checkpoint under a lease. ErrFenced when a newer
// owner has the lane or has moved its checkpoint. It moves forward only: where
// the stored one is further, that one stays, and only Trimmed may rise.
func (s *Store) MoveCheckpoint(ctx context.Context, lease messages.Lease, checkpoint messages.Checkpoint) (err error) {
	defer s.observe("move-checkpoint", s.config.Now(), &err)
	if err := s.moveCheckpoint(ctx, lease, checkpoint); err != nil {
		return fmt.Errorf("move checkpoint of lane %s to %d: %w", lease.Lane, checkpoint.Seq, err)
	}
	return nil
}

func (s *Store) moveCheckpoint(ctx context.Context, lease messages.Lease, checkpoint messages.Checkpoint) error {
	laneKey, err := s.key(laneSet, string(lease.Lane))
	if err != nil {
		return err
	}
	key, err := s.key(checkpointSet, string(lease.Lane))
	if err != nil {
		return err
	}
	var lost error
	for range casTries {
		lane, record, err := s.getBoth(ctx, laneKey, key)
		if err != nil && lost != nil {
			return fmt.Errorf("%w: %w; reading it back: %w", messages.ErrOutcomeUnknown, lost, err)
		}
		if err != nil {
			return err
		}
		if lane == nil {
			return fmt.Errorf("%w: the lane is not registered", messages.ErrFenced)
		}
		owner, err := laneOf(lane)
		if err != nil {
			return err
		}
		if owner.Epoch > lease.Epoch {
			return fmt.Errorf("%w: the lane has epoch %d, ours is %d", messages.ErrFenced, owner.Epoch, lease.Epoch)
		}
		next, generation := storedCheckpoint{checkpoint, lease.Epoch}, uint32(0)
		if record != nil {
			stored, err := checkpointOf(record)
			if err != nil {
				return err
			}
			if stored.epoch > lease.Epoch {
				return fmt.Errorf("%w: the checkpoint has epoch %d, ours is %d", messages.ErrFenced, stored.epoch, lease.Epoch)
			}
			if checkpoint.Seq < stored.Seq {
				next.Checkpoint = stored.Checkpoint
			}
			next.Trimmed = max(checkpoint.Trimmed, stored.Trimmed)
			generation = record.Generation
		}
		failure, err := s.swap(ctx, key, generation, next.bins()...)
		switch {
		case err != nil:
			return err
		case failure == nil:
			return nil
		case failure.Matches(types.GENERATION_ERROR, types.KEY_EXISTS_ERROR):
			lost = nil
		case inDoubt(failure):
			lost = aero.Explain(failure) // once more: it comes to the same
		default:
			return aero.Explain(failure)
		}
	}
	if lost != nil {
		return lost
	}
	return errContended
}

func (s *Store) getBoth(ctx context.Context, a, b *as.Key) (ofA, ofB *as.Record, err error) {
	policy, err := s.batchPolicy(ctx, s.config.ReadTimeout, readTries)
	if err != nil {
		return nil, nil, err
	}
	records, failure := s.client.BatchGet(policy, []*as.Key{a, b})
	if failure != nil {
		return nil, nil, aero.Explain(failure)
	}
	return records[0], records[1], nil
}

// storedCheckpoint is a checkpoint with the epoch of whoever moved it.
type storedCheckpoint struct {
	messages.Checkpoint
	epoch messages.Epoch
}

func (c storedCheckpoint) bins() []*as.Bin {
	offsets := make(map[any]any, len(c.Offsets))
	for partition, offset := range c.Offsets {
		offsets[int64(partition)] = offset
	}
	return []*as.Bin{
		as.NewBin(seqBin, int64(c.Seq)), as.NewBin(eventsBin, int64(c.Events)), as.NewBin(trimmedBin, int64(c.Trimmed)),
		as.NewBin(epochBin, int64(c.epoch)), as.NewBin(offsetsBin, as.NewMapValue(offsets)),
	}
}

func checkpointOf(record *as.Record) (storedCheckpoint, error) {
	bins := bins{record: record}
	c := storedCheckpoint{epoch: messages.Epoch(bins.number(epochBin))}
	c.Seq, c.Events = messages.Sequence(bins.number(seqBin)), uint64(bins.number(eventsBin))
	c.Trimmed = messages.Sequence(bins.number(trimmedBin))
	stored, ok := record.Bins[offsetsBin].(map[any]any)
	bins.expect(ok, offsetsBin)
	c.Offsets = make(messages.Offsets, len(stored))
	for p, o := range stored {
		partition, ok := p.(int)
		offset, numeric := o.(int)
		bins.expect(ok && numeric, offsetsBin)
		c.Offsets[int32(partition)] = int64(offset)
	}
	if bins.err != nil {
		return c, fmt.Errorf("record of a checkpoint: %w", bins.err)
	}
	return c, nil
}
