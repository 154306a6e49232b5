package system

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"adpulse/messages"
)

// Histories that the model has found, told by hand: each has lost an event that
// was acknowledged.

// aloneInTheWorld opens a node in a world of its own.
func aloneInTheWorld(t *testing.T) (*world, *process) {
	w := newWorld(t, newStage(t), none)
	t.Cleanup(w.close)
	p := w.launch("a")
	w.open(p)
	require.True(t, p.booted)
	return w, p
}

// lateSegment is what a former owner of the process's lane wrote at its head.
func (w *world) lateSegment(p *process, seq messages.Sequence) *messages.Segment {
	s := &messages.Segment{Lane: p.own(), Seq: seq, Events: []messages.Event{
		{ID: w.clients.fresh(), Type: messages.Click, Body: []byte("{}")},
	}}
	require.NoError(w.t.(*testing.T), w.edge.create(s))
	return s
}

// trimAll lets a process go on until its lane's segments are exported and
// trimmed, and leaves alone what hold holds back.
func (w *world) trimAll(p *process, hold func(*request) bool) {
	for range healMost {
		if w.edge.head(p.own()) == 0 {
			return
		}
		var tasks []*task
		for _, task := range w.runnable(p) {
			if !hold(task.at) {
				tasks = append(tasks, task)
			}
		}
		if len(tasks) > 0 {
			w.answer(oldest(tasks), done)
		} else if next, waits := w.nextWake(); waits {
			w.advance(next)
		}
	}
	w.t.Fatalf("the lane is never trimmed")
}

// TestSegmentIsNotWrittenWhereOneWasTrimmed: a former owner's segment lands
// behind the head that its successor has found; while the lane is idle it is
// exported and trimmed, and then the successor's first event comes.
func TestSegmentIsNotWrittenWhereOneWasTrimmed(t *testing.T) {
	w, p := aloneInTheWorld(t)
	w.lateSegment(p, 1)
	w.trimAll(p, func(*request) bool { return false })
	w.clients.send(p, w.clients.fresh())
	w.heal()
	require.Len(t, w.clients.acknowledged, 1)
	w.checkWhole()
}

// TestWriteIsNotRepeatedWhereOneWasTrimmed: the successor meets the former
// owner's segment, cannot read whose it is, and asks again only when it has
// been exported and trimmed.
func TestWriteIsNotRepeatedWhereOneWasTrimmed(t *testing.T) {
	w, p := aloneInTheWorld(t)
	w.lateSegment(p, 1)
	w.clients.send(p, w.clients.fresh())
	appends := func(r *request) bool { return strings.HasPrefix(r.what.String(), "append") }
	readsBack := func(r *request) bool { return strings.HasPrefix(r.what.String(), "read back") }
	w.answer(w.failable(appends)[0], done)
	w.answer(w.failable(readsBack)[0], refused)
	w.trimAll(p, appends)
	w.heal()
	require.Len(t, w.clients.acknowledged, 1)
	w.checkWhole()
}
