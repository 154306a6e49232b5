package gateway

import (
	"errors"
	"sync"

	"adpulse/messages"
)

// status is what became of one event of a request.
type status string

const (
	// statusAccepted: it is durable.
	statusAccepted status = "accepted"
	// statusDuplicate: an event before it in the request has the same id, and
	// it alone counts.
	statusDuplicate status = "duplicate"
	// statusRefused: it is not valid and was not stored.
	statusRefused status = "refused"
	// statusFailed: it was not acknowledged. It may be in the journal, and may
	// be sent again under its id.
	statusFailed status = "failed"
)

// receiptBytes is what an event takes beside itself until its request is
// answered: its outcome, its id among those seen, its receipt.
const receiptBytes = 256

// outcome is one event's line in the answer.
type outcome struct {
	status  status
	id      messages.EventID
	refusal *messages.Refusal // of the refused
}

// batch is the events of one request to /events and what became of each.
type batch struct {
	events   []messages.Event // to submit; not reused, for the submitter owns them
	outcomes []outcome        // in the order of the request
	places   []int32          // in outcomes, of each of events
	seen     map[messages.EventID]struct{}
}

var batches = sync.Pool{New: func() any { return &batch{seen: make(map[messages.EventID]struct{})} }}

// takeBatch returns an empty batch, to be released by its taker.
func takeBatch() *batch {
	return batches.Get().(*batch) //nolint:forcetypeassert // the pool holds nothing else
}

func (b *batch) release() {
	b.events = nil
	clear(b.outcomes) // refusals may be large
	b.outcomes, b.places = b.outcomes[:0], b.places[:0]
	clear(b.seen)
	batches.Put(b)
}

func (b *batch) refuse(err error) {
	var refusal *messages.Refusal
	if !errors.As(err, &refusal) {
		refusal = &messages.Refusal{Field: "body", Problem: "cannot be read"}
	}
	b.outcomes = append(b.outcomes, outcome{status: statusRefused, refusal: refusal})
}

// take adds an event. Only an own id, that is one which came from the client,
// can have come before.
func (b *batch) take(e *messages.Event, own bool) {
	if own {
		before := len(b.seen)
		if b.seen[e.ID] = struct{}{}; len(b.seen) == before {
			b.outcomes = append(b.outcomes, outcome{status: statusDuplicate, id: e.ID})
			return
		}
	}
	b.places = append(b.places, int32(len(b.outcomes)))
	b.outcomes = append(b.outcomes, outcome{status: statusAccepted, id: e.ID})
	b.events = append(b.events, *e)
}

// fail marks the events [from, to) unless err is nil.
func (b *batch) fail(from, to int, err error) {
	if err == nil {
		return
	}
	for _, place := range b.places[from:to] {
		b.outcomes[place].status = statusFailed
	}
}

// appendReceipts appends a JSON array with a receipt an event.
func (b *batch) appendReceipts(dst []byte) []byte {
	dst = append(dst, '[')
	for i := range b.outcomes {
		o := &b.outcomes[i]
		if i > 0 {
			dst = append(dst, ',')
		}
		if o.status == statusRefused {
			dst = append(dst, `{"status":"refused","field":`...)
			dst = messages.AppendJSONString(dst, o.refusal.Field)
			dst = append(dst, `,"error":`...)
			dst = messages.AppendJSONString(dst, o.refusal.Field+" "+o.refusal.Problem)
			dst = append(dst, '}')
			continue
		}
		dst = appendReceipt(dst, o.id, o.status)
	}
	return append(dst, ']')
}

// appendReceipt appends the receipt of an event that was not refused.
func appendReceipt(dst []byte, id messages.EventID, s status) []byte {
	dst = append(dst, `{"id":"`...)
	dst = id.AppendText(dst)
	dst = append(dst, `","status":"`...)
	dst = append(dst, s...)
	return append(dst, `"}`...)
}
