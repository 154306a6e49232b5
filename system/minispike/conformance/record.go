package conformance

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	as "github.com/aerospike/aerospike-client-go/v7"
	"github.com/aerospike/aerospike-client-go/v7/types"
	"github.com/stretchr/testify/require"
)

var recordCases = []contract{
	{"put then get", func(t *testing.T, c *caller) {
		key := c.key(t, "a")
		c.put(t, key, as.BinMap{"n": 7, "s": "seven"})
		record, err := c.Get(nil, key)
		require.NoError(t, err)
		require.Equal(t, as.BinMap{"n": 7, "s": "seven"}, record.Bins)
		require.EqualValues(t, 1, record.Generation)
	}},
	{"get of an absent record is not found", func(t *testing.T, c *caller) {
		_, err := c.Get(nil, c.key(t, "absent"))
		refused(t, types.KEY_NOT_FOUND_ERROR, err)
	}},
	{"get of some bins gives those that exist", func(t *testing.T, c *caller) {
		key := c.key(t, "a")
		c.put(t, key, as.BinMap{"a": 1, "b": 2, "c": 3})
		record, err := c.Get(nil, key, "a", "c", "none")
		require.NoError(t, err)
		require.Equal(t, as.BinMap{"a": 1, "c": 3}, record.Bins)
		record, err = c.Get(nil, key, "none")
		require.NoError(t, err)
		require.Empty(t, record.Bins)
	}},
	{"put keeps the other bins", func(t *testing.T, c *caller) {
		key := c.key(t, "a")
		c.put(t, key, as.BinMap{"a": 1, "b": 2})
		c.put(t, key, as.BinMap{"b": "two", "c": 3})
		require.Equal(t, as.BinMap{"a": 1, "b": "two", "c": 3}, c.bins(t, key))
	}},
	{"put of nothing removes a bin, of the last one the record", func(t *testing.T, c *caller) {
		key := c.key(t, "a")
		c.put(t, key, as.BinMap{"a": 1, "b": 2})
		c.put(t, key, as.BinMap{"a": nil})
		require.Equal(t, as.BinMap{"b": 2}, c.bins(t, key))
		c.put(t, key, as.BinMap{"b": nil})
		exists, err := c.Exists(nil, key)
		require.NoError(t, err)
		require.False(t, exists)
	}},
	{"exists", func(t *testing.T, c *caller) {
		key := c.key(t, "a")
		exists, err := c.Exists(nil, key)
		require.NoError(t, err)
		require.False(t, exists)
		c.put(t, key, as.BinMap{"a": 1})
		exists, err = c.Exists(nil, key)
		require.NoError(t, err)
		require.True(t, exists)
	}},
	{"delete says whether the record was there", func(t *testing.T, c *caller) {
		key := c.key(t, "a")
		c.put(t, key, as.BinMap{"a": 1})
		existed, err := c.Delete(nil, key)
		require.NoError(t, err)
		require.True(t, existed)
		existed, err = c.Delete(nil, key)
		require.NoError(t, err)
		require.False(t, existed)
		_, err = c.Get(nil, key)
		refused(t, types.KEY_NOT_FOUND_ERROR, err)
	}},
	{"a record written after its deletion starts anew", func(t *testing.T, c *caller) {
		key := c.key(t, "a")
		c.put(t, key, as.BinMap{"a": 1})
		c.put(t, key, as.BinMap{"a": 2})
		_, err := c.Delete(nil, key)
		require.NoError(t, err)
		c.put(t, key, as.BinMap{"b": 3})
		record, err := c.Get(nil, key)
		require.NoError(t, err)
		require.EqualValues(t, 1, record.Generation)
		require.Equal(t, as.BinMap{"b": 3}, record.Bins)
	}},
	{"touch raises the generation and keeps the bins", func(t *testing.T, c *caller) {
		key := c.key(t, "a")
		refused(t, types.KEY_NOT_FOUND_ERROR, c.Touch(nil, key))
		c.put(t, key, as.BinMap{"a": 1})
		require.NoError(t, c.Touch(nil, key))
		record, err := c.Get(nil, key)
		require.NoError(t, err)
		require.EqualValues(t, 2, record.Generation)
		require.Equal(t, as.BinMap{"a": 1}, record.Bins)
	}},
	{"header gives generation and no bins", func(t *testing.T, c *caller) {
		key := c.key(t, "a")
		record, err := c.GetHeader(nil, key)
		require.NoError(t, err)
		require.Nil(t, record)
		c.put(t, key, as.BinMap{"a": 1})
		c.put(t, key, as.BinMap{"a": 2})
		record, err = c.GetHeader(nil, key)
		require.NoError(t, err)
		require.EqualValues(t, 2, record.Generation)
		require.Empty(t, record.Bins)
	}},
	{"add, append and prepend as commands", func(t *testing.T, c *caller) {
		key := c.key(t, "a")
		require.NoError(t, c.Add(nil, key, as.BinMap{"n": 5}))
		require.NoError(t, c.Add(nil, key, as.BinMap{"n": -7}))
		require.NoError(t, c.Append(nil, key, as.BinMap{"s": "b"}))
		require.NoError(t, c.Append(nil, key, as.BinMap{"s": "c"}))
		require.NoError(t, c.Prepend(nil, key, as.BinMap{"s": "a"}))
		require.Equal(t, as.BinMap{"n": -2, "s": "abc"}, c.bins(t, key))
	}},
	{"keys of every type are their own", func(t *testing.T, c *caller) {
		set := ownSet()
		keys := []*as.Key{
			c.keyIn(t, set, 1), c.keyIn(t, set, "1"), c.keyIn(t, set, []byte("1")), c.keyIn(t, set, -1),
			c.keyIn(t, set, ""), c.keyIn(t, set, "héllo wörld ☃"), c.keyIn(t, set, strings.Repeat("k", 4000)),
			c.keyIn(t, set, int64(1)<<62), c.keyIn(t, "", 1),
		}
		for i, key := range keys {
			c.put(t, key, as.BinMap{"i": i})
		}
		for i, key := range keys {
			require.Equal(t, as.BinMap{"i": i}, c.bins(t, key), "%s", key)
		}
	}},
	{"a record found by its digest alone", func(t *testing.T, c *caller) {
		key := c.key(t, "a")
		c.put(t, key, as.BinMap{"a": 1})
		bare, err := as.NewKeyWithDigest(namespace, key.SetName(), nil, key.Digest())
		require.NoError(t, err)
		require.Equal(t, as.BinMap{"a": 1}, c.bins(t, bare))
	}},
	{"writers at once on one counter lose nothing", func(t *testing.T, c *caller) {
		const writers, times = 8, 25
		key := c.key(t, "counter")
		var all sync.WaitGroup
		failures := make(chan error, writers*times)
		for range writers {
			all.Add(1)
			go func() {
				defer all.Done()
				for range times {
					if err := c.Add(nil, key, as.BinMap{"n": 1}); err != nil {
						failures <- err
					}
				}
			}()
		}
		all.Wait()
		close(failures)
		for err := range failures {
			require.NoError(t, err)
		}
		record, err := c.Get(nil, key)
		require.NoError(t, err)
		require.Equal(t, as.BinMap{"n": writers * times}, record.Bins)
		require.EqualValues(t, writers*times, record.Generation)
	}},
	{"many records", func(t *testing.T, c *caller) {
		keys := c.keys(t, 500)
		for i, key := range keys {
			c.put(t, key, as.BinMap{"i": i, "s": fmt.Sprint(i)})
		}
		for i, key := range keys {
			require.Equal(t, as.BinMap{"i": i, "s": fmt.Sprint(i)}, c.bins(t, key))
		}
	}},
}
