package edge

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"math"
	"strings"
	"testing"

	as "github.com/aerospike/aerospike-client-go/v7"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// packedByClient is what the client makes of a map; it shows its packing only
// as an expression's text.
func packedByClient(t *testing.T, m map[any]any) string {
	t.Helper()
	text, err := as.ExpMapVal(as.NewMapValue(m)).Base64()
	require.NoError(t, err)
	packed, decodeErr := base64.StdEncoding.DecodeString(text)
	require.NoError(t, decodeErr)
	return string(packed)
}

// TestMapIsPackedAsTheClientPacksIt compares with the client byte by byte. The
// client takes a map's keys in any order, so these have one at the most.
func TestMapIsPackedAsTheClientPacksIt(t *testing.T) {
	long := strings.Repeat("x", 300)
	huge := strings.Repeat("y", 70000)
	many := make([]any, 70000)
	for i := range many {
		many[i] = true
	}
	for _, c := range []struct {
		text string
		want map[any]any
	}{
		{`{}`, map[any]any{}},
		{`{"a":{}}`, map[any]any{"a": map[any]any{}}},
		{`{"a":[]}`, map[any]any{"a": []any{}}},
		{`{"a":null}`, map[any]any{"a": nil}},
		{` { "a" : [ true , false ] } `, map[any]any{"a": []any{true, false}}},
		{`{"n":[0,1,127,128,255,256,65535,65536,4294967295,4294967296,9223372036854775807]}`, map[any]any{"n": []any{
			0, 1, 127, 128, 255, 256, 65535, 65536, 4294967295, 4294967296, math.MaxInt64,
		}}},
		{`{"n":[-1,-32,-33,-128,-129,-32768,-32769,-2147483648,-2147483649,-9223372036854775808]}`, map[any]any{"n": []any{
			-1, -32, -33, -128, -129, -32768, -32769, -2147483648, -2147483649, math.MinInt64,
		}}},
		{`{"f":[1.5,-0.25,1e3,9223372036854775808]}`, map[any]any{"f": []any{1.5, -0.25, 1000.0, 9223372036854775808.0}}},
		{`{"f":1e999}`, map[any]any{"f": "1e999"}},
		{`{"geo":[52.366521,4.894981]}`, map[any]any{"geo": []any{52.366521, 4.894981}}},
		{`{"s":"` + long + `"}`, map[any]any{"s": long}},
		{`{"s":"\n` + huge + `"}`, map[any]any{"s": "\n" + huge}},
		{`{"s":"\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00\ud83dx\udc00"}`, map[any]any{"s": "\"\\/\b\f\n\r\té😀\ufffdx\ufffd"}},
		{`{"m":[` + strings.Repeat("true,", 69999) + `true]}`, map[any]any{"m": many}},
		{`{"m":[` + strings.Repeat("true,", 15) + `[true]]}`, map[any]any{"m": append(append([]any{}, many[:15]...), []any{true})}},
	} {
		got, err := appendMap([]byte("before"), []byte(c.text))
		require.NoError(t, err, "%.60s", c.text)
		require.True(t, "before"+packedByClient(t, c.want) == string(got), "%.60s: %.99x", c.text, got)
	}
}

func TestWhatIsNoObjectIsRefused(t *testing.T) {
	for _, text := range []string{
		``, `1`, `[]`, `"a"`, `{`, `{"a"`, `{"a":`, `{"a":1`, `{"a":1,`, `{"a":1,}`, `{"a":1}x`, `{a:1}`, `{"a" 1}`, `{1:1}`,
		`{"a":[1,]}`, `{"a":[1 2]}`, `{"a":tru}`, `{"a":nul}`, `{"a":-}`, `{"a":01}`, `{"a":1.}`, `{"a":1e}`, `{"a":+1}`, `{"a":.5}`,
		`{"a":"\x"}`, `{"a":"\u12"}`, `{"a":"\u12g4"}`, `{"a":"` + "\n" + `"}`, `{"a":"\n` + "\n" + `"}`, `{"a":"b`, `{"a":"\`, `{"a":"\n`,
		`{"a":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}`,
	} {
		dst, err := appendMap([]byte("before"), []byte(text))
		require.ErrorIs(t, err, errNoJSON, text)
		require.Equal(t, "before", string(dst))
	}
}

// jsonValue draws a value as encoding/json decodes it.
func jsonValue(depth int) *rapid.Generator[any] {
	scalars := []*rapid.Generator[any]{
		rapid.String().AsAny(), rapid.Bool().AsAny(), rapid.Just[any](nil), rapid.Int64().AsAny(),
		rapid.Float64().Filter(func(f float64) bool { return !math.IsNaN(f) && !math.IsInf(f, 0) }).AsAny(),
	}
	if depth > 0 {
		scalars = append(
			scalars, rapid.SliceOfN(jsonValue(depth-1), 0, 20).AsAny(),
			rapid.MapOfN(rapid.String(), jsonValue(depth-1), 0, 20).AsAny(),
		)
	}
	return rapid.OneOf(scalars...)
}

func TestPackedMapReadsAsTheJSONDid(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		text, err := json.Marshal(rapid.MapOfN(rapid.String(), jsonValue(3), 0, 20).Draw(r, "value"))
		require.NoError(r, err)
		samePacked(r, text)
	})
}

// samePacked compares what is packed of text with encoding/json's view.
func samePacked(t require.TestingT, text []byte) {
	packed, err := appendMap(nil, text)
	require.NoError(t, err)
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var want map[string]any
	require.NoError(t, decoder.Decode(&want))
	got, rest := unpack(t, packed)
	require.Empty(t, rest)
	require.Equal(t, numbers(want), got)
}

// numbers makes of each number what it is to be stored as.
func numbers(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k := range v {
			v[k] = numbers(v[k])
		}
	case []any:
		for i := range v {
			v[i] = numbers(v[i])
		}
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n
		}
		if f, err := v.Float64(); err == nil {
			return f
		}
		return v.String()
	}
	return v
}

// unpack is a plain decoder of MessagePack, written for clarity.
func unpack(t require.TestingT, b []byte) (any, []byte) {
	require.NotEmpty(t, b)
	c := b[0]
	number := func(n int) uint64 {
		require.Greater(t, len(b), n)
		var v uint64
		for _, d := range b[1 : 1+n] {
			v = v<<8 | uint64(d)
		}
		b = b[1+n:]
		return v
	}
	switch {
	case c < 0x80:
		return int64(c), b[1:]
	case c >= 0xe0:
		return int64(int8(c)), b[1:]
	case c < 0x90:
		b = b[1:]
		return unpackMap(t, int(c&15), b)
	case c < 0xa0:
		b = b[1:]
		return unpackList(t, int(c&15), b)
	case c < 0xc0:
		b = b[1:]
		return unpackText(t, int(c&31), b)
	}
	switch c {
	case 0xc0:
		return nil, b[1:]
	case 0xc2, 0xc3:
		return c == 0xc3, b[1:]
	case 0xcb:
		return math.Float64frombits(number(8)), b
	case 0xcc, 0xcd, 0xce:
		return int64(number(1 << (c - 0xcc))), b
	case 0xd0:
		return int64(int8(number(1))), b
	case 0xd1:
		return int64(int16(number(2))), b
	case 0xd2:
		return int64(int32(number(4))), b
	case 0xd3:
		return int64(number(8)), b
	case 0xd9, 0xda, 0xdb:
		n := int(number(1 << (c - 0xd9)))
		return unpackText(t, n, b)
	case 0xdc, 0xdd:
		n := int(number(2 << (c - 0xdc)))
		return unpackList(t, n, b)
	case 0xde, 0xdf:
		n := int(number(2 << (c - 0xde)))
		return unpackMap(t, n, b)
	}
	require.Fail(t, "unknown code")
	return nil, nil
}

func unpackText(t require.TestingT, n int, b []byte) (any, []byte) {
	require.GreaterOrEqual(t, len(b), n)
	require.Equal(t, byte(3), b[0])
	return string(b[1:n]), b[n:]
}

func unpackList(t require.TestingT, n int, b []byte) (any, []byte) {
	list := make([]any, n)
	for i := range list {
		list[i], b = unpack(t, b)
	}
	return list, b
}

func unpackMap(t require.TestingT, n int, b []byte) (any, []byte) {
	m := make(map[string]any, n)
	for range n {
		var key, value any
		key, b = unpack(t, b)
		value, b = unpack(t, b)
		m[key.(string)] = value
	}
	return m, b
}

func FuzzAppendMap(f *testing.F) {
	for _, seed := range []string{
		`{"event":"click","geo":[52.366521,4.894981],"publisher":"Stack \"Underflow\"","n":-1e3}`,
		`{}`, `{"a":[1,{"b":null}]}`, `{"a":"\ud83d\ude00"}`, `{"a":1e999}`, `{`, `{"a":1,"a":2}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		packed, err := appendMap(nil, text)
		var want map[string]any
		decoder := json.NewDecoder(bytes.NewReader(text))
		decoder.UseNumber()
		standard := decoder.Decode(&want)
		if err != nil {
			return // refused; that it refuses nothing valid is for the properties
		}
		require.NoError(t, standard)
		if bytes.ContainsRune(text, '\ufffd') || !json.Valid(text) || !bytes.Equal(bytes.ToValidUTF8(text, nil), text) {
			return // encoding/json repairs bad UTF-8, which a body has none of
		}
		got, rest := unpack(t, packed)
		require.Empty(t, rest)
		require.Equal(t, numbers(want), got)
	})
}

func BenchmarkAppendMap(b *testing.B) {
	text := []byte(`{"event":"impression","tag":"0a3c2d4e-1111-4222-8333-944445555666","geo":[52.366521,4.894981],` +
		`"publisher":"Stack Underflow","userAgent":"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0 Safari/537.36"}`)
	dst := make([]byte, 0, 1024)
	b.ReportAllocs()
	for b.Loop() {
		var err error
		if dst, err = appendMap(dst[:0], text); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
}
