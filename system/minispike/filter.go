package minispike

import (
	"bytes"
	"time"

	"adpulse/system/minispike/internal/expression"
	"adpulse/system/minispike/internal/particle"
)

// filterCache keeps a session's last filter compiled: the records of a batch
// or query share theirs.
type filterCache struct {
	packed []byte
	filter *expression.Filter
}

// compile returns the filter, or nil when it cannot be understood.
func (f *filterCache) compile(packed []byte) *expression.Filter {
	if f.filter != nil && bytes.Equal(f.packed, packed) {
		return f.filter
	}
	own := bytes.Clone(packed) // the compiled filter keeps parts of it
	filter, err := expression.Compile(own)
	if err != nil {
		return nil
	}
	f.packed, f.filter = own, filter
	return filter
}

// filter applies the command's filter expression.
func (s *session) filter(c *command, r *record) byte {
	if len(c.filter) == 0 {
		return codeOK
	}
	filter := s.filters.compile(c.filter)
	if filter == nil {
		return codeParameter
	}
	wanted, err := filter.Match(&described{record: r, digest: c.digest[:], now: s.now})
	switch {
	case err != nil:
		return codeParameter
	case !wanted:
		return codeFilteredOut
	}
	return codeOK
}

// compiles says whether a query's filter can be understood.
func (s *session) compiles(c *command) byte {
	if len(c.filter) > 0 && s.filters.compile(c.filter) == nil {
		return codeParameter
	}
	return codeOK
}

// described is a record as expressions see it.
type described struct {
	record *record
	work   *bins // the bins as they are in the middle of a command, or nil
	digest []byte
	now    instant
}

func (d *described) Bin(name string) (particle.Particle, bool) {
	view := binsOf(d.record)
	if d.work != nil {
		view = *d.work
	}
	v := view.find([]byte(name))
	return v.particle(), v.kind != 0
}

func (d *described) Set() string    { return string(d.record.set) }
func (d *described) Digest() []byte { return d.digest }
func (d *described) Size() int      { return d.record.size() }

func (d *described) Key() (particle.Particle, bool) {
	if len(d.record.key) < 1 {
		return particle.Particle{}, false
	}
	return particle.Particle{Kind: particle.Kind(d.record.key[0]), Bytes: d.record.key[1:]}, true
}

func (d *described) Expires() (time.Time, bool) {
	return time.Unix(epochSeconds+int64(d.record.void), 0), d.record.void != 0
}

func (d *described) Updated() time.Time { return time.Unix(0, d.record.updated) }
func (d *described) Now() time.Time     { return time.Unix(0, d.now.nanos) }

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
	parts, _, ok := particle.Elements(bytes.Clone(o.value()))
	if !ok || len(parts) == 0 || len(parts) > 2 {
		return value{}, 0, false, codeParameter
	}
	if len(parts) == 2 {
		if flags, ok = particle.Int(parts[1]); !ok {
			return value{}, 0, false, codeParameter
		}
	}
	compiled, err := expression.CompileValue(parts[0])
	if err != nil {
		return value{}, 0, false, codeParameter
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
	case code == codeParameter:
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
