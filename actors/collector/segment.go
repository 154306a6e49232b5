package collector

import (
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"adpulse/messages"
)

// batch is a Collect that is not answered yet.
type batch struct {
	sender *actor.PID
	id     messages.BatchID
	// pieces counts the segments that its events are in.
	pieces int
	// rejected is the reason if one of them failed.
	rejected messages.Reason
}

// flight is a closed segment on its way to the journal.
type flight struct {
	segment *messages.Segment
	batches []*batch // who has events in it, in order
	bytes   int
	started time.Time // of the first try
}

// open is the segment that is being gathered.
type open struct {
	events  []messages.Event
	batches []*batch
	bytes   int
	number  uint64 // counts the segments opened, for the linger timer
	lingers bool
}

// segmentHeaderBytes is more than a segment's stored form needs beside its events.
const segmentHeaderBytes = 64

// room tells how many of events still fit. An empty segment takes at least one.
func (o *open) room(events []messages.Event, eventsMax int) int {
	n, size := 0, o.bytes
	for n < len(events) && len(o.events)+n < eventsMax {
		size += events[n].Size()
		if size > messages.SegmentBytesMax-segmentHeaderBytes && len(o.events)+n > 0 {
			break
		}
		n++
	}
	return n
}

// take adds events of b. The first events of an empty segment are aliased, not
// copied: they belong to the collector since they were sent.
func (o *open) take(b *batch, events []messages.Event) {
	if len(o.events) == 0 {
		o.events = events[:len(events):len(events)]
	} else {
		o.events = append(o.events, events...)
	}
	for i := range events {
		o.bytes += events[i].Size()
	}
	o.batches = append(o.batches, b)
}

func (o *open) full(eventsMax int) bool {
	return len(o.events) >= eventsMax || o.bytes > messages.SegmentBytesMax*9/10
}

// close takes the open segment out and leaves an empty one.
func (o *open) close(lease messages.Lease, token, base uint64) *flight {
	f := &flight{
		segment: &messages.Segment{
			Lane: lease.Lane, Epoch: lease.Epoch, Token: token, Base: base, Events: o.events,
		},
		batches: o.batches, bytes: o.bytes,
	}
	*o = open{number: o.number + 1}
	return f
}

// mark and rewind undo what a batch added to the open segment, provided that
// the segment was not closed meanwhile.
type mark struct {
	number          uint64
	events, batches int
	bytes           int
}

func (o *open) mark() mark {
	return mark{o.number, len(o.events), len(o.batches), o.bytes}
}

func (o *open) rewind(m mark) {
	if o.number != m.number {
		return
	}
	o.events, o.batches, o.bytes = o.events[:m.events], o.batches[:m.batches], m.bytes
}

// reply gathers the batches of one sender for one message.
type reply struct {
	sender  *actor.PID
	batches []messages.BatchID
}

func addReply(replies []reply, b *batch) []reply {
	if b.sender == nil {
		return replies
	}
	for i := range replies {
		if replies[i].sender == b.sender || replies[i].sender.Equal(b.sender) {
			replies[i].batches = append(replies[i].batches, b.id)
			return replies
		}
	}
	return append(replies, reply{b.sender, []messages.BatchID{b.id}})
}

// window is what the exporter was handed and has not yet exported.
type window struct {
	events, bytes  int // the limits
	handed         []handed
	handedEvents   int
	handedBytes    int
	exportedSeq    messages.Sequence
	exportedEvents uint64 // of the lane, in Kafka
}

type handed struct {
	seq           messages.Sequence
	events, bytes int
}

// take counts a segment as handed over, or tells that there is no room.
func (w *window) take(f *flight) bool {
	n := len(f.segment.Events)
	if w.handedEvents+n > w.events || w.handedBytes+f.bytes > w.bytes || f.segment.Seq <= w.exportedSeq {
		return false
	}
	w.handed = append(w.handed, handed{f.segment.Seq, n, f.bytes})
	w.handedEvents += n
	w.handedBytes += f.bytes
	return true
}

// release takes note that everything up to seq is in Kafka, events in all.
func (w *window) release(seq messages.Sequence, events uint64) {
	w.exportedSeq = max(w.exportedSeq, seq)
	w.exportedEvents = max(w.exportedEvents, events)
	kept := w.handed[:0]
	for _, h := range w.handed {
		if h.seq <= w.exportedSeq {
			w.handedEvents -= h.events
			w.handedBytes -= h.bytes
			continue
		}
		kept = append(kept, h)
	}
	w.handed = kept
}
