package conformance

import (
	"testing"
	"time"

	as "github.com/aerospike/aerospike-client-go/v7"
	"github.com/aerospike/aerospike-client-go/v7/types"
	"github.com/stretchr/testify/require"
)

// expiring is a write policy with a time to live in seconds, or one of the
// protocol's special values.
func expiring(seconds uint32) *as.WritePolicy {
	return writing(func(p *as.WritePolicy) { p.Expiration = seconds })
}

// timeToLive is what remains to the record, in seconds, or TTLDontExpire.
func (c *caller) timeToLive(t *testing.T, key *as.Key) uint32 {
	t.Helper()
	record, err := c.GetHeader(nil, key)
	require.NoError(t, err)
	return record.Expiration
}

// about checks a time to live that was set a moment ago. Servers count in
// whole seconds and the test may have been held up.
func about(t *testing.T, seconds, ttl uint32) {
	t.Helper()
	require.LessOrEqual(t, ttl, seconds+1)
	require.GreaterOrEqual(t, ttl, seconds-uint32(patience/time.Second))
}

var expiryCases = []contract{
	{"a record goes when its time is up", func(t *testing.T, c *caller) {
		key := c.key(t, "a")
		require.NoError(t, c.Put(expiring(1), key, as.BinMap{"a": 1}))
		require.Eventually(t, func() bool {
			_, err := c.Get(nil, key)
			return err != nil && err.Matches(types.KEY_NOT_FOUND_ERROR)
		}, patience, glance)
		exists, err := c.Exists(nil, key)
		require.NoError(t, err)
		require.False(t, exists)
		require.NoError(t, c.Put(writing(when(as.CREATE_ONLY)), key, as.BinMap{"b": 2}))
		record, err := c.Get(nil, key)
		require.NoError(t, err)
		require.Equal(t, as.BinMap{"b": 2}, record.Bins)
		require.EqualValues(t, 1, record.Generation)
	}},
	{"an expired record is in no scan and no batch", func(t *testing.T, c *caller) {
		set := ownSet()
		short, long := c.keyIn(t, set, "short"), c.keyIn(t, set, "long")
		require.NoError(t, c.Put(expiring(1), short, as.BinMap{"short": true}))
		require.NoError(t, c.Put(expiring(1000), long, as.BinMap{"short": false}))
		require.Eventually(t, func() bool {
			records, err := c.BatchGet(nil, []*as.Key{short, long})
			return err == nil && records[0] == nil && records[1] != nil
		}, patience, glance)
		records := c.scan(t, set, nil)
		require.Len(t, records, 1)
		require.Equal(t, as.BinMap{"short": false}, records[0].Bins)
	}},
	{"the time to live is told", func(t *testing.T, c *caller) {
		key := c.key(t, "a")
		require.NoError(t, c.Put(expiring(1000), key, as.BinMap{"a": 1}))
		about(t, 1000, c.timeToLive(t, key))
		record, err := c.Get(nil, key)
		require.NoError(t, err)
		about(t, 1000, record.Expiration)
	}},
	{"a record without one never expires", func(t *testing.T, c *caller) {
		key := c.key(t, "a")
		require.NoError(t, c.Put(expiring(as.TTLServerDefault), key, as.BinMap{"a": 1}))
		require.EqualValues(t, as.TTLDontExpire, c.timeToLive(t, key))
	}},
	{"a write without one makes it endless again", func(t *testing.T, c *caller) {
		key := c.key(t, "a")
		require.NoError(t, c.Put(expiring(1000), key, as.BinMap{"a": 1}))
		require.NoError(t, c.Put(expiring(as.TTLDontExpire), key, as.BinMap{"a": 2}))
		require.EqualValues(t, as.TTLDontExpire, c.timeToLive(t, key))
		require.NoError(t, c.Put(expiring(1000), key, as.BinMap{"a": 3}))
		require.NoError(t, c.Put(expiring(as.TTLServerDefault), key, as.BinMap{"a": 4}))
		require.EqualValues(t, as.TTLDontExpire, c.timeToLive(t, key))
	}},
	{"a write can leave it alone", func(t *testing.T, c *caller) {
		key := c.key(t, "a")
		require.NoError(t, c.Put(expiring(1000), key, as.BinMap{"a": 1}))
		require.NoError(t, c.Put(expiring(as.TTLDontUpdate), key, as.BinMap{"a": 2}))
		about(t, 1000, c.timeToLive(t, key))
		require.Equal(t, as.BinMap{"a": 2}, c.bins(t, key))
		other := c.key(t, "new")
		require.NoError(t, c.Put(expiring(as.TTLDontUpdate), other, as.BinMap{"a": 1}))
		require.EqualValues(t, as.TTLDontExpire, c.timeToLive(t, other))
	}},
	{"touch sets it", func(t *testing.T, c *caller) {
		key := c.key(t, "a")
		require.NoError(t, c.Put(expiring(1000), key, as.BinMap{"a": 1}))
		require.NoError(t, c.Touch(expiring(5000), key))
		about(t, 5000, c.timeToLive(t, key))
	}},
	{"operate sets it", func(t *testing.T, c *caller) {
		key := c.key(t, "a")
		_, err := c.Operate(expiring(3000), key, as.PutOp(as.NewBin("a", 1)), as.GetBinOp("a"))
		require.NoError(t, err)
		about(t, 3000, c.timeToLive(t, key))
	}},
	{"a batch sets it for each record", func(t *testing.T, c *caller) {
		keys := c.keys(t, 3)
		var writes []as.BatchRecordIfc
		for i, key := range keys {
			policy := as.NewBatchWritePolicy()
			policy.Expiration = uint32(i+1) * 1000
			writes = append(writes, as.NewBatchWrite(policy, key, as.PutOp(as.NewBin("i", i))))
		}
		require.NoError(t, c.BatchOperate(nil, writes))
		for i, key := range keys {
			about(t, uint32(i+1)*1000, c.timeToLive(t, key))
		}
	}},
	{"eleven years are too long", func(t *testing.T, c *caller) {
		key := c.key(t, "a")
		refused(t, types.PARAMETER_ERROR, c.Put(expiring(11*365*24*3600), key, as.BinMap{"a": 1}))
	}},
}
