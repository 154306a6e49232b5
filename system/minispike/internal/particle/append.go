package particle

import (
	"encoding/binary"
	"math"
)

// AppendInt writes an integer element in its shortest form.
func AppendInt(out []byte, n int64) []byte {
	switch {
	case n >= 0 && n <= 0x7f, n < 0 && n >= -32:
		return append(out, byte(n))
	case n >= 0 && n <= math.MaxUint8:
		return append(out, 0xcc, byte(n))
	case n >= 0 && n <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(out, 0xcd), uint16(n))
	case n >= 0 && n <= math.MaxUint32:
		return binary.BigEndian.AppendUint32(append(out, 0xce), uint32(n))
	case n >= 0:
		return binary.BigEndian.AppendUint64(append(out, 0xcf), uint64(n))
	case n >= math.MinInt8:
		return append(out, 0xd0, byte(n))
	case n >= math.MinInt16:
		return binary.BigEndian.AppendUint16(append(out, 0xd1), uint16(n))
	case n >= math.MinInt32:
		return binary.BigEndian.AppendUint32(append(out, 0xd2), uint32(n))
	}
	return binary.BigEndian.AppendUint64(append(out, 0xd3), uint64(n))
}

// AppendFloat writes a float element.
func AppendFloat(out []byte, f float64) []byte {
	return binary.BigEndian.AppendUint64(append(out, 0xcb), math.Float64bits(f))
}

// AppendBool writes a bool element.
func AppendBool(out []byte, yes bool) []byte {
	if yes {
		return append(out, 0xc3)
	}
	return append(out, 0xc2)
}

// AppendText writes a string, blob or GeoJSON element with its kind in front.
func AppendText(out []byte, kind Kind, text []byte) []byte {
	switch n := len(text) + 1; {
	case n <= 31:
		out = append(out, 0xa0|byte(n))
	case n <= math.MaxUint8:
		out = append(out, 0xd9, byte(n))
	case n <= math.MaxUint16:
		out = binary.BigEndian.AppendUint16(append(out, 0xda), uint16(n))
	default:
		out = binary.BigEndian.AppendUint32(append(out, 0xdb), uint32(n))
	}
	return append(append(out, byte(kind)), text...)
}

// AppendList writes a list with its flags.
func AppendList(out []byte, elements [][]byte, flags byte) []byte {
	count := len(elements)
	if flags != 0 {
		count++
	}
	out = appendCount(out, count, 0x90, 0xdc)
	if flags != 0 {
		out = append(out, 0xc7, 0, flags)
	}
	for _, e := range elements {
		out = append(out, e...)
	}
	return out
}

// AppendMap writes a map with its flags.
func AppendMap(out []byte, pairs []Pair, flags byte) []byte {
	count := len(pairs)
	if flags != 0 {
		count++
	}
	out = appendCount(out, count, 0x80, 0xde)
	if flags != 0 {
		out = append(out, 0xc7, 0, flags, 0xc0)
	}
	for _, p := range pairs {
		out = append(append(out, p.Key...), p.Value...)
	}
	return out
}

func appendCount(out []byte, count int, short, long byte) []byte {
	switch {
	case count <= 15:
		return append(out, short|byte(count))
	case count <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(out, long), uint16(count))
	}
	return binary.BigEndian.AppendUint32(append(out, long+1), uint32(count))
}
