package edge_test

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"adpulse/messages"
	"adpulse/system/edge"
	"adpulse/system/minispike"
)

// clock is a clock that stands until it is set.
type clock struct{ millis atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.millis.Store(1_700_000_000_000)
	return c
}

func (c *clock) now() time.Time          { return time.UnixMilli(c.millis.Load()) }
func (c *clock) advance(d time.Duration) { c.millis.Add(d.Milliseconds()) }

func TestLaneFromHandToHand(t *testing.T) {
	at := newClock()
	store := open(t, serve(t, nil), func(c *edge.Config) { c.Now = at.now })
	ctx, lane := t.Context(), newLane()

	first, err := store.Claim(ctx, lane, "a", 10*time.Second)
	require.NoError(t, err)
	require.Equal(t, messages.Lease{Lane: lane, Owner: "a", Epoch: 1, Expires: at.now().Add(10 * time.Second)}, first)

	_, err = store.Claim(ctx, lane, "b", 10*time.Second)
	require.ErrorIs(t, err, messages.ErrHeld)

	at.advance(9 * time.Second)
	first, err = store.Renew(ctx, first, 10*time.Second)
	require.NoError(t, err)
	require.NoError(t, store.SetTransactionalID(ctx, first, "tx-a"))
	at.advance(9 * time.Second)
	_, err = store.Claim(ctx, lane, "b", 10*time.Second)
	require.ErrorIs(t, err, messages.ErrHeld, "the renewed lease runs on")

	at.advance(time.Second)
	first, err = store.Renew(ctx, first, time.Second)
	require.NoError(t, err, "run out, and nobody came")
	at.advance(time.Second)
	second, err := store.Claim(ctx, lane, "b", 10*time.Second)
	require.NoError(t, err)
	require.Equal(t, messages.Epoch(2), second.Epoch)
	require.Equal(t, "tx-a", second.TransactionalID, "to be fenced by the adopter")

	_, err = store.Renew(ctx, first, time.Second)
	require.ErrorIs(t, err, messages.ErrFenced)
	require.ErrorIs(t, store.SetTransactionalID(ctx, first, "late"), messages.ErrFenced)
	require.ErrorIs(t, store.Release(ctx, first), messages.ErrFenced)
	require.ErrorIs(t, store.Retire(ctx, first), messages.ErrFenced)

	again, err := store.Claim(ctx, lane, "b", 10*time.Second)
	require.NoError(t, err, "a new process of the same owner")
	require.Equal(t, messages.Epoch(3), again.Epoch)
	_, err = store.Renew(ctx, second, time.Second)
	require.ErrorIs(t, err, messages.ErrFenced, "the process before")

	require.NoError(t, store.Release(ctx, again))
	_, err = store.Renew(ctx, again, time.Second)
	require.ErrorIs(t, err, messages.ErrFenced, "released")
	third, err := store.Claim(ctx, lane, "c", 10*time.Second)
	require.NoError(t, err)
	require.Equal(t, messages.Epoch(4), third.Epoch)

	require.NoError(t, store.Retire(ctx, third))
	require.True(t, listed(t, store, lane).Retired)
	fourth, err := store.Claim(ctx, lane, "d", time.Second)
	require.NoError(t, err, "a retired lane may be used again")
	require.False(t, fourth.Retired)
	require.Equal(t, fourth, listed(t, store, lane))
}

func listed(t *testing.T, store *edge.Store, lane messages.LaneID) messages.Lease {
	t.Helper()
	lanes, err := store.Lanes(t.Context())
	require.NoError(t, err)
	for _, l := range lanes {
		if l.Lane == lane {
			return l
		}
	}
	require.Fail(t, "lane is not listed")
	return messages.Lease{}
}

func TestLanesOfAnEmptyStore(t *testing.T) {
	store := open(t, serve(t, minispike.NewFaults(1)), nil)
	lanes, err := store.Lanes(t.Context())
	require.NoError(t, err)
	require.Empty(t, lanes)
}

func TestClaimRefusesANameThatIsNone(t *testing.T) {
	_, err := newStore(t).Claim(t.Context(), "", "a", time.Second)
	require.ErrorContains(t, err, "lane name")
}

func TestManyClaimOneLane(t *testing.T) {
	store, lane := newStore(t), newLane()
	var won atomic.Int64
	var group sync.WaitGroup
	for _, owner := range []string{"a", "b", "c", "d", "e", "f", "g", "h"} {
		group.Go(func() {
			_, err := store.Claim(t.Context(), lane, owner, time.Minute)
			if err == nil {
				won.Add(1)
			} else if !errors.Is(err, messages.ErrHeld) {
				t.Error(err)
			}
		})
	}
	group.Wait()
	require.Equal(t, int64(1), won.Load())
}

// One process renews while its exporter records its transactional id: neither
// undoes the other.
func TestChangesOfOneHolderMeet(t *testing.T) {
	store, lane := newStore(t), newLane()
	lease, err := store.Claim(t.Context(), lane, "a", time.Minute)
	require.NoError(t, err)
	var group sync.WaitGroup
	group.Go(func() {
		for range 20 {
			if _, err := store.Renew(t.Context(), lease, time.Hour); err != nil {
				t.Error(err)
			}
		}
	})
	group.Go(func() {
		for range 20 {
			if err := store.SetTransactionalID(t.Context(), lease, "tx"); err != nil {
				t.Error(err)
			}
		}
	})
	group.Wait()
	got := listed(t, store, lane)
	require.Equal(t, "tx", got.TransactionalID)
	require.True(t, got.Expires.After(lease.Expires))
}

func TestLaneChangesMakeUpForLostAnswers(t *testing.T) {
	for _, do := range []minispike.Action{minispike.DropAfter, minispike.DropBefore} {
		faults := minispike.NewFaults(1)
		store := open(t, serve(t, faults), nil)
		ctx, lane := t.Context(), newLane()
		lose := func() { faults.Set(minispike.Fault{On: minispike.Write, Do: do, Count: 1}) }
		lose()
		lease, err := store.Claim(ctx, lane, "a", time.Minute)
		require.NoError(t, err)
		require.Equal(t, messages.Epoch(1), lease.Epoch)
		lose()
		lease, err = store.Renew(ctx, lease, time.Hour)
		require.NoError(t, err)
		lose()
		require.NoError(t, store.SetTransactionalID(ctx, lease, "tx"))
		lose()
		require.NoError(t, store.MoveCheckpoint(ctx, lease, messages.Checkpoint{Seq: 3}))
		lose()
		require.NoError(t, store.Release(ctx, lease))
		lease, err = store.Claim(ctx, lane, "a", time.Minute)
		require.NoError(t, err)
		lose()
		require.NoError(t, store.Retire(ctx, lease))
		require.Equal(t, 1, faults.Hits())
	}
}

func TestCheckpoint(t *testing.T) {
	at := newClock()
	store := open(t, serve(t, nil), func(c *edge.Config) { c.Now = at.now })
	ctx, lane := t.Context(), newLane()
	read := func() messages.Checkpoint {
		t.Helper()
		got, found, err := store.Checkpoint(ctx, lane)
		require.NoError(t, err)
		require.True(t, found)
		return got
	}
	_, found, err := store.Checkpoint(ctx, lane)
	require.NoError(t, err)
	require.False(t, found)
	require.ErrorIs(t, store.MoveCheckpoint(ctx, messages.Lease{Lane: lane, Epoch: 1}, messages.Checkpoint{}), messages.ErrFenced)

	old, err := store.Claim(ctx, lane, "a", time.Second)
	require.NoError(t, err)
	want := messages.Checkpoint{Seq: 10, Events: 5000, Trimmed: 3, Offsets: messages.Offsets{0: 17, 7: 1 << 40}}
	require.NoError(t, store.MoveCheckpoint(ctx, old, want))
	require.Equal(t, want, read())

	require.NoError(t, store.MoveCheckpoint(ctx, old, messages.Checkpoint{Seq: 9, Events: 1, Trimmed: 8}))
	want.Trimmed = 8
	require.Equal(t, want, read(), "never backwards")

	at.advance(time.Second)
	young, err := store.Claim(ctx, lane, "b", time.Minute)
	require.NoError(t, err)
	require.ErrorIs(t, store.MoveCheckpoint(ctx, old, messages.Checkpoint{Seq: 11}), messages.ErrFenced)
	require.Equal(t, want, read())
	next := messages.Checkpoint{Seq: 12, Events: 6000, Trimmed: 8, Offsets: messages.Offsets{}}
	require.NoError(t, store.MoveCheckpoint(ctx, young, next))
	require.Equal(t, next, read())
}
