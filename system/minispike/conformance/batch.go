package conformance

import (
	"testing"

	as "github.com/aerospike/aerospike-client-go/v7"
	"github.com/aerospike/aerospike-client-go/v7/types"
	"github.com/stretchr/testify/require"
)

func batchWhen(action as.RecordExistsAction) *as.BatchWritePolicy {
	policy := as.NewBatchWritePolicy()
	policy.RecordExistsAction = action
	return policy
}

// put1 is a batch's write of one bin.
func put1(policy *as.BatchWritePolicy, key *as.Key, bin string, value any) *as.BatchWrite {
	return as.NewBatchWrite(policy, key, as.PutOp(as.NewBin(bin, value)))
}

// binsOf are the bins that a batch brought for a record.
func binsOf(t *testing.T, record as.BatchRecordIfc) as.BinMap {
	t.Helper()
	require.NotNil(t, record.BatchRec().Record, "%s", record)
	return record.BatchRec().Record.Bins
}

func codes[R as.BatchRecordIfc](records []R) []types.ResultCode {
	all := make([]types.ResultCode, len(records))
	for i, record := range records {
		all[i] = record.BatchRec().ResultCode
	}
	return all
}

var batchCases = []contract{
	{"get of present and absent records", func(t *testing.T, c *caller) {
		keys := c.keys(t, 5)
		for i := 0; i < 5; i += 2 {
			c.put(t, keys[i], as.BinMap{"i": i, "j": -i})
		}
		records, err := c.BatchGet(nil, keys)
		require.NoError(t, err)
		for i, record := range records {
			if i%2 == 1 {
				require.Nil(t, record)
				continue
			}
			require.Equal(t, as.BinMap{"i": i, "j": -i}, record.Bins)
			require.EqualValues(t, 1, record.Generation)
		}
		records, err = c.BatchGet(nil, keys[:1], "j")
		require.NoError(t, err)
		require.NotNil(t, records[0])
		require.Equal(t, as.BinMap{"j": 0}, records[0].Bins)
	}},
	{"the same key twice", func(t *testing.T, c *caller) {
		key := c.key(t, "a")
		c.put(t, key, as.BinMap{"a": 1})
		records, err := c.BatchGet(nil, []*as.Key{key, key, key})
		require.NoError(t, err)
		for _, record := range records {
			require.NotNil(t, record)
			require.Equal(t, as.BinMap{"a": 1}, record.Bins)
		}
	}},
	{"exists", func(t *testing.T, c *caller) {
		keys := c.keys(t, 3)
		c.put(t, keys[1], as.BinMap{"a": 1})
		exists, err := c.BatchExists(nil, keys)
		require.NoError(t, err)
		require.Equal(t, []bool{false, true, false}, exists)
	}},
	{"header", func(t *testing.T, c *caller) {
		keys := c.keys(t, 2)
		c.put(t, keys[0], as.BinMap{"a": 1})
		records, err := c.BatchGetHeader(nil, keys)
		require.NoError(t, err)
		require.NotNil(t, records[0])
		require.EqualValues(t, 1, records[0].Generation)
		require.Empty(t, records[0].Bins)
		require.Nil(t, records[1])
	}},
	{"get with operations", func(t *testing.T, c *caller) {
		keys := c.keys(t, 2)
		c.put(t, keys[0], as.BinMap{"l": []any{1, 2, 3}, "m": object{"k": "v"}})
		c.put(t, keys[1], as.BinMap{"l": []any{4}, "m": object{"k": "w"}})
		records, err := c.BatchGetOperate(nil, keys, as.ListSizeOp("l"),
			as.MapGetByKeyOp("m", "k", as.MapReturnType.VALUE))
		require.NoError(t, err)
		require.NotContains(t, records, (*as.Record)(nil))
		require.Equal(t, as.BinMap{"l": 3, "m": "v"}, records[0].Bins)
		require.Equal(t, as.BinMap{"l": 1, "m": "w"}, records[1].Bins)
	}},
	{"reads of different bins", func(t *testing.T, c *caller) {
		keys := c.keys(t, 2)
		for _, key := range keys {
			c.put(t, key, as.BinMap{"a": 1, "b": 2, "c": 3})
		}
		reads := []*as.BatchRead{
			as.NewBatchRead(nil, keys[0], []string{"a"}),
			as.NewBatchRead(nil, keys[1], []string{"b", "c"}),
			as.NewBatchReadHeader(nil, keys[1]),
			as.NewBatchRead(nil, c.key(t, "absent"), []string{"a"}),
			as.NewBatchReadOps(nil, keys[0], as.GetBinOp("c")),
		}
		require.NoError(t, c.BatchGetComplex(nil, reads))
		require.Equal(t, as.BinMap{"a": 1}, binsOf(t, reads[0]))
		require.Equal(t, as.BinMap{"b": 2, "c": 3}, binsOf(t, reads[1]))
		require.Empty(t, binsOf(t, reads[2]))
		require.Nil(t, reads[3].Record)
		require.Equal(t, as.BinMap{"c": 3}, binsOf(t, reads[4]))
	}},
	{"writes, reads and deletes together", func(t *testing.T, c *caller) {
		keys := c.keys(t, 4)
		c.put(t, keys[1], as.BinMap{"n": 1})
		c.put(t, keys[2], as.BinMap{"n": 2})
		batch := []as.BatchRecordIfc{
			put1(nil, keys[0], "n", 10),
			as.NewBatchWrite(nil, keys[1], as.AddOp(as.NewBin("n", 5)), as.GetBinOp("n")),
			as.NewBatchDelete(nil, keys[2]),
			as.NewBatchDelete(nil, keys[3]),
			as.NewBatchRead(nil, keys[1], []string{"none"}),
		}
		require.NoError(t, c.BatchOperate(nil, batch))
		require.Equal(t, []types.ResultCode{
			types.OK, types.OK, types.OK, types.KEY_NOT_FOUND_ERROR, types.OK,
		}, codes(batch))
		require.Equal(t, as.BinMap{"n": as.OpResults{nil, 6}}, binsOf(t, batch[1]))
		require.Equal(t, as.BinMap{"n": 10}, c.bins(t, keys[0]))
		_, err := c.Get(nil, keys[2])
		refused(t, types.KEY_NOT_FOUND_ERROR, err)
	}},
	{"each record has its own outcome", func(t *testing.T, c *caller) {
		keys := c.keys(t, 4)
		c.put(t, keys[1], as.BinMap{"a": "taken"})
		c.put(t, keys[3], as.BinMap{"a": "text"})
		batch := []as.BatchRecordIfc{
			put1(batchWhen(as.CREATE_ONLY), keys[0], "a", "new"),
			put1(batchWhen(as.CREATE_ONLY), keys[1], "a", "lost"),
			put1(batchWhen(as.UPDATE_ONLY), keys[2], "a", "lost"),
			as.NewBatchWrite(nil, keys[3], as.AddOp(as.NewBin("a", 1))),
		}
		require.NoError(t, c.BatchOperate(nil, batch))
		require.Equal(t, []types.ResultCode{
			types.OK, types.KEY_EXISTS_ERROR, types.KEY_NOT_FOUND_ERROR, types.BIN_TYPE_ERROR,
		}, codes(batch))
		require.Equal(t, as.BinMap{"a": "new"}, c.bins(t, keys[0]))
		require.Equal(t, as.BinMap{"a": "taken"}, c.bins(t, keys[1]))
	}},
	{"a batch that stops at the first refusal", func(t *testing.T, c *caller) {
		keys := c.keys(t, 3)
		c.put(t, keys[0], as.BinMap{"a": "taken"})
		policy := as.NewBatchPolicy()
		policy.TotalTimeout = patience
		policy.RespondAllKeys = false
		batch := []as.BatchRecordIfc{
			put1(batchWhen(as.CREATE_ONLY), keys[0], "a", "lost"),
			put1(batchWhen(as.CREATE_ONLY), keys[1], "a", "unknown"),
		}
		refused(t, types.KEY_EXISTS_ERROR, c.BatchOperate(policy, batch))
		require.NotEqual(t, types.OK, batch[0].BatchRec().ResultCode)
		require.Equal(t, as.BinMap{"a": "taken"}, c.bins(t, keys[0]))
	}},
	{"replace, generation and key of a write", func(t *testing.T, c *caller) {
		keys := c.keys(t, 3)
		for _, key := range keys {
			c.put(t, key, as.BinMap{"a": 1, "b": 2})
		}
		stale := as.NewBatchWritePolicy()
		stale.GenerationPolicy, stale.Generation = as.EXPECT_GEN_EQUAL, 7
		current := as.NewBatchWritePolicy()
		current.GenerationPolicy, current.Generation, current.SendKey = as.EXPECT_GEN_EQUAL, 1, true
		batch := []as.BatchRecordIfc{
			put1(batchWhen(as.REPLACE), keys[0], "c", 3),
			put1(stale, keys[1], "c", 3),
			put1(current, keys[2], "c", 3),
		}
		require.NoError(t, c.BatchOperate(nil, batch))
		require.Equal(t, []types.ResultCode{types.OK, types.GENERATION_ERROR, types.OK}, codes(batch))
		require.Equal(t, as.BinMap{"c": 3}, c.bins(t, keys[0]))
		require.Equal(t, as.BinMap{"a": 1, "b": 2}, c.bins(t, keys[1]))
		require.Equal(t, as.BinMap{"a": 1, "b": 2, "c": 3}, c.bins(t, keys[2]))
	}},
	{"map increments", func(t *testing.T, c *caller) {
		keys := c.keys(t, 3)
		for round := 1; round <= 2; round++ {
			var batch []as.BatchRecordIfc
			for i, key := range keys {
				batch = append(batch, as.NewBatchWrite(nil, key,
					as.MapIncrementOp(unordered, "stats", "clicks", i+1)))
			}
			require.NoError(t, c.BatchOperate(nil, batch))
			for i, record := range batch {
				require.Equal(t, (i+1)*round, binsOf(t, record)["stats"])
			}
		}
	}},
	{"delete", func(t *testing.T, c *caller) {
		keys := c.keys(t, 3)
		c.put(t, keys[0], as.BinMap{"a": 1})
		c.put(t, keys[2], as.BinMap{"a": 1})
		records, err := c.BatchDelete(nil, nil, keys)
		require.NoError(t, err)
		require.Equal(t, []types.ResultCode{types.OK, types.KEY_NOT_FOUND_ERROR, types.OK}, codes(records))
		exists, err := c.BatchExists(nil, keys)
		require.NoError(t, err)
		require.Equal(t, []bool{false, false, false}, exists)
	}},
	{"writes of one key happen in their order", func(t *testing.T, c *caller) {
		key := c.key(t, "a")
		batch := []as.BatchRecordIfc{
			put1(batchWhen(as.CREATE_ONLY), key, "a", 1),
			put1(batchWhen(as.CREATE_ONLY), key, "a", 2),
			as.NewBatchWrite(nil, key, as.AddOp(as.NewBin("a", 10)), as.GetBinOp("a")),
		}
		require.NoError(t, c.BatchOperate(nil, batch))
		require.Equal(t, []types.ResultCode{types.OK, types.KEY_EXISTS_ERROR, types.OK}, codes(batch))
		require.Equal(t, as.BinMap{"a": 11}, c.bins(t, key))
	}},
	{"keys of several sets", func(t *testing.T, c *caller) {
		keys := []*as.Key{c.keyIn(t, ownSet(), 1), c.keyIn(t, ownSet(), 1), c.key(t, "a")}
		var batch []as.BatchRecordIfc
		for i, key := range keys {
			batch = append(batch, put1(nil, key, "i", i))
		}
		require.NoError(t, c.BatchOperate(nil, batch))
		records, err := c.BatchGet(nil, keys)
		require.NoError(t, err)
		for i, record := range records {
			require.NotNil(t, record)
			require.Equal(t, as.BinMap{"i": i}, record.Bins)
		}
	}},
	{"a filter lets some records pass", func(t *testing.T, c *caller) {
		keys := c.keys(t, 4)
		for i, key := range keys[:3] {
			c.put(t, key, as.BinMap{"i": i})
		}
		above := as.ExpGreater(as.ExpIntBin("i"), as.ExpIntVal(0))
		read, write, remove := as.NewBatchReadPolicy(), as.NewBatchWritePolicy(), as.NewBatchDeletePolicy()
		read.FilterExpression, write.FilterExpression, remove.FilterExpression = above, above, above
		batch := []as.BatchRecordIfc{
			as.NewBatchRead(read, keys[0], []string{"i"}),
			as.NewBatchRead(read, keys[1], []string{"i"}),
			put1(write, keys[0], "seen", true),
			put1(write, keys[2], "seen", true),
			as.NewBatchDelete(remove, keys[0]),
			as.NewBatchDelete(remove, keys[1]),
			as.NewBatchRead(read, keys[3], []string{"i"}),
		}
		require.NoError(t, c.BatchOperate(nil, batch))
		require.Equal(t, []types.ResultCode{
			types.FILTERED_OUT, types.OK, types.FILTERED_OUT, types.OK, types.FILTERED_OUT, types.OK, types.KEY_NOT_FOUND_ERROR,
		}, codes(batch))
		require.Equal(t, as.BinMap{"i": 0}, c.bins(t, keys[0]))
		require.Equal(t, as.BinMap{"i": 2, "seen": true}, c.bins(t, keys[2]))
	}},
	{"a filter for the whole batch", func(t *testing.T, c *caller) {
		keys := c.keys(t, 3)
		for i, key := range keys {
			c.put(t, key, as.BinMap{"i": i})
		}
		policy := as.NewBatchPolicy()
		policy.TotalTimeout = patience
		policy.FilterExpression = as.ExpEq(as.ExpIntBin("i"), as.ExpIntVal(1))
		reads := []as.BatchRecordIfc{
			as.NewBatchRead(nil, keys[0], []string{"i"}),
			as.NewBatchRead(nil, keys[1], []string{"i"}),
			as.NewBatchRead(nil, keys[2], []string{"i"}),
		}
		require.NoError(t, c.BatchOperate(policy, reads))
		require.Equal(t, []types.ResultCode{types.FILTERED_OUT, types.OK, types.FILTERED_OUT}, codes(reads))
	}},
	{"a thousand writes, then a thousand reads", func(t *testing.T, c *caller) {
		keys := make([]*as.Key, 1000)
		var writes []as.BatchRecordIfc
		set := ownSet()
		for i := range keys {
			key, err := as.NewKey(namespace, set, i)
			require.NoError(t, err)
			keys[i] = key
			writes = append(writes, put1(nil, key, "i", i))
		}
		t.Cleanup(func() {
			_, err := c.BatchDelete(nil, nil, keys)
			require.NoError(t, err)
		})
		require.NoError(t, c.BatchOperate(nil, writes))
		records, err := c.BatchGet(nil, keys)
		require.NoError(t, err)
		for i, record := range records {
			require.NotNil(t, record)
			require.Equal(t, as.BinMap{"i": i}, record.Bins)
		}
	}},
	{"an unknown namespace in a batch", func(t *testing.T, c *caller) {
		key, err := as.NewKey("nowhere", "s", 1)
		require.NoError(t, err)
		_, err = c.BatchGet(nil, []*as.Key{key})
		require.Error(t, err)
	}},
}
