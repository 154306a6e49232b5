// Package expression compiles and evaluates the protocol's expressions: the
// filters that a request puts on records, and the values that it reads from or
// writes to bins.
//
// An expression is MessagePack: a list is a node, its operation's code first
// and its arguments after it; anything else is a constant. Every node's type is
// known when it is compiled, and arguments of the wrong type are refused then.
// What a record lacks shows when it is evaluated: the value is unknown, and a
// filter that is unknown does not pass.
package expression

import (
	"errors"
	"fmt"

	"adpulse/system/minispike/internal/particle"
)

// ErrMalformed is what a request gets for an expression that is none: bytes
// that are no MessagePack, codes that no operation has, arguments of the wrong
// number or type.
var ErrMalformed = errors.New("malformed expression")

// ErrUnsupported is what a request gets for an expression with operations on
// GeoJSON, HyperLogLog or bits of blobs.
var ErrUnsupported = errors.New("unsupported expression")

// Record is what expressions are evaluated on.
type Record interface {
	// Bin is a bin's value; false when the record has no such bin. The value
	// has to stay as it is while the expression is evaluated and its result used.
	Bin(name []byte) (particle.Particle, bool)
	// Set is the set's name, empty without one.
	Set() []byte
	// Digest is the record's digest of 20 bytes.
	Digest() []byte
	// UserKey is the key, if it was stored with the record.
	UserKey() (particle.Particle, bool)
	// VoidTime is when the record dies, in nanoseconds since 1970; -1 is never.
	VoidTime() int64
	// TTL is for how many seconds the record will live; -1 is for ever.
	TTL() int64
	// LastUpdate is when the record was written, in nanoseconds since 1970.
	LastUpdate() int64
	// SinceUpdate is how many milliseconds ago the record was written.
	SinceUpdate() int64
	// Size is how many bytes the record takes when stored.
	Size() int64
}

// Expression is a compiled expression. It may be used concurrently. It keeps
// the bytes that it was compiled from.
type Expression struct {
	root      node
	variables int
}

// maxBytes bounds a packed expression.
const maxBytes = 1 << 20

// Compile compiles an expression of any type. Its errors are ErrMalformed and
// ErrUnsupported.
func Compile(packed []byte) (*Expression, error) {
	if len(packed) >= maxBytes {
		return nil, fmt.Errorf("%w: %d bytes", ErrMalformed, len(packed))
	}
	element, rest, ok := particle.Next(packed)
	if !ok || len(rest) > 0 {
		return nil, fmt.Errorf("%w: not one element", ErrMalformed)
	}
	c := &compiler{}
	root, err := c.compile(element)
	if err != nil {
		return nil, err
	}
	if root.kind == opaque {
		return nil, fmt.Errorf("%w: no value", ErrMalformed)
	}
	return &Expression{root, c.most}, nil
}

// CompileFilter compiles an expression that has to be a condition.
func CompileFilter(packed []byte) (*Expression, error) {
	e, err := Compile(packed)
	if err == nil && e.root.kind != boolean {
		return nil, fmt.Errorf("%w: a filter that is no condition", ErrMalformed)
	}
	return e, err
}

// Match says whether the record passes the filter. One that is unknown does
// not pass.
func (e *Expression) Match(r Record) bool {
	v := e.evaluate(r)
	return v.kind == boolean && v.n != 0
}

// Eval is the expression's value on the record. It is false when the value is
// unknown.
func (e *Expression) Eval(r Record) (particle.Particle, bool) { return e.evaluate(r).particle() }

func (e *Expression) evaluate(r Record) value {
	f := frame{record: r}
	if e.variables > 0 {
		f.variables = make([]value, e.variables)
	}
	return e.root.eval(&f)
}

// Operand takes the operand of an operation on a bin apart: the packed
// expression and the operation's flags.
func Operand(operand []byte) (packed []byte, flags int64, ok bool) {
	element, rest, ok := particle.Next(operand)
	if !ok || len(rest) > 0 {
		return nil, 0, false
	}
	parts, _, ok := particle.Elements(element)
	if !ok || len(parts) != 2 {
		return nil, 0, false
	}
	flags, ok = particle.Int(parts[1])
	return parts[0], flags, ok
}
