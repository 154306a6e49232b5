package particle

import (
	"encoding/binary"
	"math"
)

// Type is the type of an element of a list or map. Types are ordered: values
// of different types compare as their types do.
type Type uint8

// The types, in their order.
const (
	Invalid Type = iota
	TypeNil
	TypeBool
	TypeInt
	TypeString
	TypeList
	TypeMap
	TypeBlob
	TypeFloat
	TypeGeo
	TypeExtension
	TypeInfinity
	TypeWildcard
)

// maxDepth bounds how deep elements may be nested.
const maxDepth = 64

// TypeOf is an element's type by its first bytes.
func TypeOf(e []byte) Type {
	if len(e) == 0 {
		return Invalid
	}
	switch c := e[0]; {
	case c <= 0x7f, c >= 0xe0, c >= 0xcc && c <= 0xd3:
		return TypeInt
	case c <= 0x8f, c == 0xde, c == 0xdf:
		return TypeMap
	case c <= 0x9f, c == 0xdc, c == 0xdd:
		return TypeList
	case c == 0xc0:
		return TypeNil
	case c == 0xc2, c == 0xc3:
		return TypeBool
	case c == 0xca, c == 0xcb:
		return TypeFloat
	case c <= 0xbf, c >= 0xc4 && c <= 0xc6, c >= 0xd9 && c <= 0xdb:
		return textType(e)
	case c == 0xd4 && len(e) >= 3 && e[1] == 0xff:
		if e[2] == 0 {
			return TypeWildcard
		}
		return TypeInfinity
	case c >= 0xc7 && c <= 0xc9, c >= 0xd4 && c <= 0xd8:
		return TypeExtension
	}
	return Invalid
}

func textType(e []byte) Type {
	kind, _ := Text(e)
	switch kind {
	case String:
		return TypeString
	case GeoJSON:
		return TypeGeo
	}
	return TypeBlob
}

// Text takes a string's or blob's leading type byte off.
func Text(e []byte) (Kind, []byte) {
	head, size, _ := extent(e)
	if head < 0 || size == 0 || head >= len(e) {
		return Blob, nil
	}
	text := e[head:]
	return Kind(text[0]), text[1:]
}

// Int is an integer element's value; unsigned ones beyond int64 wrap.
func Int(e []byte) (int64, bool) {
	if len(e) == 0 {
		return 0, false
	}
	switch c := e[0]; {
	case c <= 0x7f:
		return int64(c), true
	case c >= 0xe0:
		return int64(int8(c)), true
	case c < 0xcc || c > 0xd3 || len(e) < 1+1<<((c-0xcc)&3):
		return 0, false
	case c == 0xcc:
		return int64(e[1]), true
	case c == 0xcd:
		return int64(binary.BigEndian.Uint16(e[1:])), true
	case c == 0xce:
		return int64(binary.BigEndian.Uint32(e[1:])), true
	case c == 0xd0:
		return int64(int8(e[1])), true
	case c == 0xd1:
		return int64(int16(binary.BigEndian.Uint16(e[1:]))), true
	case c == 0xd2:
		return int64(int32(binary.BigEndian.Uint32(e[1:]))), true
	}
	return int64(binary.BigEndian.Uint64(e[1:])), true
}

// Number is an integer or float element as a float.
func Number(e []byte) (float64, bool) {
	switch {
	case len(e) >= 5 && e[0] == 0xca:
		return float64(math.Float32frombits(binary.BigEndian.Uint32(e[1:]))), true
	case len(e) >= 9 && e[0] == 0xcb:
		return math.Float64frombits(binary.BigEndian.Uint64(e[1:])), true
	}
	n, ok := Int(e)
	return float64(n), ok
}

// extent measures the first element without what is nested in it: its
// header's size, its payload's, and how many elements follow.
func extent(e []byte) (head, payload, nested int) {
	if len(e) == 0 {
		return -1, 0, 0
	}
	sized := func(width, extra int) (int, int) {
		if len(e) < 1+width {
			return -1, 0
		}
		n := 0
		for _, b := range e[1 : 1+width] {
			n = n<<8 | int(b)
		}
		return 1 + width + extra, n
	}
	switch c := e[0]; {
	case c <= 0x7f, c >= 0xe0, c == 0xc0, c == 0xc2, c == 0xc3:
		return 1, 0, 0
	case c <= 0x8f:
		return 1, 0, 2 * int(c&0x0f)
	case c <= 0x9f:
		return 1, 0, int(c & 0x0f)
	case c <= 0xbf:
		return 1, int(c & 0x1f), 0
	case c >= 0xc4 && c <= 0xc6:
		head, payload = sized(1<<(c-0xc4), 0)
	case c >= 0xc7 && c <= 0xc9:
		head, payload = sized(1<<(c-0xc7), 1)
	case c == 0xca:
		return 1, 4, 0
	case c == 0xcb:
		return 1, 8, 0
	case c >= 0xcc && c <= 0xd3:
		return 1, 1 << ((c - 0xcc) & 3), 0
	case c >= 0xd4 && c <= 0xd8:
		return 2, 1 << (c - 0xd4), 0
	case c >= 0xd9 && c <= 0xdb:
		head, payload = sized(1<<(c-0xd9), 0)
	case c == 0xdc, c == 0xdd:
		head, nested = sized(2<<(c-0xdc), 0)
	case c == 0xde, c == 0xdf:
		head, nested = sized(2<<(c-0xde), 0)
		nested *= 2
	default:
		return -1, 0, 0
	}
	return head, payload, nested
}

// Next takes the first element off b. It is false when there is none.
func Next(b []byte) (element, rest []byte, ok bool) {
	n, ok := measure(b, 0)
	if !ok {
		return nil, nil, false
	}
	return b[:n:n], b[n:], true
}

func measure(b []byte, depth int) (int, bool) {
	head, payload, nested := extent(b)
	if head < 0 || depth > maxDepth || payload > len(b)-head || nested > len(b)-head {
		return 0, false
	}
	at := head + payload
	for range nested {
		n, ok := measure(b[at:], depth+1)
		if !ok {
			return 0, false
		}
		at += n
	}
	return at, true
}

// Flags of a list or map, in an extension element in front of the first.
const (
	Ordered       byte = 1
	ValueOrdered  byte = 3
	PreserveOrder byte = 8
)

// Elements takes a list apart: its elements without the leading flags.
func Elements(e []byte) (elements [][]byte, flags byte, ok bool) {
	if TypeOf(e) != TypeList {
		return nil, 0, false
	}
	head, _, count := extent(e)
	if head < 0 || count > len(e)-head {
		return nil, 0, false
	}
	rest := e[head:]
	elements = make([][]byte, 0, count)
	for i := range count {
		var element []byte
		if element, rest, ok = Next(rest); !ok {
			return nil, 0, false
		}
		if i == 0 && TypeOf(element) == TypeExtension {
			flags = extensionFlags(element)
			continue
		}
		elements = append(elements, element)
	}
	return elements, flags, true
}

// Pair is a map's entry.
type Pair struct{ Key, Value []byte }

// Pairs takes a map apart: its entries without the leading flags.
func Pairs(e []byte) (pairs []Pair, flags byte, ok bool) {
	if TypeOf(e) != TypeMap {
		return nil, 0, false
	}
	head, _, count := extent(e)
	if head < 0 || count > len(e)-head {
		return nil, 0, false
	}
	rest := e[head:]
	pairs = make([]Pair, 0, count/2)
	for i := range count / 2 {
		var pair Pair
		if pair.Key, rest, ok = Next(rest); !ok {
			return nil, 0, false
		}
		if pair.Value, rest, ok = Next(rest); !ok {
			return nil, 0, false
		}
		if i == 0 && TypeOf(pair.Key) == TypeExtension {
			flags = extensionFlags(pair.Key)
			continue
		}
		pairs = append(pairs, pair)
	}
	return pairs, flags, true
}

func extensionFlags(e []byte) byte {
	if e[0] >= 0xd4 {
		return e[1]
	}
	return e[len(e)-1-lengthOf(e)]
}

// lengthOf is the payload's length of an extension with a length.
func lengthOf(e []byte) int { _, n, _ := extent(e); return n }

// Valid says whether b is exactly one element whose maps have keys that a
// server takes: integers, strings and blobs.
func Valid(b []byte) bool {
	n, ok := valid(b, 0, false)
	return ok && n == len(b)
}

func valid(b []byte, depth int, key bool) (int, bool) {
	head, payload, nested := extent(b)
	if head < 0 || depth > maxDepth || payload > len(b)-head || nested > len(b)-head {
		return 0, false
	}
	kind := TypeOf(b)
	if key && kind != TypeInt && kind != TypeString && kind != TypeBlob {
		return 0, false
	}
	at := head + payload
	for i := range nested {
		inKey := kind == TypeMap && i%2 == 0
		if i == 0 && inKey && TypeOf(b[at:]) == TypeExtension {
			inKey = false // flags
		}
		n, ok := valid(b[at:], depth+1, inKey)
		if !ok {
			return 0, false
		}
		at += n
	}
	return at, true
}

// Raw is a text element's bytes, type byte and all: names in expressions
// have none.
func Raw(e []byte) ([]byte, bool) {
	switch TypeOf(e) {
	case TypeString, TypeBlob, TypeGeo:
	default:
		return nil, false
	}
	head, _, _ := extent(e)
	if head < 0 || head > len(e) {
		return nil, false
	}
	return e[head:], true
}
