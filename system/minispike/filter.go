package minispike

import (
	"bytes"
	"errors"
	"time"

	"adpulse/system/minispike/internal/expression"
	"adpulse/system/minispike/internal/particle"
)

// filterCache keeps a session's last filter compiled: the records of a batch
// or query share theirs.
type filterCache struct {
	packed []byte
	filter *expression.Expression
}

// compile returns the filter, or why there is none.
func (f *filterCache) compile(packed []byte) (*expression.Expression, byte) {
	if f.filter != nil && bytes.Equal(f.packed, packed) {
		return f.filter, codeOK
	}
	own := bytes.Clone(packed) // the compiled filter keeps it
	filter, err := expression.CompileFilter(own)
	if err != nil {
		return nil, notCompiled(err)
	}
	f.packed, f.filter = own, filter
	return filter, codeOK
}

func notCompiled(err error) byte {
	if errors.Is(err, expression.ErrUnsupported) {
		return codeUnsupported
	}
	return codeParameter
}

// filter applies the command's filter expression.
func (s *session) filter(c *command, r *record) byte {
	if len(c.filter) == 0 {
		return codeOK
	}
	filter, code := s.filters.compile(c.filter)
	if code == codeOK && !filter.Match(&described{record: r, digest: c.digest[:], now: s.now}) {
		code = codeFilteredOut
	}
	return code
}

// compiles says whether a query's filter can be understood.
func (s *session) compiles(c *command) byte {
	if len(c.filter) == 0 {
		return codeOK
	}
	_, code := s.filters.compile(c.filter)
	return code
}

// described is a record as expressions see it.
type described struct {
	record *record
	work   *bins // the bins as they are in the middle of a command, or nil
	digest []byte
	now    instant
}

func (d *described) Bin(name []byte) (particle.Particle, bool) {
	view := binsOf(d.record)
	if d.work != nil {
		view = *d.work
	}
	v := view.find(name)
	return v.particle(), v.kind != 0
}

func (d *described) Set() []byte       { return d.record.set }
func (d *described) Digest() []byte    { return d.digest }
func (d *described) Size() int64       { return int64(d.record.size()) }
func (d *described) LastUpdate() int64 { return d.record.updated }

func (d *described) UserKey() (particle.Particle, bool) {
	if len(d.record.key) == 0 {
		return particle.Particle{}, false
	}
	return particle.Particle{Kind: particle.Kind(d.record.key[0]), Bytes: d.record.key[1:]}, true
}

func (d *described) VoidTime() int64 {
	if d.record.void == 0 {
		return -1
	}
	return (epochSeconds + int64(d.record.void)) * int64(time.Second)
}

func (d *described) TTL() int64 {
	if d.record.void == 0 {
		return -1
	}
	return max(0, int64(d.record.void)-int64(d.now.seconds))
}

func (d *described) SinceUpdate() int64 {
	return max(0, (d.now.nanos-d.record.updated)/int64(time.Millisecond))
}

// Flags of operations with an expression.
const (
	expCreateOnly  = 1
	expUpdateOnly  = 2
	expAllowDelete = 4
	expNoFail      = 8
	expEvalNoFail  = 16
)

// compute evaluates the expression of an operation: a list of the expression
// and flags. known is false when the expression's value is not.
func (s *session) compute(o op, work *bins, r *record, digest []byte) (v value, flags int64, known bool, code byte) {
	packed, flags, ok := expression.Operand(bytes.Clone(o.value()))
	if !ok {
		return value{}, 0, false, codeParameter
	}
	compiled, err := expression.Compile(packed)
	if err != nil {
		return value{}, 0, false, notCompiled(err)
	}
	p, known := compiled.Eval(&described{record: r, work: work, digest: digest, now: s.now})
	if !known && flags&expEvalNoFail == 0 {
		return value{}, flags, false, codeOpNotApplicable
	}
	return valueOf(p), flags, known, codeOK
}

// readByExpression answers with an expression's value.
func (s *session) readByExpression(o op, work *bins, r *record, digest []byte) (value, byte) {
	v, _, _, code := s.compute(o, work, r, digest)
	return v, code
}

// modifyByExpression gives a bin an expression's value.
func (s *session) modifyByExpression(o op, work *bins, r *record, digest []byte) byte {
	v, flags, known, code := s.compute(o, work, r, digest)
	there := work.find(o.name()).kind != 0
	refusal := codeOK
	switch {
	case code == codeParameter, code == codeUnsupported:
		return code
	case there && flags&expCreateOnly != 0:
		refusal = codeBinExists
	case !there && flags&expUpdateOnly != 0:
		refusal = codeBinNotFound
	case code != codeOK:
		return code
	case !known:
		return codeOK
	case there && v.kind == 0 && flags&expAllowDelete == 0:
		refusal = codeOpNotApplicable
	}
	switch {
	case refusal == codeOK:
		work.set(o.name(), v)
	case flags&expNoFail == 0:
		return refusal
	}
	return codeOK
}
