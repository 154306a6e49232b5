package conformance

import (
	"testing"

	as "github.com/aerospike/aerospike-client-go/v7"
	"github.com/aerospike/aerospike-client-go/v7/types"
	"github.com/stretchr/testify/require"
)

// transform is an operation on a bin: what it answers and what it leaves.
type transform struct {
	name   string
	before any // nil: the bin is absent
	do     *as.Operation
	answer any
	after  any // nil: the bin is absent
}

// transformCases puts each transform's bin to its operation.
func transformCases(all []transform) []contract {
	cases := make([]contract, 0, len(all))
	for _, one := range all {
		cases = append(cases, contract{one.name, func(t *testing.T, c *caller) {
			key := c.key(t, "a")
			c.put(t, key, as.BinMap{"other": 1})
			if one.before != nil {
				c.put(t, key, as.BinMap{"b": one.before})
			}
			require.Equal(t, one.answer, c.operate(t, key, one.do)["b"], "answer")
			require.Equal(t, one.after, c.bins(t, key)["b"], "left")
		}})
	}
	return cases
}

type object = map[any]any

func pairs(kv ...any) []as.MapPair {
	list := make([]as.MapPair, 0, len(kv)/2)
	for i := 0; i < len(kv); i += 2 {
		list = append(list, as.MapPair{Key: kv[i], Value: kv[i+1]})
	}
	return list
}

var (
	unordered  = as.NewMapPolicyWithFlags(as.MapOrder.UNORDERED, as.MapWriteFlagsDefault)
	keyOrdered = as.NewMapPolicyWithFlags(as.MapOrder.KEY_ORDERED, as.MapWriteFlagsDefault)
	createKey  = as.NewMapPolicyWithFlags(as.MapOrder.UNORDERED, as.MapWriteFlagsCreateOnly)
	updateKey  = as.NewMapPolicyWithFlags(as.MapOrder.UNORDERED, as.MapWriteFlagsUpdateOnly)
	gentle     = as.NewMapPolicyWithFlags(as.MapOrder.UNORDERED, as.MapWriteFlagsCreateOnly|as.MapWriteFlagsNoFail)
)

var mapTransforms = []transform{
	{"increment in an absent map", nil, as.MapIncrementOp(unordered, "b", "clicks", 1), 1, object{"clicks": 1}},
	{"increment of an absent key", object{"a": 1}, as.MapIncrementOp(unordered, "b", "clicks", 5), 5, object{"a": 1, "clicks": 5}},
	{"increment of a key", object{"clicks": 41, "visits": 7}, as.MapIncrementOp(unordered, "b", "clicks", 1), 42, object{"clicks": 42, "visits": 7}},
	{"increment by a negative", object{"clicks": 1}, as.MapIncrementOp(unordered, "b", "clicks", -3), -2, object{"clicks": -2}},
	{"increment of a float", object{"f": 1.5}, as.MapIncrementOp(unordered, "b", "f", 2.0), 3.5, object{"f": 3.5}},
	{"decrement", object{"n": 5}, as.MapDecrementOp(unordered, "b", "n", 2), 3, object{"n": 3}},
	{"put answers the size", object{"a": 1}, as.MapPutOp(unordered, "b", "c", "d"), 2, object{"a": 1, "c": "d"}},
	{"put over a key", object{"a": 1}, as.MapPutOp(unordered, "b", "a", "z"), 1, object{"a": "z"}},
	{"put in an absent map", nil, as.MapPutOp(keyOrdered, "b", 5, []any{1}), 1, pairs(5, []any{1})},
	{"put of an integer key", object{1: 1}, as.MapPutOp(unordered, "b", 2, 2), 2, object{1: 1, 2: 2}},
	{"put items", object{"a": 1}, as.MapPutItemsOp(unordered, "b", object{"a": 2, "c": 3}), 2, object{"a": 2, "c": 3}},
	{"put create-only of a new key", object{"a": 1}, as.MapPutOp(createKey, "b", "c", 2), 2, object{"a": 1, "c": 2}},
	{"put update-only of a known key", object{"a": 1}, as.MapPutOp(updateKey, "b", "a", 2), 1, object{"a": 2}},
	{"put create-only of a known key, gently", object{"a": 1}, as.MapPutOp(gentle, "b", "a", 2), 1, object{"a": 1}},
	{"size", object{"a": 1, "b": 2}, as.MapSizeOp("b"), 2, object{"a": 1, "b": 2}},
	{"size of an absent map", nil, as.MapSizeOp("b"), nil, nil},
	{"clear", object{"a": 1}, as.MapClearOp("b"), nil, object{}},
	{"get by key", object{"a": 1, "c": 3}, as.MapGetByKeyOp("b", "c", as.MapReturnType.VALUE), 3, object{"a": 1, "c": 3}},
	{"get by an absent key", object{"a": 1}, as.MapGetByKeyOp("b", "c", as.MapReturnType.VALUE), nil, object{"a": 1}},
	{"get by key whether it is there", object{"a": 1}, as.MapGetByKeyOp("b", "a", as.MapReturnType.EXISTS), true, object{"a": 1}},
	{"get by key whether it is not", object{"a": 1}, as.MapGetByKeyOp("b", "z", as.MapReturnType.EXISTS), false, object{"a": 1}},
	{"get by key its index", object{"a": 3, "b": 2, "c": 1}, as.MapGetByKeyOp("b", "c", as.MapReturnType.INDEX), 2, object{"a": 3, "b": 2, "c": 1}},
	{"get by key its rank", object{"a": 3, "b": 2, "c": 1}, as.MapGetByKeyOp("b", "c", as.MapReturnType.RANK), 0, object{"a": 3, "b": 2, "c": 1}},
	{"get by key its reverse index", object{"a": 3, "b": 2, "c": 1}, as.MapGetByKeyOp("b", "c", as.MapReturnType.REVERSE_INDEX), 0, object{"a": 3, "b": 2, "c": 1}},
	{"get by key with the key", object{"a": 1}, as.MapGetByKeyOp("b", "a", as.MapReturnType.KEY_VALUE), pairs("a", 1), object{"a": 1}},
	{"get by keys", object{"a": 1, "c": 3, "d": 4}, as.MapGetByKeyListOp("b", []any{"a", "d", "x"}, as.MapReturnType.COUNT), 2, object{"a": 1, "c": 3, "d": 4}},
	{"get by key range", object{"a": 1, "c": 3, "d": 4}, as.MapGetByKeyRangeOp("b", "a", "d", as.MapReturnType.KEY_VALUE), pairs("a", 1, "c", 3), object{"a": 1, "c": 3, "d": 4}},
	{"get by key range without an end", object{1: 1, 5: 2, 9: 3}, as.MapGetByKeyRangeOp("b", 5, nil, as.MapReturnType.KEY), []any{5, 9}, object{1: 1, 5: 2, 9: 3}},
	{"get by value", object{"a": 1, "c": 3, "d": 1}, as.MapGetByValueOp("b", 1, as.MapReturnType.KEY), []any{"a", "d"}, object{"a": 1, "c": 3, "d": 1}},
	{"get by value range", object{"a": 1, "c": 3, "d": 5}, as.MapGetByValueRangeOp("b", 2, 5, as.MapReturnType.COUNT), 1, object{"a": 1, "c": 3, "d": 5}},
	{"get by index", object{"a": 1, "c": 3, "d": 5}, as.MapGetByIndexOp("b", 1, as.MapReturnType.KEY), "c", object{"a": 1, "c": 3, "d": 5}},
	{"get by index from the end", object{"a": 1, "c": 3, "d": 5}, as.MapGetByIndexOp("b", -1, as.MapReturnType.VALUE), 5, object{"a": 1, "c": 3, "d": 5}},
	{"get by index range", object{"a": 1, "c": 3, "d": 5}, as.MapGetByIndexRangeCountOp("b", 1, 2, as.MapReturnType.KEY_VALUE), pairs("c", 3, "d", 5), object{"a": 1, "c": 3, "d": 5}},
	{"get by index range to the end", object{1: 1, 2: 2, 3: 3}, as.MapGetByIndexRangeOp("b", 1, as.MapReturnType.VALUE), []any{2, 3}, object{1: 1, 2: 2, 3: 3}},
	{"get by rank", object{"a": 9, "c": 3, "d": 5}, as.MapGetByRankOp("b", 0, as.MapReturnType.KEY), "c", object{"a": 9, "c": 3, "d": 5}},
	{"get by greatest rank", object{"a": 9, "c": 3, "d": 5}, as.MapGetByRankOp("b", -1, as.MapReturnType.VALUE), 9, object{"a": 9, "c": 3, "d": 5}},
	{"get by rank range", object{"a": 9, "c": 3, "d": 5}, as.MapGetByRankRangeCountOp("b", -2, 2, as.MapReturnType.VALUE), []any{5, 9}, object{"a": 9, "c": 3, "d": 5}},
	{"get as an unordered map", object{"a": 9, "c": 3}, as.MapGetByKeyRangeOp("b", "a", "c", as.MapReturnType.UNORDERED_MAP), object{"a": 9}, object{"a": 9, "c": 3}},
	{"remove by key", object{"a": 1, "c": 3}, as.MapRemoveByKeyOp("b", "c", as.MapReturnType.VALUE), 3, object{"a": 1}},
	{"remove by key, silently", object{"a": 1, "c": 3}, as.MapRemoveByKeyOp("b", "c", as.MapReturnType.NONE), nil, object{"a": 1}},
	{"remove by an absent key", object{"a": 1}, as.MapRemoveByKeyOp("b", "c", as.MapReturnType.COUNT), 0, object{"a": 1}},
	{"remove the last key", object{"a": 1}, as.MapRemoveByKeyOp("b", "a", as.MapReturnType.COUNT), 1, object{}},
	{"remove by keys", object{"a": 1, "c": 3, "d": 4}, as.MapRemoveByKeyListOp("b", []any{"a", "d", "x"}, as.MapReturnType.COUNT), 2, object{"c": 3}},
	{"remove by key range", object{"a": 1, "c": 3, "d": 4}, as.MapRemoveByKeyRangeOp("b", "b", "z", as.MapReturnType.KEY), []any{"c", "d"}, object{"a": 1}},
	{"remove by value", object{"a": 1, "c": 3, "d": 1}, as.MapRemoveByValueOp("b", 1, as.MapReturnType.COUNT), 2, object{"c": 3}},
	{"remove by value range", object{"a": 1, "c": 3, "d": 5}, as.MapRemoveByValueRangeOp("b", 0, 4, as.MapReturnType.COUNT), 2, object{"d": 5}},
	{"remove by index", object{"a": 1, "c": 3}, as.MapRemoveByIndexOp("b", 0, as.MapReturnType.KEY), "a", object{"c": 3}},
	{"remove by index range", object{"a": 1, "c": 3, "d": 4}, as.MapRemoveByIndexRangeCountOp("b", 0, 2, as.MapReturnType.KEY), []any{"a", "c"}, object{"d": 4}},
	{"remove by rank", object{"a": 5, "c": 3}, as.MapRemoveByRankOp("b", 0, as.MapReturnType.VALUE), 3, object{"a": 5}},
	{"remove all but", object{"a": 1, "c": 3, "d": 4}, as.MapRemoveByKeyListOp("b", []any{"a"}, as.MapReturnType.COUNT|as.MapReturnType.INVERTED), 2, object{"a": 1}},
	{"create", nil, as.MapCreateOp("b", as.MapOrder.KEY_ORDERED, nil), nil, pairs()},
	{"create without order", nil, as.MapCreateOp("b", as.MapOrder.UNORDERED, nil), nil, object{}},
	{"set order", object{"z": 1, "a": 2}, as.MapSetPolicyOp(keyOrdered, "b"), nil, pairs("a", 2, "z", 1)},
	{"put in a map in a map", object{"in": object{"x": 1}}, as.MapPutOp(unordered, "b", "y", 2, as.CtxMapKey(as.NewValue("in"))), 2, object{"in": object{"x": 1, "y": 2}}},
	{"increment in a map in a map", object{"in": object{"x": 1}}, as.MapIncrementOp(unordered, "b", "x", 4, as.CtxMapKey(as.NewValue("in"))), 5, object{"in": object{"x": 5}}},
	{"put where a map is made on the way", object{"a": 1}, as.MapPutOp(unordered, "b", "x", 1, as.CtxMapKeyCreate(as.NewValue("new"), as.MapOrder.UNORDERED)), 1, object{"a": 1, "new": object{"x": 1}}},
	{"put two maps deep, both made", nil, as.MapIncrementOp(unordered, "b", "clicks", 2,
		as.CtxMapKeyCreate(as.NewValue("6"), as.MapOrder.KEY_ORDERED), as.CtxMapKeyCreate(as.NewValue("kpi"), as.MapOrder.UNORDERED)), 2, pairs("6", object{"kpi": object{"clicks": 2}})},
	{"remove in a map in a list", object{"l": []any{1, object{"x": 1, "y": 2}}}, as.MapRemoveByKeyOp("b", "x", as.MapReturnType.VALUE,
		as.CtxMapKey(as.NewValue("l")), as.CtxListIndex(-1)), 1, object{"l": []any{1, object{"y": 2}}}},
	{"get by way of rank and index", object{"a": object{"x": 1}, "c": object{"x": 2}}, as.MapGetByKeyOp("b", "x", as.MapReturnType.VALUE, as.CtxMapIndex(1)), 2, object{"a": object{"x": 1}, "c": object{"x": 2}}},
	{"append to a list in a map", object{"l": []any{1}}, as.ListAppendWithPolicyContextOp(as.DefaultListPolicy(), "b", []*as.CDTContext{as.CtxMapKey(as.NewValue("l"))}, 2), 2, object{"l": []any{1, 2}}},
}

var mapCases = append(transformCases(mapTransforms), []contract{
	{"an ordered map is listed in the order of its keys", func(t *testing.T, c *caller) {
		key := c.key(t, "a")
		c.operate(t, key, as.MapPutItemsOp(keyOrdered, "b", object{"z": 1, "a": 2, 10: 3, 9: 4, -1: 5}))
		require.Equal(t, pairs(-1, 5, 9, 4, 10, 3, "a", 2, "z", 1), c.operate(t, key,
			as.MapGetByIndexRangeOp("b", 0, as.MapReturnType.KEY_VALUE))["b"])
	}},
	{"ranks follow the order of types", func(t *testing.T, c *caller) {
		key := c.key(t, "a")
		c.put(t, key, as.BinMap{"b": object{
			1: "s", 2: 1.5, 3: nil, 4: 7, 5: true, 6: []byte{1}, 7: []any{1}, 8: object{1: 1}, 9: false, 10: "a",
		}})
		require.Equal(t, []any{3, 9, 5, 4, 10, 1, 7, 8, 6, 2}, c.operate(t, key,
			as.MapGetByRankRangeOp("b", 0, as.MapReturnType.KEY))["b"])
	}},
	{"a create-only put of a known key fails", func(t *testing.T, c *caller) {
		key := c.key(t, "a")
		c.put(t, key, as.BinMap{"b": object{"a": 1}})
		_, err := c.Operate(nil, key, as.MapPutOp(createKey, "b", "a", 2))
		refused(t, types.FAIL_ELEMENT_EXISTS, err)
		_, err = c.Operate(nil, key, as.MapPutOp(updateKey, "b", "z", 2))
		refused(t, types.FAIL_ELEMENT_NOT_FOUND, err)
		require.Equal(t, as.BinMap{"b": object{"a": 1}}, c.bins(t, key))
	}},
	{"a map operation on another type fails", func(t *testing.T, c *caller) {
		key := c.key(t, "a")
		c.put(t, key, as.BinMap{"n": 1, "l": []any{1}, "m": object{"s": "text"}})
		for _, bin := range []string{"n", "l"} {
			_, err := c.Operate(nil, key, as.MapIncrementOp(unordered, bin, "x", 1))
			refused(t, types.BIN_TYPE_ERROR, err)
			_, err = c.Operate(nil, key, as.MapSizeOp(bin))
			refused(t, types.BIN_TYPE_ERROR, err)
		}
		_, err := c.Operate(nil, key, as.MapIncrementOp(unordered, "m", "s", 1))
		refused(t, types.PARAMETER_ERROR, err)
	}},
	{"a rank or index out of bounds fails", func(t *testing.T, c *caller) {
		key := c.key(t, "a")
		c.put(t, key, as.BinMap{"b": object{"a": 1}})
		_, err := c.Operate(nil, key, as.MapGetByIndexOp("b", 5, as.MapReturnType.VALUE))
		refused(t, types.OP_NOT_APPLICABLE, err)
		_, err = c.Operate(nil, key, as.MapGetByRankOp("b", 5, as.MapReturnType.VALUE))
		refused(t, types.OP_NOT_APPLICABLE, err)
	}},
	{"a way that leads nowhere fails", func(t *testing.T, c *caller) {
		key := c.key(t, "a")
		c.put(t, key, as.BinMap{"b": object{"a": 1}})
		_, err := c.Operate(nil, key, as.MapPutOp(unordered, "b", "x", 1, as.CtxMapKey(as.NewValue("none"))))
		refused(t, types.OP_NOT_APPLICABLE, err)
		_, err = c.Operate(nil, key, as.MapPutOp(unordered, "b", "x", 1, as.CtxMapKey(as.NewValue("a"))))
		refused(t, types.BIN_TYPE_ERROR, err)
	}},
	{"several maps in one command", func(t *testing.T, c *caller) {
		key := c.key(t, "a")
		require.Equal(t, as.BinMap{"stats": []any{1, 1, 3}, "n": []any{nil, 1}}, c.operate(t, key,
			as.MapIncrementOp(unordered, "stats", "clicks", 1), as.MapIncrementOp(unordered, "stats", "visits", 1),
			as.MapIncrementOp(unordered, "stats", "clicks", 2), as.AddOp(as.NewBin("n", 1)), as.GetBinOp("n")))
		require.Equal(t, as.BinMap{"stats": object{"clicks": 3, "visits": 1}, "n": 1}, c.bins(t, key))
	}},
}...)
