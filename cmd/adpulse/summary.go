package main

import (
	"encoding/json"
	"fmt"
	"io"

	"adpulse/system"
)

// summary is what --summary json prints as the last line on stdout. Its fields
// are an interface: scripts read them.
type summary struct {
	Acknowledged    uint64  `json:"acknowledged"`
	Rejected        uint64  `json:"rejected"`
	Exported        uint64  `json:"exported"`
	Duplicates      uint64  `json:"duplicates"`
	Backlog         uint64  `json:"backlog"`
	EventsPerSecond float64 `json:"events_per_second"`
	AckP50          float64 `json:"ack_p50_ms"`
	AckP99          float64 `json:"ack_p99_ms"`
	Uptime          float64 `json:"uptime_seconds"`
}

func summaryOf(s system.Status) summary {
	return summary{
		Acknowledged: s.Acknowledged, Rejected: s.Rejected, Exported: s.Exported, Duplicates: s.Duplicates,
		Backlog: s.Backlog, EventsPerSecond: tenths(s.EventsPerSecond()),
		AckP50: milliseconds(s.AckP50), AckP99: milliseconds(s.AckP99),
		Uptime: float64(s.Uptime.Milliseconds()) / 1000,
	}
}

// writeJSONLine writes v as one line of JSON.
func writeJSONLine(w io.Writer, v any) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		return fmt.Errorf("write to stdout: %w", err)
	}
	return nil
}
