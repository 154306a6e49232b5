package core_test

import (
	"context"
	"net"
	"strconv"
	"testing"
	"time"

	as "github.com/aerospike/aerospike-client-go/v7"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"adpulse/messages"
	"adpulse/system/core"
	"adpulse/system/minispike"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve starts an empty server in memory.
func serve(t *testing.T, faults *minispike.Faults) string {
	t.Helper()
	server, err := minispike.Start(minispike.Config{Faults: faults})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Close()) })
	return server.Addr().String()
}

func open(t *testing.T, address string) *core.Store {
	t.Helper()
	config := core.DefaultConfig()
	config.Hosts = []string{address}
	config.Now = func() time.Time { return time.Date(2024, 5, 6, 7, 8, 9, 0, time.UTC) }
	store, err := core.Open(t.Context(), config)
	require.NoError(t, err)
	t.Cleanup(store.Close)
	return store
}

func client(t *testing.T, address string) *as.Client {
	t.Helper()
	host, port, err := net.SplitHostPort(address)
	require.NoError(t, err)
	number, err := strconv.Atoi(port)
	require.NoError(t, err)
	c, failure := as.NewClient(host, number)
	require.NoError(t, failure)
	t.Cleanup(c.Close)
	return c
}

func read(t *testing.T, c *as.Client, set string, name any) as.BinMap {
	t.Helper()
	key, err := as.NewKey("test", set, name)
	require.NoError(t, err)
	record, err := c.Get(nil, key)
	require.NoError(t, err, "%s/%v", set, name)
	return record.Bins
}

func TestSeedWritesTheReferencesRecords(t *testing.T) {
	address := serve(t, nil)
	store, behind := open(t, address), client(t, address)
	count, err := store.TagCount(t.Context())
	require.NoError(t, err)
	require.Zero(t, count)

	var last, of int
	require.NoError(t, store.Seed(t.Context(), 3, 400, func(done, total int) {
		require.GreaterOrEqual(t, done, last)
		last, of = done, total
	}))
	require.Equal(t, of, last)

	today := time.Date(2024, 5, 6, 0, 0, 0, 0, time.UTC)
	require.Equal(t, as.BinMap{
		"c-id": 3, "c-name": "Acme campaign 3", "c-date": int(today.UnixMilli()),
		"stats": map[any]any{"clicks": 0, "impressions": 0, "visits": 0, "conversions": 0},
	}, read(t, behind, "campaigns", 3))
	id := core.TagID(2, 1).String()
	require.Equal(t, as.BinMap{"t-id": id}, read(t, behind, "tags", 401))
	require.Equal(t, as.BinMap{"t-id": id, "c-id": 2}, read(t, behind, "tags", id))
	require.Equal(t, as.BinMap{"tag-count": 1200}, read(t, behind, "tags", "tag-count"))

	count, err = store.TagCount(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1200, count)
	tags, err := store.Tags(t.Context(), 5000)
	require.NoError(t, err)
	require.Len(t, tags, 1200)
	require.Equal(t, core.TagID(1, 1), tags[0])
	require.Equal(t, core.TagID(3, 400), tags[1199])
	tags, err = store.Tags(t.Context(), 2)
	require.NoError(t, err)
	require.Equal(t, []messages.TagID{core.TagID(1, 1), core.TagID(1, 2)}, tags)

	statement := as.NewStatement("test", "campaigns", "c-id")
	require.NoError(t, statement.SetFilter(as.NewRangeFilter("c-date", today.UnixMilli(), today.UnixMilli())))
	require.Eventually(t, func() bool { // the index is built behind our back
		found, failure := behind.Query(nil, statement)
		if failure != nil {
			return false
		}
		n := 0
		for result := range found.Results() {
			if result.Err == nil && result.Record.Bins["c-id"] == 3 {
				n++
			}
		}
		return n == 1
	}, 10*time.Second, 20*time.Millisecond)
}

func TestSeedLeavesWhatIsThere(t *testing.T) {
	address := serve(t, nil)
	store, behind := open(t, address), client(t, address)
	require.NoError(t, store.Seed(t.Context(), 2, 10, nil))
	key, err := as.NewKey("test", "campaigns", 1)
	require.NoError(t, err)
	_, err = behind.Operate(nil, key, as.MapIncrementOp(as.DefaultMapPolicy(), "stats", "clicks", 5))
	require.NoError(t, err)

	require.NoError(t, store.Seed(t.Context(), 2, 10, nil), "again")
	require.Equal(t, 5, read(t, behind, "campaigns", 1)["stats"].(map[any]any)["clicks"])

	countKey, err := as.NewKey("test", "tags", "tag-count")
	require.NoError(t, err)
	_, err = behind.Delete(nil, countKey) // as if it had been interrupted
	require.NoError(t, err)
	require.NoError(t, store.Seed(t.Context(), 2, 10, nil), "completed")
	require.Equal(t, 5, read(t, behind, "campaigns", 1)["stats"].(map[any]any)["clicks"])
	tags, tagsErr := store.Tags(t.Context(), 100)
	require.NoError(t, tagsErr)
	require.Len(t, tags, 20)
}

func TestSeedRefusesAnotherSize(t *testing.T) {
	store := open(t, serve(t, nil))
	require.Error(t, store.Seed(t.Context(), 0, 10, nil))
	require.NoError(t, store.Seed(t.Context(), 4, 10, nil))
	for _, size := range [][2]int{{5, 10}, {3, 10}, {4, 9}, {4, 11}, {8, 5}, {2, 20}} {
		var other *core.SizeError
		require.ErrorAs(t, store.Seed(t.Context(), size[0], size[1], nil), &other, "%v", size)
		require.Equal(t, 40, other.Tags)
	}
}

func TestSeedGoesOnAfterAnInterruption(t *testing.T) {
	faults := minispike.NewFaults(1)
	store := open(t, serve(t, faults))
	ctx, cancel := context.WithCancel(t.Context())
	err := store.Seed(ctx, 5, 300, func(done, total int) {
		if done > total/2 {
			cancel()
		}
	})
	require.ErrorIs(t, err, context.Canceled)
	count, err := store.TagCount(t.Context())
	require.NoError(t, err)
	require.Zero(t, count, "nobody uses half of it")
	faults.Set(minispike.Fault{On: minispike.Batch, Do: minispike.DropAfter, Count: 1})
	require.NoError(t, store.Seed(t.Context(), 5, 300, nil))
	tags, err := store.Tags(t.Context(), 2000)
	require.NoError(t, err)
	require.Len(t, tags, 1500)
}

func TestTagIDsDoNotChange(t *testing.T) {
	require.Equal(t, uuid.Version(5), uuid.UUID(core.TagID(1, 1)).Version())
	require.Equal(t, "4649bcfd-15cc-5409-9e04-dcfb3787c6a6", core.TagID(6, 42).String())
}

func TestConfigValidate(t *testing.T) {
	require.NoError(t, core.DefaultConfig().Validate())
	for name, spoil := range map[string]func(*core.Config){
		"namespace":   func(c *core.Config) { c.Namespace = "" },
		"connections": func(c *core.Config) { c.Connections = 0 },
		"timeouts":    func(c *core.Config) { c.RequestTimeout = 0 },
	} {
		config := core.DefaultConfig()
		spoil(&config)
		require.ErrorContains(t, config.Validate(), name)
	}
}
