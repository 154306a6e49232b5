// Package credit is the arithmetic of back-pressure: how many events a sender
// may have outstanding in front of each collector.
//
// A collector's mailbox has a size in events. That size is shared among its
// senders; each holds its share as credit, spends it when it sends, and gets it
// back with the answer. A mailbox whose senders keep to their credit is never
// pushed when it is full, so that nobody parks.
package credit

import (
	"container/list"
	"context"
	"fmt"
	"sync"
)

// Share is each of several senders' part of a mailbox of so many events. It is
// at least 1.
func Share(mailboxEvents, senders int) int {
	return max(1, mailboxEvents/max(1, senders))
}

// Pool is one sender's credit at several collectors. It may be used
// concurrently.
type Pool struct {
	window int

	mu          sync.Mutex
	outstanding []int
	turn        int       // where the search for the most credit starts
	waiting     list.List // of *waiter, first come first served
}

// waiter is somebody who waits for credit. granted is closed under the pool's
// lock, after collector was set.
type waiter struct {
	events    int
	collector int
	granted   chan struct{}
}

// NewPool holds window events of credit at each collector. Both are at least 1.
func NewPool(collectors, window int) *Pool {
	return &Pool{window: max(1, window), outstanding: make([]int, max(1, collectors))}
}

// Window is the credit at each collector, in events: the most that can be taken
// at once.
func (p *Pool) Window() int { return p.window }

// TryTake takes credit for events at the collector that has most of it, and
// returns that collector, or false where none has enough or somebody waits
// already. events beyond Window are never granted.
func (p *Pool) TryTake(events int) (collector int, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.waiting.Len() > 0 {
		return 0, false
	}
	return p.take(events)
}

// Take is TryTake that waits its turn. Its error is that of ctx, or tells that
// events exceed the window.
func (p *Pool) Take(ctx context.Context, events int) (collector int, err error) {
	if events > p.window {
		return 0, fmt.Errorf("take credit for %d events: the window is %d", events, p.window)
	}
	p.mu.Lock()
	if p.waiting.Len() == 0 {
		if collector, ok := p.take(events); ok {
			p.mu.Unlock()
			return collector, nil
		}
	}
	w := &waiter{events: events, granted: make(chan struct{})}
	place := p.waiting.PushBack(w)
	p.mu.Unlock()

	select {
	case <-w.granted:
		return w.collector, nil
	case <-ctx.Done():
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-w.granted: // in the same moment: it is ours to give back
		p.giveBack(w.collector, w.events)
	default:
		p.waiting.Remove(place)
	}
	p.grant() // whoever stood behind may ask for less
	return 0, fmt.Errorf("wait for credit: %w", context.Cause(ctx))
}

// Return gives back what was taken, when its batch was answered.
func (p *Pool) Return(collector, events int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.giveBack(collector, events)
	p.grant()
}

// Outstanding is what is taken at a collector and not returned, in events.
func (p *Pool) Outstanding(collector int) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.outstanding[collector]
}

// take finds the collector with the most credit. Among equals the turn goes
// round, so that a light load reaches all.
func (p *Pool) take(events int) (int, bool) {
	best := -1
	for i := range p.outstanding {
		at := (p.turn + i) % len(p.outstanding)
		if best < 0 || p.outstanding[at] < p.outstanding[best] {
			best = at
		}
	}
	if p.outstanding[best]+events > p.window {
		return 0, false
	}
	p.outstanding[best] += events
	p.turn = best + 1
	return best, true
}

func (p *Pool) giveBack(collector, events int) {
	if events < 0 || events > p.outstanding[collector] {
		panic(fmt.Sprintf("credit: %d events returned, %d outstanding", events, p.outstanding[collector]))
	}
	p.outstanding[collector] -= events
}

// grant serves those who wait, in order, as far as the credit goes.
func (p *Pool) grant() {
	for p.waiting.Len() > 0 {
		front := p.waiting.Front()
		w := front.Value.(*waiter)
		collector, ok := p.take(w.events)
		if !ok {
			return
		}
		p.waiting.Remove(front)
		w.collector = collector
		close(w.granted)
	}
}
