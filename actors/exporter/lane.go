package exporter

import (
	"slices"
	"sync"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"adpulse/messages"
)

// lane is what an exporter knows of one of its lanes.
type lane struct {
	id        messages.LaneID
	lease     messages.Lease
	collector *actor.PID

	// checkpoint is what the edge store holds.
	checkpoint messages.Checkpoint
	// cursor is the next sequence to take, held the segments from memory at or
	// behind it.
	cursor messages.Sequence
	held   map[messages.Sequence]*messages.Segment
	// done is the highest sequence whose events are all in Kafka, doneEvents
	// the lane's events up to it.
	done       messages.Sequence
	doneEvents uint64
	// found is what the tail read found behind the checkpoint, by sequence:
	// those events are in Kafka already.
	found    map[messages.Sequence]*places
	foundMax messages.Sequence

	// behind: the journal may hold segments at the cursor that memory does not.
	behind  bool
	reading bool
	// trims holds checkpoints and when they were reached, oldest first.
	trims []trimMark
}

type trimMark struct {
	seq messages.Sequence
	at  time.Time
}

// reset makes the lane start over behind a checkpoint that was read.
func (l *lane) reset(checkpoint messages.Checkpoint, found map[messages.Sequence]*places, now time.Time) {
	l.checkpoint = checkpoint
	l.cursor = checkpoint.Seq + 1
	l.done, l.doneEvents = checkpoint.Seq, checkpoint.Events
	l.found, l.foundMax = found, 0
	for seq := range found {
		l.foundMax = max(l.foundMax, seq)
	}
	l.behind, l.reading = true, false
	l.trims = []trimMark{{checkpoint.Seq, now}}
	for seq := range l.held {
		if seq < l.cursor {
			delete(l.held, seq)
		}
	}
}

// hold keeps a segment that is already in memory until its turn comes.
func (l *lane) hold(s *messages.Segment) {
	if s.Seq >= l.cursor {
		l.held[s.Seq] = s
	}
}

// missing tells how many segments to read: those up to the first that memory
// has, and at most so many.
func (l *lane) missing(most int) int {
	for seq := range l.held {
		if seq >= l.cursor {
			most = min(most, int(seq-l.cursor))
		}
	}
	return most
}

// take returns the segment at the cursor if it is in memory, and moves on.
func (l *lane) take() *messages.Segment {
	s := l.held[l.cursor]
	if s != nil {
		delete(l.held, l.cursor)
		l.cursor++
	}
	return s
}

// finish takes note that everything up to the batch's end is in Kafka.
func (l *lane) finish(p part) {
	l.done = p.last
	l.doneEvents = max(l.doneEvents, p.events)
	for seq := range l.found {
		if seq <= p.last {
			delete(l.found, seq)
		}
	}
}

// offsets returns what may stand in a checkpoint at done. While the tail held
// something behind it, only the old, lower offsets are sure to be below that.
func (l *lane) offsets(ends messages.Offsets) messages.Offsets {
	if l.foundMax > l.done {
		return l.checkpoint.Offsets
	}
	return ends
}

// places is a set of indexes within one segment.
type places []uint64

func (p *places) add(index uint32) {
	word := int(index / 64)
	if word >= len(*p) {
		*p = append(*p, make([]uint64, word+1-len(*p))...)
	}
	(*p)[word] |= 1 << (index % 64)
}

func (p *places) has(index uint32) bool {
	if p == nil {
		return false
	}
	word := int(index / 64)
	return word < len(*p) && (*p)[word]&(1<<(index%64)) != 0
}

// laneBook is what outlives an incarnation of the actor: its lanes, and how
// many incarnations there have been. Only the actor's own goroutines use it,
// one incarnation after the other.
type laneBook struct {
	mu           sync.Mutex
	lanes        []Lane
	incarnations uint64
}

// generationsPerIncarnation leaves room for the recoveries of one incarnation.
const generationsPerIncarnation = 1 << 32

func (b *laneBook) incarnation() uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.incarnations++
	return b.incarnations * generationsPerIncarnation
}

func (b *laneBook) all() []Lane {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.lanes)
}

func (b *laneBook) add(l Lane) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lanes = append(b.lanes, l)
}

func (b *laneBook) drop(id messages.LaneID) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lanes = slices.DeleteFunc(b.lanes, func(l Lane) bool { return l.Lease.Lane == id })
}
