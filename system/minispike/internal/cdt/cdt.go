// Package cdt carries out operations on lists and maps: what the protocol
// calls collection data types.
//
// An operation's operand is its code in two bytes and a MessagePack list of its
// arguments; or one list of both; or a list of 0xff, a way into nested lists
// and maps, and the list of code and arguments.
package cdt

import (
	"math"

	"adpulse/system/minispike/internal/particle"
)

// Result codes of the protocol that operations give.
const (
	ok               byte = 0
	parameter        byte = 4
	incompatible     byte = 12
	elementNotFound  byte = 23
	elementExists    byte = 24
	notApplicable    byte = 26
	pathMarker            = 0xff
	firstMapCode          = 64
	maxElements           = 1 << 24        // that padding may make of a list
	toTheEnd              = math.MaxUint32 // a count that is left out
	resultInverted        = 0x10000
	contextMap            = 0x20
	contextList           = 0x10
	contextKindMask       = 0x0f
	contextCreate         = 0x1c0
	contextCreateAny      = 0x40
	contextCreateKey      = 0x80 // of a list: unordered, padded
	contextCreateAll      = 0xc0 // of a list: ordered
)

// Read carries out an operation that does not change the bin. The code is the
// protocol's result code, 0 when it succeeded.
func Read(bin particle.Particle, op []byte) (result particle.Particle, code byte) {
	call, code := parse(op)
	if code != ok {
		return result, code
	}
	if call.code < 0 || !call.reads() {
		return result, parameter
	}
	element, fits := bin.Element()
	if !fits {
		return result, call.unfit()
	}
	for _, step := range call.path {
		if element, code = step.find(element); code != ok {
			return result, code
		}
	}
	outcome, code := call.run(element)
	if code != ok {
		return particle.Particle{}, code
	}
	return particle.FromElement(outcome.answer), ok
}

// Modify carries out an operation that changes the bin. An absent bin is of
// kind Null, and some operations make it.
func Modify(bin particle.Particle, op []byte) (newBin, result particle.Particle, code byte) {
	call, code := parse(op)
	if code != ok {
		return bin, result, code
	}
	if call.code < 0 || call.reads() {
		return bin, result, parameter
	}
	var element []byte
	if bin.Kind != particle.Null {
		var fits bool
		if element, fits = bin.Element(); !fits {
			return bin, result, call.unfit()
		}
	}
	outcome, code := call.descend(element, call.path)
	if code != ok {
		return bin, result, code
	}
	if outcome.changed != nil {
		bin = particle.FromElement(outcome.changed)
	}
	return bin, particle.FromElement(outcome.answer), ok
}

// call is an operation taken apart.
type call struct {
	code int64
	args [][]byte
	path []step
}

// outcome is what an operation answers, and what it makes of the collection;
// nil leaves it as it was.
type outcome struct{ answer, changed []byte }

func (c *call) reads() bool {
	return c.code >= 16 && c.code <= 27 || c.code >= 96 && c.code <= 110
}

// unfit refuses a bin that is neither list nor map.
func (c *call) unfit() byte {
	if len(c.path) > 0 {
		return parameter
	}
	return incompatible
}

// takes says whether the operation does nothing but take elements out.
func (c *call) takes() bool {
	switch c.code {
	case listPop, listPopRange, listRemove, listRemoveRange, listTrim, listClear, mapClear:
		return true
	}
	return c.code >= listRemoveByFirst && c.code <= listRemoveByLast ||
		c.code >= mapRemoveByFirst && c.code <= mapRemoveByLast
}

func parse(op []byte) (call, byte) {
	if len(op) >= 2 && op[0] == 0 {
		c := call{code: int64(op[1])}
		if len(op) == 2 {
			return c, ok
		}
		var fine bool
		if c.args, _, fine = particle.Elements(op[2:]); !fine {
			return call{}, parameter
		}
		return c, ok
	}
	parts, _, fine := particle.Elements(op)
	if !fine || len(parts) == 0 {
		return call{}, parameter
	}
	code, fine := particle.Int(parts[0])
	if !fine {
		return call{}, parameter
	}
	if code != pathMarker {
		return call{code: code, args: parts[1:]}, ok
	}
	if len(parts) != 3 {
		return call{}, parameter
	}
	path, result := parsePath(parts[1])
	if result != ok {
		return call{}, result
	}
	inner, result := parse(parts[2])
	if result != ok || inner.path != nil {
		return call{}, parameter
	}
	inner.path = path
	return inner, ok
}

// run carries out the operation on the collection that its path leads to; nil
// stands for one that is not there.
func (c *call) run(collection []byte) (outcome, byte) {
	if c.code >= firstMapCode {
		return c.onMap(collection)
	}
	return c.onList(collection)
}

// integer is an argument that has to be an integer.
func (c *call) integer(i int) (int64, byte) {
	if i >= len(c.args) {
		return 0, parameter
	}
	n, fine := particle.Int(c.args[i])
	if !fine {
		return 0, parameter
	}
	return n, ok
}

// optional is an argument that may be left out.
func (c *call) optional(i int, otherwise int64) int64 {
	if n, code := c.integer(i); code == ok {
		return n
	}
	return otherwise
}

// element is an argument of any type.
func (c *call) element(i int) ([]byte, byte) {
	if i >= len(c.args) {
		return nil, parameter
	}
	return c.args[i], ok
}
