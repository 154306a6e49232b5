package conformance_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	as "github.com/aerospike/aerospike-client-go/v7"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// TestMinispikeFiltersAsTheServerNamedByEnvironment asks both about the same
// record with the same random expressions.
func TestMinispikeFiltersAsTheServerNamedByEnvironment(t *testing.T) {
	address := os.Getenv("ADPULSE_EDGE")
	if address == "" {
		t.Skip("ADPULSE_EDGE names no server to compare with")
	}
	host, port := split(t, address)
	reference := dial(t, host, port)
	host, port = start(t)
	ours := dial(t, host, port)

	key, err := as.NewKey("test", "differential", uuid.NewString())
	require.NoError(t, err)
	for _, client := range []*as.Client{reference, ours} {
		require.NoError(t, client.PutBins(nil, key,
			as.NewBin("n", 7), as.NewBin("neg", -3), as.NewBin("f", 2.5), as.NewBin("s", "hello"), as.NewBin("t", true),
			as.NewBin("l", []any{3, 1, 2, "x"}), as.NewBin("m", map[any]any{"k": 5})))
		_, err := client.Operate(nil, key, as.MapPutOp(as.DefaultMapPolicy(), "m", 1, "one"))
		require.NoError(t, err)
	}
	t.Cleanup(func() {
		_, err := reference.Delete(nil, key)
		require.NoError(t, err)
	})

	expression := rapid.Custom(func(t *rapid.T) told {
		var words strings.Builder
		e := exps{draws{t, &words}}
		return told{e.boolean(3), words.String()}
	})
	rapid.Check(t, func(t *rapid.T) {
		one := expression.Draw(t, "expression")
		policy := as.NewPolicy()
		policy.FilterExpression = one.exp
		want := outcomeOf(reference.Get(policy, key, "n"))
		require.Equal(t, want, outcomeOf(ours.Get(policy, key, "n")), "filter")
		read := as.ExpReadOp("b", one.exp, as.ExpReadFlagDefault)
		want = outcomeOf(reference.Operate(nil, key, read))
		require.Equal(t, want, outcomeOf(ours.Operate(nil, key, read)), "read")
	})
}

// told is an expression and what it is in words.
type told struct {
	exp  *as.Expression
	text string
}

func (e told) GoString() string { return e.text }

// exps draws expressions of a type, at most so deep.
type exps struct{ draws }

// of notes a node and draws its arguments.
func (e exps) of(name string, arguments ...func() *as.Expression) []*as.Expression {
	fmt.Fprintf(e.told, "%s(", name)
	all := make([]*as.Expression, len(arguments))
	for i, one := range arguments {
		if i > 0 {
			fmt.Fprint(e.told, ", ")
		}
		all[i] = one()
	}
	fmt.Fprint(e.told, ")")
	return all
}

func (e exps) choice(names ...string) string { return rapid.SampledFrom(names).Draw(e.T, "kind") }

// binary makes a node of two arguments.
type binary = func(l, r *as.Expression) *as.Expression

var comparisons = map[string]binary{
	"eq": as.ExpEq, "ne": as.ExpNotEq, "lt": as.ExpLess, "le": as.ExpLessEq, "gt": as.ExpGreater, "ge": as.ExpGreaterEq,
}

func (e exps) boolean(depth int) *as.Expression {
	leaf := []string{"true", "false", "exists", "bin"}
	deep := []string{"eq", "ne", "lt", "le", "gt", "ge", "and", "or", "not", "exclusive", "cond", "let", "regex"}
	kinds := leaf
	if depth > 0 {
		kinds = append(append(deep, deep...), leaf...)
	}
	next := func() *as.Expression { return e.boolean(depth - 1) }
	switch kind := e.choice(kinds...); kind {
	case "true", "false":
		e.of(kind)
		return as.ExpBoolVal(kind == "true")
	case "exists":
		name := e.bin()
		e.of("exists " + name)
		return as.ExpBinExists(name)
	case "bin":
		name := e.bin()
		e.of("bool bin " + name)
		return as.ExpBoolBin(name)
	case "and":
		return as.ExpAnd(e.of(kind, next, next)...)
	case "or":
		return as.ExpOr(e.of(kind, next, next)...)
	case "exclusive":
		return as.ExpExclusive(e.of(kind, next, next)...)
	case "not":
		return as.ExpNot(e.of(kind, next)[0])
	case "cond":
		return as.ExpCond(e.of(kind, next, next, next)...)
	case "let":
		all := e.of(kind, func() *as.Expression { return e.integer(depth - 1) }, func() *as.Expression { return e.integer(depth - 1) })
		return as.ExpLet(as.ExpDef("x", all[0]), as.ExpLess(as.ExpVar("x"), all[1]))
	case "regex":
		pattern := e.choice("^h", "l+o$", "X", "[a-h]+", "h.*o", "")
		all := e.of(kind+" "+pattern, func() *as.Expression { return e.text(depth - 1) })
		return as.ExpRegexCompare(pattern, as.ExpRegexFlagEXTENDED, all[0])
	default:
		side := rapid.SampledFrom([]func(int) *as.Expression{
			e.integer, e.integer, e.integer, e.fraction, e.text, e.list, e.boolean,
		}).Draw(e.T, "side")
		all := e.of(kind, func() *as.Expression { return side(depth - 1) }, func() *as.Expression { return side(depth - 1) })
		return comparisons[kind](all[0], all[1])
	}
}

func (e exps) bin() string {
	return e.choice("n", "neg", "f", "s", "t", "l", "m", "none")
}

func (e exps) integer(depth int) *as.Expression {
	leaf := []string{"value", "bin", "bin", "type"}
	deep := []string{
		"add", "sub", "mul", "div", "mod", "abs", "min", "max", "and", "or", "xor", "not", "lshift", "rshift",
		"arshift", "count", "toint", "cond", "listsize", "listget", "listcount", "mapsize", "mapget",
	}
	kinds := leaf
	if depth > 0 {
		kinds = append(append(deep, deep...), leaf...)
	}
	next := func() *as.Expression { return e.integer(depth - 1) }
	list := func() *as.Expression { return e.list(depth - 1) }
	m := func() *as.Expression { return as.ExpMapBin("m") }
	switch kind := e.choice(kinds...); kind {
	case "value":
		n := rapid.SampledFrom([]int64{-1 << 63, -8, -1, 0, 1, 2, 3, 7, 64, 1<<63 - 1}).Draw(e.T, "n")
		e.of(fmt.Sprint(n))
		return as.ExpIntVal(n)
	case "bin":
		name := e.bin()
		e.of("int bin " + name)
		return as.ExpIntBin(name)
	case "type":
		name := e.bin()
		e.of("type of " + name)
		return as.ExpBinType(name)
	case "abs":
		return as.ExpNumAbs(e.of(kind, next)[0])
	case "not":
		return as.ExpIntNot(e.of(kind, next)[0])
	case "count":
		return as.ExpIntCount(e.of(kind, next)[0])
	case "toint":
		return as.ExpToInt(e.of(kind, func() *as.Expression { return e.fraction(depth - 1) })[0])
	case "cond":
		all := e.of(kind, func() *as.Expression { return e.boolean(depth - 1) }, next, next)
		return as.ExpCond(all...)
	case "listsize":
		return as.ExpListSize(e.of(kind, list)[0])
	case "listget":
		all := e.of(kind, next, list)
		return as.ExpListGetByIndex(as.ListReturnTypeValue, as.ExpTypeINT, all[0], all[1])
	case "listcount":
		all := e.of(kind, next, list)
		return as.ExpListGetByValue(as.ListReturnTypeCount, all[0], all[1])
	case "mapsize":
		return as.ExpMapSize(e.of(kind, m)[0])
	case "mapget":
		all := e.of(kind, func() *as.Expression { return e.text(depth - 1) })
		return as.ExpMapGetByKey(as.MapReturnType.VALUE, as.ExpTypeINT, all[0], as.ExpMapBin("m"))
	case "div", "mod":
		// Never by -1: that of the least integer ends Aerospike CE 8.1.
		by := rapid.SampledFrom([]int64{-7, 0, 1, 2, 3}).Draw(e.T, "by")
		all := e.of(fmt.Sprintf("%s by %d", kind, by), next)
		if kind == "div" {
			return as.ExpNumDiv(all[0], as.ExpIntVal(by))
		}
		return as.ExpNumMod(all[0], as.ExpIntVal(by))
	default:
		all := e.of(kind, next, next)
		return map[string]binary{
			"add":     func(l, r *as.Expression) *as.Expression { return as.ExpNumAdd(l, r) },
			"sub":     func(l, r *as.Expression) *as.Expression { return as.ExpNumSub(l, r) },
			"mul":     func(l, r *as.Expression) *as.Expression { return as.ExpNumMul(l, r) },
			"min":     func(l, r *as.Expression) *as.Expression { return as.ExpMin(l, r) },
			"max":     func(l, r *as.Expression) *as.Expression { return as.ExpMax(l, r) },
			"and":     func(l, r *as.Expression) *as.Expression { return as.ExpIntAnd(l, r) },
			"or":      func(l, r *as.Expression) *as.Expression { return as.ExpIntOr(l, r) },
			"xor":     func(l, r *as.Expression) *as.Expression { return as.ExpIntXor(l, r) },
			"lshift":  as.ExpIntLShift,
			"rshift":  as.ExpIntRShift,
			"arshift": as.ExpIntARShift,
		}[kind](all[0], all[1])
	}
}

func (e exps) fraction(depth int) *as.Expression {
	kinds := []string{"value", "bin"}
	if depth > 0 {
		kinds = []string{"value", "bin", "add", "mul", "floor", "ceil", "tofloat", "abs"}
	}
	next := func() *as.Expression { return e.fraction(depth - 1) }
	switch kind := e.choice(kinds...); kind {
	case "bin":
		name := e.bin()
		e.of("float bin " + name)
		return as.ExpFloatBin(name)
	case "add":
		return as.ExpNumAdd(e.of(kind, next, next)...)
	case "mul":
		return as.ExpNumMul(e.of(kind, next, next)...)
	case "floor":
		return as.ExpNumFloor(e.of(kind, next)[0])
	case "ceil":
		return as.ExpNumCeil(e.of(kind, next)[0])
	case "abs":
		return as.ExpNumAbs(e.of(kind, next)[0])
	case "tofloat":
		return as.ExpToFloat(e.of(kind, func() *as.Expression { return e.integer(depth - 1) })[0])
	}
	f := rapid.SampledFrom([]float64{-1.5, 0, 0.5, 2.5, 1e9}).Draw(e.T, "f")
	e.of(fmt.Sprint(f))
	return as.ExpFloatVal(f)
}

func (e exps) text(depth int) *as.Expression {
	kinds := []string{"value", "bin"}
	if depth > 0 {
		kinds = []string{"value", "bin", "bin", "cond", "set", "mapget"}
	}
	switch kind := e.choice(kinds...); kind {
	case "bin":
		name := e.bin()
		e.of("text bin " + name)
		return as.ExpStringBin(name)
	case "cond":
		next := func() *as.Expression { return e.text(depth - 1) }
		return as.ExpCond(e.of(kind, func() *as.Expression { return e.boolean(depth - 1) }, next, next)...)
	case "set":
		e.of("set")
		return as.ExpSetName()
	case "mapget":
		all := e.of(kind, func() *as.Expression { return e.integer(depth - 1) })
		return as.ExpMapGetByKey(as.MapReturnType.VALUE, as.ExpTypeSTRING, all[0], as.ExpMapBin("m"))
	}
	s := e.choice("", "k", "hello", "help", "one", "é")
	e.of(fmt.Sprintf("%q", s))
	return as.ExpStringVal(s)
}

func (e exps) list(depth int) *as.Expression {
	kinds := []string{"bin", "value"}
	if depth > 0 {
		kinds = []string{"bin", "value", "range"}
	}
	switch kind := e.choice(kinds...); kind {
	case "range":
		all := e.of(kind, func() *as.Expression { return e.integer(depth - 1) }, func() *as.Expression { return e.list(depth - 1) })
		return as.ExpListGetByIndexRange(as.ListReturnTypeValue, all[0], all[1])
	case "value":
		e.of("list [3 1]")
		return as.ExpListVal(as.NewValue(3), as.NewValue(1))
	}
	name := e.bin()
	e.of("list bin " + name)
	return as.ExpListBin(name)
}
