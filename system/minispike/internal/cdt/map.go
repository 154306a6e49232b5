package cdt

import (
	"slices"

	"adpulse/system/minispike/internal/particle"
)

// Codes of map operations.
const (
	mapSetType       = 64
	mapAdd           = 65
	mapAddItems      = 66
	mapPut           = 67
	mapPutItems      = 68
	mapReplace       = 69
	mapReplaceItems  = 70
	mapIncrement     = 73
	mapDecrement     = 74
	mapClear         = 75
	mapRemoveByFirst = 76
	mapRemoveByLast  = 89
	mapSize          = 96
	mapGetByFirst    = 97
	mapGetByLast     = 110

	mapOrderMask = 3

	writeCreateOnly = 1
	writeUpdateOnly = 2
)

// mapCall is a map operation on a map, whose entries it sees in the order of
// their keys whatever order the map has.
type mapCall struct {
	*call
	pairs []particle.Pair
	flags byte
	there bool
}

func sortedPairs(raw []byte) ([]particle.Pair, byte, bool) {
	pairs, flags, fine := particle.Pairs(raw)
	particle.SortPairs(pairs)
	return pairs, flags & mapOrderMask, fine
}

func (m *mapCall) kept(answer []byte) (outcome, byte) {
	return outcome{answer, particle.AppendMap(nil, m.pairs, m.flags)}, ok
}

func (c *call) onMap(raw []byte) (outcome, byte) {
	m := &mapCall{call: c, there: raw != nil}
	if raw != nil {
		var fine bool
		if m.pairs, m.flags, fine = sortedPairs(raw); !fine {
			return outcome{}, incompatible
		}
	}
	switch {
	case !m.there && c.takes():
		return outcome{}, ok // there is nothing to take
	case c.code >= mapGetByFirst && c.code <= mapGetByLast:
		return m.choose(c.code, false)
	case c.code >= mapRemoveByFirst && c.code <= mapRemoveByLast:
		return m.choose(removals[c.code], true)
	}
	switch c.code {
	case mapSetType:
		order, code := m.integer(0)
		if code != ok {
			return outcome{}, code
		}
		m.flags = byte(order) & mapOrderMask
		return m.kept(nil)
	case mapAdd, mapPut, mapReplace:
		return m.put(1)
	case mapAddItems, mapPutItems, mapReplaceItems:
		return m.put(0)
	case mapIncrement, mapDecrement:
		return m.increment()
	case mapClear:
		m.pairs = nil
		return m.kept(nil)
	case mapSize:
		return outcome{answer: particle.AppendInt(nil, int64(len(m.pairs)))}, ok
	}
	return outcome{}, parameter
}

// find is where a key is, or would have to be.
func (m *mapCall) find(key []byte) (int, bool) {
	return slices.BinarySearchFunc(m.pairs, key, func(p particle.Pair, key []byte) int {
		return particle.Compare(p.Key, key)
	})
}

func (m *mapCall) store(key, value []byte) {
	i, found := m.find(key)
	if found {
		m.pairs[i].Value = value
		return
	}
	m.pairs = slices.Insert(m.pairs, i, particle.Pair{Key: key, Value: value})
}

// creates gives a map that is not there the order that the operation asks
// for, in the argument after its operands.
func (m *mapCall) creates(argument int) {
	if !m.there {
		m.flags = byte(m.optional(argument, 0)) & mapOrderMask
	}
}

// put stores one entry, given as key and value, or a map's entries.
func (m *mapCall) put(valueArgument int) (outcome, byte) {
	given, code := m.element(0)
	if code != ok {
		return outcome{}, code
	}
	var items []particle.Pair
	if valueArgument == 0 {
		var fine bool
		if items, _, fine = particle.Pairs(given); !fine {
			return outcome{}, parameter
		}
	} else {
		value, code := m.element(valueArgument)
		if code != ok {
			return outcome{}, code
		}
		items = []particle.Pair{{Key: given, Value: value}}
	}
	m.creates(valueArgument + 1)
	flags := m.optional(valueArgument+2, 0)
	switch m.code {
	case mapAdd, mapAddItems:
		flags = writeCreateOnly
	case mapReplace, mapReplaceItems:
		flags = writeUpdateOnly
	}
	if items, code = m.allowed(items, flags); code != ok {
		return outcome{}, code
	}
	if len(items) == 0 && !m.there && len(m.path) > 0 {
		return outcome{answer: particle.AppendInt(nil, 0)}, ok
	}
	for _, item := range items {
		m.store(item.Key, item.Value)
	}
	return m.kept(particle.AppendInt(nil, int64(len(m.pairs))))
}

// allowed leaves the entries that may be stored under the write flags.
func (m *mapCall) allowed(items []particle.Pair, flags int64) ([]particle.Pair, byte) {
	var fitting []particle.Pair
	for _, item := range items {
		if !storableKey(item.Key) {
			return nil, parameter
		}
		_, found := m.find(item.Key)
		refusal := ok
		switch {
		case found && flags&writeCreateOnly != 0:
			refusal = elementExists
		case !found && flags&writeUpdateOnly != 0:
			refusal = elementNotFound
		}
		switch {
		case refusal == ok:
			fitting = append(fitting, item)
		case flags&writeNoFail == 0:
			return nil, refusal
		case flags&writePartial == 0:
			return nil, ok
		}
	}
	return fitting, ok
}

func storableKey(key []byte) bool {
	switch particle.TypeOf(key) {
	case particle.TypeInt, particle.TypeString, particle.TypeBlob:
		return true
	}
	return false
}

func (m *mapCall) increment() (outcome, byte) {
	key, code := m.element(0)
	if code != ok {
		return outcome{}, code
	}
	if !storableKey(key) {
		return outcome{}, parameter
	}
	by := []byte{1}
	if len(m.args) > 1 {
		by = m.args[1]
	}
	m.creates(2)
	was := []byte{0}
	if particle.TypeOf(by) == particle.TypeFloat {
		was = particle.AppendFloat(nil, 0)
	}
	if i, found := m.find(key); found {
		was = m.pairs[i].Value
	}
	sum, code := add(was, by, m.code == mapDecrement)
	if code != ok {
		return outcome{}, code
	}
	m.store(key, sum)
	return m.kept(sum)
}

// choose answers about entries chosen by key, index, value or rank, and
// removes them if asked to.
func (m *mapCall) choose(code int64, removes bool) (outcome, byte) {
	how, result := m.integer(0)
	if result != ok {
		return outcome{}, result
	}
	all := &collection{keys: make([][]byte, len(m.pairs)), values: make([][]byte, len(m.pairs))}
	for i, pair := range m.pairs {
		all.keys[i], all.values[i] = pair.Key, pair.Value
	}
	chosen, result := m.chosen(code, all)
	if result != ok {
		return outcome{}, result
	}
	if how&resultInverted != 0 {
		if chosen.single {
			return outcome{}, notApplicable
		}
		chosen.invert(len(m.pairs))
	}
	answer, result := all.answer(chosen, how)
	if result != ok || !removes {
		return outcome{answer: answer}, result
	}
	m.pairs = without(m.pairs, chosen.chosen)
	return m.kept(answer)
}

// Codes of choices, as the operations number them that only read.
const (
	byKey           = 97
	byIndex         = 98
	byValueFirst    = 99
	byRankAt        = 100
	byValue         = 102
	byKeyInterval   = 103
	byIndexRange    = 104
	byValueInterval = 105
	byRankRange     = 106
	byKeyList       = 107
	byValueList     = 108
	byKeyRelative   = 109
	byValueRelative = 110
)

// removals says which choice a removal makes.
var removals = map[int64]int64{
	76: byKey, 77: byIndex, 78: byValueFirst, 79: byRankAt, 81: byKeyList, 82: byValue, 83: byValueList,
	84: byKeyInterval, 85: byIndexRange, 86: byValueInterval, 87: byRankRange, 88: byKeyRelative, 89: byValueRelative,
}

// chosen makes the choice.
func (m *mapCall) chosen(code int64, all *collection) (choice, byte) {
	n := len(m.pairs)
	switch code {
	case byIndex, byRankAt, byIndexRange, byRankRange:
		index, result := m.integer(1)
		if result != ok {
			return choice{}, result
		}
		from, to := span(index, m.optional(2, toTheEnd), n)
		switch code {
		case byIndex:
			return at(index, n, nil)
		case byRankAt:
			return at(index, n, all.ranked())
		case byIndexRange:
			return choice{chosen: run(from, to)}, ok
		}
		return choice{chosen: all.ranked()[from:to]}, ok
	}
	wanted, result := m.element(1)
	if result != ok {
		return choice{}, result
	}
	end, _ := m.element(2)
	switch code {
	case byKey:
		if i, found := m.find(wanted); found {
			return choice{[]int{i}, true}, ok
		}
		return choice{single: true}, ok
	case byValueFirst, byValue:
		chosen := matching(n, func(i int) bool { return particle.Compare(all.values[i], wanted) == 0 })
		if code == byValueFirst && len(chosen) > 1 {
			chosen = chosen[:1]
		}
		return choice{chosen, code == byValueFirst}, ok
	case byKeyInterval:
		return choice{chosen: matching(n, func(i int) bool { return within(all.keys[i], wanted, end) })}, ok
	case byValueInterval:
		inside := func(i int) bool { return within(all.values[i], wanted, end) }
		return choice{chosen: slices.DeleteFunc(all.ranked(), func(i int) bool { return !inside(i) })}, ok
	case byKeyList, byValueList:
		several, _, fine := particle.Elements(wanted)
		if !fine {
			return choice{}, parameter
		}
		from := all.keys
		if code == byValueList {
			from = all.values
		}
		return choice{chosen: matching(n, func(i int) bool { return among(from[i], several) })}, ok
	case byKeyRelative:
		index, result := m.integer(2)
		if result != ok {
			return choice{}, result
		}
		base, _ := m.find(wanted)
		from, to := relativeSpan(int64(base)+index, m.optional(3, toTheEnd), n)
		return choice{chosen: run(from, to)}, ok
	case byValueRelative:
		return all.relative(m.call, wanted)
	}
	return choice{}, parameter
}
