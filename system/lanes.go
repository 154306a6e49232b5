package system

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"adpulse/actors/collector"
	"adpulse/actors/exporter"
	"adpulse/messages"
)

// laneKeeper holds this node's leases. It claims the lanes of the node's
// collectors, renews what it holds, adopts lanes whose owner is gone, and
// retires those that nobody writes once they are exported.
//
// Leases order the work, they do not carry the promise: two owners can never
// both win a sequence, because a segment is created and never overwritten.
type laneKeeper struct {
	store    laneStore
	node     string
	owner    string
	leaseFor time.Duration
	log      *zap.Logger
	now      func() time.Time
	// adopt gives a lane without a collector to an exporter, release takes it
	// away again, lost is told of a lane that somebody else has taken.
	adopt   func(messages.Lease)
	release func(messages.LaneID)
	lost    func(messages.LaneID, error)

	mu       sync.Mutex
	held     map[messages.LaneID]messages.Lease
	renewed  map[messages.LaneID]time.Time // when the request was made that last renewed it
	orphans  map[messages.LaneID]*orphan   // held, without a collector
	stopping context.CancelFunc
	stopped  chan struct{}
}

// laneStore is what a lane keeper needs of the edge store.
type laneStore interface {
	Lanes(ctx context.Context) ([]messages.Lease, error)
	Claim(ctx context.Context, lane messages.LaneID, owner string, leaseFor time.Duration) (messages.Lease, error)
	Renew(ctx context.Context, lease messages.Lease, leaseFor time.Duration) (messages.Lease, error)
	Release(ctx context.Context, lease messages.Lease) error
	Retire(ctx context.Context, lease messages.Lease) error
	Checkpoint(ctx context.Context, lane messages.LaneID) (messages.Checkpoint, bool, error)
	Head(ctx context.Context, lane messages.LaneID, after messages.Sequence) (messages.Sequence, error)
	Read(ctx context.Context, lane messages.LaneID, from messages.Sequence, segmentsMax, bytesMax int) ([]*messages.Segment, error)
	Seal(ctx context.Context, lane messages.LaneID, epoch messages.Epoch, from, to messages.Sequence) error
	Trim(ctx context.Context, lane messages.LaneID, from, to messages.Sequence) error
}

// edgeStore is the edge store as a node uses it; *edge.Store is one.
type edgeStore interface {
	collector.Journal
	exporter.Journal
	laneStore
	Ping(ctx context.Context) error
	Close()
}

// orphan is a lane that nobody writes any more and that is to be retired.
type orphan struct {
	// events is the lane's total at its last segment, exported those in Kafka.
	events, exported uint64
	// sealed is the last sequence that was filled so that a writer that still
	// believes in its lease can win none; 0 until that is done.
	sealed messages.Sequence
}

// claimEvery is how often a lane that another process holds is tried again.
const claimEvery = 500 * time.Millisecond

// claimOwn claims lanes for this node's collectors. Where another process of the
// node's name holds one it waits for that lease to run out, and no longer. A
// lane that another node has adopted stays there until it is exported and
// retired; the next one is taken instead.
func (k *laneKeeper) claimOwn(ctx context.Context, collectors int) ([]messages.Lease, error) {
	var leases []messages.Lease
	for i := 0; len(leases) < collectors; i++ {
		lane := messages.NewLaneID(k.node, i)
		lease, asked, err := k.await(ctx, lane)
		if held := (*messages.HeldError)(nil); errors.As(err, &held) {
			k.log.Info("another node has adopted a lane of this one; taking the next",
				zap.String("lane", string(lane)), zap.String("owner", held.Owner))
			continue
		}
		if err != nil {
			return leases, err
		}
		leases = append(leases, lease)
		k.hold(lease, asked)
	}
	return leases, nil
}

// ofThisNode tells whether an owner is a process of this node's name.
func (k *laneKeeper) ofThisNode(owner string) bool {
	name, _, _ := strings.Cut(owner, "@")
	return name == k.node
}

func (k *laneKeeper) await(ctx context.Context, lane messages.LaneID) (lease messages.Lease, asked time.Time, err error) {
	waiting, cancel := context.WithTimeout(ctx, k.leaseFor+2*claimEvery)
	defer cancel()
	said := false
	for {
		asked = time.Now()
		lease, err = k.store.Claim(ctx, lane, k.owner, k.leaseFor)
		if err == nil {
			return lease, asked, nil
		}
		if held := (*messages.HeldError)(nil); !errors.As(err, &held) || !k.ofThisNode(held.Owner) {
			return lease, asked, fmt.Errorf("claim lane %s: %w", lane, err)
		}
		if !said {
			said = true
			k.log.Info("lane is held by another process; waiting for its lease to run out",
				zap.String("lane", string(lane)), zap.Duration("at most", k.leaseFor))
		}
		select {
		case <-time.After(claimEvery):
		case <-waiting.Done():
			if err := ctx.Err(); err != nil {
				return lease, asked, fmt.Errorf("claim lane %s: %w", lane, err)
			}
			return lease, asked, &FlagError{
				"node", fmt.Sprintf("another adpulse named %q is running on this edge store", k.node),
				"give every node a --node of its own",
			}
		}
	}
}

// hold keeps a lease that was asked for at a time.
func (k *laneKeeper) hold(lease messages.Lease, asked time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.held[lease.Lane] = lease
	k.renewed[lease.Lane] = asked
}

// asleep is how long a lane's lease was not renewed. A process that was stopped
// or a machine that slept shows on one of the clocks.
func (k *laneKeeper) asleep(lane messages.LaneID) time.Duration {
	now := time.Now()
	k.mu.Lock()
	defer k.mu.Unlock()
	renewed := k.renewed[lane]
	return max(now.Sub(renewed), now.Round(0).Sub(renewed.Round(0)))
}

// claimOrphans claims every lane that has something left and no living owner,
// and returns those that it did not hold before.
func (k *laneKeeper) claimOrphans(ctx context.Context) ([]messages.Lease, error) {
	lanes, err := k.store.Lanes(ctx)
	if err != nil {
		return nil, fmt.Errorf("list lanes: %w", err)
	}
	var claimed []messages.Lease
	for _, lane := range lanes {
		if lane.Retired || k.holds(lane.Lane) || lane.Owner != k.owner && k.now().Before(lane.Expires) {
			continue
		}
		lease, err := k.store.Claim(ctx, lane.Lane, k.owner, k.leaseFor)
		if errors.Is(err, messages.ErrHeld) {
			continue // somebody else was faster
		}
		if err != nil {
			return claimed, fmt.Errorf("adopt lane %s: %w", lane.Lane, err)
		}
		o, err := k.survey(ctx, lease)
		if err != nil {
			return claimed, err
		}
		k.mu.Lock()
		k.held[lease.Lane], k.orphans[lease.Lane] = lease, o
		k.mu.Unlock()
		k.log.Info("adopted a lane without an owner", zap.String("lane", string(lease.Lane)),
			zap.String("owner before", lane.Owner), zap.Uint64("backlog", o.events-o.exported))
		claimed = append(claimed, lease)
	}
	return claimed, nil
}

func (k *laneKeeper) holds(lane messages.LaneID) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	_, held := k.held[lane]
	return held
}

// survey counts what a lane has left, and fills what its writer left open
// before its last segment: an exporter cannot pass a sequence that is missing.
func (k *laneKeeper) survey(ctx context.Context, lease messages.Lease) (*orphan, error) {
	lane := lease.Lane
	checkpoint, _, err := k.store.Checkpoint(ctx, lane)
	if err != nil {
		return nil, fmt.Errorf("adopt lane %s: %w", lane, err)
	}
	o := &orphan{events: checkpoint.Events, exported: checkpoint.Events}
	last, err := k.store.Head(ctx, lane, checkpoint.Seq)
	if err != nil {
		return nil, fmt.Errorf("adopt lane %s: %w", lane, err)
	}
	if last > checkpoint.Seq {
		if err := k.store.Seal(ctx, lane, lease.Epoch, checkpoint.Seq+1, last); err != nil {
			return nil, fmt.Errorf("adopt lane %s: %w", lane, err)
		}
		segments, err := k.store.Read(ctx, lane, last, 1, messages.SegmentBytesMax)
		if err != nil {
			return nil, fmt.Errorf("adopt lane %s: %w", lane, err)
		}
		for _, s := range segments {
			o.events = max(o.events, s.Base+uint64(len(s.Events)))
		}
	}
	return o, nil
}

// exported takes note of how far an orphan is in Kafka.
func (k *laneKeeper) exported(m *messages.Exported) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if o := k.orphans[m.Lane]; o != nil {
		o.exported = max(o.exported, m.Events)
		o.events = max(o.events, o.exported)
	}
}

// backlog is what the orphans hold and Kafka does not, in events.
func (k *laneKeeper) backlog() (events uint64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, o := range k.orphans {
		events += o.events - o.exported
	}
	return events
}

// start renews, adopts and retires until stop.
func (k *laneKeeper) start() {
	ctx, cancel := context.WithCancel(context.Background())
	k.stopping, k.stopped = cancel, make(chan struct{})
	go func() {
		defer close(k.stopped)
		tick := time.NewTicker(k.leaseFor / 3)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			k.renew(ctx)
			k.look(ctx)
			k.retire(ctx)
		}
	}()
}

// stop ends start's work. The leases stay until release or until they run out.
func (k *laneKeeper) stop() {
	if k.stopping != nil {
		k.stopping()
		<-k.stopped
	}
}

func (k *laneKeeper) leases() []messages.Lease {
	k.mu.Lock()
	defer k.mu.Unlock()
	leases := make([]messages.Lease, 0, len(k.held))
	for _, lease := range k.held {
		leases = append(leases, lease)
	}
	return leases
}

func (k *laneKeeper) renew(ctx context.Context) {
	for _, lease := range k.leases() {
		asked := time.Now()
		renewed, err := k.store.Renew(ctx, lease, k.leaseFor)
		switch {
		case err == nil:
			k.hold(renewed, asked)
		case errors.Is(err, messages.ErrFenced):
			k.drop(lease.Lane)
			k.lost(lease.Lane, err)
		case ctx.Err() == nil:
			k.log.Warn("lease not renewed; trying again", zap.String("lane", string(lease.Lane)), zap.Error(err))
		}
	}
}

func (k *laneKeeper) drop(lane messages.LaneID) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.held, lane)
	delete(k.orphans, lane)
}

// look adopts what has lost its owner since.
func (k *laneKeeper) look(ctx context.Context) {
	claimed, err := k.claimOrphans(ctx)
	if err != nil && ctx.Err() == nil {
		k.log.Warn("looking for lanes without an owner failed; trying again", zap.Error(err))
	}
	for _, lease := range claimed {
		k.adopt(lease)
	}
}

// retire ends the orphans that are exported. It takes two looks: the first
// fills the sequences that a writer may still believe to be its own, so that it
// loses whatever it tries; the second finds those exported too.
func (k *laneKeeper) retire(ctx context.Context) {
	for _, lease := range k.leases() {
		k.mu.Lock()
		o := k.orphans[lease.Lane]
		k.mu.Unlock()
		if o == nil {
			continue
		}
		retired, err := k.retireOne(ctx, lease, o)
		switch {
		case err != nil && ctx.Err() == nil:
			k.log.Warn("lane not retired; trying again", zap.String("lane", string(lease.Lane)), zap.Error(err))
		case retired:
			k.drop(lease.Lane)
			k.release(lease.Lane)
			k.log.Info("retired a lane that is wholly exported", zap.String("lane", string(lease.Lane)))
		}
	}
}

func (k *laneKeeper) retireOne(ctx context.Context, lease messages.Lease, o *orphan) (bool, error) {
	checkpoint, _, err := k.store.Checkpoint(ctx, lease.Lane)
	if err != nil {
		return false, err
	}
	head, err := k.store.Head(ctx, lease.Lane, checkpoint.Seq)
	if err != nil {
		return false, err
	}
	if head > checkpoint.Seq {
		// A write of the former owner's that landed after the survey may lie
		// behind a sequence that nobody will ever fill.
		last := min(head, checkpoint.Seq+messages.GapMax)
		return false, k.store.Seal(ctx, lease.Lane, lease.Epoch, checkpoint.Seq+1, last)
	}
	if o.sealed == 0 {
		sealed := checkpoint.Seq + messages.GapMax
		if err := k.store.Seal(ctx, lease.Lane, lease.Epoch, checkpoint.Seq+1, sealed); err != nil {
			return false, err
		}
		o.sealed = sealed
		return false, nil
	}
	if checkpoint.Seq < o.sealed {
		return false, nil
	}
	if first := o.sealed - messages.GapMax; first > checkpoint.Trimmed {
		// The seals stay, for whoever still writes; what they guard goes.
		if err := k.store.Trim(ctx, lease.Lane, checkpoint.Trimmed+1, first); err != nil {
			return false, err
		}
	}
	return true, k.store.Retire(ctx, lease)
}

// letGo gives every lease back, so that the next process need not wait.
func (k *laneKeeper) letGo(ctx context.Context) error {
	var all error
	for _, lease := range k.leases() {
		if err := k.store.Release(ctx, lease); err != nil && !errors.Is(err, messages.ErrFenced) {
			all = errors.Join(all, fmt.Errorf("release lane %s: %w", lease.Lane, err))
		}
	}
	return all
}
