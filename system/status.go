package system

import "time"

// Status is a node at one moment: totals since it opened, and the gauges that
// tell whether it keeps up.
type Status struct {
	// Acknowledged, Rejected, Exported and Duplicates count events. Exported
	// includes what an earlier run had left in the journal.
	Acknowledged, Rejected, Exported, Duplicates uint64
	// Backlog is what lies in this node's lanes and is not yet in Kafka, in events.
	Backlog uint64
	// AckP50 and AckP99 are times from handing an event over to its
	// acknowledgement, over the whole run.
	AckP50, AckP99 time.Duration
	// MailboxFill is the fullest collector mailbox, 0 to 1.
	MailboxFill float64
	// Uptime is the time since Open returned.
	Uptime time.Duration
}

// EventsPerSecond is the mean rate of acknowledgement over the run.
func (s Status) EventsPerSecond() float64 {
	if s.Uptime <= 0 {
		return 0
	}
	return float64(s.Acknowledged) / s.Uptime.Seconds()
}
