package edge_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"adpulse/messages"
)

const benchBody = `{"event":"impression","tag":"0a3c2d4e-1111-4222-8333-944445555666","geo":[52.366521,4.894981],` +
	`"publisher":"Stack Underflow","userAgent":"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0 Safari/537.36"}`

func benchEvents(n int) []messages.Event {
	list := make([]messages.Event, n)
	for i := range list {
		list[i] = event(benchBody)
	}
	return list
}

// BenchmarkAppend is a segment of 500 events.
func BenchmarkAppend(b *testing.B) {
	const size = 500
	store, lane := newStore(b), newLane()
	s := segment(lane, 0, 1, 1, benchEvents(size)...)
	b.ReportAllocs()
	for b.Loop() {
		s.Seq++
		require.NoError(b, store.Append(b.Context(), s))
	}
	b.ReportMetric(float64(b.N)*size/b.Elapsed().Seconds(), "events/s")
}

// BenchmarkWriteChangeRecords is a transaction's 4,000 events, all fresh.
func BenchmarkWriteChangeRecords(b *testing.B) {
	const size = 4000
	store := newStore(b)
	records := changes(benchEvents(size)...)
	b.ReportAllocs()
	for b.Loop() {
		for i := range records {
			records[i].Event.ID = messages.NewEventID()
		}
		require.NoError(b, store.WriteChangeRecords(b.Context(), records))
	}
	b.ReportMetric(float64(b.N)*size/b.Elapsed().Seconds(), "events/s")
}
