package conformance

import (
	"math"
	"testing"

	as "github.com/aerospike/aerospike-client-go/v7"
	"github.com/aerospike/aerospike-client-go/v7/types"
	"github.com/stretchr/testify/require"
)

var operateCases = []contract{
	{"operations are carried out in their order", func(t *testing.T, c *caller) {
		key := c.key(t, "a")
		require.Equal(t, as.BinMap{"n": []any{1, 11}}, c.operate(t, key,
			as.PutOp(as.NewBin("n", 1)), as.GetBinOp("n"), as.AddOp(as.NewBin("n", 10)), as.GetBinOp("n")))
		require.Equal(t, as.BinMap{"n": []any{11, 2, 4}}, c.operate(t, key,
			as.GetBinOp("n"), as.PutOp(as.NewBin("n", 2)), as.GetBinOp("n"),
			as.AddOp(as.NewBin("n", 2)), as.GetBinOp("n")))
	}},
	{"an operation on an absent record makes it", func(t *testing.T, c *caller) {
		key := c.key(t, "a")
		require.Equal(t, as.BinMap{"n": 3, "s": "x"}, c.operate(t, key,
			as.AddOp(as.NewBin("n", 3)), as.AppendOp(as.NewBin("s", "x")), as.GetOp()))
	}},
	{"append and prepend", func(t *testing.T, c *caller) {
		key := c.key(t, "a")
		c.put(t, key, as.BinMap{"s": "b", "raw": []byte{2}})
		require.Equal(t, as.BinMap{"s": "abc", "raw": []byte{1, 2, 3}}, c.operate(t, key,
			as.AppendOp(as.NewBin("s", "c")), as.PrependOp(as.NewBin("s", "a")), as.GetBinOp("s"),
			as.AppendOp(as.NewBin("raw", []byte{3})), as.PrependOp(as.NewBin("raw", []byte{1})), as.GetBinOp("raw")))
	}},
	{"add to a float", func(t *testing.T, c *caller) {
		key := c.key(t, "a")
		c.put(t, key, as.BinMap{"f": 1.5})
		require.Equal(t, as.BinMap{"f": 4.0}, c.operate(t, key, as.AddOp(as.NewBin("f", 2.5)), as.GetBinOp("f")))
	}},
	{"an integer goes round at its end", func(t *testing.T, c *caller) {
		key := c.key(t, "a")
		c.put(t, key, as.BinMap{"n": math.MaxInt64})
		require.Equal(t, as.BinMap{"n": math.MinInt64}, c.operate(t, key, as.AddOp(as.NewBin("n", 1)), as.GetBinOp("n")))
		require.Equal(t, as.BinMap{"n": math.MaxInt64}, c.operate(t, key, as.AddOp(as.NewBin("n", -1)), as.GetBinOp("n")))
	}},
	{"reads only", func(t *testing.T, c *caller) {
		key := c.key(t, "a")
		_, err := c.Operate(nil, key, as.GetOp())
		refused(t, types.KEY_NOT_FOUND_ERROR, err)
		c.put(t, key, as.BinMap{"a": 1, "b": 2})
		require.Equal(t, as.BinMap{"a": 1}, c.operate(t, key, as.GetBinOp("a")))
		require.Equal(t, as.BinMap{"a": 1, "b": 2}, c.operate(t, key, as.GetOp()))
		record, err := c.Operate(nil, key, as.GetHeaderOp())
		require.NoError(t, err)
		require.Empty(t, record.Bins)
		require.EqualValues(t, 1, record.Generation)
	}},
	{"one command raises the generation once", func(t *testing.T, c *caller) {
		key := c.key(t, "a")
		record, err := c.Operate(nil, key, as.PutOp(as.NewBin("a", 1)), as.AddOp(as.NewBin("a", 1)),
			as.PutOp(as.NewBin("b", 2)), as.GetOp())
		require.NoError(t, err)
		require.EqualValues(t, 1, record.Generation)
		require.Equal(t, as.BinMap{"a": 2, "b": 2}, record.Bins)
	}},
	{"touch among operations", func(t *testing.T, c *caller) {
		key := c.key(t, "a")
		c.put(t, key, as.BinMap{"a": 1})
		record, err := c.Operate(nil, key, as.TouchOp(), as.GetOp())
		require.NoError(t, err)
		require.EqualValues(t, 2, record.Generation)
		require.Equal(t, as.BinMap{"a": 1}, record.Bins)
	}},
	{"delete among operations", func(t *testing.T, c *caller) {
		key := c.key(t, "a")
		c.put(t, key, as.BinMap{"a": 1})
		require.Equal(t, as.BinMap{"a": 1}, c.operate(t, key, as.GetBinOp("a"), as.DeleteOp()))
		exists, err := c.Exists(nil, key)
		require.NoError(t, err)
		require.False(t, exists)
		c.put(t, key, as.BinMap{"a": 1, "b": 2})
		c.operate(t, key, as.DeleteOp(), as.PutOp(as.NewBin("c", 3)))
		require.Equal(t, as.BinMap{"c": 3}, c.bins(t, key))
	}},
	{"when one operation fails none is done", func(t *testing.T, c *caller) {
		key := c.key(t, "a")
		c.put(t, key, as.BinMap{"a": 1, "s": "text"})
		_, err := c.Operate(nil, key, as.PutOp(as.NewBin("a", 2)), as.AddOp(as.NewBin("s", 1)))
		refused(t, types.BIN_TYPE_ERROR, err)
		record, err := c.Get(nil, key)
		require.NoError(t, err)
		require.Equal(t, as.BinMap{"a": 1, "s": "text"}, record.Bins)
		require.EqualValues(t, 1, record.Generation)
	}},
	{"an answer for each operation", func(t *testing.T, c *caller) {
		key := c.key(t, "a")
		policy := writing(func(p *as.WritePolicy) { p.RespondPerEachOp = true })
		record, err := c.Operate(policy, key, as.PutOp(as.NewBin("a", 1)), as.GetBinOp("a"), as.GetBinOp("none"))
		require.NoError(t, err)
		require.Equal(t, []any{nil, 1}, record.Bins["a"])
	}},
	{"read of an absent bin says nothing", func(t *testing.T, c *caller) {
		key := c.key(t, "a")
		c.put(t, key, as.BinMap{"a": 1})
		require.Equal(t, as.BinMap{"a": 1}, c.operate(t, key, as.GetBinOp("a"), as.GetBinOp("none")))
	}},
	{"increment and read what it became", func(t *testing.T, c *caller) {
		key := c.key(t, "a")
		for want := 1; want <= 5; want++ {
			require.Equal(t, as.BinMap{"n": want}, c.operate(t, key, as.AddOp(as.NewBin("n", 1)), as.GetBinOp("n")))
		}
	}},
}
