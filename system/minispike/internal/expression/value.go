package expression

import (
	"encoding/binary"
	"math"

	"adpulse/system/minispike/internal/particle"
)

// kind is the type of a node or value, as expressions number them.
type kind uint8

const (
	null kind = iota
	boolean
	integer
	text
	list
	dictionary
	blob
	float
	geo
	hll
	kinds // how many a request can name

	removal // the value that deletes a bin
	opaque  // an element that only lists and maps know
	unknown
)

// value is what a node comes to.
type value struct {
	kind  kind
	n     int64 // of an integer; of a bool, 1 is true
	f     float64
	bytes []byte // of texts and blobs; of lists and maps, as MessagePack
}

var nowhere = value{kind: unknown}

func ofInt(n int64) value { return value{kind: integer, n: n} }

func ofFloat(f float64) value { return value{kind: float, f: f} }

func ofBool(yes bool) value {
	if yes {
		return value{kind: boolean, n: 1}
	}
	return value{kind: boolean}
}

// valueOf is a bin's value.
func valueOf(p particle.Particle) value {
	switch p.Kind {
	case particle.Null:
		return value{}
	case particle.Integer:
		if len(p.Bytes) == 8 {
			return ofInt(int64(binary.BigEndian.Uint64(p.Bytes)))
		}
	case particle.Float:
		if len(p.Bytes) == 8 {
			return ofFloat(math.Float64frombits(binary.BigEndian.Uint64(p.Bytes)))
		}
	case particle.Bool:
		if len(p.Bytes) == 1 {
			return ofBool(p.Bytes[0] != 0)
		}
	case particle.String:
		return value{kind: text, bytes: p.Bytes}
	case particle.Blob:
		return value{kind: blob, bytes: p.Bytes}
	case particle.List:
		return value{kind: list, bytes: p.Bytes}
	case particle.Map:
		return value{kind: dictionary, bytes: p.Bytes}
	}
	return nowhere
}

// particle is the value as a bin's. It is false when there is none.
func (v value) particle() (particle.Particle, bool) {
	switch v.kind {
	case null:
		return particle.Particle{}, true
	case boolean:
		return particle.OfBool(v.n != 0), true
	case integer:
		return particle.Of(v.n), true
	case float:
		bits := binary.BigEndian.AppendUint64(nil, math.Float64bits(v.f))
		return particle.Particle{Kind: particle.Float, Bytes: bits}, true
	case text:
		return particle.Particle{Kind: particle.String, Bytes: v.bytes}, true
	case blob:
		return particle.Particle{Kind: particle.Blob, Bytes: v.bytes}, true
	case list:
		return particle.Particle{Kind: particle.List, Bytes: v.bytes}, true
	case dictionary:
		return particle.Particle{Kind: particle.Map, Bytes: v.bytes}, true
	case geo, hll, kinds, removal, opaque, unknown:
	}
	return particle.Particle{}, false
}

// element is the value as an element of a list or map.
func (v value) element() ([]byte, bool) {
	p, ok := v.particle()
	if !ok {
		return nil, false
	}
	return p.Element()
}
