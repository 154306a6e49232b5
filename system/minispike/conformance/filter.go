package conformance

import (
	"testing"

	as "github.com/aerospike/aerospike-client-go/v7"
	"github.com/aerospike/aerospike-client-go/v7/types"
	"github.com/stretchr/testify/require"
)

func text(s string) *as.Expression  { return as.ExpStringVal(s) }
func number(n int64) *as.Expression { return as.ExpIntVal(n) }

// predicates are expressions about this record, with their verdict.
var (
	subject = as.BinMap{
		"n": 7, "f": 2.5, "s": "hello", "t": true, "raw": []byte{1, 2},
		"l": []any{1, 2, 3}, "m": object{"k": 5, "in": object{"x": "y"}},
	}
	predicates = []struct {
		name string
		exp  *as.Expression
		pass bool
	}{
		{"equal integers", as.ExpEq(as.ExpIntBin("n"), number(7)), true},
		{"unequal integers", as.ExpEq(as.ExpIntBin("n"), number(8)), false},
		{"not equal", as.ExpNotEq(as.ExpIntBin("n"), number(8)), true},
		{"greater", as.ExpGreater(as.ExpIntBin("n"), number(6)), true},
		{"greater or equal", as.ExpGreaterEq(as.ExpIntBin("n"), number(8)), false},
		{"less", as.ExpLess(as.ExpIntBin("n"), number(7)), false},
		{"less or equal", as.ExpLessEq(as.ExpIntBin("n"), number(7)), true},
		{"equal strings", as.ExpEq(as.ExpStringBin("s"), text("hello")), true},
		{"string order", as.ExpLess(as.ExpStringBin("s"), text("help")), true},
		{"float", as.ExpGreater(as.ExpFloatBin("f"), as.ExpFloatVal(2.4)), true},
		{"bool", as.ExpEq(as.ExpBoolBin("t"), as.ExpBoolVal(true)), true},
		{"blob", as.ExpEq(as.ExpBlobBin("raw"), as.ExpBlobVal([]byte{1, 2})), true},
		{"list equal", as.ExpEq(as.ExpListBin("l"), as.ExpListVal(as.NewValue(1), as.NewValue(2), as.NewValue(3))), true},
		{"bin exists", as.ExpBinExists("n"), true},
		{"bin is absent", as.ExpBinExists("none"), false},
		{"bin type", as.ExpEq(as.ExpBinType("s"), number(3)), true},
		{"bin type of an absent bin", as.ExpEq(as.ExpBinType("none"), number(0)), true},
		{"and", as.ExpAnd(as.ExpBinExists("n"), as.ExpBinExists("s")), true},
		{"and, one false", as.ExpAnd(as.ExpBinExists("n"), as.ExpBinExists("none")), false},
		{"or", as.ExpOr(as.ExpBinExists("none"), as.ExpBinExists("s")), true},
		{"not", as.ExpNot(as.ExpBinExists("none")), true},
		{"exclusive", as.ExpExclusive(as.ExpBinExists("n"), as.ExpBinExists("s")), false},
		{"sum", as.ExpEq(as.ExpNumAdd(as.ExpIntBin("n"), number(3)), number(10)), true},
		{"difference", as.ExpEq(as.ExpNumSub(as.ExpIntBin("n"), number(3)), number(4)), true},
		{"product", as.ExpEq(as.ExpNumMul(as.ExpIntBin("n"), number(3)), number(21)), true},
		{"quotient", as.ExpEq(as.ExpNumDiv(as.ExpIntBin("n"), number(2)), number(3)), true},
		{"remainder", as.ExpEq(as.ExpNumMod(as.ExpIntBin("n"), number(4)), number(3)), true},
		{"absolute", as.ExpEq(as.ExpNumAbs(as.ExpNumSub(number(0), as.ExpIntBin("n"))), number(7)), true},
		{"float to integer", as.ExpEq(as.ExpToInt(as.ExpFloatBin("f")), number(2)), true},
		{"bits", as.ExpEq(as.ExpIntAnd(as.ExpIntBin("n"), number(5)), number(5)), true},
		{"least", as.ExpEq(as.ExpMin(as.ExpIntBin("n"), number(3)), number(3)), true},
		{"greatest", as.ExpEq(as.ExpMax(as.ExpIntBin("n"), number(3)), number(7)), true},
		{"regular expression", as.ExpRegexCompare("^h.*o$", as.ExpRegexFlagEXTENDED, as.ExpStringBin("s")), true},
		{"regular expression without case", as.ExpRegexCompare("HELLO", as.ExpRegexFlagICASE, as.ExpStringBin("s")), true},
		{"regular expression that fails", as.ExpRegexCompare("^z", as.ExpRegexFlagEXTENDED, as.ExpStringBin("s")), false},
		{"set name", as.ExpEq(as.ExpSetName(), text("conformance")), true},
		{"never expires", as.ExpEq(as.ExpTTL(), number(-1)), true},
		{"void time", as.ExpEq(as.ExpVoidTime(), number(-1)), true},
		{"updated a moment ago", as.ExpLess(as.ExpSinceUpdate(), number(3_600_000)), true},
		{"updated after the epoch", as.ExpGreater(as.ExpLastUpdate(), number(1_500_000_000_000_000_000)), true},
		{"no stored key", as.ExpKeyExists(), false},
		{"digest", as.ExpLess(as.ExpDigestModulo(3), number(3)), true},
		{"list size", as.ExpEq(as.ExpListSize(as.ExpListBin("l")), number(3)), true},
		{"list element", as.ExpEq(as.ExpListGetByIndex(as.ListReturnTypeValue, as.ExpTypeINT, number(1), as.ExpListBin("l")), number(2)), true},
		{"list holds", as.ExpGreater(as.ExpListGetByValue(as.ListReturnTypeCount, number(3), as.ExpListBin("l")), number(0)), true},
		{"map size", as.ExpEq(as.ExpMapSize(as.ExpMapBin("m")), number(2)), true},
		{"map element", as.ExpEq(as.ExpMapGetByKey(as.MapReturnType.VALUE, as.ExpTypeINT, text("k"), as.ExpMapBin("m")), number(5)), true},
		{"map element deep inside", as.ExpEq(as.ExpMapGetByKey(as.MapReturnType.VALUE, as.ExpTypeSTRING, text("x"), as.ExpMapBin("m"),
			as.CtxMapKey(as.NewValue("in"))), text("y")), true},
		{"map key count", as.ExpEq(as.ExpMapGetByKey(as.MapReturnType.COUNT, as.ExpTypeINT, text("zz"), as.ExpMapBin("m")), number(0)), true},
		{"condition", as.ExpEq(as.ExpCond(as.ExpGreater(as.ExpIntBin("n"), number(5)), text("big"), text("small")), text("big")), true},
		{"variables", as.ExpLet(as.ExpDef("x", as.ExpNumAdd(as.ExpIntBin("n"), number(1))),
			as.ExpAnd(as.ExpGreater(as.ExpVar("x"), number(7)), as.ExpLess(as.ExpVar("x"), number(9)))), true},
		{"an absent bin makes it unknown", as.ExpEq(as.ExpIntBin("none"), number(1)), false},
		{"a bin of another type makes it unknown", as.ExpEq(as.ExpIntBin("s"), number(1)), false},
		{"the negation of unknown is unknown", as.ExpNot(as.ExpEq(as.ExpIntBin("none"), number(1))), false},
		{"true or unknown", as.ExpOr(as.ExpBinExists("n"), as.ExpEq(as.ExpIntBin("none"), number(1))), true},
	}
)

var filterCases = append(predicateCases(), []contract{
	{"of a get", func(t *testing.T, c *caller) {
		key := c.key(t, "a")
		c.put(t, key, as.BinMap{"n": 1})
		_, err := c.Get(reading(as.ExpEq(as.ExpIntBin("n"), number(2))), key)
		refused(t, types.FILTERED_OUT, err)
		_, err = c.Get(reading(as.ExpEq(as.ExpIntBin("n"), number(1))), key)
		require.NoError(t, err)
		_, err = c.Get(reading(as.ExpEq(as.ExpIntBin("n"), number(1))), c.key(t, "absent"))
		refused(t, types.KEY_NOT_FOUND_ERROR, err)
	}},
	{"of a put", func(t *testing.T, c *caller) {
		key := c.key(t, "a")
		c.put(t, key, as.BinMap{"n": 1})
		policy := writing(func(p *as.WritePolicy) { p.FilterExpression = as.ExpLess(as.ExpIntBin("n"), number(2)) })
		require.NoError(t, c.Put(policy, key, as.BinMap{"n": 2}))
		refused(t, types.FILTERED_OUT, c.Put(policy, key, as.BinMap{"n": 3}))
		require.Equal(t, as.BinMap{"n": 2}, c.bins(t, key))
	}},
	{"of a put of an absent record", func(t *testing.T, c *caller) {
		key := c.key(t, "a")
		policy := writing(func(p *as.WritePolicy) { p.FilterExpression = as.ExpLess(as.ExpIntBin("n"), number(2)) })
		require.NoError(t, c.Put(policy, key, as.BinMap{"n": 9}))
		require.Equal(t, as.BinMap{"n": 9}, c.bins(t, key))
	}},
	{"of a delete", func(t *testing.T, c *caller) {
		key := c.key(t, "a")
		c.put(t, key, as.BinMap{"n": 1})
		policy := writing(func(p *as.WritePolicy) { p.FilterExpression = as.ExpEq(as.ExpIntBin("n"), number(2)) })
		_, err := c.Delete(policy, key)
		refused(t, types.FILTERED_OUT, err)
		c.put(t, key, as.BinMap{"n": 2})
		existed, err := c.Delete(policy, key)
		require.NoError(t, err)
		require.True(t, existed)
	}},
	{"of an operate", func(t *testing.T, c *caller) {
		key := c.key(t, "a")
		c.put(t, key, as.BinMap{"stats": object{"clicks": 1}})
		policy := writing(func(p *as.WritePolicy) {
			p.FilterExpression = as.ExpLess(as.ExpMapGetByKey(as.MapReturnType.VALUE, as.ExpTypeINT, text("clicks"), as.ExpMapBin("stats")), number(3))
		})
		for range 2 {
			_, err := c.Operate(policy, key, as.MapIncrementOp(unordered, "stats", "clicks", 1))
			require.NoError(t, err)
		}
		_, err := c.Operate(policy, key, as.MapIncrementOp(unordered, "stats", "clicks", 1))
		refused(t, types.FILTERED_OUT, err)
		require.Equal(t, as.BinMap{"stats": object{"clicks": 3}}, c.bins(t, key))
	}},
	{"of a touch and of exists", func(t *testing.T, c *caller) {
		key := c.key(t, "a")
		c.put(t, key, as.BinMap{"n": 1})
		never := as.ExpEq(as.ExpIntBin("n"), number(2))
		refused(t, types.FILTERED_OUT, c.Touch(writing(func(p *as.WritePolicy) { p.FilterExpression = never }), key))
		_, err := c.Exists(reading(never), key)
		refused(t, types.FILTERED_OUT, err)
	}},
	{"with a stored key", func(t *testing.T, c *caller) {
		set := ownSet()
		key := c.keyIn(t, set, "named")
		require.NoError(t, c.Put(writing(sendKey), key, as.BinMap{"n": 1}))
		require.Len(t, c.scan(t, set, as.ExpKeyExists()), 1)
		require.Len(t, c.scan(t, set, as.ExpEq(as.ExpKey(as.ExpTypeSTRING), text("named"))), 1)
		require.Empty(t, c.scan(t, set, as.ExpEq(as.ExpKey(as.ExpTypeSTRING), text("other"))))
	}},
	{"with a time to live", func(t *testing.T, c *caller) {
		key := c.key(t, "a")
		require.NoError(t, c.Put(expiring(1000), key, as.BinMap{"n": 1}))
		_, err := c.Get(reading(as.ExpAnd(as.ExpGreater(as.ExpTTL(), number(900)), as.ExpLessEq(as.ExpTTL(), number(1001)))), key)
		require.NoError(t, err)
	}},
	{"read by an expression", func(t *testing.T, c *caller) {
		key := c.key(t, "a")
		c.put(t, key, as.BinMap{"n": 7})
		require.Equal(t, as.BinMap{"twice": 14}, c.operate(t, key,
			as.ExpReadOp("twice", as.ExpNumMul(as.ExpIntBin("n"), number(2)), as.ExpReadFlagDefault)))
	}},
	{"written by an expression", func(t *testing.T, c *caller) {
		key := c.key(t, "a")
		c.put(t, key, as.BinMap{"n": 7})
		c.operate(t, key, as.ExpWriteOp("twice", as.ExpNumMul(as.ExpIntBin("n"), number(2)), as.ExpWriteFlagDefault))
		require.Equal(t, as.BinMap{"n": 7, "twice": 14}, c.bins(t, key))
	}},
}...)

func predicateCases() []contract {
	cases := make([]contract, 0, len(predicates))
	for _, one := range predicates {
		cases = append(cases, contract{one.name, func(t *testing.T, c *caller) {
			key := c.key(t, "a")
			c.put(t, key, subject)
			_, err := c.Get(reading(one.exp), key)
			if one.pass {
				require.NoError(t, err)
				return
			}
			refused(t, types.FILTERED_OUT, err)
		}})
	}
	return cases
}
