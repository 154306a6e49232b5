package broker

import (
	"encoding/binary"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"adpulse/system/internal/fault"
)

// Action is what a fault does.
type Action uint8

// The actions.
const (
	Delay      Action = iota + 1 // wait Fault.Delay, then serve the request
	Refuse                       // answer Fault.Err
	DropBefore                   // close the connection; nothing is done
	DropAfter                    // do it, then close the connection instead of answering
)

// Any stands for every kind of request in Fault.On.
const Any kmsg.Key = -1

// Fault is something that goes wrong with requests of a kind.
type Fault struct {
	On kmsg.Key
	Do Action
	// Err is what Refuse answers with, where the request has a place for it.
	// Nothing is done then, except that kerr.RequestTimedOut and
	// kerr.NotEnoughReplicasAfterAppend leave a Produce done, as a real broker
	// would.
	Err *kerr.Error
	// Delay is how long Delay waits.
	Delay time.Duration
	// Count is how many requests it hits before it is spent; 0 means all.
	Count int
	// Chance is the probability with which it hits a request, between 0 and
	// 1; 0 means always.
	Chance float64
}

// Fault replaces the broker's faults by these. Without any, it is well again.
// It may be called while the broker runs.
func (b *Broker) Fault(faults ...Fault) {
	b.faulting.Lock()
	defer b.faulting.Unlock()
	if b.refusals != nil {
		b.refusals.Remove()
		b.refusals = nil
	}
	b.guard.faults.Arm(faults, func(f Fault) fault.Terms { return fault.Terms{Count: f.Count, Chance: f.Chance} })
	var refusals []kfake.Fault
	for _, f := range faults {
		if f.Do != Refuse {
			continue
		}
		refusal := kfake.Fault{Err: f.Err, Count: -1, When: func(request kmsg.Request) bool {
			_, hit := b.guard.faults.Strike(func(armed Fault) bool { return armed == f && armed.fits(request.Key()) })
			return hit
		}}
		if f.On != Any {
			refusal.Keys = []kmsg.Key{f.On}
		}
		// A request has a place for an error at its top, or in its entities.
		atTop := refusal
		atTop.TopLevel = true
		refusals = append(refusals, atTop, refusal)
	}
	if len(refusals) > 0 {
		b.refusals = b.cluster.Fault(refusals...)
	}
}

// FaultHits is how many requests faults have hit since the last Fault.
func (b *Broker) FaultHits() int { return b.guard.faults.Hits() }

func (f Fault) fits(key int16) bool { return f.On == Any || f.On == kmsg.Key(key) }

// strike does what a fault does to a request that has just been read, and tells
// whether the connection goes on.
func (c *guarded) strike(frame []byte) bool {
	key := int16(binary.BigEndian.Uint16(frame))
	hit, ok := c.guard.faults.Strike(func(f Fault) bool { return f.Do != Refuse && f.fits(key) })
	if !ok {
		return true
	}
	switch hit.Do {
	case Delay:
		timer := time.NewTimer(hit.Delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-c.guard.stopped:
		}
	case DropBefore:
		return false
	case DropAfter:
		c.unanswered.Store(int64(binary.BigEndian.Uint32(frame[4:])) + 1)
	}
	return true
}

// withheld tells whether an answer is one that DropAfter keeps back.
func (c *guarded) withheld(answer []byte) bool {
	kept := c.unanswered.Load()
	return kept != 0 && len(answer) >= 8 && int64(binary.BigEndian.Uint32(answer[4:]))+1 == kept
}
