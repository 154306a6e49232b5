package expression

import (
	"math"
	"math/bits"

	"adpulse/system/minispike/internal/particle"
)

// arithmetic is sums, differences, products, quotients and extremes of
// integers or of floats.
func (c *compiler) arithmetic(code int64, parts [][]byte, depth int) (node, error) {
	nodes, err := c.operands(parts, depth, 1, math.MaxInt)
	if err != nil {
		return node{}, err
	}
	if err := of(nodes[:1], kindInt, kindFloat); err != nil {
		return node{}, err
	}
	if err := of(nodes, nodes[0].kind); err != nil {
		return node{}, err
	}
	if nodes[0].kind == kindFloat {
		return node{kindFloat, func(s *scope) ([]byte, bool) {
			values, known := all(s, nodes)
			if !known {
				return nil, false
			}
			return particle.AppendFloat(nil, foldFloats(code, values)), true
		}}, nil
	}
	return node{kindInt, func(s *scope) ([]byte, bool) {
		values, known := all(s, nodes)
		if !known {
			return nil, false
		}
		n, known := foldInts(code, values)
		if !known {
			return nil, false
		}
		return number(n)
	}}, nil
}

func foldFloats(code int64, values [][]byte) float64 {
	first, _ := particle.Number(values[0])
	if len(values) == 1 {
		switch code {
		case 21:
			return -first
		case 23:
			return 1 / first
		}
		return first
	}
	result, product := first, 1.0
	for _, value := range values[1:] {
		f, _ := particle.Number(value)
		switch code {
		case 20:
			result += f
		case 21:
			result -= f
		case 22:
			result *= f
		case 23:
			product *= f
		case 50:
			result = min(result, f)
		case 51:
			result = max(result, f)
		}
	}
	if code == 23 {
		return first / product
	}
	return result
}

func foldInts(code int64, values [][]byte) (int64, bool) {
	first, _ := particle.Int(values[0])
	result, product := first, int64(1)
	for _, value := range values[1:] {
		n, _ := particle.Int(value)
		switch code {
		case 20:
			result += n
		case 21:
			result -= n
		case 22:
			result *= n
		case 23:
			product *= n
		case 50:
			result = min(result, n)
		case 51:
			result = max(result, n)
		}
	}
	if len(values) == 1 {
		switch code {
		case 21:
			return -first, true
		case 23:
			result, product = 1, first
		}
	}
	if code != 23 {
		return result, true
	}
	if product == 0 {
		return 0, false
	}
	return result / product, true
}

func (c *compiler) power(code int64, parts [][]byte, depth int) (node, error) {
	nodes, err := c.operands(parts, depth, 2, 2)
	if err != nil {
		return node{}, err
	}
	if err := of(nodes, kindFloat); err != nil {
		return node{}, err
	}
	return node{kindFloat, func(s *scope) ([]byte, bool) {
		values, known := all(s, nodes)
		if !known {
			return nil, false
		}
		a, _ := particle.Number(values[0])
		b, _ := particle.Number(values[1])
		if code == 24 {
			return particle.AppendFloat(nil, math.Pow(a, b)), true
		}
		return particle.AppendFloat(nil, math.Log(a)/math.Log(b)), true
	}}, nil
}

func (c *compiler) modulo(parts [][]byte, depth int) (node, error) {
	nodes, err := c.operands(parts, depth, 2, 2)
	if err != nil {
		return node{}, err
	}
	if err := of(nodes, kindInt); err != nil {
		return node{}, err
	}
	return node{kindInt, func(s *scope) ([]byte, bool) {
		values, known := all(s, nodes)
		if !known {
			return nil, false
		}
		a, _ := particle.Int(values[0])
		b, _ := particle.Int(values[1])
		if b == 0 {
			return nil, false
		}
		return number(a % b)
	}}, nil
}

// convert is the absolute value, rounding, and conversions.
func (c *compiler) convert(code int64, parts [][]byte, depth int) (node, error) {
	nodes, err := c.operands(parts, depth, 1, 1)
	if err != nil {
		return node{}, err
	}
	wanted := map[int64][]kind{27: {kindInt, kindFloat}, 28: {kindFloat}, 29: {kindFloat}, 30: {kindFloat}, 31: {kindInt}}
	if err := of(nodes, wanted[code]...); err != nil {
		return node{}, err
	}
	result := kindFloat
	if code == 30 || code == 27 && nodes[0].kind == kindInt {
		result = kindInt
	}
	return node{result, func(s *scope) ([]byte, bool) {
		value, known := nodes[0].eval(s)
		if !known {
			return nil, false
		}
		f, _ := particle.Number(value)
		switch code {
		case 27:
			if n, ok := particle.Int(value); ok {
				return number(max(n, -n))
			}
			return particle.AppendFloat(nil, math.Abs(f)), true
		case 28:
			return particle.AppendFloat(nil, math.Floor(f)), true
		case 29:
			return particle.AppendFloat(nil, math.Ceil(f)), true
		case 30:
			return number(toInt(f))
		}
		return particle.AppendFloat(nil, f), true
	}}, nil
}

// toInt cuts a float's fraction off; what no integer can hold becomes the
// least one, as it does on the server's machines.
func toInt(f float64) int64 {
	if math.IsNaN(f) || f >= math.MaxInt64 || f < math.MinInt64 {
		return math.MinInt64
	}
	return int64(f)
}

// bits is operations on the bits of integers.
func (c *compiler) bits(code int64, parts [][]byte, depth int) (node, error) {
	least, most := 2, 2
	switch code {
	case 32, 33, 34:
		least, most = 1, math.MaxInt
	case 35, 39:
		least, most = 1, 1
	}
	nodes, err := c.operands(parts, depth, least, most)
	if err != nil {
		return node{}, err
	}
	scans := code == 40 || code == 41
	if scans {
		if err := of(nodes[1:], kindBool); err != nil {
			return node{}, err
		}
		err = of(nodes[:1], kindInt)
	} else {
		err = of(nodes, kindInt)
	}
	if err != nil {
		return node{}, err
	}
	return node{kindInt, func(s *scope) ([]byte, bool) {
		values, known := all(s, nodes)
		if !known {
			return nil, false
		}
		n, _ := particle.Int(values[0])
		if scans {
			if !isTrue(values[1]) {
				n = ^n
			}
			return number(scan(code, uint64(n)))
		}
		return number(foldBits(code, n, values[1:]))
	}}, nil
}

func foldBits(code, n int64, values [][]byte) int64 {
	switch code {
	case 35:
		return ^n
	case 39:
		return int64(bits.OnesCount64(uint64(n)))
	}
	for _, value := range values {
		m, _ := particle.Int(value)
		switch code {
		case 32:
			n &= m
		case 33:
			n |= m
		case 34:
			n ^= m
		case 36:
			n <<= uint64(m) & 63
		case 37:
			n = int64(uint64(n) >> (uint64(m) & 63))
		case 38:
			n >>= uint64(m) & 63
		}
	}
	return n
}

// scan finds the first set bit from the left or right, counted from the left;
// -1 when there is none.
func scan(code int64, n uint64) int64 {
	if n == 0 {
		return -1
	}
	if code == 40 {
		return int64(bits.LeadingZeros64(n))
	}
	return int64(63 - bits.TrailingZeros64(n))
}
