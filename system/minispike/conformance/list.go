package conformance

import (
	"testing"

	as "github.com/aerospike/aerospike-client-go/v7"
	"github.com/aerospike/aerospike-client-go/v7/types"
	"github.com/stretchr/testify/require"
)

var (
	orderedList = as.NewListPolicy(as.ListOrderOrdered, as.ListWriteFlagsDefault)
	uniqueList  = as.NewListPolicy(as.ListOrderUnordered, as.ListWriteFlagsAddUnique)
)

var listTransforms = []transform{
	{"append to an absent list", nil, as.ListAppendOp("b", 1), 1, []any{1}},
	{"append", []any{1}, as.ListAppendOp("b", "x"), 2, []any{1, "x"}},
	{"append items", []any{1}, as.ListAppendOp("b", 2, 3), 3, []any{1, 2, 3}},
	{"append in order", nil, as.ListAppendWithPolicyOp(orderedList, "b", 3, 1, 2), 3, []any{1, 2, 3}},
	{"insert", []any{1, 2}, as.ListInsertOp("b", 1, "x"), 3, []any{1, "x", 2}},
	{"insert items", []any{1, 2}, as.ListInsertOp("b", 0, 8, 9), 4, []any{8, 9, 1, 2}},
	{"insert beyond the end", []any{1}, as.ListInsertOp("b", 3, 9), 4, []any{1, nil, nil, 9}},
	{"insert from the end", []any{1, 2}, as.ListInsertOp("b", -1, 9), 3, []any{1, 9, 2}},
	{"set", []any{1, 2}, as.ListSetOp("b", 1, 9), nil, []any{1, 9}},
	{"increment", []any{1, 2}, as.ListIncrementOp("b", 1, 9), 11, []any{1, 11}},
	{"increment by one", []any{1, 2}, as.ListIncrementByOneOp("b", -1), 3, []any{1, 3}},
	{"size", []any{1, 2, 3}, as.ListSizeOp("b"), 3, []any{1, 2, 3}},
	{"size of an absent list", nil, as.ListSizeOp("b"), nil, nil},
	{"get", []any{1, 2, 3}, as.ListGetOp("b", -1), 3, []any{1, 2, 3}},
	{"get a range", []any{1, 2, 3, 4}, as.ListGetRangeOp("b", 1, 2), []any{2, 3}, []any{1, 2, 3, 4}},
	{"get a range to the end", []any{1, 2, 3}, as.ListGetRangeFromOp("b", -2), []any{2, 3}, []any{1, 2, 3}},
	{"get a range beyond the end", []any{1, 2}, as.ListGetRangeOp("b", 1, 10), []any{2}, []any{1, 2}},
	{"pop", []any{1, 2, 3}, as.ListPopOp("b", 0), 1, []any{2, 3}},
	{"pop a range", []any{1, 2, 3}, as.ListPopRangeOp("b", 0, 2), []any{1, 2}, []any{3}},
	{"pop a range to the end", []any{1, 2, 3}, as.ListPopRangeFromOp("b", 1), []any{2, 3}, []any{1}},
	{"remove", []any{1, 2, 3}, as.ListRemoveOp("b", 1), 1, []any{1, 3}},
	{"remove a range", []any{1, 2, 3}, as.ListRemoveRangeOp("b", 1, 5), 2, []any{1}},
	{"remove a range to the end", []any{1, 2, 3}, as.ListRemoveRangeFromOp("b", 0), 3, []any{}},
	{"trim", []any{1, 2, 3, 4}, as.ListTrimOp("b", 1, 2), 2, []any{2, 3}},
	{"clear", []any{1}, as.ListClearOp("b"), nil, []any{}},
	{"sort", []any{3, "a", 1, 2}, as.ListSortOp("b", as.ListSortFlagsDefault), nil, []any{1, 2, 3, "a"}},
	{"sort without duplicates", []any{3, 1, 3}, as.ListSortOp("b", as.ListSortFlagsDropDuplicates), nil, []any{1, 3}},
	{"sort down", []any{1, 3, 2}, as.ListSortOp("b", as.ListSortFlagsDescending), nil, []any{3, 2, 1}},
	{"set order", []any{3, 1, 2}, as.ListSetOrderOp("b", as.ListOrderOrdered), nil, []any{1, 2, 3}},
	{"create", nil, as.ListCreateOp("b", as.ListOrderUnordered, false), nil, []any{}},
	{"get by index", []any{5, 6, 7}, as.ListGetByIndexOp("b", 1, as.ListReturnTypeValue), 6, []any{5, 6, 7}},
	{"get by index range", []any{5, 6, 7}, as.ListGetByIndexRangeCountOp("b", 1, 2, as.ListReturnTypeValue), []any{6, 7}, []any{5, 6, 7}},
	{"get by rank", []any{9, 3, 5}, as.ListGetByRankOp("b", 0, as.ListReturnTypeIndex), 1, []any{9, 3, 5}},
	{"get the greatest", []any{9, 3, 5}, as.ListGetByRankOp("b", -1, as.ListReturnTypeValue), 9, []any{9, 3, 5}},
	{"get by rank range", []any{9, 3, 5}, as.ListGetByRankRangeCountOp("b", 0, 1, as.ListReturnTypeValue), []any{3}, []any{9, 3, 5}},
	{"get by value", []any{1, 2, 1}, as.ListGetByValueOp("b", 1, as.ListReturnTypeIndex), []any{0, 2}, []any{1, 2, 1}},
	{"get by value counted", []any{1, 2, 1}, as.ListGetByValueOp("b", 1, as.ListReturnTypeCount), 2, []any{1, 2, 1}},
	{"get by value whether there", []any{1, 2, 1}, as.ListGetByValueOp("b", 7, as.ListReturnTypeExists), false, []any{1, 2, 1}},
	{"get by values", []any{1, 2, 3}, as.ListGetByValueListOp("b", []any{1, 3, 9}, as.ListReturnTypeCount), 2, []any{1, 2, 3}},
	{"get by value range", []any{1, 5, 3}, as.ListGetByValueRangeOp("b", 2, 6, as.ListReturnTypeCount), 2, []any{1, 5, 3}},
	{"remove by value", []any{1, 2, 1}, as.ListRemoveByValueOp("b", 1, as.ListReturnTypeCount), 2, []any{2}},
	{"remove by values", []any{1, 2, 3}, as.ListRemoveByValueListOp("b", []any{1, 3}, as.ListReturnTypeCount), 2, []any{2}},
	{"remove by value range", []any{1, 5, 3}, as.ListRemoveByValueRangeOp("b", as.ListReturnTypeCount, 2, 6), 2, []any{1}},
	{"remove by index", []any{1, 2}, as.ListRemoveByIndexOp("b", 0, as.ListReturnTypeValue), 1, []any{2}},
	{"remove by index range", []any{1, 2, 3}, as.ListRemoveByIndexRangeCountOp("b", 1, 1, as.ListReturnTypeValue), []any{2}, []any{1, 3}},
	{"remove by rank", []any{4, 2, 3}, as.ListRemoveByRankOp("b", -1, as.ListReturnTypeValue), 4, []any{2, 3}},
	{"remove all but", []any{1, 2, 1}, as.ListRemoveByValueOp("b", 1, as.ListReturnTypeCount|as.ListReturnTypeInverted), 1, []any{1, 1}},
	{"pop in a list in a list", []any{0, []any{1, 2}}, as.ListPopOp("b", 0, as.CtxListIndex(1)), 1, []any{0, []any{2}}},
	{"set in a list by its rank", []any{[]any{1}, []any{5}}, as.ListSetOp("b", 0, 9, as.CtxListRank(-1)), nil, []any{[]any{1}, []any{9}}},
}

var listCases = append(transformCases(listTransforms), []contract{
	{"an index out of bounds fails", func(t *testing.T, c *caller) {
		key := c.key(t, "a")
		c.put(t, key, as.BinMap{"b": []any{1}})
		for _, do := range []*as.Operation{
			as.ListGetOp("b", 5), as.ListPopOp("b", 5), as.ListSetOp("b", -5, 1),
		} {
			_, err := c.Operate(nil, key, do)
			refused(t, types.OP_NOT_APPLICABLE, err)
		}
		require.Equal(t, as.BinMap{"b": []any{1}}, c.bins(t, key))
	}},
	{"a unique list refuses what it holds", func(t *testing.T, c *caller) {
		key := c.key(t, "a")
		c.operate(t, key, as.ListAppendWithPolicyOp(uniqueList, "b", 1))
		_, err := c.Operate(nil, key, as.ListAppendWithPolicyOp(uniqueList, "b", 1))
		refused(t, types.FAIL_ELEMENT_EXISTS, err)
		require.Equal(t, as.BinMap{"b": []any{1}}, c.bins(t, key))
	}},
	{"an ordered list takes no insertion", func(t *testing.T, c *caller) {
		key := c.key(t, "a")
		c.operate(t, key, as.ListAppendWithPolicyOp(orderedList, "b", 2, 1))
		_, err := c.Operate(nil, key, as.ListInsertOp("b", 0, 5))
		refused(t, types.OP_NOT_APPLICABLE, err)
	}},
	{"an ordered list stays in order", func(t *testing.T, c *caller) {
		key := c.key(t, "a")
		for _, n := range []int{5, 1, 4, 1, 3} {
			c.operate(t, key, as.ListAppendWithPolicyOp(orderedList, "b", n))
		}
		require.Equal(t, as.BinMap{"b": []any{1, 1, 3, 4, 5}}, c.bins(t, key))
	}},
	{"a list operation on another type fails", func(t *testing.T, c *caller) {
		key := c.key(t, "a")
		c.put(t, key, as.BinMap{"n": 1, "m": object{"a": 1}})
		for _, bin := range []string{"n", "m"} {
			_, err := c.Operate(nil, key, as.ListAppendOp(bin, 1))
			refused(t, types.BIN_TYPE_ERROR, err)
			_, err = c.Operate(nil, key, as.ListSizeOp(bin))
			refused(t, types.BIN_TYPE_ERROR, err)
		}
	}},
	{"several operations on one list", func(t *testing.T, c *caller) {
		key := c.key(t, "a")
		require.Equal(t, as.BinMap{"b": []any{2, 1, 1}}, c.operate(t, key,
			as.ListAppendOp("b", 1, 2), as.ListPopOp("b", 0), as.ListSizeOp("b")))
		require.Equal(t, as.BinMap{"b": []any{2}}, c.bins(t, key))
	}},
}...)
