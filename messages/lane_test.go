package messages_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"adpulse/messages"
)

func TestLanesAreNamedForNodeAndNumber(t *testing.T) {
	t.Parallel()
	l := messages.NewLaneID("edge-1", 12)
	require.Equal(t, messages.LaneID("edge-1/12"), l)
	require.Equal(t, "edge-1", l.Node())
	n, ok := l.Index()
	require.True(t, ok)
	require.Equal(t, 12, n)
	for _, other := range []messages.LaneID{"", "edge-1", "edge-1/", "edge-1/x", "edge-1/-1"} {
		_, ok := other.Index()
		require.False(t, ok, "%q", other)
	}
	require.Equal(t, "edge-1", messages.LaneID("edge-1").Node())
}

func TestOriginsComeBackFromText(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		o := messages.Origin{
			Lane:  messages.LaneID(rapid.StringN(1, 30, messages.LaneNameMax).Draw(t, "lane")),
			Seq:   messages.Sequence(rapid.Uint64().Draw(t, "seq")),
			Index: rapid.Uint32().Draw(t, "index"),
		}
		got, err := messages.ParseOrigin(o.String())
		require.NoError(t, err)
		require.Equal(t, o, got)
		got, err = messages.ParseOrigin(o.AppendText([]byte{}))
		require.NoError(t, err)
		require.Equal(t, o, got)
	})
	require.Equal(t, "edge-1/0:42:17", messages.Origin{Lane: "edge-1/0", Seq: 42, Index: 17}.String())
}

var notOrigins = []string{
	"", ":", "::", "a", "a:1", ":1:1", "a:1:", "a::1", "a:-1:1", "a:+1:1", "a:1:1 ", "a:1:x",
	"a:18446744073709551616:1", "a:1:4294967296", strings.Repeat("l", messages.LaneNameMax+1) + ":1:1",
}

func TestParseOriginRefusesOtherText(t *testing.T) {
	t.Parallel()
	for _, text := range notOrigins {
		_, err := messages.ParseOrigin(text)
		require.Error(t, err, "%q", text)
	}
}

func FuzzParseOrigin(f *testing.F) {
	f.Add("edge-1/0:42:17")
	f.Add("a:b:1:2")
	for _, text := range notOrigins {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		o, err := messages.ParseOrigin(text)
		if err != nil {
			return
		}
		again, err := messages.ParseOrigin(o.String())
		require.NoError(t, err)
		require.Equal(t, o, again)
	})
}
