package expression

import (
	"math"
	"math/bits"
)

// arithmetic is an operation on integers and on floats.
type arithmetic struct {
	ints   func(a, b int64) int64
	floats func(a, b float64) float64
}

func arithmeticOf(code int64) arithmetic {
	switch code {
	case opAdd:
		return arithmetic{func(a, b int64) int64 { return a + b }, func(a, b float64) float64 { return a + b }}
	case opSub:
		return arithmetic{func(a, b int64) int64 { return a - b }, func(a, b float64) float64 { return a - b }}
	case opMul, opDiv: // a quotient's divisors are multiplied first
		return arithmetic{func(a, b int64) int64 { return a * b }, func(a, b float64) float64 { return a * b }}
	case opMin:
		return arithmetic{func(a, b int64) int64 { return min(a, b) }, func(a, b float64) float64 {
			if a > b {
				return b
			}
			return a
		}}
	}
	return arithmetic{func(a, b int64) int64 { return max(a, b) }, func(a, b float64) float64 {
		if a < b {
			return b
		}
		return a
	}}
}

// numbers is an operation on one or several numbers of one type.
func (c *compiler) numbers(code int64, args [][]byte) (node, error) {
	if len(args) == 0 {
		return node{}, malformed("arithmetic without an argument")
	}
	first, err := c.compile(args[0])
	if err != nil {
		return node{}, err
	}
	if first.kind != integer && first.kind != float {
		return node{}, malformed("arithmetic on type %d", first.kind)
	}
	rest, err := c.all(args[1:], 0, first.kind)
	if err != nil {
		return node{}, err
	}
	do := arithmeticOf(code)
	switch {
	case code == opSub && len(rest) == 0:
		first, rest = constant(value{kind: first.kind}), []node{first}
	case code == opDiv && len(rest) == 0:
		first, rest = constant(value{kind: first.kind, n: 1, f: 1}), []node{first}
	}
	if code == opDiv {
		divisor := folded(rest[0], rest[1:], do)
		return node{kind: first.kind, eval: func(f *frame) value {
			return quotient(first.eval(f), divisor(f))
		}}, nil
	}
	return node{kind: first.kind, eval: folded(first, rest, do)}, nil
}

func folded(first node, rest []node, do arithmetic) func(*frame) value {
	return func(f *frame) value {
		v := first.eval(f)
		for i := range rest {
			if v.kind == unknown {
				return nowhere
			}
			next := rest[i].eval(f)
			switch next.kind {
			case integer:
				v.n = do.ints(v.n, next.n)
			case float:
				v.f = do.floats(v.f, next.f)
			default:
				return nowhere
			}
		}
		return v
	}
}

// quotient divides; an integer by zero is unknown.
func quotient(a, b value) value {
	switch {
	case a.kind == float && b.kind == float:
		return ofFloat(a.f / b.f)
	case a.kind == integer && b.kind == integer && b.n != 0:
		return ofInt(a.n / b.n)
	}
	return nowhere
}

func (c *compiler) abs(args [][]byte) (node, error) {
	if err := count(args, 1); err != nil {
		return node{}, err
	}
	number, err := c.compile(args[0])
	if err != nil {
		return node{}, err
	}
	if number.kind != integer && number.kind != float {
		return node{}, malformed("the magnitude of type %d", number.kind)
	}
	return node{kind: number.kind, eval: func(f *frame) value {
		v := number.eval(f)
		v.f = math.Abs(v.f)
		if v.n < 0 {
			v.n = -v.n
		}
		return v
	}}, nil
}

func (c *compiler) power(code int64, args [][]byte) (node, error) {
	nodes, err := c.all(args, 2, float)
	if err == nil {
		err = count(args, 2)
	}
	return node{kind: float, eval: func(f *frame) value {
		a := nodes[0].eval(f)
		if a.kind != float {
			return nowhere
		}
		b := nodes[1].eval(f)
		if b.kind != float {
			return nowhere
		}
		if code == opPow {
			return ofFloat(math.Pow(a.f, b.f))
		}
		return ofFloat(math.Log(a.f) / math.Log(b.f))
	}}, err
}

func (c *compiler) ofOneFloat(code int64, args [][]byte) (node, error) {
	number, err := c.one(args, float)
	result := node{kind: float}
	if code == opToInt {
		result.kind = integer
	}
	result.eval = func(f *frame) value {
		v := number.eval(f)
		if v.kind != float {
			return nowhere
		}
		switch code {
		case opFloor:
			return ofFloat(math.Floor(v.f))
		case opCeil:
			return ofFloat(math.Ceil(v.f))
		}
		return ofInt(truncated(v.f))
	}
	return result, err
}

// truncated is a float's integer part; what is beyond every integer, or no
// number, is the least one, as processors have it that servers run on.
func truncated(f float64) int64 {
	if f >= -1<<63 && f < 1<<63 {
		return int64(f)
	}
	return math.MinInt64
}

func (c *compiler) ofOneInt(code int64, args [][]byte) (node, error) {
	number, err := c.one(args, integer)
	result := node{kind: integer}
	if code == opToFloat {
		result.kind = float
	}
	result.eval = func(f *frame) value {
		v := number.eval(f)
		if v.kind != integer {
			return nowhere
		}
		switch code {
		case opToFloat:
			return ofFloat(float64(v.n))
		case opIntNot:
			return ofInt(^v.n)
		}
		return ofInt(int64(bits.OnesCount64(uint64(v.n))))
	}
	return result, err
}

func (c *compiler) bitsOf(code int64, args [][]byte) (node, error) {
	nodes, err := c.all(args, 1, integer)
	if err != nil {
		return node{}, err
	}
	do := arithmetic{ints: func(a, b int64) int64 { return a & b }}
	switch code {
	case opIntOr:
		do.ints = func(a, b int64) int64 { return a | b }
	case opIntXor:
		do.ints = func(a, b int64) int64 { return a ^ b }
	}
	return node{kind: integer, eval: folded(nodes[0], nodes[1:], do)}, nil
}

func (c *compiler) ofTwoInts(code int64, args [][]byte) (node, error) {
	nodes, err := c.all(args, 2, integer)
	if err == nil {
		err = count(args, 2)
	}
	return node{kind: integer, eval: func(f *frame) value {
		a := nodes[0].eval(f)
		if a.kind != integer {
			return nowhere
		}
		b := nodes[1].eval(f)
		if b.kind != integer {
			return nowhere
		}
		shift := uint64(b.n) & 63 // as processors shift
		switch code {
		case opLShift:
			return ofInt(a.n << shift)
		case opRShift:
			return ofInt(int64(uint64(a.n) >> shift))
		case opARShift:
			return ofInt(a.n >> shift)
		}
		if b.n == 0 {
			return nowhere
		}
		return ofInt(a.n % b.n)
	}}, err
}

// scan is the place of the first bit, from the left or the right, that is set
// or not; -1 when there is none. Places count from the left.
func (c *compiler) scan(code int64, args [][]byte) (node, error) {
	if err := count(args, 2); err != nil {
		return node{}, err
	}
	number, err := c.one(args[:1], integer)
	if err != nil {
		return node{}, err
	}
	set, err := c.one(args[1:], boolean)
	return node{kind: integer, eval: func(f *frame) value {
		a := number.eval(f)
		if a.kind != integer {
			return nowhere
		}
		b := set.eval(f)
		if b.kind != boolean {
			return nowhere
		}
		n := uint64(a.n)
		if b.n == 0 {
			n = ^n
		}
		switch {
		case n == 0:
			return ofInt(-1)
		case code == opLScan:
			return ofInt(int64(bits.LeadingZeros64(n)))
		}
		return ofInt(63 - int64(bits.TrailingZeros64(n)))
	}}, err
}
