package cdt_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"adpulse/system/minispike/internal/cdt"
	"adpulse/system/minispike/internal/particle"
)

func number(n int64) []byte { return particle.AppendInt(nil, n) }

// operation packs an operation's code and arguments.
func operation(code int64, args ...[]byte) []byte {
	return particle.AppendList(nil, append([][]byte{number(code)}, args...), 0)
}

func numbers(all []int64) []byte {
	elements := make([][]byte, len(all))
	for i, n := range all {
		elements[i] = number(n)
	}
	return particle.AppendList(nil, elements, 0)
}

func integers(t require.TestingT, p particle.Particle) []int64 {
	elements, _, ok := particle.Elements(p.Bytes)
	require.True(t, ok)
	all := make([]int64, len(elements))
	for i, e := range elements {
		all[i], ok = particle.Int(e)
		require.True(t, ok)
	}
	return all
}

func sorted(all []int64) []int64 {
	copied := slices.Clone(all)
	slices.Sort(copied)
	return copied
}

// TestListDoesAsASlice runs random operations on a list and on a slice.
func TestListDoesAsASlice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		model := []int64{}
		bin := particle.Particle{Kind: particle.List, Bytes: particle.AppendList(nil, nil, 0)}
		for range rapid.IntRange(1, 30).Draw(t, "operations") {
			n := rapid.Int64Range(-5, 5).Draw(t, "n")
			at := rapid.IntRange(0, len(model)).Draw(t, "at")
			var op []byte
			switch rapid.IntRange(0, 5).Draw(t, "operation") {
			case 0:
				op, model = operation(1, number(n)), append(model, n)
			case 1:
				op, model = operation(3, number(int64(at)), number(n)), slices.Insert(model, at, n)
			case 2:
				op, model = operation(13, number(0)), sorted(model)
			case 3:
				op, model = operation(2, numbers([]int64{n, n})), append(model, n, n)
			case 4: // every element of that value
				op = operation(35, number(5), number(n))
				model = slices.DeleteFunc(model, func(one int64) bool { return one == n })
			case 5:
				if at == len(model) {
					continue
				}
				op, model = operation(7, number(int64(at))), slices.Delete(model, at, at+1)
			}
			var code byte
			bin, _, code = cdt.Modify(bin, op)
			require.Zero(t, code)
			require.Equal(t, model, integers(t, bin))
			size, code := cdt.Read(bin, operation(16))
			require.Zero(t, code)
			require.Equal(t, particle.Of(int64(len(model))), size)
		}
	})
}

// TestMapDoesAsAMap runs random operations on a map of each order and on Go's.
func TestMapDoesAsAMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		order := rapid.SampledFrom([]int64{0, 1, 3}).Draw(t, "order")
		model := map[int64]int64{}
		bin := particle.Particle{}
		for range rapid.IntRange(1, 30).Draw(t, "operations") {
			key, n := rapid.Int64Range(0, 9).Draw(t, "key"), rapid.Int64Range(-5, 5).Draw(t, "n")
			var op []byte
			switch kind := rapid.IntRange(0, 2).Draw(t, "operation"); {
			case kind == 0 || len(model) == 0:
				op, model[key] = operation(67, number(key), number(n), number(order)), n
			case kind == 1:
				op = operation(73, number(key), number(n), number(order))
				model[key] += n
			default:
				op = operation(76, number(0), number(key))
				delete(model, key)
			}
			var code byte
			bin, _, code = cdt.Modify(bin, op)
			require.Zero(t, code)
			pairs, flags, ok := particle.Pairs(bin.Bytes)
			require.True(t, ok)
			require.Equal(t, byte(order), flags&3)
			require.Len(t, pairs, len(model))
			for key, n := range model {
				got, code := cdt.Read(bin, operation(97, number(7), number(key)))
				require.Zero(t, code)
				require.Equal(t, particle.Of(n), got)
			}
			if order != 0 {
				require.True(t, slices.IsSortedFunc(pairs, func(a, b particle.Pair) int { return particle.Compare(a.Key, b.Key) }))
			}
		}
	})
}

func TestOperationsRefuse(t *testing.T) {
	list := particle.Particle{Kind: particle.List, Bytes: numbers([]int64{3, 1, 2})}
	object := particle.Particle{Kind: particle.Map, Bytes: particle.AppendMap(nil, []particle.Pair{{Key: number(1), Value: number(5)}}, 0)}
	for name, c := range map[string]struct {
		bin  particle.Particle
		op   []byte
		code byte
	}{
		"no operation":                 {list, nil, 4},
		"unknown code":                 {list, operation(60), 4},
		"read as a write":              {list, operation(16), 4},
		"list operation on a map":      {object, operation(1, number(1)), 12},
		"map operation on a list":      {list, operation(67, number(1), number(1)), 12},
		"operation on an integer":      {particle.Of(1), operation(1, number(1)), 12},
		"append of nothing":            {list, operation(1), 4},
		"append of what is there":      {list, operation(1, number(3), number(0), number(1)), 24},
		"create what is there":         {object, operation(67, number(1), number(1), number(0), number(1)), 24},
		"update what is not there":     {object, operation(67, number(2), number(1), number(0), number(2)), 23},
		"map with a fraction for key":  {object, operation(67, particle.AppendFloat(nil, 1), number(1)), 4},
		"nested where nothing is":      {object, particle.AppendList(nil, [][]byte{number(0xff), numbers([]int64{0x22, 9}), operation(1, number(1))}, 0), 26},
		"nested into what is no list":  {object, particle.AppendList(nil, [][]byte{number(0xff), numbers([]int64{0x22, 1}), operation(1, number(1))}, 0), 12},
		"list index beyond the end":    {list, operation(7, number(9)), 26},
		"increment of a text by index": {list, operation(12, number(0), particle.AppendText(nil, particle.String, nil)), 4},
	} {
		t.Run(name, func(t *testing.T) {
			bin, _, code := cdt.Modify(c.bin, c.op)
			require.Equal(t, c.code, code)
			require.Equal(t, c.bin, bin)
		})
	}
}

func FuzzOperation(f *testing.F) {
	list := numbers([]int64{3, 1, 2})
	object := particle.AppendMap(nil, []particle.Pair{{Key: number(1), Value: list}}, particle.Ordered)
	for _, op := range [][]byte{
		operation(1, number(4)), operation(13, number(0)), operation(27, number(7), number(2), number(0)), operation(67, number(1), number(2)),
		operation(110, number(8), number(2), number(0)), operation(73, number(1), number(2)),
		{0, 17, 0x91, 1},
		particle.AppendList(nil, [][]byte{number(0xff), numbers([]int64{0x22, 1}), operation(1, number(1))}, 0),
	} {
		f.Add(list, op)
		f.Add(object, op)
	}
	f.Fuzz(func(t *testing.T, content, op []byte) {
		if len(op) > 1<<10 || len(content) > 1<<10 {
			return
		}
		for _, kind := range []particle.Kind{particle.List, particle.Map, particle.Integer} {
			bin := particle.Particle{Kind: kind, Bytes: content}
			if kind != particle.Integer && !bin.Sound() {
				continue // what no bin holds
			}
			cdt.Read(bin, op)
			made, _, code := cdt.Modify(bin, op)
			if code == 0 && (made.Kind == particle.List || made.Kind == particle.Map) && !made.Sound() {
				t.Fatalf("%x makes %x of %x", op, made.Bytes, content)
			}
		}
		cdt.Modify(particle.Particle{}, op)
	})
}
