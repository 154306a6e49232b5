package cdt

import (
	"slices"

	"adpulse/system/minispike/internal/particle"
)

// Codes of list operations.
const (
	listSetType        = 0
	listAppend         = 1
	listAppendItems    = 2
	listInsert         = 3
	listInsertItems    = 4
	listPop            = 5
	listPopRange       = 6
	listRemove         = 7
	listRemoveRange    = 8
	listSet            = 9
	listTrim           = 10
	listClear          = 11
	listIncrement      = 12
	listSort           = 13
	listSize           = 16
	listGet            = 17
	listGetRange       = 18
	listGetByFirst     = 19
	listGetByLast      = 27
	listRemoveByFirst  = 32
	listRemoveByLast   = 40
	listRemoveByOffset = listRemoveByFirst - listGetByFirst

	writeUnique  = 1
	writeBounded = 2
	writeNoFail  = 4
	writePartial = 8

	sortDescending = 1
	sortUnique     = 2
)

// listCall is a list operation on a list.
type listCall struct {
	*call
	list  [][]byte
	flags byte
	there bool
}

func (l *listCall) ordered() bool { return l.flags&particle.Ordered != 0 }

// kept answers with the list as it is now.
func (l *listCall) kept(answer []byte) (outcome, byte) {
	return outcome{answer, particle.AppendList(nil, l.list, l.flags)}, ok
}

func (l *listCall) sized() (outcome, byte) {
	return l.kept(particle.AppendInt(nil, int64(len(l.list))))
}

func (c *call) onList(raw []byte) (outcome, byte) {
	l := &listCall{call: c, there: raw != nil}
	if raw != nil {
		var fine bool
		if l.list, l.flags, fine = particle.Elements(raw); !fine {
			return outcome{}, incompatible
		}
	}
	switch {
	case !l.there && c.takes():
		return outcome{}, ok // there is nothing to take
	case c.code >= listGetByFirst && c.code <= listGetByLast:
		return l.choose(c.code, false)
	case c.code >= listRemoveByFirst && c.code <= listRemoveByLast:
		return l.choose(c.code-listRemoveByOffset, true)
	}
	switch c.code {
	case listSetType:
		return l.setType()
	case listAppend, listAppendItems, listInsert, listInsertItems:
		return l.insert()
	case listPop, listRemove, listGet:
		return l.takeOne()
	case listPopRange, listRemoveRange, listGetRange, listTrim:
		return l.takeRun()
	case listSet:
		return l.set()
	case listClear:
		l.list = nil
		return l.kept(nil)
	case listIncrement:
		return l.increment()
	case listSort:
		return l.sort()
	case listSize:
		return outcome{answer: particle.AppendInt(nil, int64(len(l.list)))}, ok
	}
	return outcome{}, parameter
}

func (l *listCall) setType() (outcome, byte) {
	order, code := l.integer(0)
	if code != ok {
		return outcome{}, code
	}
	l.flags = byte(order) & particle.Ordered
	if l.ordered() {
		sortElements(l.list)
	}
	return l.kept(nil)
}

// insert puts one or several elements at the end, at an index, or, in an
// ordered list, where they belong.
func (l *listCall) insert() (outcome, byte) {
	appends := l.code == listAppend || l.code == listAppendItems
	several := l.code == listAppendItems || l.code == listInsertItems
	next, index := 0, int64(len(l.list))
	if !appends {
		var code byte
		if index, code = l.integer(0); code != ok {
			return outcome{}, code
		}
		next = 1
	}
	given, code := l.element(next)
	if code != ok {
		return outcome{}, code
	}
	items := [][]byte{given}
	if several {
		var fine bool
		if items, _, fine = particle.Elements(given); !fine {
			return outcome{}, parameter
		}
	}
	flags := l.optional(next+1, 0)
	if appends {
		if !l.there {
			l.flags = byte(flags) & particle.Ordered
		}
		flags = l.optional(next+2, 0)
	}
	if l.ordered() && !appends {
		return outcome{}, notApplicable
	}
	if len(items) > 0 {
		if code := l.add(index, items, flags); code != ok {
			return outcome{}, code
		}
		if len(l.list) == 0 && !l.there && len(l.path) > 0 {
			return outcome{answer: particle.AppendInt(nil, 0)}, ok // nothing to make a way for
		}
	}
	return l.sized()
}

// add puts items at an index, after padding up to it, or where an ordered
// list has them. Write flags can say that some of them are left out, or all.
func (l *listCall) add(index int64, items [][]byte, flags int64) byte {
	n := int64(len(l.list))
	if index < 0 {
		index += n
	}
	switch {
	case index < 0, index > maxElements:
		return notApplicable
	case index > n && flags&writeBounded != 0:
		return unlessNoFail(flags, notApplicable)
	}
	items, code := l.allowed(items, flags)
	if code != ok || len(items) == 0 {
		return code
	}
	if l.ordered() {
		l.list = append(l.list, items...)
		sortElements(l.list)
		return ok
	}
	for ; n < index; n++ {
		l.list = append(l.list, nothing)
	}
	l.list = slices.Insert(l.list, int(index), items...)
	return ok
}

// unlessNoFail is a refusal, unless the write flags want none.
func unlessNoFail(flags int64, refusal byte) byte {
	if flags&writeNoFail != 0 {
		return ok
	}
	return refusal
}

// allowed leaves the items that may be added under the write flags.
func (l *listCall) allowed(items [][]byte, flags int64) ([][]byte, byte) {
	if flags&writeUnique == 0 {
		return items, ok
	}
	if l.ordered() && flags&writeNoFail == 0 && repeats(items) {
		return nil, notApplicable
	}
	var fresh [][]byte
	for _, item := range items {
		var refusal byte
		switch {
		case among(item, fresh):
			refusal = notApplicable
		case among(item, l.list):
			refusal = elementExists
		default:
			fresh = append(fresh, item)
			continue
		}
		if flags&writePartial == 0 || flags&writeNoFail == 0 {
			return nil, unlessNoFail(flags, refusal)
		}
	}
	return fresh, ok
}

// repeats says whether one of the items is there twice.
func repeats(items [][]byte) bool {
	for i := range items {
		if among(items[i], items[:i]) {
			return true
		}
	}
	return false
}

func (l *listCall) takeOne() (outcome, byte) {
	index, code := l.integer(0)
	if code != ok {
		return outcome{}, code
	}
	one, code := at(index, len(l.list), nil)
	if code != ok {
		return outcome{}, code
	}
	answer := l.list[one.chosen[0]]
	switch l.code {
	case listGet:
		return outcome{answer: answer}, ok
	case listRemove:
		answer = particle.AppendInt(nil, 1)
	}
	l.list = without(l.list, one.chosen)
	return l.kept(answer)
}

func (l *listCall) takeRun() (outcome, byte) {
	index, code := l.integer(0)
	if code != ok {
		return outcome{}, code
	}
	count := l.optional(1, toTheEnd)
	if l.code == listTrim && len(l.args) < 2 {
		return outcome{}, parameter
	}
	from, to := span(index, count, len(l.list))
	taken := l.list[from:to]
	switch l.code {
	case listGetRange:
		return outcome{answer: particle.AppendList(nil, taken, 0)}, ok
	case listTrim:
		gone := len(l.list) - len(taken)
		l.list = taken
		return l.kept(particle.AppendInt(nil, int64(gone)))
	case listPopRange:
		answer := particle.AppendList(nil, taken, 0)
		l.list = without(l.list, run(from, to))
		return l.kept(answer)
	}
	answer := particle.AppendInt(nil, int64(len(taken)))
	l.list = without(l.list, run(from, to))
	return l.kept(answer)
}

func (l *listCall) set() (outcome, byte) {
	index, code := l.integer(0)
	if code != ok {
		return outcome{}, code
	}
	item, code := l.element(1)
	if code != ok {
		return outcome{}, code
	}
	if l.ordered() {
		return outcome{}, notApplicable
	}
	if code := l.replace(index, item, l.optional(2, 0)); code != ok {
		return outcome{}, code
	}
	return l.kept(nil)
}

// replace puts an item in another one's place, or beyond the end.
func (l *listCall) replace(index int64, item []byte, flags int64) byte {
	n := int64(len(l.list))
	if index < 0 {
		index += n
	}
	switch {
	case index < 0, index > n && l.ordered():
		return notApplicable
	case index >= n:
		return l.add(index, [][]byte{item}, flags)
	}
	if others := without(l.list, []int{int(index)}); flags&writeUnique != 0 && among(item, others) {
		return unlessNoFail(flags, elementExists)
	}
	l.list[index] = item
	if l.ordered() {
		sortElements(l.list)
	}
	return ok
}

func (l *listCall) increment() (outcome, byte) {
	index, code := l.integer(0)
	if code != ok {
		return outcome{}, code
	}
	by := []byte{1}
	if len(l.args) > 1 {
		by = l.args[1]
	}
	if !l.there {
		l.flags = byte(l.optional(2, 0)) & particle.Ordered
	}
	at := index
	if at < 0 {
		at += int64(len(l.list))
	}
	if at < 0 {
		return outcome{}, notApplicable
	}
	was := []byte{0}
	switch {
	case at < int64(len(l.list)):
		was = l.list[at]
	case particle.TypeOf(by) == particle.TypeFloat:
		was = particle.AppendFloat(nil, 0)
	}
	sum, code := add(was, by, false)
	if code == ok {
		code = l.replace(at, sum, l.optional(3, 0))
	}
	if code != ok {
		return outcome{}, code
	}
	return l.kept(sum)
}

func (l *listCall) sort() (outcome, byte) {
	if !l.there {
		return outcome{}, incompatible
	}
	flags := l.optional(0, 0)
	sortElements(l.list)
	if flags&sortUnique != 0 {
		l.list = slices.CompactFunc(l.list, func(a, b []byte) bool { return particle.Compare(a, b) == 0 })
	}
	if flags&sortDescending != 0 && !l.ordered() {
		slices.Reverse(l.list)
	}
	return l.kept(nil)
}

// choose answers about elements chosen by index, rank or value, and removes
// them if asked to.
func (l *listCall) choose(code int64, removes bool) (outcome, byte) {
	how, result := l.integer(0)
	if result != ok {
		return outcome{}, result
	}
	all := &collection{values: l.list}
	chosen, result := l.chosen(code, all)
	if result != ok {
		return outcome{}, result
	}
	if how&resultInverted != 0 {
		if chosen.single {
			return outcome{}, notApplicable
		}
		chosen.invert(len(l.list))
	}
	answer, result := all.answer(chosen, how)
	if result != ok || !removes {
		return outcome{answer: answer}, result
	}
	l.list = without(l.list, chosen.chosen)
	return l.kept(answer)
}

// chosen makes the choice; the codes are those that only read.
func (l *listCall) chosen(code int64, all *collection) (choice, byte) {
	n := len(l.list)
	switch code {
	case 19, 21: // by index, by rank
		index, result := l.integer(1)
		if result != ok {
			return choice{}, result
		}
		if code == 19 {
			return at(index, n, nil)
		}
		return at(index, n, all.ranked())
	case 24, 26: // by index range, by rank range
		index, result := l.integer(1)
		if result != ok {
			return choice{}, result
		}
		from, to := span(index, l.optional(2, toTheEnd), n)
		if code == 24 {
			return choice{chosen: run(from, to)}, ok
		}
		return choice{chosen: all.ranked()[from:to]}, ok
	}
	wanted, result := l.element(1)
	if result != ok {
		return choice{}, result
	}
	switch code {
	case 20, 22: // by value
		chosen := matching(n, func(i int) bool { return particle.Compare(l.list[i], wanted) == 0 })
		if code == 20 && len(chosen) > 1 {
			chosen = chosen[:1]
		}
		return choice{chosen: chosen, single: code == 20}, ok
	case 23: // by values
		several, _, fine := particle.Elements(wanted)
		if !fine {
			return choice{}, parameter
		}
		return choice{chosen: matching(n, func(i int) bool { return among(l.list[i], several) })}, ok
	case 25: // by value interval
		end, _ := l.element(2)
		return choice{chosen: matching(n, func(i int) bool { return within(l.list[i], wanted, end) })}, ok
	case 27: // by rank relative to a value
		return all.relative(l.call, wanted)
	}
	return choice{}, parameter
}

// relative chooses by ranks that count from where a value is or would be.
func (c *collection) relative(call *call, wanted []byte) (choice, byte) {
	rank, result := call.integer(2)
	if result != ok {
		return choice{}, result
	}
	order := c.ranked()
	base := len(matching(c.size(), func(i int) bool { return particle.Compare(c.values[i], wanted) < 0 }))
	from, to := relativeSpan(int64(base)+rank, call.optional(3, toTheEnd), c.size())
	return choice{chosen: order[from:to]}, ok
}
