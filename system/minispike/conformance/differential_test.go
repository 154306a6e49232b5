package conformance_test

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	as "github.com/aerospike/aerospike-client-go/v7"
	"github.com/aerospike/aerospike-client-go/v7/types"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// TestMinispikeDoesAsTheServerNamedByEnvironment carries out the same random
// operations on lists and maps on both and wants the same answers. The cases
// say what matters; this finds what nobody thought of.
func TestMinispikeDoesAsTheServerNamedByEnvironment(t *testing.T) {
	address := os.Getenv("ADPULSE_EDGE")
	if address == "" {
		t.Skip("ADPULSE_EDGE names no server to compare with")
	}
	host, port := split(t, address)
	reference := dial(t, host, port)
	host, port = start(t)
	ours := dial(t, host, port)
	for name, operations := range map[string][]*rapid.Generator[step]{"list": listOperations(), "map": mapOperations()} {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				key, err := as.NewKey("test", "differential", uuid.NewString())
				require.NoError(t, err)
				defer func() {
					_, err := reference.Delete(nil, key)
					require.NoError(t, err)
					_, err = ours.Delete(nil, key)
					require.NoError(t, err)
				}()
				for range rapid.IntRange(1, 8).Draw(t, "operations") {
					one := rapid.OneOf(operations...).Draw(t, "operation")
					want, got := outcomeOf(reference.Operate(nil, key, one.do)), outcomeOf(ours.Operate(nil, key, one.do))
					if one.anyOrder() {
						want.bins, got.bins = letters(want.bins), letters(got.bins)
					}
					require.Equal(t, want, got, "answer")
					want = outcomeOf(reference.Get(nil, key))
					require.Equal(t, want, outcomeOf(ours.Get(nil, key)), "left")
				}
			})
		})
	}
}

func dial(t *testing.T, host string, port int) *as.Client {
	t.Helper()
	policy := as.NewClientPolicy()
	policy.MaxErrorRate = 0 // refusals are part of the comparison
	client, err := as.NewClientWithPolicy(policy, host, port)
	require.NoError(t, err)
	t.Cleanup(client.Close)
	return client
}

// outcome is what a client can tell of a command.
type outcome struct {
	code       types.ResultCode
	bins       string
	generation uint32
}

func outcomeOf(record *as.Record, failure as.Error) outcome {
	if failure != nil {
		var cause *as.AerospikeError
		if !errors.As(failure, &cause) {
			return outcome{bins: failure.Error()}
		}
		return outcome{code: cause.ResultCode}
	}
	if record == nil {
		return outcome{bins: "no record"}
	}
	// Printed, so that NaN equals itself and types still count.
	return outcome{bins: fmt.Sprintf("%#v", record.Bins["b"]), generation: record.Generation}
}

// value is something that fits into a list or map. Maps hold at most one
// entry, because the client would write more of them in any order.
func value() *rapid.Generator[any] {
	scalar := rapid.OneOf(
		rapid.Map(rapid.IntRange(-3, 5), func(n int) any { return n }),
		rapid.Map(rapid.Int64(), func(n int64) any { return int(n) }),
		rapid.Map(rapid.SampledFrom([]string{"", "a", "b", "ab", "é"}), func(s string) any { return s }),
		rapid.Map(rapid.SampledFrom([]float64{-1.5, 0, 1, 2.25}), func(f float64) any { return f }),
		rapid.Map(rapid.Bool(), func(b bool) any { return b }),
		rapid.Map(rapid.SliceOfN(rapid.Byte(), 0, 2), func(b []byte) any { return b }),
		rapid.Just[any](nil),
	)
	small := rapid.OneOf(
		scalar,
		rapid.Map(rapid.SliceOfN(scalar, 0, 3), func(l []any) any { return l }),
		rapid.Custom(func(t *rapid.T) any {
			return map[any]any{mapKey().Draw(t, "key"): scalar.Draw(t, "value")}
		}),
	)
	return rapid.OneOf(scalar, scalar, small, rapid.Map(rapid.SliceOfN(small, 0, 3), func(l []any) any { return l }))
}

func mapKey() *rapid.Generator[any] {
	return rapid.OneOf(
		rapid.Map(rapid.IntRange(-2, 4), func(n int) any { return n }),
		rapid.Map(rapid.SampledFrom([]string{"", "a", "b", "ab"}), func(s string) any { return s }),
	)
}

func position() *rapid.Generator[int] { return rapid.IntRange(-4, 4) }

func mapOrder() *rapid.Generator[as.MapOrderTypes] {
	return rapid.SampledFrom([]as.MapOrderTypes{as.MapOrder.UNORDERED, as.MapOrder.KEY_ORDERED, as.MapOrder.KEY_VALUE_ORDERED})
}

func listOrder() *rapid.Generator[as.ListOrderType] {
	return rapid.SampledFrom([]as.ListOrderType{as.ListOrderUnordered, as.ListOrderOrdered})
}

// ofOne is what an operation on one element can be asked for; those on
// several are asked for nothing that depends on their order.
func ofOne() []as.MapReturnTypes {
	r := as.MapReturnType
	return []as.MapReturnTypes{
		r.NONE, r.COUNT, r.KEY, r.VALUE, r.KEY_VALUE, r.EXISTS, r.UNORDERED_MAP, r.ORDERED_MAP,
		r.INDEX, r.REVERSE_INDEX, r.RANK, r.REVERSE_RANK,
	}
}

func ofSeveral() []as.MapReturnTypes {
	r := as.MapReturnType
	return []as.MapReturnTypes{
		r.NONE, r.COUNT, r.KEY, r.VALUE, r.KEY_VALUE, r.EXISTS, r.UNORDERED_MAP, r.ORDERED_MAP,
		r.COUNT | r.INVERTED, r.KEY | r.INVERTED, r.VALUE | r.INVERTED,
	}
}

func listOfOne() []as.ListReturnType {
	return []as.ListReturnType{
		as.ListReturnTypeNone, as.ListReturnTypeCount, as.ListReturnTypeValue, as.ListReturnTypeExists,
		as.ListReturnTypeIndex, as.ListReturnTypeReverseIndex, as.ListReturnTypeRank, as.ListReturnTypeReverseRank,
	}
}

func listOfSeveral() []as.ListReturnType {
	return []as.ListReturnType{
		as.ListReturnTypeNone, as.ListReturnTypeCount, as.ListReturnTypeValue, as.ListReturnTypeExists,
		as.ListReturnTypeCount | as.ListReturnTypeInverted, as.ListReturnTypeValue | as.ListReturnTypeInverted,
	}
}

// step is an operation and what it is in words, for the log of a failure.
type step struct {
	do   *as.Operation
	told string
}

// anyOrder says that the server promises no order of the elements chosen.
func (s step) anyOrder() bool {
	return strings.Contains(s.told, "ByRank") || strings.Contains(s.told, "ByValue") || strings.Contains(s.told, "ByKeyList")
}

// letters are a text's bytes in order, to compare texts of the same parts.
func letters(text string) string {
	all := []byte(text)
	slices.Sort(all)
	return string(all)
}

func (s step) GoString() string { return s.told }

// named is how an operation is made from operands that are drawn.
type named struct {
	name string
	make func(draws) *as.Operation
}

func generators(all []named) []*rapid.Generator[step] {
	list := make([]*rapid.Generator[step], len(all))
	for i, one := range all {
		list[i] = rapid.Custom(func(t *rapid.T) step {
			var told strings.Builder
			do := one.make(draws{t, &told})
			return step{do, fmt.Sprintf("%s(%s)", one.name, told.String())}
		})
	}
	return list
}

// draws draws the operands of an operation and notes them. Nothing is sought
// by an empty list: Aerospike CE 8.1 ends itself when that is inverted.
type draws struct {
	*rapid.T
	told *strings.Builder
}

func drawn[V any](d draws, from *rapid.Generator[V], label string) V {
	v := from.Draw(d.T, label)
	fmt.Fprintf(d.told, " %s=%#v", label, v)
	return v
}

func (d draws) at() int       { return drawn(d, position(), "at") }
func (d draws) count() int    { return drawn(d, rapid.IntRange(0, 4), "count") }
func (d draws) value() any    { return drawn(d, value(), "value") }
func (d draws) values() []any { return drawn(d, rapid.SliceOfN(value(), 0, 3), "values") }

func (d draws) sought() []any             { return drawn(d, rapid.SliceOfN(value(), 1, 3), "sought") }
func (d draws) key() any                  { return drawn(d, mapKey(), "key") }
func (d draws) keys() []any               { return drawn(d, rapid.SliceOfN(mapKey(), 1, 3), "keys") }
func (d draws) ofMap() as.MapReturnTypes  { return drawn(d, rapid.SampledFrom(ofOne()), "return") }
func (d draws) ofMaps() as.MapReturnTypes { return drawn(d, rapid.SampledFrom(ofSeveral()), "return") }

func (d draws) ofList() as.ListReturnType { return drawn(d, rapid.SampledFrom(listOfOne()), "return") }

func (d draws) ofLists() as.ListReturnType {
	return drawn(d, rapid.SampledFrom(listOfSeveral()), "return")
}
func (d draws) mapOrder() as.MapOrderTypes  { return drawn(d, mapOrder(), "order") }
func (d draws) listOrder() as.ListOrderType { return drawn(d, listOrder(), "order") }
func (d draws) pad() bool                   { return drawn(d, rapid.Bool(), "pad") }
func (d draws) sorting() as.ListSortFlags {
	return drawn(d, rapid.SampledFrom([]as.ListSortFlags{0, 1, 2}), "sort")
}

func (d draws) writing() int {
	return drawn(d, rapid.SampledFrom([]int{0, 0, 0, 1, 2, 4, 5, 6, 13}), "flags")
}

func (d draws) mapPolicy() *as.MapPolicy   { return as.NewMapPolicyWithFlags(d.mapOrder(), d.writing()) }
func (d draws) listPolicy() *as.ListPolicy { return as.NewListPolicy(d.listOrder(), d.writing()) }

func (d draws) by() any {
	return drawn(d, rapid.OneOf(
		rapid.Map(rapid.IntRange(-3, 3), func(n int) any { return n }),
		rapid.Map(rapid.SampledFrom([]float64{0.5, -1}), func(f float64) any { return f }),
	), "by")
}

// way is the path to a list or map inside the bin's. What a step makes is
// gone into by making more, as every client would.
func (d draws) way() []*as.CDTContext {
	var path []*as.CDTContext
	made := false
	for range rapid.SampledFrom([]int{0, 0, 0, 0, 1, 2}).Draw(d.T, "depth") {
		fmt.Fprint(d.told, " /")
		turn := "make map"
		if !made {
			turn = rapid.SampledFrom([]string{
				"list index", "list value", "map index", "map rank", "make map", "map key",
			}).Draw(d.T, "turn")
		}
		fmt.Fprintf(d.told, " %s", turn)
		made = turn == "make map"
		path = append(path, d.turn(turn))
	}
	return path
}

// turn is one step of a way. Making lists on the way is left out: certain
// ordered ones make Aerospike CE 8.1 overrun its memory.
func (d draws) turn(how string) *as.CDTContext {
	switch how {
	case "list index":
		return as.CtxListIndex(d.at())
	case "list value":
		return as.CtxListValue(as.NewValue(d.value()))
	case "map index":
		return as.CtxMapIndex(d.at())
	case "map rank":
		return as.CtxMapRank(d.at())
	case "make map":
		return as.CtxMapKeyCreate(as.NewValue(d.key()), d.mapOrder())
	}
	return as.CtxMapKey(as.NewValue(d.key()))
}

// Nothing changes a list by rank: which of two equal elements comes first is
// the server's own affair.
func listOperations() []*rapid.Generator[step] {
	put := named{"PutOp", func(d draws) *as.Operation { return as.PutOp(as.NewBin("b", d.values())) }}
	app := named{"ListAppendOp", func(d draws) *as.Operation {
		return as.ListAppendWithPolicyContextOp(d.listPolicy(), "b", d.way(), append(d.values(), d.value())...)
	}}
	return generators([]named{
		put, put, put, app, app, app,
		{"ListInsertWithPolicyContextOp", func(d draws) *as.Operation {
			return as.ListInsertWithPolicyContextOp(d.listPolicy(), "b", d.at(), d.way(), append(d.values(), d.value())...)
		}},
		{"ListSetWithPolicyOp", func(d draws) *as.Operation {
			return as.ListSetWithPolicyOp(d.listPolicy(), "b", d.at(), d.value(), d.way()...)
		}},
		{"ListIncrementOp", func(d draws) *as.Operation {
			return as.ListIncrementOp("b", d.at(), d.by(), d.way()...)
		}},
		{"ListCreateOp", func(d draws) *as.Operation {
			return as.ListCreateOp("b", d.listOrder(), d.pad())
		}},
		{"ListSetOrderOp", func(d draws) *as.Operation { return as.ListSetOrderOp("b", d.listOrder(), d.way()...) }},
		{"ListSortOp", func(d draws) *as.Operation {
			return as.ListSortOp("b", d.sorting())
		}},
		{"ListSizeOp", func(d draws) *as.Operation { return as.ListSizeOp("b", d.way()...) }},
		{"ListClearOp", func(d draws) *as.Operation { return as.ListClearOp("b", d.way()...) }},
		{"ListPopOp", func(d draws) *as.Operation { return as.ListPopOp("b", d.at(), d.way()...) }},
		{"ListPopRangeOp", func(d draws) *as.Operation { return as.ListPopRangeOp("b", d.at(), d.count(), d.way()...) }},
		{"ListPopRangeFromOp", func(d draws) *as.Operation { return as.ListPopRangeFromOp("b", d.at(), d.way()...) }},
		{"ListRemoveOp", func(d draws) *as.Operation { return as.ListRemoveOp("b", d.at(), d.way()...) }},
		{"ListRemoveRangeOp", func(d draws) *as.Operation { return as.ListRemoveRangeOp("b", d.at(), d.count(), d.way()...) }},
		{"ListRemoveRangeFromOp", func(d draws) *as.Operation { return as.ListRemoveRangeFromOp("b", d.at(), d.way()...) }},
		{"ListTrimOp", func(d draws) *as.Operation { return as.ListTrimOp("b", d.at(), d.count(), d.way()...) }},
		{"ListGetOp", func(d draws) *as.Operation { return as.ListGetOp("b", d.at(), d.way()...) }},
		{"ListGetRangeOp", func(d draws) *as.Operation { return as.ListGetRangeOp("b", d.at(), d.count(), d.way()...) }},
		{"ListGetRangeFromOp", func(d draws) *as.Operation { return as.ListGetRangeFromOp("b", d.at(), d.way()...) }},
		{"ListGetByValueOp", func(d draws) *as.Operation { return as.ListGetByValueOp("b", d.value(), d.ofLists(), d.way()...) }},
		{"ListGetByValueListOp", func(d draws) *as.Operation { return as.ListGetByValueListOp("b", d.sought(), d.ofLists(), d.way()...) }},
		{"ListGetByValueRangeOp", func(d draws) *as.Operation {
			return as.ListGetByValueRangeOp("b", d.value(), d.value(), d.ofLists(), d.way()...)
		}},
		{"ListGetByIndexOp", func(d draws) *as.Operation { return as.ListGetByIndexOp("b", d.at(), d.ofList(), d.way()...) }},
		{"ListGetByIndexRangeOp", func(d draws) *as.Operation { return as.ListGetByIndexRangeOp("b", d.at(), d.ofLists(), d.way()...) }},
		{"ListGetByIndexRangeCountOp", func(d draws) *as.Operation {
			return as.ListGetByIndexRangeCountOp("b", d.at(), d.count(), d.ofLists(), d.way()...)
		}},
		{"ListGetByRankOp", func(d draws) *as.Operation { return as.ListGetByRankOp("b", d.at(), d.ofLists(), d.way()...) }},
		{"ListGetByRankRangeOp", func(d draws) *as.Operation { return as.ListGetByRankRangeOp("b", d.at(), d.ofLists(), d.way()...) }},
		{"ListGetByRankRangeCountOp", func(d draws) *as.Operation {
			return as.ListGetByRankRangeCountOp("b", d.at(), d.count(), d.ofLists(), d.way()...)
		}},
		{"ListGetByValueRelativeRankRangeOp", func(d draws) *as.Operation {
			return as.ListGetByValueRelativeRankRangeOp("b", d.value(), d.at(), d.ofLists(), d.way()...)
		}},
		{"ListGetByValueRelativeRankRangeCountOp", func(d draws) *as.Operation {
			return as.ListGetByValueRelativeRankRangeCountOp("b", d.value(), d.at(), d.count(), d.ofLists(), d.way()...)
		}},
		{"ListRemoveByValueOp", func(d draws) *as.Operation { return as.ListRemoveByValueOp("b", d.value(), d.ofLists(), d.way()...) }},
		{"ListRemoveByValueListOp", func(d draws) *as.Operation {
			return as.ListRemoveByValueListOp("b", d.sought(), d.ofLists(), d.way()...)
		}},
		{"ListRemoveByValueRangeOp", func(d draws) *as.Operation {
			return as.ListRemoveByValueRangeOp("b", d.ofLists(), d.value(), d.value(), d.way()...)
		}},
		{"ListRemoveByValueRelativeRankRangeOp", func(d draws) *as.Operation {
			return as.ListRemoveByValueRelativeRankRangeOp("b", d.ofLists(), d.value(), d.at(), d.way()...)
		}},
		{"ListRemoveByIndexOp", func(d draws) *as.Operation { return as.ListRemoveByIndexOp("b", d.at(), d.ofList(), d.way()...) }},
		{"ListRemoveByIndexRangeCountOp", func(d draws) *as.Operation {
			return as.ListRemoveByIndexRangeCountOp("b", d.at(), d.count(), d.ofLists(), d.way()...)
		}},
	})
}

func mapOperations() []*rapid.Generator[step] {
	put := named{"MapPutOp", func(d draws) *as.Operation { return as.MapPutOp(d.mapPolicy(), "b", d.key(), d.value(), d.way()...) }}
	return generators([]named{
		put, put, put, put, put, put, put, put,
		{"MapPutItemsOp", func(d draws) *as.Operation {
			return as.MapPutItemsOp(d.mapPolicy(), "b", map[any]any{d.key(): d.value()}, d.way()...)
		}},
		{"MapIncrementOp", func(d draws) *as.Operation {
			return as.MapIncrementOp(d.mapPolicy(), "b", d.key(), d.by(), d.way()...)
		}},
		{"MapDecrementOp", func(d draws) *as.Operation {
			return as.MapDecrementOp(d.mapPolicy(), "b", d.key(), d.by(), d.way()...)
		}},
		{"MapCreateOp", func(d draws) *as.Operation { return as.MapCreateOp("b", d.mapOrder(), nil) }},
		{"MapSetPolicyOp", func(d draws) *as.Operation { return as.MapSetPolicyOp(d.mapPolicy(), "b", d.way()...) }},
		{"MapSizeOp", func(d draws) *as.Operation { return as.MapSizeOp("b", d.way()...) }},
		{"MapClearOp", func(d draws) *as.Operation { return as.MapClearOp("b", d.way()...) }},
		{"MapGetByKeyOp", func(d draws) *as.Operation { return as.MapGetByKeyOp("b", d.key(), d.ofMap(), d.way()...) }},
		{"MapGetByKeyListOp", func(d draws) *as.Operation { return as.MapGetByKeyListOp("b", d.keys(), d.ofMaps(), d.way()...) }},
		{"MapGetByKeyRangeOp", func(d draws) *as.Operation {
			return as.MapGetByKeyRangeOp("b", d.key(), d.key(), d.ofMaps(), d.way()...)
		}},
		{"MapGetByKeyRangeOp", func(d draws) *as.Operation { return as.MapGetByKeyRangeOp("b", d.key(), nil, d.ofMaps(), d.way()...) }},
		{"MapGetByKeyRelativeIndexRangeOp", func(d draws) *as.Operation {
			return as.MapGetByKeyRelativeIndexRangeOp("b", d.key(), d.at(), d.ofMaps(), d.way()...)
		}},
		{"MapGetByKeyRelativeIndexRangeCountOp", func(d draws) *as.Operation {
			return as.MapGetByKeyRelativeIndexRangeCountOp("b", d.key(), d.at(), d.count(), d.ofMaps(), d.way()...)
		}},
		{"MapGetByValueOp", func(d draws) *as.Operation { return as.MapGetByValueOp("b", d.value(), d.ofMaps(), d.way()...) }},
		{"MapGetByValueListOp", func(d draws) *as.Operation { return as.MapGetByValueListOp("b", d.sought(), d.ofMaps(), d.way()...) }},
		{"MapGetByValueRangeOp", func(d draws) *as.Operation {
			return as.MapGetByValueRangeOp("b", d.value(), d.value(), d.ofMaps(), d.way()...)
		}},
		{"MapGetByValueRelativeRankRangeOp", func(d draws) *as.Operation {
			return as.MapGetByValueRelativeRankRangeOp("b", d.value(), d.at(), d.ofMaps(), d.way()...)
		}},
		{"MapGetByValueRelativeRankRangeCountOp", func(d draws) *as.Operation {
			return as.MapGetByValueRelativeRankRangeCountOp("b", d.value(), d.at(), d.count(), d.ofMaps(), d.way()...)
		}},
		{"MapGetByIndexOp", func(d draws) *as.Operation { return as.MapGetByIndexOp("b", d.at(), d.ofMap(), d.way()...) }},
		{"MapGetByIndexRangeOp", func(d draws) *as.Operation { return as.MapGetByIndexRangeOp("b", d.at(), d.ofMaps(), d.way()...) }},
		{"MapGetByIndexRangeCountOp", func(d draws) *as.Operation {
			return as.MapGetByIndexRangeCountOp("b", d.at(), d.count(), d.ofMaps(), d.way()...)
		}},
		{"MapGetByRankOp", func(d draws) *as.Operation { return as.MapGetByRankOp("b", d.at(), d.ofMap(), d.way()...) }},
		{"MapGetByRankRangeOp", func(d draws) *as.Operation { return as.MapGetByRankRangeOp("b", d.at(), d.ofMaps(), d.way()...) }},
		{"MapGetByRankRangeCountOp", func(d draws) *as.Operation {
			return as.MapGetByRankRangeCountOp("b", d.at(), d.count(), d.ofMaps(), d.way()...)
		}},
		{"MapRemoveByKeyOp", func(d draws) *as.Operation { return as.MapRemoveByKeyOp("b", d.key(), d.ofMap(), d.way()...) }},
		{"MapRemoveByKeyListOp", func(d draws) *as.Operation { return as.MapRemoveByKeyListOp("b", d.keys(), d.ofMaps(), d.way()...) }},
		{"MapRemoveByKeyRangeOp", func(d draws) *as.Operation {
			return as.MapRemoveByKeyRangeOp("b", d.key(), d.key(), d.ofMaps(), d.way()...)
		}},
		{"MapRemoveByKeyRelativeIndexRangeOp", func(d draws) *as.Operation {
			return as.MapRemoveByKeyRelativeIndexRangeOp("b", d.key(), d.at(), d.ofMaps(), d.way()...)
		}},
		{"MapRemoveByValueOp", func(d draws) *as.Operation { return as.MapRemoveByValueOp("b", d.value(), d.ofMaps(), d.way()...) }},
		{"MapRemoveByValueListOp", func(d draws) *as.Operation { return as.MapRemoveByValueListOp("b", d.sought(), d.ofMaps(), d.way()...) }},
		{"MapRemoveByValueRangeOp", func(d draws) *as.Operation {
			return as.MapRemoveByValueRangeOp("b", d.value(), d.value(), d.ofMaps(), d.way()...)
		}},
		{"MapRemoveByValueRelativeRankRangeOp", func(d draws) *as.Operation {
			return as.MapRemoveByValueRelativeRankRangeOp("b", d.value(), d.at(), d.ofMaps(), d.way()...)
		}},
		{"MapRemoveByIndexOp", func(d draws) *as.Operation { return as.MapRemoveByIndexOp("b", d.at(), d.ofMap(), d.way()...) }},
		{"MapRemoveByIndexRangeCountOp", func(d draws) *as.Operation {
			return as.MapRemoveByIndexRangeCountOp("b", d.at(), d.count(), d.ofMaps(), d.way()...)
		}},
		{"MapRemoveByRankOp", func(d draws) *as.Operation { return as.MapRemoveByRankOp("b", d.at(), d.ofMap(), d.way()...) }},
		{"MapRemoveByRankRangeCountOp", func(d draws) *as.Operation {
			return as.MapRemoveByRankRangeCountOp("b", d.at(), d.count(), d.ofMaps(), d.way()...)
		}},
	})
}
