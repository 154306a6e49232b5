package particle_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"adpulse/system/minispike/internal/particle"
)

// element draws an element, nested at most so deep.
func element(t *rapid.T, depth int) []byte {
	kinds := 5
	if depth > 0 {
		kinds = 7
	}
	switch rapid.IntRange(0, kinds-1).Draw(t, "kind") {
	case 0:
		return []byte{0xc0}
	case 1:
		return particle.AppendBool(nil, rapid.Bool().Draw(t, "bool"))
	case 2:
		return particle.AppendInt(nil, rapid.Int64().Draw(t, "int"))
	case 3:
		return particle.AppendFloat(nil, rapid.Float64().Draw(t, "float"))
	case 4:
		kind := rapid.SampledFrom([]particle.Kind{particle.String, particle.Blob, particle.GeoJSON}).Draw(t, "text")
		return particle.AppendText(nil, kind, rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "bytes"))
	case 5:
		var all [][]byte
		for range rapid.IntRange(0, 20).Draw(t, "elements") {
			all = append(all, element(t, depth-1))
		}
		return particle.AppendList(nil, all, rapid.SampledFrom([]byte{0, particle.Ordered}).Draw(t, "order"))
	}
	var pairs []particle.Pair
	for i := range rapid.IntRange(0, 20).Draw(t, "entries") {
		pairs = append(pairs, particle.Pair{Key: particle.AppendInt(nil, int64(i)), Value: element(t, depth-1)})
	}
	return particle.AppendMap(nil, pairs, rapid.SampledFrom([]byte{0, particle.Ordered}).Draw(t, "order"))
}

func TestIntegersComeBackAsTheyWere(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Int64().Draw(t, "n")
		got, ok := particle.Int(particle.AppendInt(nil, n))
		require.True(t, ok)
		require.Equal(t, n, got)
		require.Equal(t, particle.Of(n), particle.FromElement(particle.AppendInt(nil, n)))
	})
}

func TestTextsComeBackAsTheyWere(t *testing.T) {
	for _, size := range []int{0, 30, 31, 254, 255, 65534, 65535, 70000} {
		made := make([]byte, size)
		kind, text := particle.Text(particle.AppendText(nil, particle.Blob, made))
		require.Equal(t, particle.Blob, kind)
		require.Len(t, text, size)
	}
}

func TestListsAndMapsComeBackAsTheyWere(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := element(t, 3)
		first, rest, ok := particle.Next(append(e[:len(e):len(e)], 0xc3))
		require.True(t, ok)
		require.Equal(t, e, first)
		require.Equal(t, []byte{0xc3}, rest)
		switch particle.TypeOf(e) {
		case particle.TypeList:
			elements, flags, ok := particle.Elements(e)
			require.True(t, ok)
			require.Equal(t, e, particle.AppendList(nil, elements, flags))
		case particle.TypeMap:
			pairs, flags, ok := particle.Pairs(e)
			require.True(t, ok)
			require.Equal(t, e, particle.AppendMap(nil, pairs, flags))
		}
	})
}

func TestCompareIsAnOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := element(t, 2), element(t, 2), element(t, 2)
		require.Zero(t, particle.Compare(a, a))
		require.Equal(t, particle.Compare(a, b), -particle.Compare(b, a))
		if particle.Compare(a, b) <= 0 && particle.Compare(b, c) <= 0 {
			require.LessOrEqual(t, particle.Compare(a, c), 0)
		}
	})
}

func TestCompareOrdersTypes(t *testing.T) {
	inOrder := [][]byte{
		{0xc0},
		particle.AppendBool(nil, false), particle.AppendBool(nil, true), particle.AppendInt(nil, -5),
		particle.AppendInt(nil, 300), particle.AppendText(nil, particle.String, []byte("a")), particle.AppendList(nil, nil, 0),
		particle.AppendMap(nil, nil, 0), particle.AppendText(nil, particle.Blob, nil), particle.AppendFloat(nil, -1),
		{0xd4, 0xff, 0x01},
	}
	for i, a := range inOrder {
		for j, b := range inOrder {
			switch {
			case i < j:
				require.Negative(t, particle.Compare(a, b), "%x %x", a, b)
			case i > j:
				require.Positive(t, particle.Compare(a, b), "%x %x", a, b)
			}
		}
	}
}

func FuzzElement(f *testing.F) {
	f.Add([]byte{0xc0}, []byte{0x93, 1, 2, 3})
	f.Add([]byte{0x82, 0xc7, 0, 1, 0xc0, 1, 2}, []byte{0xdf, 0xff, 0xff, 0xff, 0xff})
	f.Add([]byte{0xa2, 3, 'a'}, []byte{0xcb, 1})
	f.Fuzz(func(t *testing.T, a, b []byte) {
		particle.TypeOf(a)
		particle.Text(a)
		particle.Valid(a)
		particle.FromElement(a)
		x, _, okX := particle.Next(a)
		y, _, okY := particle.Next(b)
		if okX && okY && particle.Compare(x, y) != -particle.Compare(y, x) {
			t.Fatalf("%x and %x are ordered both ways", x, y)
		}
	})
}
