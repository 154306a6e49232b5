package system

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"adpulse/messages"
	"adpulse/system/edge"
	"adpulse/system/minispike"
)

// edgeInMemory opens an edge store on a server in memory.
func edgeInMemory(t *testing.T, now func() time.Time) *edge.Store {
	t.Helper()
	server, err := minispike.Start(minispike.Config{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Close()) })
	config := edge.DefaultConfig()
	config.Hosts, config.Now = []string{server.Addr().String()}, now
	store, err := edge.Open(t.Context(), config)
	require.NoError(t, err)
	t.Cleanup(store.Close)
	return store
}

// TestOrphanWithALateSegmentBehindAHoleIsRetired: the former owner had two
// writes under way when its lane was adopted, and only the second one lands.
func TestOrphanWithALateSegmentBehindAHoleIsRetired(t *testing.T) {
	const lane, leaseFor = messages.LaneID("b/0"), time.Second
	now := time.Now()
	clock := func() time.Time { return now }
	store := edgeInMemory(t, clock)
	keeper := &laneKeeper{
		store: store, node: "a", owner: "a@disk", leaseFor: leaseFor, log: zap.NewNop(), now: clock,
		release: func(messages.LaneID) {},
		held:    map[messages.LaneID]messages.Lease{}, orphans: map[messages.LaneID]*orphan{}, renewed: map[messages.LaneID]time.Time{},
	}
	former, err := store.Claim(t.Context(), lane, "b@disk", leaseFor)
	require.NoError(t, err)
	require.NoError(t, store.Append(t.Context(), &messages.Segment{Lane: lane, Seq: 1, Epoch: former.Epoch}))
	now = now.Add(2 * leaseFor)
	adopted, err := keeper.claimOrphans(t.Context())
	require.NoError(t, err)
	require.Len(t, adopted, 1)

	require.NoError(t, store.Append(t.Context(), &messages.Segment{Lane: lane, Seq: 3, Epoch: former.Epoch}))
	for range 2 * messages.GapMax { // looks of the keeper; between them the exporter takes what is there
		checkpoint, _, err := store.Checkpoint(t.Context(), lane)
		require.NoError(t, err)
		segments, err := store.Read(t.Context(), lane, checkpoint.Seq+1, 2*messages.GapMax, 1<<20)
		require.NoError(t, err)
		checkpoint.Seq += messages.Sequence(len(segments))
		require.NoError(t, store.MoveCheckpoint(t.Context(), adopted[0], checkpoint))
		keeper.retire(t.Context())
		if !keeper.holds(lane) {
			return
		}
	}
	t.Fatal("the lane is never retired: its exporter cannot pass the hole")
}
