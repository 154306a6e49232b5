package messages_test

import (
	"testing"

	"adpulse/messages"
)

// reported is an event like the reference's simulator sends it.
const reported = `{"event":"impression","tag":"0a3c2f6e-1d4b-4c5a-9e8f-7a6b5c4d3e2f","geo":[52.366521,4.894981],"publisher":"Stack Underflow"}`

const browser = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36"

func BenchmarkDecodeEvent(b *testing.B) {
	for name, in := range map[string]string{
		"reference": reported,
		"own fields": `{"event":"click","event_id":"0d33124c-8f1a-4b6e-9c2d-5e4f3a2b1c0d","time":"2026-10-17T12:00:00.123Z","tag":"0a3c2f6e-1d4b-4c5a-9e8f-7a6b5c4d3e2f",` +
			`"geo":[52.366521,4.894981],"publisher":"Stack \"Underflow\"","page":{"url":"https://example.org/a/b?c=d","position":3,"labels":["a","b"]},"price":0.0021}`,
	} {
		b.Run(name, func(b *testing.B) {
			body := []byte(in)
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := messages.DecodeEvent(body, 0, browser); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
		})
	}
}

func BenchmarkNewEventID(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		messages.NewEventID()
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
}

func BenchmarkDeriveEventID(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		messages.DeriveEventID("order-17-f3b2", 42)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
}
