package expression

import (
	"bytes"
	"cmp"

	"adpulse/system/minispike/internal/particle"
)

// comparison compares two values of one type.
func (c *compiler) comparison(code int64, args [][]byte) (node, error) {
	if err := count(args, 2); err != nil {
		return node{}, err
	}
	left, err := c.compile(args[0])
	if err != nil {
		return node{}, err
	}
	right, err := c.compile(args[1])
	if err != nil {
		return node{}, err
	}
	if left.kind != right.kind || left.kind > float {
		return node{}, malformed("comparison of types %d and %d", left.kind, right.kind)
	}
	return node{kind: boolean, eval: func(f *frame) value {
		a := left.eval(f)
		if a.kind == unknown {
			return nowhere
		}
		b := right.eval(f)
		if b.kind != a.kind {
			return nowhere
		}
		return compare(code, a, b)
	}}, nil
}

func compare(code int64, a, b value) value {
	switch a.kind {
	case float:
		return compareFloats(code, a.f, b.f)
	case text, blob:
		return holds(code, bytes.Compare(a.bytes, b.bytes))
	case list, dictionary:
		if !hasOrder(a.bytes) || !hasOrder(b.bytes) {
			return nowhere
		}
		return holds(code, particle.Compare(a.bytes, b.bytes))
	}
	return holds(code, cmp.Compare(a.n, b.n))
}

func holds(code int64, order int) value {
	switch code {
	case opEqual:
		return ofBool(order == 0)
	case opNotEqual:
		return ofBool(order != 0)
	case opGreater:
		return ofBool(order > 0)
	case opAtLeast:
		return ofBool(order >= 0)
	case opLess:
		return ofBool(order < 0)
	}
	return ofBool(order <= 0)
}

// compareFloats is apart from the rest because nothing holds for no number,
// but that it is unequal.
func compareFloats(code int64, a, b float64) value {
	switch code {
	case opEqual:
		return ofBool(a == b)
	case opNotEqual:
		return ofBool(a != b)
	case opGreater:
		return ofBool(a > b)
	case opAtLeast:
		return ofBool(a >= b)
	case opLess:
		return ofBool(a < b)
	}
	return ofBool(a <= b)
}

// hasOrder says whether a list or map has an order: none with an unordered
// map in it has.
func hasOrder(e []byte) bool {
	switch particle.TypeOf(e) {
	case particle.TypeMap:
		pairs, flags, ok := particle.Pairs(e)
		if !ok || flags&particle.Ordered == 0 {
			return false
		}
		for _, p := range pairs {
			if !hasOrder(p.Value) {
				return false
			}
		}
	case particle.TypeList:
		elements, _, ok := particle.Elements(e)
		if !ok {
			return false
		}
		for _, one := range elements {
			if !hasOrder(one) {
				return false
			}
		}
	}
	return true
}

// logic joins conditions. A false decides a conjunction and a true a
// disjunction, even beside unknown ones; exactly one true is exclusive.
func (c *compiler) logic(code int64, args [][]byte) (node, error) {
	nodes, err := c.all(args, 2, boolean)
	if err != nil {
		return node{}, err
	}
	if code == opExclusive {
		return node{kind: boolean, eval: func(f *frame) value { return exclusive(nodes, f) }}, nil
	}
	decides := code == opOr
	return node{kind: boolean, eval: func(f *frame) value {
		outcome := ofBool(!decides)
		for i := range nodes {
			switch v := nodes[i].eval(f); {
			case v.kind != boolean:
				outcome = nowhere
			case v.n != 0 == decides:
				return v
			}
		}
		return outcome
	}}, nil
}

func exclusive(nodes []node, f *frame) value {
	trues := 0
	for i := range nodes {
		v := nodes[i].eval(f)
		if v.kind != boolean {
			return nowhere
		}
		if trues += int(v.n); trues > 1 {
			return ofBool(false)
		}
	}
	return ofBool(trues == 1)
}

func (c *compiler) not(args [][]byte) (node, error) {
	condition, err := c.one(args, boolean)
	return node{kind: boolean, eval: func(f *frame) value {
		v := condition.eval(f)
		if v.kind != boolean {
			return nowhere
		}
		return ofBool(v.n == 0)
	}}, err
}

// inList says whether a list has an element equal to a value.
func (c *compiler) inList(args [][]byte) (node, error) {
	if err := count(args, 2); err != nil {
		return node{}, err
	}
	wanted, err := c.compile(args[0])
	if err != nil {
		return node{}, err
	}
	all, err := c.one(args[1:], list)
	return node{kind: boolean, eval: func(f *frame) value {
		one, ok := wanted.eval(f).element()
		if !ok {
			return nowhere
		}
		elements, _, ok := particle.Elements(all.eval(f).bytes)
		if !ok {
			return nowhere
		}
		for _, e := range elements {
			if particle.Compare(one, e) == 0 {
				return ofBool(true)
			}
		}
		return ofBool(false)
	}}, err
}

// cond is the value after the first condition that holds, or the last.
func (c *compiler) cond(args [][]byte) (node, error) {
	if len(args) < 3 || len(args)%2 == 0 {
		return node{}, malformed("%d arguments of a choice", len(args))
	}
	nodes := make([]node, len(args))
	result := node{kind: boolean, unknown: true}
	for i, arg := range args {
		var err error
		if nodes[i], err = c.compile(arg); err != nil {
			return node{}, err
		}
		if i%2 == 0 && i < len(args)-1 {
			if nodes[i].kind != boolean {
				return node{}, malformed("a condition of type %d", nodes[i].kind)
			}
			continue
		}
		switch {
		case nodes[i].unknown:
		case result.unknown:
			result = node{kind: nodes[i].kind}
		case nodes[i].kind != result.kind:
			return node{}, malformed("a choice of types %d and %d", result.kind, nodes[i].kind)
		}
	}
	result.eval = func(f *frame) value {
		for i := 0; i+1 < len(nodes); i += 2 {
			switch v := nodes[i].eval(f); {
			case v.kind != boolean:
				return nowhere
			case v.n != 0:
				return nodes[i+1].eval(f)
			}
		}
		return nodes[len(nodes)-1].eval(f)
	}
	return result, nil
}

// let defines variables, then comes to its last argument.
func (c *compiler) let(args [][]byte) (node, error) {
	if len(args) < 3 || len(args)%2 == 0 {
		return node{}, malformed("%d arguments of a definition", len(args))
	}
	first := len(c.scope)
	defer func() { c.scope = c.scope[:first] }()
	definitions := make([]node, len(args)/2)
	for i := range definitions {
		text, _ := particle.Raw(args[2*i])
		name := string(text)
		if !isName(name) {
			return node{}, malformed("a variable named %q", name)
		}
		if c.find(name) >= 0 {
			return node{}, malformed("a second variable named %q", name)
		}
		c.scope = append(c.scope, variable{name: name})
		c.most = max(c.most, len(c.scope))
		var err error
		if definitions[i], err = c.compile(args[2*i+1]); err != nil {
			return node{}, err
		}
		c.scope[first+i].kind, c.scope[first+i].defined = definitions[i].kind, true
	}
	body, err := c.compile(args[len(args)-1])
	if err != nil {
		return node{}, err
	}
	return node{kind: body.kind, eval: func(f *frame) value {
		for i := range definitions {
			f.variables[first+i] = definitions[i].eval(f)
		}
		return body.eval(f)
	}}, nil
}

func isName(s string) bool {
	for i := range len(s) {
		letter := s[i] == '_' || s[i]|0x20 >= 'a' && s[i]|0x20 <= 'z'
		if !letter && (i == 0 || s[i] < '0' || s[i] > '9') {
			return false
		}
	}
	return s != ""
}

func (c *compiler) find(name string) int {
	for i := range c.scope {
		if c.scope[i].name == name {
			return i
		}
	}
	return -1
}

func (c *compiler) variable(args [][]byte) (node, error) {
	if err := count(args, 1); err != nil {
		return node{}, err
	}
	name, _ := particle.Raw(args[0])
	at := c.find(string(name))
	if at < 0 || !c.scope[at].defined {
		return node{}, malformed("no variable named %q", name)
	}
	return node{kind: c.scope[at].kind, eval: func(f *frame) value { return f.variables[at] }}, nil
}
