package edge

import (
	"context"
	"errors"
	"fmt"
	"time"

	as "github.com/aerospike/aerospike-client-go/v7"
	"github.com/aerospike/aerospike-client-go/v7/types"

	"adpulse/messages"
	"adpulse/system/internal/aero"
)

// Bins of a lane's record.
const (
	laneBin    = "lane"
	ownerBin   = "owner"
	epochBin   = "epoch"
	expiresBin = "expires"
	txidBin    = "txid"
	retiredBin = "retired"
)

// The directory of lanes is one record: set, key, and the bin with its map.
const (
	directorySet = "lane-names"
	directoryKey = "all"
	namesBin     = "names"
)

// casTries bounds how often a compare-and-set is tried. Each try that fails
// means that somebody else's went through.
const casTries = 16

// registerTries bounds how often an entry into the directory is tried when its
// answer is lost.
const registerTries = 3

// errContended: casTries others were faster.
var errContended = errors.New("record keeps being changed by others")

// Claim takes a lane for owner until leaseFor from now: a new lane, owner's
// own, or one whose lease has run out or that is retired. Every claim counts
// the epoch up, so that whoever held the lane before is fenced, be it an
// earlier process of the same owner. A *messages.HeldError when another owner's
// lease runs.
//
// The transactional id of whoever exported the lane before is kept.
func (s *Store) Claim(ctx context.Context, lane messages.LaneID, owner string, leaseFor time.Duration) (lease messages.Lease, err error) {
	defer s.observe("claim", s.config.Now(), &err)
	lease, err = s.changeLane(ctx, lane, func(now messages.Lease, there bool) (messages.Lease, error) {
		at := s.config.Now()
		if !there {
			if err := s.register(ctx, lane); err != nil {
				return now, err
			}
		}
		if there && !now.Retired && now.Owner != "" && now.Owner != owner && at.Before(now.Expires) {
			return now, &messages.HeldError{Owner: now.Owner, Until: now.Expires}
		}
		now.Owner, now.Epoch, now.Expires, now.Retired = owner, now.Epoch+1, at.Add(leaseFor), false
		return now, nil
	})
	if err != nil {
		return messages.Lease{}, fmt.Errorf("claim lane %s for %s: %w", lane, owner, err)
	}
	return lease, nil
}

// Renew moves the end of a lease to leaseFor from now, also one that has run
// out as long as nobody else claimed the lane. ErrFenced when somebody did.
func (s *Store) Renew(ctx context.Context, lease messages.Lease, leaseFor time.Duration) (renewed messages.Lease, err error) {
	defer s.observe("renew", s.config.Now(), &err)
	renewed, err = s.changeHeld(ctx, lease, func(now *messages.Lease) { now.Expires = s.config.Now().Add(leaseFor) })
	if err != nil {
		return messages.Lease{}, fmt.Errorf("renew lease of lane %s: %w", lease.Lane, err)
	}
	return renewed, nil
}

// SetTransactionalID records who will produce for the lane, before it does.
// ErrFenced when somebody else claimed the lane.
func (s *Store) SetTransactionalID(ctx context.Context, lease messages.Lease, id string) (err error) {
	defer s.observe("set-transactional-id", s.config.Now(), &err)
	_, err = s.changeHeld(ctx, lease, func(now *messages.Lease) { now.TransactionalID = id })
	if err != nil {
		return fmt.Errorf("set transactional id of lane %s: %w", lease.Lane, err)
	}
	return nil
}

// Release gives a lane up: anybody may claim it from now on. ErrFenced when
// somebody already did.
func (s *Store) Release(ctx context.Context, lease messages.Lease) (err error) {
	defer s.observe("release", s.config.Now(), &err)
	_, err = s.changeHeld(ctx, lease, func(now *messages.Lease) { now.Owner, now.Expires = "", time.UnixMilli(0) })
	if err != nil {
		return fmt.Errorf("release lane %s: %w", lease.Lane, err)
	}
	return nil
}

// Retire ends a lane that has no backlog, until it is claimed again. ErrFenced
// when somebody else claimed it.
func (s *Store) Retire(ctx context.Context, lease messages.Lease) (err error) {
	defer s.observe("retire", s.config.Now(), &err)
	_, err = s.changeHeld(ctx, lease, func(now *messages.Lease) {
		now.Owner, now.Expires, now.Retired = "", time.UnixMilli(0), true
	})
	if err != nil {
		return fmt.Errorf("retire lane %s: %w", lease.Lane, err)
	}
	return nil
}

// Lanes returns every lane there is, retired ones too, in no order. It reads
// them by name: a scan would have to pass over all the events of the store.
func (s *Store) Lanes(ctx context.Context) (lanes []messages.Lease, err error) {
	defer s.observe("lanes", s.config.Now(), &err)
	names, err := s.laneNames(ctx)
	if err != nil {
		return nil, fmt.Errorf("list lanes: %w", err)
	}
	for _, name := range names {
		key, err := s.key(laneSet, name)
		if err != nil {
			return nil, fmt.Errorf("list lanes: %w", err)
		}
		record, err := s.get(ctx, key)
		if err != nil {
			return nil, fmt.Errorf("list lanes: %w", err)
		}
		if record == nil {
			continue // its first claim has not come that far
		}
		lease, err := laneOf(record)
		if err != nil {
			return nil, fmt.Errorf("list lanes: %w", err)
		}
		lanes = append(lanes, lease)
	}
	return lanes, nil
}

// laneNames reads the directory: one record whose map has a key for each lane.
func (s *Store) laneNames(ctx context.Context) ([]string, error) {
	key, err := s.key(directorySet, directoryKey)
	if err != nil {
		return nil, err
	}
	record, err := s.get(ctx, key)
	if err != nil || record == nil {
		return nil, err
	}
	entries, ok := record.Bins[namesBin].(map[any]any)
	if !ok {
		return nil, fmt.Errorf("bin %q of the directory is %T", namesBin, record.Bins[namesBin])
	}
	names := make([]string, 0, len(entries))
	for name := range entries {
		text, ok := name.(string)
		if !ok {
			return nil, fmt.Errorf("a name in the directory is %T", name)
		}
		names = append(names, text)
	}
	return names, nil
}

// register puts a lane's name into the directory, before its record is made. It
// may be repeated.
func (s *Store) register(ctx context.Context, lane messages.LaneID) error {
	key, err := s.key(directorySet, directoryKey)
	if err != nil {
		return err
	}
	var failure as.Error
	for range registerTries {
		policy, err := s.writePolicy(ctx, as.UPDATE)
		if err != nil {
			return err
		}
		_, failure = s.client.Operate(policy, key, as.MapPutOp(as.DefaultMapPolicy(), namesBin, string(lane), 1))
		if failure == nil || !inDoubt(failure) {
			break
		}
	}
	if failure != nil {
		return fmt.Errorf("enter lane %s into the directory: %w", lane, aero.Explain(failure))
	}
	return nil
}

// changeHeld changes a lane's record as long as the lease holds.
func (s *Store) changeHeld(ctx context.Context, lease messages.Lease, change func(*messages.Lease)) (messages.Lease, error) {
	tried := false
	return s.changeLane(ctx, lease.Lane, func(now messages.Lease, there bool) (messages.Lease, error) {
		want := lease
		change(&want)
		// Release and Retire leave no owner: finding that after a try of our
		// own whose answer was lost is no fencing.
		mine := now.Owner == lease.Owner || tried && now.Owner == want.Owner
		switch {
		case !there:
			return now, fmt.Errorf("%w: the lane is not registered", messages.ErrFenced)
		case now.Epoch != lease.Epoch:
			return now, fmt.Errorf("%w: epoch %d of %q, ours is %d", messages.ErrFenced, now.Epoch, now.Owner, lease.Epoch)
		case !mine:
			return now, fmt.Errorf("%w: the lane was released or retired", messages.ErrFenced)
		}
		tried = true
		change(&now)
		return now, nil
	})
}

// changeLane replaces a lane's record by what change makes of it, unless that
// fails. A change is tried again on top of whatever somebody else has written,
// and a lost answer is made up for by looking.
func (s *Store) changeLane(
	ctx context.Context, lane messages.LaneID, change func(now messages.Lease, there bool) (messages.Lease, error),
) (messages.Lease, error) {
	if len(lane) == 0 || len(lane) > messages.LaneNameMax {
		return messages.Lease{}, fmt.Errorf("lane name of %d bytes: use 1 to %d", len(lane), messages.LaneNameMax)
	}
	key, err := s.key(laneSet, string(lane))
	if err != nil {
		return messages.Lease{}, err
	}
	var lost error           // why the last answer was lost
	var wrote messages.Lease // what that write would have left
	for range casTries {
		record, err := s.get(ctx, key)
		if err != nil {
			if lost != nil {
				return messages.Lease{}, fmt.Errorf("%w: %w; reading it back: %w", messages.ErrOutcomeUnknown, lost, err)
			}
			return messages.Lease{}, err
		}
		now := messages.Lease{Lane: lane}
		generation := uint32(0)
		if record != nil {
			if now, err = laneOf(record); err != nil {
				return messages.Lease{}, err
			}
			generation = record.Generation
		}
		if lost != nil && sameLease(now, wrote) {
			return now, nil
		}
		next, err := change(now, record != nil)
		if err != nil {
			return messages.Lease{}, err
		}
		next.Expires = next.Expires.Truncate(time.Millisecond) // as it will be read
		failure, err := s.swap(ctx, key, generation, laneBins(next)...)
		switch {
		case err != nil:
			return messages.Lease{}, err
		case failure == nil:
			return next, nil
		case failure.Matches(types.GENERATION_ERROR, types.KEY_EXISTS_ERROR):
			lost = nil
		case inDoubt(failure):
			lost, wrote = aero.Explain(failure), next
		default:
			return messages.Lease{}, aero.Explain(failure)
		}
	}
	if lost != nil {
		return messages.Lease{}, lost
	}
	return messages.Lease{}, errContended
}

func sameLease(a, b messages.Lease) bool {
	return a.Owner == b.Owner && a.Epoch == b.Epoch && a.Expires.Equal(b.Expires) &&
		a.TransactionalID == b.TransactionalID && a.Retired == b.Retired
}

func laneBins(l messages.Lease) []*as.Bin {
	retired := 0
	if l.Retired {
		retired = 1
	}
	return []*as.Bin{
		as.NewBin(laneBin, string(l.Lane)), as.NewBin(ownerBin, l.Owner), as.NewBin(epochBin, int64(l.Epoch)),
		as.NewBin(expiresBin, l.Expires.UnixMilli()), as.NewBin(txidBin, l.TransactionalID), as.NewBin(retiredBin, retired),
	}
}

func laneOf(record *as.Record) (messages.Lease, error) {
	bins := bins{record: record}
	l := messages.Lease{
		Lane: messages.LaneID(bins.text(laneBin)), Owner: bins.text(ownerBin), Epoch: messages.Epoch(bins.number(epochBin)),
		Expires: time.UnixMilli(bins.number(expiresBin)), TransactionalID: bins.text(txidBin), Retired: bins.number(retiredBin) != 0,
	}
	if bins.err != nil {
		return l, fmt.Errorf("record of a lane: %w", bins.err)
	}
	return l, nil
}

// get returns a record, or nil where there is none.
func (s *Store) get(ctx context.Context, key *as.Key) (*as.Record, error) {
	policy, err := s.readPolicy(ctx)
	if err != nil {
		return nil, err
	}
	record, failure := s.client.Get(policy, key)
	if failure == nil {
		return record, nil
	}
	if failure.Matches(types.KEY_NOT_FOUND_ERROR) {
		return nil, nil
	}
	return nil, aero.Explain(failure)
}

// swap replaces a record of a generation, or creates it where that is 0. The
// error is the context's; a failure is Aerospike's.
func (s *Store) swap(ctx context.Context, key *as.Key, generation uint32, bins ...*as.Bin) (as.Error, error) {
	exists := as.CREATE_ONLY
	if generation != 0 {
		exists = as.REPLACE_ONLY
	}
	policy, err := s.writePolicy(ctx, exists)
	if err != nil {
		return nil, err
	}
	if generation != 0 {
		policy.GenerationPolicy, policy.Generation = as.EXPECT_GEN_EQUAL, generation
	}
	policy.TotalTimeout -= policy.TotalTimeout / 4 // the rest is for reading back
	policy.SocketTimeout = policy.TotalTimeout
	return s.client.PutBins(policy, key, bins...), nil
}

// bins reads a record's bins and remembers the first that is not what it
// should be, so that its caller checks once.
type bins struct {
	record *as.Record
	err    error
}

func (b *bins) text(name string) string {
	v, ok := b.record.Bins[name].(string)
	b.expect(ok, name)
	return v
}

func (b *bins) number(name string) int64 {
	v, ok := b.record.Bins[name].(int)
	b.expect(ok, name)
	return int64(v)
}

func (b *bins) expect(ok bool, name string) {
	if !ok && b.err == nil {
		b.err = fmt.Errorf("bin %q is %T", name, b.record.Bins[name])
	}
}
