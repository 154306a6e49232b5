package expression

import (
	"fmt"

	"adpulse/system/minispike/internal/cdt"
	"adpulse/system/minispike/internal/particle"
)

const (
	systemCollections = 0
	systemBits        = 1
	systemHLL         = 2
	modifies          = 0x40

	contextMarker = 0xff
	selectMarker  = 0xfe

	maxResultBytes = 8 << 20 // what no record can hold; variables could double it again and again
)

// argument of an operation on a collection: an element as it is, or what a
// node comes to.
type argument struct {
	element []byte
	node    *node
}

// call runs an operation on a list or map.
func (c *compiler) call(args [][]byte) (node, error) {
	if err := count(args, 4); err != nil {
		return node{}, err
	}
	want, err := named(args[0])
	if err != nil {
		return node{}, err
	}
	system, ok := particle.Int(args[1])
	switch {
	case ok && system&^modifies == systemCollections:
	case ok && (system&^modifies == systemBits || system&^modifies == systemHLL):
		return node{}, fmt.Errorf("%w: operations of system %d", ErrUnsupported, system)
	default:
		return node{}, malformed("no system of operations")
	}
	path, arguments, err := c.arguments(args[2])
	if err != nil {
		return node{}, err
	}
	target, err := c.compile(args[3])
	if err != nil {
		return node{}, err
	}
	if target.kind != list && target.kind != dictionary && target.kind != null {
		return node{}, malformed("an operation on type %d", target.kind)
	}
	run := func(f *frame) value {
		operand, ok := operandOf(f, path, arguments)
		if !ok {
			return nowhere
		}
		on, ok := target.eval(f).particle()
		if !ok {
			return nowhere
		}
		var result particle.Particle
		var code byte
		if system&modifies != 0 {
			result, _, code = cdt.Modify(on, operand)
		} else {
			result, code = cdt.Read(on, operand)
		}
		if code != 0 || len(result.Bytes) > maxResultBytes {
			return nowhere
		}
		return valueOf(result).as(want)
	}
	return node{kind: want, eval: run}, nil
}

// arguments takes an operation apart: the way to a nested collection, if
// there is one, then the operation's code and arguments. Lists are nodes.
func (c *compiler) arguments(operation []byte) (path []byte, arguments []argument, err error) {
	parts, _, ok := particle.Elements(operation)
	if !ok || len(parts) == 0 {
		return nil, nil, malformed("an operation that is no list")
	}
	switch code, ok := particle.Int(parts[0]); {
	case ok && code == contextMarker && len(parts) == 3:
		path = parts[1]
		if parts, _, ok = particle.Elements(parts[2]); !ok || len(parts) == 0 {
			return nil, nil, malformed("a nested operation that is no list")
		}
		if _, ok = particle.Int(parts[0]); !ok {
			return nil, nil, malformed("a nested operation without a code")
		}
	case ok && code == selectMarker:
		return nil, nil, fmt.Errorf("%w: a selection by path", ErrUnsupported)
	case !ok || code == contextMarker:
		return nil, nil, malformed("an operation without a code")
	}
	arguments = make([]argument, len(parts))
	for i, part := range parts {
		if particle.TypeOf(part) != particle.TypeList {
			arguments[i].element = part
			continue
		}
		n, err := c.compile(part)
		if err != nil {
			return nil, nil, err
		}
		arguments[i].node = &n
	}
	return path, arguments, nil
}

// operandOf packs the operation with what its nodes come to. It is false when
// one of them is unknown.
func operandOf(f *frame, path []byte, arguments []argument) ([]byte, bool) {
	elements := make([][]byte, len(arguments))
	for i, a := range arguments {
		elements[i] = a.element
		if a.node == nil {
			continue
		}
		var ok bool
		if elements[i], ok = a.node.eval(f).element(); !ok {
			return nil, false
		}
	}
	operation := particle.AppendList(nil, elements, 0)
	if path == nil {
		return operation, true
	}
	nested := [][]byte{particle.AppendInt(nil, contextMarker), path, operation}
	return particle.AppendList(nil, nested, 0), true
}
