package expression

import (
	"fmt"

	"adpulse/system/minispike/internal/particle"
)

// Codes of operations.
const (
	opUnknown   = 0
	opEqual     = 1
	opNotEqual  = 2
	opGreater   = 3
	opAtLeast   = 4
	opLess      = 5
	opAtMost    = 6
	opRegex     = 7
	opGeo       = 8
	opInList    = 9
	opAnd       = 16
	opOr        = 17
	opNot       = 18
	opExclusive = 19
	opAdd       = 20
	opSub       = 21
	opMul       = 22
	opDiv       = 23
	opPow       = 24
	opLog       = 25
	opMod       = 26
	opAbs       = 27
	opFloor     = 28
	opCeil      = 29
	opToInt     = 30
	opToFloat   = 31
	opIntAnd    = 32
	opIntOr     = 33
	opIntXor    = 34
	opIntNot    = 35
	opLShift    = 36
	opRShift    = 37
	opARShift   = 38
	opCount     = 39
	opLScan     = 40
	opRScan     = 41
	opMin       = 50
	opMax       = 51

	opDigestModulo = 64
	opDeviceSize   = 65
	opLastUpdate   = 66
	opSinceUpdate  = 67
	opVoidTime     = 68
	opTTL          = 69
	opSet          = 70
	opKeyExists    = 71
	opTombstone    = 72
	opMemorySize   = 73
	opRecordSize   = 74
	opKey          = 80
	opBin          = 81
	opBinType      = 82
	opRemove       = 100
	opMapKeys      = 101
	opMapValues    = 102
	opCond         = 123
	opVar          = 124
	opLet          = 125
	opQuote        = 126
	opCall         = 127
)

// frame is one evaluation: the record, and what the variables hold.
type frame struct {
	record    Record
	variables []value
}

// node is a compiled expression within one: its type, and how it comes to its
// value, which is of that type or unknown.
type node struct {
	kind    kind
	unknown bool // always; it may stand where any type is wanted
	eval    func(*frame) value
}

func constant(v value) node { return node{kind: v.kind, eval: func(*frame) value { return v }} }

// compiler keeps the variables that are in scope.
type compiler struct {
	scope []variable
	most  int
}

type variable struct {
	name    string
	kind    kind
	defined bool
}

func malformed(format string, operands ...any) error {
	return fmt.Errorf("%w: %s", ErrMalformed, fmt.Sprintf(format, operands...))
}

func (c *compiler) compile(e []byte) (node, error) {
	switch particle.TypeOf(e) {
	case particle.TypeList:
		parts, _, ok := particle.Elements(e)
		if !ok || len(parts) == 0 {
			return node{}, malformed("a list without an operation")
		}
		code, ok := particle.Int(parts[0])
		if !ok {
			return node{}, malformed("an operation that is no number")
		}
		return c.operation(code, parts[1:])
	case particle.TypeMap:
		return constant(value{kind: dictionary, bytes: e}), nil
	case particle.TypeString, particle.TypeBlob, particle.TypeGeo:
		if all, _ := particle.Raw(e); len(all) == 0 {
			return node{}, malformed("a text without its kind")
		}
		switch which, bytes := particle.Text(e); {
		case which == particle.String:
			return constant(value{kind: text, bytes: bytes}), nil
		case which == particle.Blob:
			return constant(value{kind: blob, bytes: bytes}), nil
		case which == particle.GeoJSON, which == particle.HLL:
			return node{}, fmt.Errorf("%w: a constant of kind %d", ErrUnsupported, which)
		default:
			return node{}, malformed("a text of kind %d", which)
		}
	case particle.TypeNil:
		return constant(value{}), nil
	case particle.TypeBool:
		return constant(ofBool(e[0] == 0xc3)), nil
	case particle.TypeInt:
		n, _ := particle.Int(e)
		return constant(ofInt(n)), nil
	case particle.TypeFloat:
		f, _ := particle.Number(e)
		return constant(ofFloat(f)), nil
	case particle.TypeExtension, particle.TypeInfinity, particle.TypeWildcard:
		return node{kind: opaque, eval: func(*frame) value { return nowhere }}, nil
	case particle.Invalid:
	}
	return node{}, malformed("no element")
}

// operation compiles a node by its code.
func (c *compiler) operation(code int64, args [][]byte) (node, error) {
	switch code {
	case opUnknown:
		return node{boolean, true, func(*frame) value { return nowhere }}, count(args, 0)
	case opEqual, opNotEqual, opGreater, opAtLeast, opLess, opAtMost:
		return c.comparison(code, args)
	case opRegex:
		return c.regex(args)
	case opInList:
		return c.inList(args)
	case opAnd, opOr, opExclusive:
		return c.logic(code, args)
	case opNot:
		return c.not(args)
	case opAdd, opSub, opMul, opDiv, opMin, opMax:
		return c.numbers(code, args)
	case opAbs:
		return c.abs(args)
	case opPow, opLog:
		return c.power(code, args)
	case opFloor, opCeil, opToInt:
		return c.ofOneFloat(code, args)
	case opIntAnd, opIntOr, opIntXor:
		return c.bitsOf(code, args)
	case opToFloat, opIntNot, opCount:
		return c.ofOneInt(code, args)
	case opMod, opLShift, opRShift, opARShift:
		return c.ofTwoInts(code, args)
	case opLScan, opRScan:
		return c.scan(code, args)
	case opDigestModulo:
		return digestModulo(args)
	case opKey:
		return userKey(args)
	case opBin:
		return bin(args)
	case opBinType:
		return binType(args)
	case opRemove:
		return constant(value{kind: removal}), count(args, 0)
	case opMapKeys, opMapValues:
		return c.halves(code, args)
	case opCond:
		return c.cond(args)
	case opVar:
		return c.variable(args)
	case opLet:
		return c.let(args)
	case opQuote:
		if len(args) != 1 || particle.TypeOf(args[0]) != particle.TypeList {
			return node{}, malformed("a quotation of what is no list")
		}
		return constant(value{kind: list, bytes: args[0]}), nil
	case opCall:
		return c.call(args)
	case opGeo:
		return node{}, fmt.Errorf("%w: comparison of places", ErrUnsupported)
	}
	if eval, kind := metadata(code); eval != nil {
		return node{kind: kind, eval: eval}, count(args, 0)
	}
	return node{}, malformed("no operation %d", code)
}

func count(args [][]byte, n int) error {
	if len(args) != n {
		return malformed("%d arguments instead of %d", len(args), n)
	}
	return nil
}

// all compiles arguments that have to be of a kind, at least so many.
func (c *compiler) all(args [][]byte, least int, want kind) ([]node, error) {
	if len(args) < least {
		return nil, malformed("%d arguments, at least %d", len(args), least)
	}
	nodes := make([]node, len(args))
	for i, arg := range args {
		var err error
		if nodes[i], err = c.compile(arg); err != nil {
			return nil, err
		}
		if nodes[i].kind != want {
			return nil, malformed("argument %d of type %d instead of %d", i, nodes[i].kind, want)
		}
	}
	return nodes, nil
}

// one compiles the only argument, which has to be of a kind.
func (c *compiler) one(args [][]byte, want kind) (node, error) {
	if err := count(args, 1); err != nil {
		return node{}, err
	}
	nodes, err := c.all(args, 1, want)
	if err != nil {
		return node{}, err
	}
	return nodes[0], nil
}
