package simulator_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"adpulse/actors/simulator"
	"adpulse/messages"
)

var tags = []messages.TagID{{1}, {2, 0xab}, {3}}

func mix(tb testing.TB, text string) simulator.Mix {
	tb.Helper()
	m, err := simulator.ParseMix(text)
	require.NoError(tb, err)
	return m
}

func generator(tb testing.TB, text string, seed uint64, number int, run uint64) *simulator.Generator {
	tb.Helper()
	g, err := simulator.NewGenerator(mix(tb, text), tags, seed, number, run)
	require.NoError(tb, err)
	return g
}

func TestParseMix(t *testing.T) {
	require.Equal(t, simulator.Mix{25, 5, 3, 1}, mix(t, "reference"))
	require.Equal(t, simulator.Mix{7, 0, 0, 2}, mix(t, "7:0:0:2"))
	realistic := mix(t, "realistic")
	require.Equal(t, realistic[0], 1000*realistic[1])
	require.Equal(t, realistic[1], 50*realistic[3])
	for _, bad := range []string{"", "fast", "1:2:3", "1:2:3:4:5", "0:0:0:0", "1:-1:0:0", "a:1:1:1", "4294967295:1:0:0"} {
		_, err := simulator.ParseMix(bad)
		require.Error(t, err, bad)
	}
}

// What a simulator sends is what the gateway would have made of it.
func TestEventsAreAsDecoded(t *testing.T) {
	seen := map[messages.EventType]int{}
	for _, e := range generator(t, "1:1:1:1", 1, 0, 0).Batch(5000, 12345) {
		decoded, err := messages.DecodeEvent(e.Body, e.Type, "")
		require.NoError(t, err)
		decoded.ID, decoded.ReceivedAt = e.ID, e.ReceivedAt
		require.Equal(t, e, decoded)
		require.EqualValues(t, 12345, e.ReceivedAt)
		require.NotEmpty(t, e.Source)
		seen[e.Type]++
	}
	require.Len(t, seen, 4)
}

func TestTheSeedRepeatsEventsAndTheRunTellsIdsApart(t *testing.T) {
	const n = 1000
	first := generator(t, "reference", 7, 2, 1).Batch(n, 0)
	require.Equal(t, first, generator(t, "reference", 7, 2, 1).Batch(n, 0))

	ids := map[messages.EventID]bool{}
	count := 0
	for _, seed := range []uint64{7, 8} {
		for number := range 3 {
			for _, run := range []uint64{1, 2, 3} {
				events := generator(t, "reference", seed, number, run).Batch(n, 0)
				for i := range events {
					ids[events[i].ID] = true
					count++
				}
				if seed == 7 && number == 2 {
					for i := range events {
						require.Equal(t, first[i].Body, events[i].Body)
					}
				}
			}
		}
	}
	require.Len(t, ids, count, "an id came twice")
}

func TestTheMixIsKept(t *testing.T) {
	const n = 340_000
	var seen [5]int
	for _, e := range generator(t, "reference", 3, 0, 0).Batch(n, 0) {
		seen[e.Type]++
	}
	for i, share := range []float64{25, 5, 3, 1} {
		require.InEpsilon(t, share/34*n, seen[i+1], 0.05, messages.EventTypes[i].String())
	}
}

func TestAGeneratorNeedsTagsAndAMix(t *testing.T) {
	_, err := simulator.NewGenerator(mix(t, "reference"), nil, 1, 0, 0)
	require.ErrorContains(t, err, "no tags")
	_, err = simulator.NewGenerator(simulator.Mix{}, tags, 1, 0, 0)
	require.ErrorContains(t, err, "mix is empty")
}

func BenchmarkBatch(b *testing.B) {
	const n = 100
	g := generator(b, "reference", 1, 0, 0)
	b.ReportAllocs()
	for b.Loop() {
		g.Batch(n, 0)
	}
	b.ReportMetric(float64(n*b.N)/b.Elapsed().Seconds(), "events/s")
}
