package cdt

import (
	"slices"
	"sort"

	"adpulse/system/minispike/internal/particle"
)

// Return types: what an operation answers about the elements it chose.
const (
	returnNone         = 0
	returnIndex        = 1
	returnReverseIndex = 2
	returnRank         = 3
	returnReverseRank  = 4
	returnCount        = 5
	returnKey          = 6
	returnValue        = 7
	returnKeyValue     = 8
	returnExists       = 13
	returnUnorderedMap = 16
	returnOrderedMap   = 17
)

// choice is the elements that an operation chose, by their indexes, in the
// order in which it answers them. A single one is answered by itself.
type choice struct {
	chosen []int
	single bool
}

// collection is what choices are made from: a list's elements, or a map's
// entries in the order of their keys.
type collection struct {
	keys   [][]byte // nil for a list
	values [][]byte
}

func (c *collection) size() int { return len(c.values) }

func sortElements(elements [][]byte) { slices.SortStableFunc(elements, particle.Compare) }

// byRank lists the indexes of n values from the smallest to the greatest.
func byRank(n int, value func(int) []byte) []int {
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return particle.Compare(value(a), value(b)) })
	return order
}

func (c *collection) ranked() []int {
	return byRank(c.size(), func(i int) []byte { return c.values[i] })
}

// ranks says of each value how many are smaller.
func (c *collection) ranks() []int {
	ranks := make([]int, c.size())
	order := c.ranked()
	for rank, i := range order {
		ranks[i] = rank
		if c.keys == nil && rank > 0 && particle.Compare(c.values[i], c.values[order[rank-1]]) == 0 {
			ranks[i] = ranks[order[rank-1]] // a list's equals share theirs
		}
	}
	return ranks
}

// span is a run of n elements that starts at the index, which counts from the
// end when it is negative.
func span(index, count int64, n int) (from, to int) {
	if index < 0 {
		index += int64(n)
	}
	return relativeSpan(index, count, n)
}

// relativeSpan is a run that may start before the first element.
func relativeSpan(index, count int64, n int) (from, to int) {
	if index < 0 && count > 0 { // of different signs, their sum cannot overflow
		index, count = 0, count+index
	}
	if index >= int64(n) || count <= 0 {
		return 0, 0
	}
	if count > int64(n)-index {
		count = int64(n) - index
	}
	return int(index), int(index + count)
}

func run(from, to int) []int {
	indexes := make([]int, 0, to-from)
	for i := from; i < to; i++ {
		indexes = append(indexes, i)
	}
	return indexes
}

// at chooses the one element of an index or rank.
func at(index int64, n int, order []int) (choice, byte) {
	if index < 0 {
		index += int64(n)
	}
	if index < 0 || index >= int64(n) {
		return choice{}, notApplicable
	}
	if order != nil {
		return choice{[]int{order[index]}, true}, ok
	}
	return choice{[]int{int(index)}, true}, ok
}

// matching chooses the elements that some test holds for, in order.
func matching(n int, holds func(int) bool) []int {
	chosen := []int{}
	for i := range n {
		if holds(i) {
			chosen = append(chosen, i)
		}
	}
	return chosen
}

// within says whether a value lies from the first to before the second; nil
// leaves that end open.
func within(value, from, to []byte) bool {
	if from != nil && particle.TypeOf(from) != particle.TypeNil && particle.Compare(value, from) < 0 {
		return false
	}
	return to == nil || particle.Compare(value, to) < 0
}

// among says whether a value is one of several.
func among(value []byte, several [][]byte) bool {
	return slices.ContainsFunc(several, func(one []byte) bool { return particle.Compare(value, one) == 0 })
}

// invert chooses the others.
func (c *choice) invert(n int) {
	chosen := make(map[int]bool, len(c.chosen))
	for _, i := range c.chosen {
		chosen[i] = true
	}
	c.chosen = matching(n, func(i int) bool { return !chosen[i] })
}

// without is what is left when the chosen ones are taken out.
func without[T any](all []T, chosen []int) []T {
	gone := make([]bool, len(all))
	for _, i := range chosen {
		gone[i] = true
	}
	left := make([]T, 0, len(all))
	for i, one := range all {
		if !gone[i] {
			left = append(left, one)
		}
	}
	return left
}

// answer is what the return type says about the chosen elements.
func (c *collection) answer(chosen choice, how int64) ([]byte, byte) {
	n := c.size()
	switch how &^ resultInverted {
	case returnNone:
		return nil, ok
	case returnCount:
		return particle.AppendInt(nil, int64(len(chosen.chosen))), ok
	case returnExists:
		return particle.AppendBool(nil, len(chosen.chosen) > 0), ok
	case returnIndex:
		return chosen.numbers(func(i int) int { return i }), ok
	case returnReverseIndex:
		slices.Sort(chosen.chosen)
		slices.Reverse(chosen.chosen)
		return chosen.numbers(func(i int) int { return n - 1 - i }), ok
	case returnRank, returnReverseRank:
		ranks := c.ranks()
		if how&^resultInverted == returnRank {
			return chosen.numbers(func(i int) int { return ranks[i] }), ok
		}
		return chosen.numbers(func(i int) int { return n - 1 - ranks[i] }), ok
	case returnValue:
		return chosen.elements(c.values), ok
	case returnKey:
		if c.keys != nil {
			return chosen.elements(c.keys), ok
		}
	case returnKeyValue:
		return c.entries(chosen.chosen, particle.PreserveOrder)
	case returnUnorderedMap:
		return c.entries(chosen.chosen, 0)
	case returnOrderedMap:
		sorted := append([]int(nil), chosen.chosen...)
		sort.Ints(sorted)
		return c.entries(sorted, particle.Ordered)
	}
	return nil, parameter
}

func (c *collection) entries(chosen []int, flags byte) ([]byte, byte) {
	if c.keys == nil {
		return nil, parameter
	}
	pairs := make([]particle.Pair, 0, len(chosen))
	for _, i := range chosen {
		pairs = append(pairs, particle.Pair{Key: c.keys[i], Value: c.values[i]})
	}
	return particle.AppendMap(nil, pairs, flags), ok
}

func (c *choice) numbers(of func(int) int) []byte {
	all := make([][]byte, 0, len(c.chosen))
	for _, i := range c.chosen {
		all = append(all, particle.AppendInt(nil, int64(of(i))))
	}
	if c.single {
		if len(all) == 0 {
			return particle.AppendInt(nil, -1)
		}
		return all[0]
	}
	return particle.AppendList(nil, all, 0)
}

func (c *choice) elements(of [][]byte) []byte {
	if c.single {
		if len(c.chosen) == 0 {
			return nothing
		}
		return of[c.chosen[0]]
	}
	all := make([][]byte, 0, len(c.chosen))
	for _, i := range c.chosen {
		all = append(all, of[i])
	}
	return particle.AppendList(nil, all, 0)
}
