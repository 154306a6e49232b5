package minispike_test

import (
	"strings"
	"testing"
	"time"

	as "github.com/aerospike/aerospike-client-go/v7"
	"github.com/aerospike/aerospike-client-go/v7/types"
	"github.com/stretchr/testify/require"

	"adpulse/system/minispike"
)

func TestRecordExistsActions(t *testing.T) {
	_, client := start(t, minispike.Config{})
	put := func(k *as.Key, action as.RecordExistsAction, bins as.BinMap) as.Error {
		policy := writePolicy(0, 0)
		policy.RecordExistsAction = action
		return client.Put(policy, k, bins)
	}
	for _, c := range []struct {
		name          string
		action        as.RecordExistsAction
		whenAbsent    types.ResultCode
		whenThere     types.ResultCode
		mergesOldBins bool
	}{
		{"update", as.UPDATE, types.OK, types.OK, true},
		{"update only", as.UPDATE_ONLY, types.KEY_NOT_FOUND_ERROR, types.OK, true},
		{"replace", as.REPLACE, types.OK, types.OK, false},
		{"replace only", as.REPLACE_ONLY, types.KEY_NOT_FOUND_ERROR, types.OK, false},
		{"create only", as.CREATE_ONLY, types.OK, types.KEY_EXISTS_ERROR, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			absent, there := key(t, "absent", c.name), key(t, "there", c.name)
			expect(t, put(absent, c.action, as.BinMap{"new": 1}), c.whenAbsent)
			require.NoError(t, client.Put(nil, there, as.BinMap{"old": 1}))
			expect(t, put(there, c.action, as.BinMap{"new": 2}), c.whenThere)
			record, err := client.Get(nil, there)
			require.NoError(t, err)
			want := as.BinMap{"old": 1}
			if c.whenThere == types.OK {
				want["new"] = 2
				if !c.mergesOldBins {
					delete(want, "old")
				}
			}
			require.Equal(t, want, record.Bins)
		})
	}
}

func expect(t *testing.T, err as.Error, code types.ResultCode) {
	t.Helper()
	if code == types.OK {
		require.NoError(t, err)
		return
	}
	refused(t, err, code)
}

func TestGenerations(t *testing.T) {
	_, client := start(t, minispike.Config{})
	k := key(t, "gen", 1)
	put := func(policy as.GenerationPolicy, generation uint32) as.Error {
		p := writePolicy(generation, 0)
		p.GenerationPolicy = policy
		return client.Put(p, k, as.BinMap{"n": 1})
	}
	expect(t, put(as.EXPECT_GEN_EQUAL, 1), types.GENERATION_ERROR)
	expect(t, put(as.EXPECT_GEN_EQUAL, 0), types.OK)
	expect(t, put(as.EXPECT_GEN_EQUAL, 0), types.GENERATION_ERROR)
	expect(t, put(as.EXPECT_GEN_EQUAL, 1), types.OK)
	expect(t, put(as.EXPECT_GEN_GT, 2), types.GENERATION_ERROR)
	expect(t, put(as.EXPECT_GEN_GT, 7), types.OK)
	record, err := client.Get(nil, k)
	require.NoError(t, err)
	require.EqualValues(t, 3, record.Generation)

	p := writePolicy(2, 0)
	p.GenerationPolicy = as.EXPECT_GEN_EQUAL
	_, err = client.Delete(p, k)
	refused(t, err, types.GENERATION_ERROR)
	p.Generation = 3
	existed, err := client.Delete(p, k)
	require.NoError(t, err)
	require.True(t, existed)
}

func TestTimeToLive(t *testing.T) {
	_, client := start(t, minispike.Config{DefaultTTL: 100 * time.Second})
	put := func(k *as.Key, ttl uint32) {
		t.Helper()
		require.NoError(t, client.Put(writePolicy(0, ttl), k, as.BinMap{"n": 1}))
	}
	left := func(k *as.Key) uint32 {
		t.Helper()
		record, err := client.GetHeader(nil, k)
		require.NoError(t, err)
		return record.Expiration
	}
	k := key(t, "ttl", 1)
	put(k, as.TTLServerDefault)
	require.InDelta(t, 100, left(k), 30)
	put(k, as.TTLDontExpire)
	require.Equal(t, uint32(as.TTLDontExpire), left(k))
	put(k, 5000)
	require.InDelta(t, 5000, left(k), 30)
	put(k, as.TTLDontUpdate)
	require.InDelta(t, 5000, left(k), 30)
	require.NoError(t, client.Touch(writePolicy(0, 700), k))
	require.InDelta(t, 700, left(k), 30)
	fresh := key(t, "ttl", 2)
	put(fresh, as.TTLDontUpdate)
	require.InDelta(t, 100, left(fresh), 30)

	expect(t, client.Put(writePolicy(0, 11*365*24*3600), k, as.BinMap{"n": 1}), types.PARAMETER_ERROR)
	refused(t, client.Touch(nil, key(t, "ttl", "none")), types.KEY_NOT_FOUND_ERROR)
}

func TestExpiredRecordsAreGoneAtOnceAndSweptLater(t *testing.T) {
	_, client := start(t, minispike.Config{SweepEvery: 100 * time.Millisecond})
	brief, kept := key(t, "ttl", "brief"), key(t, "ttl", "kept")
	require.NoError(t, client.Put(writePolicy(0, 1), brief, as.BinMap{"n": 1}))
	require.NoError(t, client.Put(writePolicy(0, 30), kept, as.BinMap{"n": 1}))
	require.NoError(t, client.Touch(writePolicy(0, 100), kept))
	require.Eventually(t, func() bool {
		exists, err := client.Exists(nil, brief)
		return err == nil && !exists
	}, 5*time.Second, 20*time.Millisecond)
	require.NoError(t, client.Put(&as.WritePolicy{
		BasePolicy: *as.NewPolicy(), RecordExistsAction: as.CREATE_ONLY, Expiration: 100,
	}, brief, as.BinMap{"n": 2}))
	record, err := client.Get(nil, brief)
	require.NoError(t, err)
	require.EqualValues(t, 1, record.Generation, "an expired record does not come back to life")
	exists, err := client.Exists(nil, kept)
	require.NoError(t, err)
	require.True(t, exists)
}

func TestOperateRunsInOrderOnOneRecord(t *testing.T) {
	_, client := start(t, minispike.Config{})
	k := key(t, "ops", 1)
	record, err := client.Operate(nil, k,
		as.PutOp(as.NewBin("text", "b")),
		as.AddOp(as.NewBin("n", 5)),
		as.AddOp(as.NewBin("n", 2)),
		as.AppendOp(as.NewBin("text", "c")),
		as.PrependOp(as.NewBin("text", "a")),
		as.GetBinOp("n"), as.GetBinOp("text"))
	require.NoError(t, err)
	require.Equal(t, 7, record.Bins["n"])
	require.Equal(t, "abc", record.Bins["text"])
	require.EqualValues(t, 1, record.Generation)

	record, err = client.Operate(nil, k, as.AddOp(as.NewBin("n", -10)), as.GetOp())
	require.NoError(t, err)
	require.Equal(t, as.BinMap{"n": -3, "text": "abc"}, record.Bins)

	_, err = client.Operate(nil, k, as.AddOp(as.NewBin("n", 1)), as.AddOp(as.NewBin("text", 1)))
	refused(t, err, types.BIN_TYPE_ERROR)
	record, err = client.Get(nil, k)
	require.NoError(t, err)
	require.Equal(t, -3, record.Bins["n"], "nothing of a failed operate is stored")

	record, err = client.Operate(nil, k, as.TouchOp(), as.GetHeaderOp())
	require.NoError(t, err)
	require.EqualValues(t, 3, record.Generation)

	record, err = client.Operate(nil, k, as.DeleteOp(), as.PutOp(as.NewBin("only", 1)), as.GetOp())
	require.NoError(t, err)
	require.Equal(t, as.BinMap{"only": 1}, record.Bins)
	_, err = client.Operate(nil, k, as.PutOp(as.NewBin("only", nil)))
	require.NoError(t, err)
	exists, err := client.Exists(nil, k)
	require.NoError(t, err)
	require.False(t, exists, "a record without bins is no record")
}

func TestUserKeyIsStoredWhenSent(t *testing.T) {
	_, client := start(t, minispike.Config{})
	policy := writePolicy(0, 0)
	policy.SendKey = true
	require.NoError(t, client.Put(policy, key(t, "keys", "sent"), as.BinMap{"n": 1}))
	require.NoError(t, client.Put(nil, key(t, "keys", "sent"), as.BinMap{"n": 2}))
	require.NoError(t, client.Put(nil, key(t, "keys", "kept back"), as.BinMap{"n": 1}))
	found := map[string]int{}
	for result := range scan(t, client, nil, "keys") {
		name := ""
		if v := result.Key.Value(); v != nil {
			name = v.String()
		}
		found[name]++
	}
	require.Equal(t, map[string]int{"sent": 1, "": 1}, found)
}

func TestRefusals(t *testing.T) {
	_, client := start(t, minispike.Config{})
	k := key(t, "bad", 1)
	require.NoError(t, client.Put(nil, k, as.BinMap{"n": 1}))
	refused(t, client.Put(nil, k, as.BinMap{strings.Repeat("x", 16): 1}), types.BIN_NAME_TOO_LONG)
	refused(t, client.Put(nil, k, as.BinMap{"big": make([]byte, 8<<20)}), types.RECORD_TOO_BIG)
	refused(t, client.Put(nil, key(t, strings.Repeat("s", 64), 1), as.BinMap{"n": 1}), types.PARAMETER_ERROR)
	_, err := client.Operate(nil, k, as.BitGetOp("n", 0, 8))
	refused(t, err, types.UNSUPPORTED_FEATURE)
	_, err = client.Execute(nil, k, "package", "function")
	refused(t, err, types.UNSUPPORTED_FEATURE)
	durable := writePolicy(0, 0)
	durable.DurableDelete = true
	_, err = client.Delete(durable, k)
	refused(t, err, types.ENTERPRISE_ONLY)
	other, err := as.NewKey("other", "bad", 1)
	require.NoError(t, err)
	_, err = client.Get(nil, other)
	require.True(t, err.Matches(types.INVALID_NAMESPACE, types.INVALID_CLUSTER_PARTITION_MAP, types.TIMEOUT), "%v", err)
}

func TestLargeRecords(t *testing.T) {
	_, client := start(t, minispike.Config{})
	blob := make([]byte, 7<<20)
	for i := range blob {
		blob[i] = byte(i >> 8)
	}
	require.NoError(t, client.Put(nil, key(t, "large", 1), as.BinMap{"blob": blob}))
	record, err := client.Get(nil, key(t, "large", 1))
	require.NoError(t, err)
	require.Equal(t, blob, record.Bins["blob"])
}

func scan(tb testing.TB, client *as.Client, policy *as.ScanPolicy, set string, bins ...string) map[*as.Record]bool {
	tb.Helper()
	found := map[*as.Record]bool{}
	records, err := client.ScanAll(policy, "test", set, bins...)
	require.NoError(tb, err)
	for result := range records.Results() {
		require.NoError(tb, result.Err)
		found[result.Record] = true
	}
	return found
}
