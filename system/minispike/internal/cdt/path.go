package cdt

import (
	"adpulse/system/minispike/internal/particle"
)

// step leads from a collection into one of its elements.
type step struct {
	how    int64
	wanted []byte
}

func parsePath(list []byte) ([]step, byte) {
	parts, _, fine := particle.Elements(list)
	if !fine || len(parts) == 0 || len(parts)%2 != 0 {
		return nil, parameter
	}
	path := make([]step, 0, len(parts)/2)
	for ; len(parts) > 0; parts = parts[2:] {
		how, fine := particle.Int(parts[0])
		if !fine {
			return nil, parameter
		}
		path = append(path, step{how, parts[1]})
	}
	return path, ok
}

// onMap says whether the step is into a map.
func (s step) onMap() bool { return s.how&contextMap != 0 }

// find is the element that the step leads to.
func (s step) find(collection []byte) ([]byte, byte) {
	if s.onMap() {
		pairs, _, fine := sortedPairs(collection)
		if !fine {
			return nil, notApplicable
		}
		at, code := s.inMap(pairs)
		if code != ok || at < 0 {
			return nil, orNotApplicable(code)
		}
		return pairs[at].Value, ok
	}
	elements, _, fine := particle.Elements(collection)
	if !fine {
		return nil, notApplicable
	}
	at, code := s.inList(elements)
	if code != ok || at < 0 || at >= len(elements) {
		return nil, orNotApplicable(code)
	}
	return elements[at], ok
}

func orNotApplicable(code byte) byte {
	if code == ok {
		return notApplicable
	}
	return code
}

// inMap is the place of the step's entry, -1 when there is none.
func (s step) inMap(pairs []particle.Pair) (int, byte) {
	n := len(pairs)
	switch s.how & contextKindMask {
	case 0, 1:
		at, fine := particle.Int(s.wanted)
		if !fine {
			return 0, parameter
		}
		if at < 0 {
			at += int64(n)
		}
		if at < 0 || at >= int64(n) {
			return -1, ok
		}
		if s.how&contextKindMask == 1 {
			return byRank(n, func(i int) []byte { return pairs[i].Value })[at], ok
		}
		return int(at), ok
	case 2:
		for i := range pairs {
			if particle.Compare(pairs[i].Key, s.wanted) == 0 {
				return i, ok
			}
		}
		return -1, ok
	case 3:
		for i := range pairs {
			if particle.Compare(pairs[i].Value, s.wanted) == 0 {
				return i, ok
			}
		}
		return -1, ok
	}
	return 0, parameter
}

// inList is the place of the step's element. It is -1 when there is none, and
// beyond the end when one could be made there.
func (s step) inList(elements [][]byte) (int, byte) {
	n := len(elements)
	switch s.how & contextKindMask {
	case 0, 1:
		at, fine := particle.Int(s.wanted)
		if !fine {
			return 0, parameter
		}
		if at < 0 {
			at += int64(n)
		}
		if at < 0 || at > maxElements {
			return -1, ok
		}
		if s.how&contextKindMask == 1 {
			if at >= int64(n) {
				return -1, ok
			}
			return byRank(n, func(i int) []byte { return elements[i] })[at], ok
		}
		return int(at), ok
	case 3:
		for i := range elements {
			if particle.Compare(elements[i], s.wanted) == 0 {
				return i, ok
			}
		}
		return -1, ok
	}
	return 0, parameter
}

// descend follows the path, carries the operation out at its end, and puts
// what became of the element there back on the way up. Steps that say so make
// what is missing.
func (c *call) descend(collection []byte, path []step) (outcome, byte) {
	if len(path) == 0 {
		return c.run(collection)
	}
	if collection == nil {
		if path[0].how&contextCreate == 0 {
			return outcome{}, notApplicable
		}
		collection = path[0].created()
	}
	if path[0].onMap() {
		return c.descendMap(collection, path)
	}
	return c.descendList(collection, path)
}

// created is an empty collection of the order that a step asks for.
func (s step) created() []byte {
	order := s.how & contextCreateAll
	if !s.onMap() {
		if order == contextCreateAll {
			return particle.AppendList(nil, nil, particle.Ordered)
		}
		return particle.AppendList(nil, nil, 0)
	}
	switch order {
	case contextCreateKey:
		return particle.AppendMap(nil, nil, particle.Ordered)
	case contextCreateAll:
		return particle.AppendMap(nil, nil, particle.ValueOrdered)
	}
	return particle.AppendMap(nil, nil, 0)
}

func (c *call) descendMap(collection []byte, path []step) (outcome, byte) {
	pairs, flags, fine := sortedPairs(collection)
	if !fine {
		return outcome{}, notApplicable
	}
	at, code := path[0].inMap(pairs)
	if code != ok {
		return outcome{}, code
	}
	if at < 0 && (path[0].how&contextCreate == 0 || path[0].how&contextKindMask != 2) {
		return outcome{}, notApplicable
	}
	var inner []byte
	if at >= 0 {
		inner = pairs[at].Value
	}
	result, code := c.descend(inner, path[1:])
	if code != ok || result.changed == nil {
		return result, code
	}
	if at >= 0 {
		pairs[at].Value = result.changed
	} else {
		pairs = append(pairs, particle.Pair{Key: path[0].wanted, Value: result.changed})
		particle.SortPairs(pairs)
	}
	return outcome{result.answer, particle.AppendMap(nil, pairs, flags)}, ok
}

func (c *call) descendList(collection []byte, path []step) (outcome, byte) {
	elements, flags, fine := particle.Elements(collection)
	if !fine {
		return outcome{}, notApplicable
	}
	at, code := path[0].inList(elements)
	if code != ok {
		return outcome{}, code
	}
	padded := path[0].how&contextCreateAll == contextCreateKey
	creates := path[0].how&contextCreate != 0
	switch {
	case at < 0, at >= len(elements) && !creates, at > len(elements) && !padded:
		return outcome{}, notApplicable
	}
	var inner []byte
	if at < len(elements) {
		inner = elements[at]
	}
	result, code := c.descend(inner, path[1:])
	if code != ok || result.changed == nil {
		return result, code
	}
	for len(elements) <= at {
		elements = append(elements, nothing)
	}
	elements[at] = result.changed
	if flags&particle.Ordered != 0 {
		sortElements(elements)
	}
	return outcome{result.answer, particle.AppendList(nil, elements, flags)}, ok
}

// nothing is the nil element.
var nothing = []byte{0xc0}
