package particle

import (
	"bytes"
	"cmp"
	"slices"
)

// Compare orders elements: by type, then by value. A wildcard equals
// everything, infinity is above everything.
func Compare(a, b []byte) int {
	ta, tb := TypeOf(a), TypeOf(b)
	if ta == TypeWildcard || tb == TypeWildcard {
		return 0
	}
	if ta != tb {
		return cmp.Compare(ta, tb)
	}
	switch ta {
	case TypeBool:
		return cmp.Compare(a[0], b[0])
	case TypeInt:
		return compareInts(a, b)
	case TypeFloat:
		x, _ := Number(a)
		y, _ := Number(b)
		return cmp.Compare(x, y)
	case TypeString, TypeBlob, TypeGeo:
		ka, x := Text(a)
		kb, y := Text(b)
		if c := bytes.Compare(x, y); c != 0 {
			return c
		}
		return cmp.Compare(ka, kb)
	case TypeList:
		return compareLists(a, b)
	case TypeMap:
		return compareMaps(a, b)
	case TypeNil, TypeInfinity:
		return 0
	}
	return bytes.Compare(a, b)
}

func compareInts(a, b []byte) int {
	x, _ := Int(a)
	y, _ := Int(b)
	bigA, bigB := a[0] == 0xcf && x < 0, b[0] == 0xcf && y < 0 // beyond int64
	switch {
	case bigA && bigB:
		return cmp.Compare(uint64(x), uint64(y))
	case bigA:
		return 1
	case bigB:
		return -1
	}
	return cmp.Compare(x, y)
}

func compareLists(a, b []byte) int {
	x, _, _ := Elements(a)
	y, _, _ := Elements(b)
	for i := range min(len(x), len(y)) {
		if TypeOf(x[i]) == TypeWildcard || TypeOf(y[i]) == TypeWildcard {
			return 0 // and whatever follows
		}
		if c := Compare(x[i], y[i]); c != 0 {
			return c
		}
	}
	return cmp.Compare(len(x), len(y))
}

func compareMaps(a, b []byte) int {
	x, _, _ := Pairs(a)
	y, _, _ := Pairs(b)
	if len(x) != len(y) {
		return cmp.Compare(len(x), len(y))
	}
	SortPairs(x)
	SortPairs(y)
	for i := range x {
		if c := Compare(x[i].Key, y[i].Key); c != 0 {
			return c
		}
		if c := Compare(x[i].Value, y[i].Value); c != 0 {
			return c
		}
	}
	return 0
}

// SortPairs orders a map's entries by their keys.
func SortPairs(pairs []Pair) {
	slices.SortStableFunc(pairs, func(a, b Pair) int { return Compare(a.Key, b.Key) })
}
