// Package particle knows the values that a record's bins hold: as they are on
// the wire, and as MessagePack inside lists and maps, where strings and blobs
// start with a byte that says which of the two they are.
package particle

import (
	"encoding/binary"
	"math"
)

// Kind is the type of a bin's value, as the wire numbers it.
type Kind uint8

// The kinds of value.
const (
	Null    Kind = 0
	Integer Kind = 1
	Float   Kind = 2
	String  Kind = 3
	Blob    Kind = 4
	Bool    Kind = 17
	HLL     Kind = 18
	Map     Kind = 19
	List    Kind = 20
	GeoJSON Kind = 23
)

// Particle is a bin's value exactly as it is on the wire: integers and floats
// in eight bytes, big endian, a bool in one, lists and maps as MessagePack.
type Particle struct {
	Kind  Kind
	Bytes []byte
}

// Of returns an integer's particle.
func Of(n int64) Particle {
	return Particle{Integer, binary.BigEndian.AppendUint64(nil, uint64(n))}
}

// OfBool returns a bool's particle.
func OfBool(yes bool) Particle {
	if yes {
		return Particle{Bool, []byte{1}}
	}
	return Particle{Bool, []byte{0}}
}

// Sound says whether a list or map is exactly one, as MessagePack, with keys
// that a server takes.
func (p Particle) Sound() bool {
	kind := TypeOf(p.Bytes)
	return (p.Kind == List && kind == TypeList || p.Kind == Map && kind == TypeMap) && Valid(p.Bytes)
}

// Element returns the value as an element of a list or map. It is false for
// values that cannot be one.
func (p Particle) Element() ([]byte, bool) {
	switch p.Kind {
	case Null:
		return []byte{0xc0}, true
	case Integer:
		if len(p.Bytes) == 8 {
			return AppendInt(nil, int64(binary.BigEndian.Uint64(p.Bytes))), true
		}
	case Float:
		if len(p.Bytes) == 8 {
			return append([]byte{0xcb}, p.Bytes...), true
		}
	case Bool:
		if len(p.Bytes) == 1 {
			return AppendBool(nil, p.Bytes[0] != 0), true
		}
	case String, Blob, GeoJSON:
		return AppendText(nil, p.Kind, p.Bytes), true
	case List, Map:
		return p.Bytes, len(p.Bytes) > 0
	}
	return nil, false
}

// FromElement returns an element as a bin's value.
func FromElement(e []byte) Particle {
	switch TypeOf(e) {
	case TypeBool:
		return OfBool(e[0] == 0xc3)
	case TypeInt:
		n, _ := Int(e)
		return Of(n)
	case TypeFloat:
		f, _ := Number(e)
		return Particle{Float, binary.BigEndian.AppendUint64(nil, math.Float64bits(f))}
	case TypeString, TypeBlob, TypeGeo:
		kind, text := Text(e)
		return Particle{kind, text}
	case TypeList:
		return Particle{List, e}
	case TypeMap:
		return Particle{Map, e}
	}
	return Particle{}
}
