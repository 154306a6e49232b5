package minispike

import (
	"encoding/binary"

	"adpulse/system/minispike/internal/particle"
)

// value is a bin's content: its particle's kind and bytes. Kind 0 is no value.
type value struct {
	kind  byte
	value []byte
}

type bin struct {
	name []byte
	value
}

// bins are a record's bins while a command works on them: the stored ones are
// read in place until something changes.
type bins struct {
	stored  *record
	changed []bin // all bins, once any has changed
	loaded  bool
}

func binsOf(r *record) bins { return bins{stored: r} }

// find returns a bin's value, or kind 0 when there is no such bin.
func (b *bins) find(name []byte) value {
	if b.loaded {
		for i := range b.changed {
			if string(b.changed[i].name) == string(name) {
				return b.changed[i].value
			}
		}
		return value{}
	}
	if b.stored != nil {
		if o, ok := b.stored.bin(name); ok {
			return value{o.kind(), o.value()}
		}
	}
	return value{}
}

// load takes the stored bins apart, into room when it is large enough.
func (b *bins) load(room []bin) {
	b.loaded, b.changed = true, room[:0]
	if b.stored == nil {
		return
	}
	for rest := b.stored.bins; len(rest) > 0; {
		var o op
		o, rest = rest.next()
		b.changed = append(b.changed, bin{o.name(), value{o.kind(), o.value()}})
	}
}

// set gives a bin a value; kind 0 removes it.
func (b *bins) set(name []byte, v value) {
	for i := range b.changed {
		if string(b.changed[i].name) == string(name) {
			if v.kind == 0 {
				b.changed = append(b.changed[:i], b.changed[i+1:]...)
			} else {
				b.changed[i].value = v
			}
			return
		}
	}
	if v.kind != 0 {
		b.changed = append(b.changed, bin{name, v})
	}
}

// size is how many bytes the bins take when stored.
func (b *bins) size() int {
	n := 0
	for i := range b.changed {
		n += opHeaderBytes + len(b.changed[i].name) + len(b.changed[i].value.value)
	}
	return n
}

// encode writes the bins as read operations.
func (b *bins) encode(stored []byte) {
	for i := range b.changed {
		bin := &b.changed[i]
		size := 4 + len(bin.name) + len(bin.value.value)
		binary.BigEndian.PutUint32(stored, uint32(size))
		stored[4], stored[5], stored[6], stored[7] = opRead, bin.kind, 0, byte(len(bin.name))
		at := opHeaderBytes + copy(stored[opHeaderBytes:], bin.name)
		copy(stored[at:], bin.value.value)
		stored = stored[4+size:]
	}
}

// Particle kinds.
const (
	kindInteger byte = 1
	kindFloat   byte = 2
	kindString  byte = 3
	kindBlob    byte = 4
	kindBool    byte = 17
	kindHLL     byte = 18
	kindMap     byte = 19
	kindList    byte = 20
	kindGeoJSON byte = 23
)

// storable says whether a client may store a particle.
func storable(kind byte, content []byte) byte {
	length := len(content)
	switch kind {
	case kindInteger, kindFloat:
		if length != 8 {
			return codeParameter
		}
	case kindBool:
		if length != 1 {
			return codeParameter
		}
	case kindMap, kindList:
		if p := (particle.Particle{Kind: particle.Kind(kind), Bytes: content}); !p.Sound() {
			return codeParameter
		}
	case kindString, kindBlob, 7, 8, 9, 10, 11, 12: // 7 to 12: blobs of particular languages
	case kindGeoJSON, kindHLL:
		return codeUnsupported
	default:
		return codeParameter
	}
	return codeOK
}
