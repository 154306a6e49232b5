package conformance

import (
	"testing"

	as "github.com/aerospike/aerospike-client-go/v7"
	"github.com/aerospike/aerospike-client-go/v7/types"
	"github.com/stretchr/testify/require"
)

func when(action as.RecordExistsAction) func(*as.WritePolicy) {
	return func(p *as.WritePolicy) { p.RecordExistsAction = action }
}

func generation(policy as.GenerationPolicy, n uint32) func(*as.WritePolicy) {
	return func(p *as.WritePolicy) { p.GenerationPolicy, p.Generation = policy, n }
}

func sendKey(p *as.WritePolicy) { p.SendKey = true }

var policyCases = []contract{
	{"create-only writes an absent record and no other", func(t *testing.T, c *caller) {
		key, policy := c.key(t, "a"), writing(when(as.CREATE_ONLY))
		require.NoError(t, c.Put(policy, key, as.BinMap{"a": 1}))
		refused(t, types.KEY_EXISTS_ERROR, c.Put(policy, key, as.BinMap{"a": 2}))
		require.Equal(t, as.BinMap{"a": 1}, c.bins(t, key))
	}},
	{"create-only writes again what was deleted", func(t *testing.T, c *caller) {
		key, policy := c.key(t, "a"), writing(when(as.CREATE_ONLY))
		require.NoError(t, c.Put(policy, key, as.BinMap{"a": 1}))
		_, err := c.Delete(nil, key)
		require.NoError(t, err)
		require.NoError(t, c.Put(policy, key, as.BinMap{"a": 2}))
		require.Equal(t, as.BinMap{"a": 2}, c.bins(t, key))
	}},
	{"of many creators one wins", func(t *testing.T, c *caller) {
		const creators = 16
		key := c.key(t, "a")
		outcome := make(chan as.Error, creators)
		for i := range creators {
			go func() { outcome <- c.Put(writing(when(as.CREATE_ONLY)), key, as.BinMap{"by": i}) }()
		}
		won := 0
		for range creators {
			if err := <-outcome; err == nil {
				won++
			} else {
				refused(t, types.KEY_EXISTS_ERROR, err)
			}
		}
		require.Equal(t, 1, won)
	}},
	{"update-only needs the record and keeps its bins", func(t *testing.T, c *caller) {
		key, policy := c.key(t, "a"), writing(when(as.UPDATE_ONLY))
		refused(t, types.KEY_NOT_FOUND_ERROR, c.Put(policy, key, as.BinMap{"b": 1}))
		c.put(t, key, as.BinMap{"a": 1})
		require.NoError(t, c.Put(policy, key, as.BinMap{"b": 2}))
		require.Equal(t, as.BinMap{"a": 1, "b": 2}, c.bins(t, key))
	}},
	{"replace leaves only the new bins", func(t *testing.T, c *caller) {
		key, policy := c.key(t, "a"), writing(when(as.REPLACE))
		require.NoError(t, c.Put(policy, key, as.BinMap{"a": 1, "b": 2}))
		require.NoError(t, c.Put(policy, key, as.BinMap{"c": 3}))
		record, err := c.Get(nil, key)
		require.NoError(t, err)
		require.Equal(t, as.BinMap{"c": 3}, record.Bins)
		require.EqualValues(t, 2, record.Generation)
	}},
	{"replace-only needs the record and leaves only the new bins", func(t *testing.T, c *caller) {
		key, policy := c.key(t, "a"), writing(when(as.REPLACE_ONLY))
		refused(t, types.KEY_NOT_FOUND_ERROR, c.Put(policy, key, as.BinMap{"b": 1}))
		c.put(t, key, as.BinMap{"a": 1})
		require.NoError(t, c.Put(policy, key, as.BinMap{"b": 2}))
		require.Equal(t, as.BinMap{"b": 2}, c.bins(t, key))
	}},
	{"an equal generation is required", func(t *testing.T, c *caller) {
		key := c.key(t, "a")
		c.put(t, key, as.BinMap{"a": 1})
		require.NoError(t, c.Put(writing(generation(as.EXPECT_GEN_EQUAL, 1)), key, as.BinMap{"a": 2}))
		refused(t, types.GENERATION_ERROR, c.Put(writing(generation(as.EXPECT_GEN_EQUAL, 1)), key, as.BinMap{"a": 3}))
		refused(t, types.GENERATION_ERROR, c.Put(writing(generation(as.EXPECT_GEN_EQUAL, 3)), key, as.BinMap{"a": 3}))
		record, err := c.Get(nil, key)
		require.NoError(t, err)
		require.Equal(t, as.BinMap{"a": 2}, record.Bins)
		require.EqualValues(t, 2, record.Generation)
	}},
	{"an absent record has generation zero", func(t *testing.T, c *caller) {
		key := c.key(t, "a")
		refused(t, types.GENERATION_ERROR, c.Put(writing(generation(as.EXPECT_GEN_EQUAL, 1)), key, as.BinMap{"a": 1}))
		require.NoError(t, c.Put(writing(generation(as.EXPECT_GEN_EQUAL, 0)), key, as.BinMap{"a": 1}))
		refused(t, types.GENERATION_ERROR, c.Put(writing(generation(as.EXPECT_GEN_EQUAL, 0)), key, as.BinMap{"a": 1}))
	}},
	{"a greater generation is required", func(t *testing.T, c *caller) {
		key := c.key(t, "a")
		c.put(t, key, as.BinMap{"a": 1})
		refused(t, types.GENERATION_ERROR, c.Put(writing(generation(as.EXPECT_GEN_GT, 1)), key, as.BinMap{"a": 2}))
		require.NoError(t, c.Put(writing(generation(as.EXPECT_GEN_GT, 2)), key, as.BinMap{"a": 3}))
		require.Equal(t, as.BinMap{"a": 3}, c.bins(t, key))
	}},
	{"delete, touch and operate check the generation", func(t *testing.T, c *caller) {
		key, stale := c.key(t, "a"), writing(generation(as.EXPECT_GEN_EQUAL, 9))
		c.put(t, key, as.BinMap{"a": 1})
		_, err := c.Delete(stale, key)
		refused(t, types.GENERATION_ERROR, err)
		refused(t, types.GENERATION_ERROR, c.Touch(stale, key))
		_, err = c.Operate(stale, key, as.AddOp(as.NewBin("a", 1)))
		refused(t, types.GENERATION_ERROR, err)
		require.Equal(t, as.BinMap{"a": 1}, c.bins(t, key))
		existed, err := c.Delete(writing(generation(as.EXPECT_GEN_EQUAL, 1)), key)
		require.NoError(t, err)
		require.True(t, existed)
	}},
	{"of many who compare and set one wins", func(t *testing.T, c *caller) {
		const rivals = 16
		key := c.key(t, "a")
		c.put(t, key, as.BinMap{"by": -1})
		outcome := make(chan as.Error, rivals)
		for i := range rivals {
			go func() {
				outcome <- c.Put(writing(generation(as.EXPECT_GEN_EQUAL, 1)), key, as.BinMap{"by": i})
			}()
		}
		won := 0
		for range rivals {
			if err := <-outcome; err == nil {
				won++
			} else {
				refused(t, types.GENERATION_ERROR, err)
			}
		}
		require.Equal(t, 1, won)
	}},
	{"create-only goes for operate too", func(t *testing.T, c *caller) {
		key, policy := c.key(t, "a"), writing(when(as.CREATE_ONLY))
		_, err := c.Operate(policy, key, as.PutOp(as.NewBin("a", 1)), as.GetBinOp("a"))
		require.NoError(t, err)
		_, err = c.Operate(policy, key, as.PutOp(as.NewBin("a", 2)), as.GetBinOp("a"))
		refused(t, types.KEY_EXISTS_ERROR, err)
	}},
	{"a key that was sent comes back from a scan", func(t *testing.T, c *caller) {
		set := ownSet()
		with, without := c.keyIn(t, set, "with"), c.keyIn(t, set, "without")
		require.NoError(t, c.Put(writing(sendKey), with, as.BinMap{"sent": true}))
		require.NoError(t, c.Put(nil, without, as.BinMap{"sent": false}))
		seen := 0
		for _, record := range c.scan(t, set, nil) {
			seen++
			if record.Bins["sent"] == true {
				require.Equal(t, as.NewStringValue("with"), record.Key.Value())
			} else {
				require.Nil(t, record.Key.Value())
			}
		}
		require.Equal(t, 2, seen)
	}},
	{"a key once sent stays with the record", func(t *testing.T, c *caller) {
		set := ownSet()
		key := c.keyIn(t, set, 42)
		require.NoError(t, c.Put(writing(sendKey), key, as.BinMap{"a": 1}))
		require.NoError(t, c.Put(nil, key, as.BinMap{"a": 2}))
		records := c.scan(t, set, nil)
		require.Len(t, records, 1)
		require.EqualValues(t, 42, records[0].Key.Value().GetObject())
	}},
}
