package conformance

import (
	"bytes"
	"fmt"
	"math"
	"strings"
	"testing"

	as "github.com/aerospike/aerospike-client-go/v7"
	particleType "github.com/aerospike/aerospike-client-go/v7/types/particle_type"
	"github.com/stretchr/testify/require"
)

// roundTrips are values that come back as they were put.
var roundTrips = []struct {
	name  string
	value any
	want  any // when it differs from value
}{
	{"zero", 0, nil},
	{"negative", -1, nil},
	{"least integer", math.MinInt64, nil},
	{"greatest integer", math.MaxInt64, nil},
	{"float", 3.25, nil},
	{"negative zero", math.Copysign(0, -1), nil},
	{"infinity", math.Inf(1), nil},
	{"tiny float", math.SmallestNonzeroFloat64, nil},
	{"empty string", "", nil},
	{"unicode", "żółć 日本語 🚀 \u0000 \u200d", nil},
	{"long string", strings.Repeat("ab☃", 20_000), nil},
	{"true", true, nil},
	{"false", false, nil},
	{"blob", []byte{0, 1, 2, 254, 255}, nil},
	{"empty blob", []byte{}, nil},
	{"empty list", []any{}, nil},
	{"empty map", map[any]any{}, nil},
	{"list of all kinds", []any{1, -1, math.MinInt64, "x", 1.5, true, nil, []byte{7}, []any{2}, map[any]any{"k": "v"}}, nil},
	{"map of all kinds", map[any]any{
		"geo": []any{52.366521, 4.894981}, "tag": "0a3c", 1: "one", -5: 5, "null": nil, "yes": true,
		"blob": []byte{1, 2}, "deep": map[any]any{"er": map[any]any{"still": []any{1, []any{2, []any{3}}}}},
	}, nil},
	{"map with keys of all kinds", map[any]any{1: "integer", "1": "string", -1: "negative"}, nil},
	{"integers of every width", []any{
		0, 31, 127, 128, 255, 256, 65535, 65536, math.MaxUint32, math.MaxUint32 + 1,
		-1, -32, -33, -128, -129, -32768, -32769, math.MinInt32, math.MinInt32 - 1,
	}, nil},
	{"strings of every length", []any{
		"", strings.Repeat("a", 30), strings.Repeat("b", 31), strings.Repeat("c", 32),
		strings.Repeat("d", 254), strings.Repeat("e", 255), strings.Repeat("f", 65535), strings.Repeat("g", 65536),
	}, nil},
}

var valueCases = append(roundTripCases(), []contract{
	{"many bins", func(t *testing.T, c *caller) {
		key := c.key(t, "a")
		bins := as.BinMap{}
		for i := range 1000 {
			bins[fmt.Sprintf("bin-%d", i)] = i
		}
		c.put(t, key, bins)
		require.Equal(t, bins, c.bins(t, key))
	}},
	{"a bin name of fifteen bytes", func(t *testing.T, c *caller) {
		key := c.key(t, "a")
		bins := as.BinMap{"fifteen-bytes-x": 1, "é": 2, " spaced ": 3}
		c.put(t, key, bins)
		require.Equal(t, bins, c.bins(t, key))
	}},
	{"a record of nearly a mebibyte", func(t *testing.T, c *caller) {
		key := c.key(t, "a")
		large := bytes.Repeat([]byte("0123456789abcdef"), (1<<20-4096)/16)
		c.put(t, key, as.BinMap{"blob": large, "n": 1})
		require.Equal(t, as.BinMap{"blob": large, "n": 1}, c.bins(t, key))
	}},
	{"a map of thousands of entries", func(t *testing.T, c *caller) {
		key := c.key(t, "a")
		large := map[any]any{}
		for i := range 5000 {
			large[fmt.Sprintf("key %d", i)] = i
		}
		c.put(t, key, as.BinMap{"m": large})
		require.Equal(t, large, c.bins(t, key)["m"])
		require.Equal(t, as.BinMap{"m": 4999}, c.operate(t, key,
			as.MapGetByKeyOp("m", "key 4999", as.MapReturnType.VALUE)))
	}},
	{"a map packed by the caller is a map", func(t *testing.T, c *caller) {
		key := c.key(t, "a")
		// {"a": 1, "b": [true, nil]}; a string carries its particle type.
		packed := []byte{0x82, 0xa2, 3, 'a', 1, 0xa2, 3, 'b', 0x92, 0xc3, 0xc0}
		require.NoError(t, c.PutBins(nil, key, as.NewBin("m", as.NewRawBlobValue(particleType.MAP, packed))))
		require.Equal(t, as.BinMap{"m": map[any]any{"a": 1, "b": []any{true, nil}}}, c.bins(t, key))
		require.Equal(t, as.BinMap{"m": 6}, c.operate(t, key,
			as.MapIncrementOp(as.DefaultMapPolicy(), "m", "a", 5)))
	}},
	{"a list packed by the caller is a list", func(t *testing.T, c *caller) {
		key := c.key(t, "a")
		packed := []byte{0x93, 1, 0xd0, 0x9c, 0xa3, 3, 'h', 'i'}
		require.NoError(t, c.PutBins(nil, key, as.NewBin("l", as.NewRawBlobValue(particleType.LIST, packed))))
		require.Equal(t, as.BinMap{"l": []any{1, -100, "hi"}}, c.bins(t, key))
		require.Equal(t, as.BinMap{"l": 3}, c.operate(t, key, as.ListSizeOp("l")))
	}},
	{"segments packed by the caller come back byte for byte", func(t *testing.T, c *caller) {
		key := c.key(t, "a")
		packed := []byte{0x81, 0xa2, 3, 'k', 0x81, 0xa2, 3, 'v', 0xcb, 0x40, 0x4a, 0x2e, 0xea, 0x11, 0x9c, 0xe0, 0x76}
		require.NoError(t, c.PutBins(nil, key, as.NewBin("m", as.NewRawBlobValue(particleType.MAP, packed))))
		first := c.bins(t, key)
		require.NoError(t, c.Put(nil, key, first))
		require.Equal(t, first, c.bins(t, key))
	}},
}...)

func roundTripCases() []contract {
	cases := make([]contract, 0, len(roundTrips))
	for _, one := range roundTrips {
		cases = append(cases, contract{one.name + " comes back", func(t *testing.T, c *caller) {
			want := one.want
			if want == nil {
				want = one.value
			}
			key := c.key(t, "a")
			c.put(t, key, as.BinMap{"v": one.value})
			require.Equal(t, as.BinMap{"v": want}, c.bins(t, key))
		}})
	}
	return cases
}
