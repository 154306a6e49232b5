// Package mailbox is the queue in front of an actor: bounded where events come
// in, unbounded where the actor's own conversation runs.
//
// A mailbox has two lanes. The data lane takes messages with a Weight; its
// bound is in events, and who sends into a full one is parked, without cost,
// until there is room or Config.MaxWait is over. The control lane takes all
// other messages. It is served first and never full, so that completions,
// credits, ticks and stops do not wait behind the data that waits for them.
//
// Only leaf sources may send data, for only they may be parked. An actor that
// sends data to itself, to its children or back to its senders is parked by its
// own doing: MaxWait turns that mistake into refusals that are counted, instead
// of a deadlock.
//
// # Which lane
//
// Data is what has Weight() int and no ControlMessage(), bare or in a
// MessageEnvelope. Everything else is control, Proto.Actor's own user messages
// among it: a PoisonPill overtakes the data that waits. Drain an actor before
// poisoning it. Proto.Actor's system messages come before both lanes.
package mailbox

import (
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// Weighted is a data message. Weight is what it counts against the bound, in
// events; less than 1 counts as 1.
type Weighted interface{ Weight() int }

// Control marks a message for the control lane.
type Control interface{ ControlMessage() }

// Config is a mailbox's bound and what happens at it.
type Config struct {
	// Events bounds the data lane. A message that is heavier than the bound is
	// let in alone, when nothing else waits.
	Events int
	// MaxWait bounds how long a sender is parked; 0 refuses at once.
	MaxWait time.Duration
	// Refused, where set, gets each data message that the actor will not see,
	// so that its sender can be answered; sender is nil where there is none.
	// It is called on the sender's goroutine, or on the actor's when that
	// stops, and must not block. Where it is nil the message becomes a dead
	// letter.
	Refused func(message any, sender *actor.PID, why Refusal)
}

// Refusal says why a data message was not delivered.
type Refusal string

// The refusals.
const (
	// Full: there was no room within MaxWait.
	Full Refusal = "mailbox full"
	// Stopped: the actor is gone.
	Stopped Refusal = "actor stopped"
)

// Stats is a mailbox at one moment.
type Stats struct {
	// Events wait in the data lane; Capacity is its bound.
	Events, Capacity int
	// Parked senders wait for room.
	Parked int
	// Control messages wait.
	Control int
	// Refused counts data messages that were refused, over all lives of the
	// actor.
	Refused uint64
}

// Handle is the outside of one actor's mailbox. It stays the same when the
// actor is restarted, or stopped and spawned again. Its methods may be called
// concurrently, by the actor too. It serves one living actor at a time.
type Handle struct {
	config  Config
	current atomic.Pointer[box]
	refused atomic.Uint64
}

// New makes the handle of a mailbox; its Option goes into the actor's Props.
func New(config Config) *Handle {
	config.Events = max(1, config.Events)
	return &Handle{config: config}
}

// Option makes an actor use this mailbox.
func (h *Handle) Option() actor.PropsOption {
	return actor.WithMailbox(func() actor.Mailbox { return &box{handle: h} })
}

// Pause holds the data lane back: the actor gets control messages only, and
// senders are parked when the lane is full. It does nothing before the spawn.
func (h *Handle) Pause() {
	if b := h.current.Load(); b != nil {
		b.pause(true)
	}
}

// Resume ends Pause.
func (h *Handle) Resume() {
	if b := h.current.Load(); b != nil {
		b.pause(false)
	}
}

// Events is what waits in the data lane. It is 0 only when no sender is parked
// either.
func (h *Handle) Events() int {
	b := h.current.Load()
	if b == nil {
		return 0
	}
	return b.events()
}

// Stats describes the mailbox now.
func (h *Handle) Stats() Stats {
	s := Stats{Capacity: h.config.Events, Refused: h.refused.Load()}
	if b := h.current.Load(); b != nil {
		b.describe(&s)
	}
	return s
}
