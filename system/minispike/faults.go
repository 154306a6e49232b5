package minispike

import (
	"math/rand/v2"
	"sync"
	"time"
)

// Kind is a kind of request.
type Kind uint8

// The kinds of request that a fault can hit.
const (
	Read  Kind = iota + 1 // get, exists, and operate without a write
	Write                 // put, delete, touch, and operate with a write
	Batch                 // batches of any kind
	Query                 // scans and queries
	Info                  // info requests, the client's tending among them
	Any                   // all of these
)

// Action is what a fault does.
type Action uint8

// The actions.
const (
	Delay      Action = iota + 1 // wait Fault.Delay, then serve the request
	Refuse                       // answer Fault.Code and do nothing
	DropBefore                   // close the connection; nothing is done
	DropAfter                    // do it, then close the connection instead of answering
)

// Fault is something that goes wrong with requests of a kind.
type Fault struct {
	On Kind
	Do Action
	// Code is the result code that Refuse answers with, as in
	// aerospike-client-go's types package. An info request has none; it is
	// answered with nothing.
	Code byte
	// Delay is how long Delay waits.
	Delay time.Duration
	// Count is how many requests it hits before it is spent; 0 means all.
	Count int
	// Chance is the probability with which it hits a request, between 0 and
	// 1; 0 means always.
	Chance float64
}

// Faults are the faults that a server has at the moment. The zero value has
// none. It may be changed while the server runs, and used by several servers.
type Faults struct {
	mu     sync.Mutex
	active []Fault
	hits   int
	chance *rand.Rand
}

// NewFaults returns faults whose chance follows the seed.
func NewFaults(seed uint64) *Faults {
	return &Faults{chance: rand.New(rand.NewPCG(seed, seed))}
}

// Set replaces the faults by these. Without any, the server is well again.
func (f *Faults) Set(faults ...Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.active = append([]Fault(nil), faults...)
	f.hits = 0
}

// Hits is how many requests faults have hit since the last Set.
func (f *Faults) Hits() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.hits
}

// strike returns the fault that hits a request of the kind, if one does.
func (f *Faults) strike(kind Kind) (Fault, bool) {
	if f == nil {
		return Fault{}, false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range f.active {
		fault := &f.active[i]
		if fault.On != kind && fault.On != Any || !f.likely(fault.Chance) {
			continue
		}
		hit := *fault
		f.hits++
		if fault.Count > 0 {
			if fault.Count--; fault.Count == 0 {
				f.active = append(f.active[:i], f.active[i+1:]...)
			}
		}
		return hit, true
	}
	return Fault{}, false
}

func (f *Faults) likely(chance float64) bool {
	if chance <= 0 {
		return true
	}
	if f.chance == nil {
		f.chance = rand.New(rand.NewPCG(1, 1))
	}
	return f.chance.Float64() < chance
}

// faulty serves a request under the faults of its kind.
func (s *session) faulty(kind Kind, serve func() error, refuse func(code byte)) error {
	fault, hit := s.server.config.Faults.strike(kind)
	if !hit {
		return serve()
	}
	switch fault.Do {
	case Delay:
		timer := time.NewTimer(fault.Delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-s.server.stopping:
			return errDropped
		}
	case Refuse:
		refuse(fault.Code)
		return nil
	case DropBefore:
		return errDropped
	case DropAfter:
		if err := serve(); err != nil {
			return err
		}
		return errDropped
	}
	return serve()
}

// hitsOrNone is Hits for a server that may have no faults.
func (f *Faults) hitsOrNone() int {
	if f == nil {
		return 0
	}
	return f.Hits()
}
