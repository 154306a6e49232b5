package messages

// BatchID tells a sender's outstanding batches apart. It is the sender's own
// count and says nothing to anybody else.
type BatchID uint64

// Collect asks a collector to make events durable. It travels in the data lane
// of the collector's mailbox, under credit for len(Events) events, and is
// answered once: by Collected, or by Rejected. The collector owns Events from
// then on.
type Collect struct {
	Batch  BatchID
	Events []Event
}

// Weight is what the message counts in a mailbox, in events.
func (c *Collect) Weight() int { return len(c.Events) }

// Collected tells a sender that the events of these batches are in the edge
// journal, and returns their credit.
type Collected struct {
	Batches []BatchID
}

// ControlMessage puts Collected on the control lane.
func (*Collected) ControlMessage() {}

// Reason says why events were refused, in words that may reach a client.
type Reason string

// The reasons for a refusal.
const (
	// ReasonEdge: the edge store did not take the segment in time.
	ReasonEdge Reason = "edge store unavailable"
	// ReasonHighWater: the journal holds as much backlog as it may.
	ReasonHighWater Reason = "journal above its high-water mark"
	// ReasonStopping: the collector is draining.
	ReasonStopping Reason = "stopping"
	// ReasonLane: the collector does not own its lane (yet, or any more).
	ReasonLane Reason = "lane not owned"
	// ReasonFault: the collector failed on this very batch.
	ReasonFault Reason = "internal fault"
	// ReasonCredit: no collector had credit to spare within the enqueue timeout.
	ReasonCredit Reason = "no credit within the enqueue timeout"
	// ReasonUnanswered: the batch was sent and no answer came in time; its
	// events may be in the journal.
	ReasonUnanswered Reason = "no answer in time"
)

// NotCollected is the error of a sender whose events were not acknowledged.
type NotCollected struct {
	Reason    Reason
	Retryable bool
}

// Error implements error.
func (e *NotCollected) Error() string { return "not collected: " + string(e.Reason) }

// Rejected tells a sender that a batch is not acknowledged and will not be, and
// returns its credit. Its events may nevertheless be in the journal when a
// write's answer was lost: a retry carries the same event ids and is harmless.
type Rejected struct {
	Batch     BatchID
	Reason    Reason
	Retryable bool
}

// ControlMessage puts Rejected on the control lane.
func (*Rejected) ControlMessage() {}

// Appended signals the exporter of a lane that a segment is in the journal. It
// is a hint: it may be dropped, for the journal is the truth.
type Appended struct {
	Segment *Segment
}

// ControlMessage puts Appended on the control lane; its number is bounded by
// the window that the exporter grants the collector.
func (*Appended) ControlMessage() {}

// Exported tells a lane's collector that everything up to Seq is in Kafka. It
// is cumulative: a lost or repeated one does no harm.
type Exported struct {
	Lane LaneID
	Seq  Sequence
	// Events counts the lane's events up to and including Seq.
	Events uint64
}

// ControlMessage puts Exported on the control lane.
func (*Exported) ControlMessage() {}
