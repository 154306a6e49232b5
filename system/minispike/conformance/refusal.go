package conformance

import (
	"bytes"
	"strings"
	"testing"

	as "github.com/aerospike/aerospike-client-go/v7"
	"github.com/aerospike/aerospike-client-go/v7/types"
	"github.com/stretchr/testify/require"
)

var refusalCases = []contract{
	{"a record that is too big", func(t *testing.T, c *caller) {
		key := c.key(t, "a")
		c.put(t, key, as.BinMap{"a": 1})
		large := bytes.Repeat([]byte{7}, 9<<20)
		refused(t, types.RECORD_TOO_BIG, c.Put(nil, key, as.BinMap{"a": large}))
		require.Equal(t, as.BinMap{"a": 1}, c.bins(t, key))
	}},
	{"a record that grows too big", func(t *testing.T, c *caller) {
		key := c.key(t, "a")
		piece := bytes.Repeat([]byte{7}, 1_000_000)
		c.put(t, key, as.BinMap{"a": piece})
		var err as.Error
		for i := 0; err == nil && i < 20; i++ {
			err = c.Append(nil, key, as.BinMap{"a": piece})
		}
		refused(t, types.RECORD_TOO_BIG, err)
		require.NotEmpty(t, c.bins(t, key))
	}},
	{"a bin name of sixteen bytes", func(t *testing.T, c *caller) {
		key := c.key(t, "a")
		refused(t, types.BIN_NAME_TOO_LONG, c.Put(nil, key, as.BinMap{"sixteen-bytes-xy": 1}))
	}},
	{"an unknown namespace", func(t *testing.T, c *caller) {
		key, err := as.NewKey("nowhere", "s", 1)
		require.NoError(t, err)
		require.Error(t, c.Put(nil, key, as.BinMap{"a": 1}))
		_, err = c.Get(nil, key)
		require.Error(t, err)
	}},
	{"a set name of sixty-four bytes", func(t *testing.T, c *caller) {
		key, err := as.NewKey(namespace, strings.Repeat("s", 64), 1)
		require.NoError(t, err)
		refused(t, types.PARAMETER_ERROR, c.Put(nil, key, as.BinMap{"a": 1}))
	}},
	{"arithmetic on text and text on numbers", func(t *testing.T, c *caller) {
		key := c.key(t, "a")
		c.put(t, key, as.BinMap{"s": "text", "n": 1, "l": []any{1}, "f": 1.5})
		refused(t, types.BIN_TYPE_ERROR, c.Add(nil, key, as.BinMap{"s": 1}))
		refused(t, types.BIN_TYPE_ERROR, c.Append(nil, key, as.BinMap{"n": "x"}))
		refused(t, types.BIN_TYPE_ERROR, c.Prepend(nil, key, as.BinMap{"n": "x"}))
		refused(t, types.BIN_TYPE_ERROR, c.Add(nil, key, as.BinMap{"l": 1}))
		refused(t, types.BIN_TYPE_ERROR, c.Add(nil, key, as.BinMap{"f": 1}))
		refused(t, types.BIN_TYPE_ERROR, c.Append(nil, key, as.BinMap{"s": []byte{1}}))
	}},
	{"a filter that is no expression", func(t *testing.T, c *caller) {
		key := c.key(t, "a")
		c.put(t, key, as.BinMap{"n": 1})
		_, err := c.Get(reading(as.ExpIntBin("n")), key)
		refused(t, types.PARAMETER_ERROR, err)
		_, err = c.Get(reading(as.ExpEq(as.ExpIntBin("n"), text("x"))), key)
		refused(t, types.PARAMETER_ERROR, err)
	}},
	{"a map with a fraction for a key", func(t *testing.T, c *caller) {
		key := c.key(t, "a")
		require.Error(t, c.Put(nil, key, as.BinMap{"m": object{1.5: 1}}))
	}},
	{"a durable delete", func(t *testing.T, c *caller) {
		key := c.key(t, "a")
		c.put(t, key, as.BinMap{"n": 1})
		policy := writing(func(p *as.WritePolicy) { p.DurableDelete = true })
		_, err := c.Delete(policy, key)
		refused(t, types.ENTERPRISE_ONLY, err)
	}},
	{"a function that was never registered", func(t *testing.T, c *caller) {
		key := c.key(t, "a")
		c.put(t, key, as.BinMap{"n": 1})
		_, err := c.Execute(nil, key, "nomodule", "nofunction")
		require.NotNil(t, err)
		require.Equal(t, as.BinMap{"n": 1}, c.bins(t, key))
	}},
	{"an expression about what is not there", func(t *testing.T, c *caller) {
		key := c.key(t, "a")
		_, err := c.Operate(nil, key, as.ExpReadOp("x", as.ExpIntBin("none"), as.ExpReadFlagDefault))
		refused(t, types.KEY_NOT_FOUND_ERROR, err)
		c.put(t, key, as.BinMap{"n": 1})
		_, err = c.Operate(nil, key, as.ExpReadOp("x", as.ExpIntBin("none"), as.ExpReadFlagDefault))
		refused(t, types.OP_NOT_APPLICABLE, err)
	}},
}
