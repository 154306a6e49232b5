package main

import (
	"fmt"
	"strconv"
	"time"

	"go.uber.org/zap"

	"adpulse/system"
)

// meterSpan is the time over which rates are taken.
const meterSpan = 2 * time.Second

// meter turns totals into rates.
type meter struct {
	samples []system.Status
}

// observe takes a status and returns the events a second that were acknowledged
// and exported over the last meterSpan, or since the first status.
func (m *meter) observe(s system.Status) (acknowledged, exported float64) {
	m.samples = append(m.samples, s)
	for len(m.samples) > 2 && s.Uptime-m.samples[1].Uptime >= meterSpan {
		m.samples = m.samples[1:]
	}
	first := m.samples[0]
	seconds := (s.Uptime - first.Uptime).Seconds()
	if seconds <= 0 {
		return 0, 0
	}
	return float64(s.Acknowledged-first.Acknowledged) / seconds, float64(s.Exported-first.Exported) / seconds
}

// line is the status for a person.
func line(s system.Status, acknowledged, exported float64) string {
	return fmt.Sprintf("%s events/s acknowledged · %s exported · ack p99 %s · backlog %s · mailbox %.0f%%",
		thousands(acknowledged), thousands(exported), short(s.AckP99), thousands(float64(s.Backlog)), s.MailboxFill*100)
}

// fields is the status for a log.
func fields(s system.Status, acknowledged, exported float64) []zap.Field {
	return []zap.Field{
		zap.Float64("acknowledged_per_second", tenths(acknowledged)), zap.Float64("exported_per_second", tenths(exported)),
		zap.Float64("ack_p99_ms", milliseconds(s.AckP99)), zap.Uint64("backlog", s.Backlog),
		zap.Float64("mailbox_fill", float64(int(s.MailboxFill*1000))/1000),
		zap.Uint64("acknowledged", s.Acknowledged), zap.Uint64("rejected", s.Rejected),
		zap.Uint64("exported", s.Exported), zap.Uint64("duplicates", s.Duplicates),
	}
}

// thousands writes a whole number with a comma every three digits.
func thousands(f float64) string {
	digits := strconv.FormatFloat(f, 'f', 0, 64)
	for at := len(digits) - 3; at > 0 && digits[at-1] != '-'; at -= 3 {
		digits = digits[:at] + "," + digits[at:]
	}
	return digits
}

// short writes a duration with three digits or so.
func short(d time.Duration) string {
	switch {
	case d >= time.Second:
		return d.Round(10 * time.Millisecond).String()
	case d >= time.Millisecond:
		return d.Round(100 * time.Microsecond).String()
	}
	return d.Round(time.Microsecond).String()
}

func tenths(f float64) float64 { return float64(int64(f*10)) / 10 }

// milliseconds keeps three digits behind the point.
func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
