package minispike_test

import (
	"fmt"
	"testing"
	"time"

	as "github.com/aerospike/aerospike-client-go/v7"
	"github.com/aerospike/aerospike-client-go/v7/types"
	"github.com/stretchr/testify/require"

	"adpulse/system/minispike"
)

func fill(t *testing.T, client *as.Client, set string, records int) {
	t.Helper()
	batch := make([]as.BatchRecordIfc, records)
	for i := range batch {
		batch[i] = as.NewBatchWrite(nil, key(t, set, i), as.PutOp(as.NewBin("n", i)), as.PutOp(as.NewBin("text", fmt.Sprint(i%10))))
	}
	require.NoError(t, client.BatchOperate(nil, batch))
}

func TestScanFindsASetsRecordsOnce(t *testing.T) {
	_, client := start(t, minispike.Config{})
	fill(t, client, "one", 3000)
	fill(t, client, "two", 50)
	seen := map[int]bool{}
	for r := range scan(t, client, nil, "one") {
		require.False(t, seen[r.Bins["n"].(int)])
		seen[r.Bins["n"].(int)] = true
		require.Len(t, r.Bins, 2)
	}
	require.Len(t, seen, 3000)
	require.Len(t, scan(t, client, nil, ""), 3050)
	require.Empty(t, scan(t, client, nil, "none"))
	for r := range scan(t, client, nil, "two", "n") {
		require.Len(t, r.Bins, 1)
	}
	policy := scanPolicy()
	policy.IncludeBinData = false
	for r := range scan(t, client, policy, "two") {
		require.Empty(t, r.Bins)
		require.Equal(t, "two", r.Key.SetName())
	}
}

func TestScanGoesOnWhereItStopped(t *testing.T) {
	_, client := start(t, minispike.Config{})
	fill(t, client, "pages", 500)
	policy := scanPolicy()
	policy.MaxRecords = 70
	filter := as.NewPartitionFilterAll()
	seen := map[int]bool{}
	for range 20 {
		records, err := client.ScanPartitions(policy, filter, "test", "pages")
		require.NoError(t, err)
		for result := range records.Results() {
			require.NoError(t, result.Err)
			require.False(t, seen[result.Record.Bins["n"].(int)], "twice")
			seen[result.Record.Bins["n"].(int)] = true
		}
		if filter.IsDone() {
			break
		}
	}
	require.True(t, filter.IsDone())
	require.Len(t, seen, 500)
}

func index(t *testing.T, client *as.Client, set, name, bin string, kind as.IndexType) {
	t.Helper()
	task, err := client.CreateIndex(nil, "test", set, name, bin, kind)
	require.NoError(t, err)
	select {
	case err := <-task.OnComplete():
		require.NoError(t, err)
	case <-time.After(10 * time.Second):
		t.Fatal("the index is not built")
	}
}

func query(t *testing.T, client *as.Client, set string, filter *as.Filter) (map[int]bool, as.Error) {
	t.Helper()
	statement := as.NewStatement("test", set)
	require.NoError(t, statement.SetFilter(filter))
	records, err := client.Query(nil, statement)
	if err != nil {
		return nil, err
	}
	found := map[int]bool{}
	for result := range records.Results() {
		if result.Err != nil {
			return nil, result.Err
		}
		n := result.Record.Bins["n"].(int)
		require.False(t, found[n], "twice")
		found[n] = true
	}
	return found, nil
}

func TestSecondaryIndexFollowsItsRecords(t *testing.T) {
	_, client := start(t, minispike.Config{})
	fill(t, client, "idx", 400) // some before the index, some after
	index(t, client, "idx", "by_n", "n", as.NUMERIC)
	index(t, client, "idx", "by_text", "text", as.STRING)
	for i := 400; i < 600; i++ {
		require.NoError(t, client.Put(nil, key(t, "idx", i), as.BinMap{"n": i, "text": fmt.Sprint(i % 10)}))
	}
	found, err := query(t, client, "idx", as.NewRangeFilter("n", 390, 409))
	require.NoError(t, err)
	require.Len(t, found, 20)
	found, err = query(t, client, "idx", as.NewEqualFilter("text", "3"))
	require.NoError(t, err)
	require.Len(t, found, 60)
	found, err = query(t, client, "idx", as.NewRangeFilter("n", -1<<63, -1))
	require.NoError(t, err)
	require.Empty(t, found)

	require.NoError(t, client.Put(nil, key(t, "idx", 395), as.BinMap{"n": -5}))
	_, err = client.Delete(nil, key(t, "idx", 396))
	require.NoError(t, err)
	require.NoError(t, client.PutBins(nil, key(t, "idx", 397), as.NewBin("n", nil)))
	replace := writePolicy(0, 0)
	replace.RecordExistsAction = as.REPLACE
	require.NoError(t, client.Put(replace, key(t, "idx", 398), as.BinMap{"other": 1}))
	found, err = query(t, client, "idx", as.NewRangeFilter("n", 390, 409))
	require.NoError(t, err)
	require.Len(t, found, 16)
	found, err = query(t, client, "idx", as.NewRangeFilter("n", -10, -1))
	require.NoError(t, err)
	require.Equal(t, map[int]bool{-5: true}, found)

	_, err = query(t, client, "idx", as.NewRangeFilter("none", 1, 2))
	refused(t, err, types.INDEX_NOTFOUND)
	_, err = client.CreateIndex(nil, "test", "idx", "by_n", "n", as.NUMERIC)
	refused(t, err, types.INDEX_FOUND)
	require.NoError(t, client.DropIndex(nil, "test", "idx", "by_n"))
	require.NoError(t, client.DropIndex(nil, "test", "idx", "by_n"))
	_, err = query(t, client, "idx", as.NewRangeFilter("n", 1, 2))
	refused(t, err, types.INDEX_NOTFOUND)
}

func TestIndexQueryGoesOnWhereItStopped(t *testing.T) {
	_, client := start(t, minispike.Config{})
	fill(t, client, "pages", 300)
	index(t, client, "pages", "by_n", "n", as.NUMERIC)
	policy := queryPolicy()
	policy.MaxRecords = 40
	filter := as.NewPartitionFilterAll()
	seen := map[int]bool{}
	for range 20 {
		statement := as.NewStatement("test", "pages")
		require.NoError(t, statement.SetFilter(as.NewRangeFilter("n", 0, 249)))
		records, err := client.QueryPartitions(policy, statement, filter)
		require.NoError(t, err)
		for result := range records.Results() {
			require.NoError(t, result.Err)
			require.False(t, seen[result.Record.Bins["n"].(int)], "twice")
			seen[result.Record.Bins["n"].(int)] = true
		}
		if filter.IsDone() {
			break
		}
	}
	require.True(t, filter.IsDone())
	require.Len(t, seen, 250)
}

func TestTruncateHidesWhatWasThere(t *testing.T) {
	_, client := start(t, minispike.Config{})
	fill(t, client, "cut", 300)
	fill(t, client, "whole", 30)
	require.NoError(t, client.Truncate(nil, "test", "cut", nil))
	require.Empty(t, scan(t, client, nil, "cut"))
	require.Len(t, scan(t, client, nil, "whole"), 30)
	require.NoError(t, client.Put(nil, key(t, "cut", 5), as.BinMap{"n": 5}))
	record, err := client.Get(nil, key(t, "cut", 5))
	require.NoError(t, err)
	require.EqualValues(t, 1, record.Generation)
	require.Len(t, scan(t, client, nil, "cut"), 1)
}

func TestBackgroundQueriesAreRefused(t *testing.T) {
	_, client := start(t, minispike.Config{})
	fill(t, client, "bg", 3)
	_, err := client.QueryExecute(nil, nil, as.NewStatement("test", "bg"), as.PutOp(as.NewBin("n", 1)))
	refused(t, err, types.UNSUPPORTED_FEATURE)
}
