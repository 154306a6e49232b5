package collector

import (
	"context"
	"fmt"

	"adpulse/messages"
)

// head is where a lane goes on.
type head struct {
	seq messages.Sequence
	// events and exported count the lane's events up to its head and up to its
	// checkpoint.
	events, exported uint64
}

// resume finds the lane's head and seals what a predecessor left unwritten
// before it, so that the exporter can pass. A predecessor's write that lands
// later, behind the head, is valid too: Append then finds it (ErrTaken) and the
// new segment goes behind it.
func resume(ctx context.Context, journal Journal, lease messages.Lease) (head, error) {
	checkpoint, _, err := journal.Checkpoint(ctx, lease.Lane)
	if err != nil {
		return head{}, fmt.Errorf("resume lane %s: %w", lease.Lane, err)
	}
	at := head{seq: checkpoint.Seq, events: checkpoint.Events, exported: checkpoint.Events}
	last, err := journal.Head(ctx, lease.Lane, checkpoint.Seq)
	if err != nil {
		return head{}, fmt.Errorf("resume lane %s: %w", lease.Lane, err)
	}
	if last <= checkpoint.Seq {
		return at, nil
	}
	if err := journal.Seal(ctx, lease.Lane, lease.Epoch, checkpoint.Seq+1, last); err != nil {
		return head{}, fmt.Errorf("resume lane %s: %w", lease.Lane, err)
	}
	segments, err := journal.Read(ctx, lease.Lane, last, 1, messages.SegmentBytesMax)
	if err != nil {
		return head{}, fmt.Errorf("resume lane %s: %w", lease.Lane, err)
	}
	at.seq = last
	if len(segments) > 0 {
		at.events = max(at.events, segments[0].Base+uint64(len(segments[0].Events)))
	}
	return at, nil
}
