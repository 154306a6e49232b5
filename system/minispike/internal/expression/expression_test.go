package expression_test

import (
	"encoding/base64"
	"math"
	"testing"

	as "github.com/aerospike/aerospike-client-go/v7"
	"github.com/stretchr/testify/require"

	"adpulse/system/minispike/internal/expression"
	"adpulse/system/minispike/internal/particle"
)

// packed is an expression as the client library packs it.
func packed(t testing.TB, e *as.Expression) []byte {
	t.Helper()
	text, err := e.Base64()
	require.NoError(t, err)
	b, failure := base64.StdEncoding.DecodeString(text)
	require.NoError(t, failure)
	return b
}

func number(n int64) *as.Expression     { return as.ExpIntVal(n) }
func fraction(f float64) *as.Expression { return as.ExpFloatVal(f) }
func text(s string) *as.Expression      { return as.ExpStringVal(s) }
func truth(b bool) *as.Expression       { return as.ExpBoolVal(b) }

func TestEvalComesToWhatTheProtocolSays(t *testing.T) {
	one, two := number(1), number(2)
	for _, c := range []struct {
		name string
		exp  *as.Expression
		want particle.Particle
	}{
		{"sum", as.ExpNumAdd(number(math.MaxInt64), one), particle.Of(math.MinInt64)},
		{"negation", as.ExpNumSub(number(7)), particle.Of(-7)},
		{"product of fractions", as.ExpEq(as.ExpNumMul(fraction(1.5), fraction(2)), fraction(3)), particle.OfBool(true)},
		{"quotient by a product", as.ExpNumDiv(number(100), number(5), number(4)), particle.Of(5)},
		{"reciprocal", as.ExpNumDiv(number(3)), particle.Of(0)},
		{"least integer by minus one", as.ExpNumDiv(number(math.MinInt64), number(-1)), particle.Of(math.MinInt64)},
		{"remainder of the least integer by minus one", as.ExpNumMod(number(math.MinInt64), number(-1)), particle.Of(0)},
		{"remainder of a negative", as.ExpNumMod(number(-7), number(3)), particle.Of(-1)},
		{"magnitude", as.ExpNumAbs(number(-3)), particle.Of(3)},
		{"to an integer", as.ExpToInt(fraction(-2.9)), particle.Of(-2)},
		{"to an integer, beyond them", as.ExpToInt(fraction(1e300)), particle.Of(math.MinInt64)},
		{"power", as.ExpEq(as.ExpNumPow(fraction(2), fraction(10)), fraction(1024)), particle.OfBool(true)},
		{"floor", as.ExpEq(as.ExpNumFloor(fraction(-1.5)), fraction(-2)), particle.OfBool(true)},
		{"shift by more than there are bits", as.ExpIntLShift(one, number(65)), particle.Of(2)},
		{"logical shift", as.ExpIntRShift(number(-1), number(63)), particle.Of(1)},
		{"arithmetic shift", as.ExpIntARShift(number(-8), one), particle.Of(-4)},
		{"bits set", as.ExpIntCount(number(255)), particle.Of(8)},
		{"first bit set", as.ExpIntLScan(one, truth(true)), particle.Of(63)},
		{"first bit set of none", as.ExpIntLScan(number(0), truth(true)), particle.Of(-1)},
		{"last bit not set", as.ExpIntRScan(one, truth(false)), particle.Of(62)},
		{"least", as.ExpMin(two, one, number(3)), particle.Of(1)},
		{"greatest", as.ExpMax(two, one, number(3)), particle.Of(3)},
		{"choice", as.ExpCond(truth(false), one, truth(true), two, number(3)), particle.Of(2)},
		{"default of a choice", as.ExpCond(truth(false), one, number(3)), particle.Of(3)},
		{"variables", as.ExpLet(as.ExpDef("x", two), as.ExpDef("y", as.ExpNumAdd(as.ExpVar("x"), one)),
			as.ExpNumMul(as.ExpVar("x"), as.ExpVar("y"))), particle.Of(6)},
		{"exclusive", as.ExpExclusive(truth(true), truth(false), truth(true)), particle.OfBool(false)},
		{"a false decides beside an unknown", as.ExpAnd(missing(), truth(false)), particle.OfBool(false)},
		{"a true decides beside an unknown", as.ExpOr(missing(), truth(true)), particle.OfBool(true)},
		{"bin", as.ExpIntBin("n"), particle.Of(7)},
		{"type of a bin", as.ExpBinType("s"), particle.Of(3)},
		{"type of no bin", as.ExpBinType("none"), particle.Of(0)},
		{"part of a text", as.ExpRegexCompare("e.{2}o$", as.ExpRegexFlagEXTENDED, as.ExpStringBin("s")), particle.OfBool(true)},
		{"braces of a basic expression", as.ExpRegexCompare(`l{2}`, 0, as.ExpStringBin("s")), particle.OfBool(false)},
		{"braces with backslashes of a basic expression", as.ExpRegexCompare(`l\{2\}`, 0, as.ExpStringBin("s")), particle.OfBool(true)},
		{"whatever case", as.ExpRegexCompare("HELLO", as.ExpRegexFlagICASE, as.ExpStringBin("s")), particle.OfBool(true)},
		{"list size", as.ExpListSize(as.ExpListBin("l")), particle.Of(3)},
		{"list element", as.ExpListGetByIndex(as.ListReturnTypeValue, as.ExpTypeINT, number(-1), as.ExpListBin("l")), particle.Of(2)},
		{"list that grew", as.ExpListSize(as.ExpListAppend(as.DefaultListPolicy(), one, as.ExpListBin("l"))), particle.Of(4)},
		{"equal lists", as.ExpEq(as.ExpListBin("l"), as.ExpListVal(as.NewValue(3), as.NewValue(1), as.NewValue(2))), particle.OfBool(true)},
		{"set", as.ExpEq(as.ExpSetName(), text("ads")), particle.OfBool(true)},
		{"key", as.ExpKey(as.ExpTypeSTRING), particle.Particle{Kind: particle.String, Bytes: []byte("k")}},
		{"digest", as.ExpDigestModulo(10), particle.Of(1)},
	} {
		t.Run(c.name, func(t *testing.T) {
			e, err := expression.Compile(packed(t, c.exp))
			require.NoError(t, err)
			got, known := e.Eval(someRecord())
			require.True(t, known)
			require.Equal(t, c.want, got)
		})
	}
}

// missing is a condition about a bin that there is not.
func missing() *as.Expression { return as.ExpEq(as.ExpIntBin("none"), as.ExpIntVal(1)) }

func TestWhatARecordLacksIsUnknown(t *testing.T) {
	for name, e := range map[string]*as.Expression{
		"absent bin":             missing(),
		"bin of another type":    as.ExpEq(as.ExpIntBin("s"), number(1)),
		"its negation":           as.ExpNot(missing()),
		"quotient by zero":       as.ExpEq(as.ExpNumDiv(number(1), number(0)), number(0)),
		"remainder by zero":      as.ExpEq(as.ExpNumMod(number(1), number(0)), number(0)),
		"choice by the unknown":  as.ExpCond(missing(), truth(true), truth(true)),
		"beside a true":          as.ExpAnd(truth(true), missing()),
		"index beyond a list":    as.ExpEq(as.ExpListGetByIndex(as.ListReturnTypeValue, as.ExpTypeINT, number(9), as.ExpListBin("l")), number(1)),
		"element of other type":  as.ExpEq(as.ExpListGetByIndex(as.ListReturnTypeValue, as.ExpTypeSTRING, number(0), as.ExpListBin("l")), text("")),
		"order of unordered map": as.ExpEq(as.ExpMapBin("m"), as.ExpMapBin("m")),
		"key of another type":    as.ExpEq(as.ExpKey(as.ExpTypeINT), number(1)),
	} {
		t.Run(name, func(t *testing.T) {
			e, err := expression.CompileFilter(packed(t, e))
			require.NoError(t, err)
			require.False(t, e.Match(someRecord()))
			_, known := e.Eval(someRecord())
			require.False(t, known)
		})
	}
}

func TestCompileRefuses(t *testing.T) {
	one := number(1)
	for name, e := range map[string]*as.Expression{
		"comparison of types":    as.ExpEq(one, text("1")),
		"arithmetic of types":    as.ExpEq(as.ExpNumAdd(one, fraction(1)), one),
		"condition of a number":  as.ExpNot(one),
		"filter without verdict": one,
		"undefined variable":     as.ExpEq(as.ExpVar("x"), one),
		"variable named twice":   as.ExpLet(as.ExpDef("x", one), as.ExpDef("x", one), truth(true)),
		"regular expression":     as.ExpRegexCompare("(", as.ExpRegexFlagEXTENDED, text("")),
		"choice of types":        as.ExpEq(as.ExpCond(truth(true), one, text("")), one),
		"digest modulo zero":     as.ExpEq(as.ExpDigestModulo(0), one),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := expression.CompileFilter(packed(t, e))
			require.ErrorIs(t, err, expression.ErrMalformed)
		})
	}
	for _, noise := range []string{"", "\x90", "\x91\xc0", "\x93\x01\x01", "\x92\x12\xc3\xc3", "\xd9\x05a", "\xc1", "\xa0"} {
		_, err := expression.Compile([]byte(noise))
		require.ErrorIs(t, err, expression.ErrMalformed, "%q", noise)
	}
	_, err := expression.Compile(packed(t, as.ExpGeoCompare(as.ExpGeoBin("g"), as.ExpGeoBin("g"))))
	require.ErrorIs(t, err, expression.ErrUnsupported)
}

func FuzzExpression(f *testing.F) {
	for _, e := range []*as.Expression{
		as.ExpEq(as.ExpIntBin("n"), number(7)),
		as.ExpLet(as.ExpDef("x", as.ExpListBin("l")), as.ExpGreater(as.ExpListSize(as.ExpVar("x")), number(2))),
		as.ExpRegexCompare("^h", as.ExpRegexFlagEXTENDED, as.ExpStringBin("s")),
		as.ExpCond(as.ExpBinExists("n"), as.ExpNumMod(number(1), number(0)), as.ExpToInt(fraction(1.5))),
		as.ExpEq(as.ExpMapGetByKey(as.MapReturnType.VALUE, as.ExpTypeINT, text("k"), as.ExpMapBin("m")), number(5)),
	} {
		f.Add(packed(f, e))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if e, err := expression.Compile(b); err == nil {
			e.Match(someRecord())
			_, _ = e.Eval(someRecord())
		}
	})
}
