package minispike

import (
	"time"

	"adpulse/system/internal/fault"
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
	Entry                 // one record of a batch that writes; can be refused only
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
type Faults struct{ set fault.Set[Fault] }

// NewFaults returns faults whose chance follows the seed.
func NewFaults(seed uint64) *Faults {
	f := &Faults{}
	f.set.Seed(seed)
	return f
}

// Set replaces the faults by these. Without any, the server is well again.
func (f *Faults) Set(faults ...Fault) {
	f.set.Arm(faults, func(f Fault) fault.Terms { return fault.Terms{Count: f.Count, Chance: f.Chance} })
}

// Hits is how many requests faults have hit since the last Set.
func (f *Faults) Hits() int { return f.set.Hits() }

// strike returns the fault that hits a request of the kind, if one does.
func (f *Faults) strike(kind Kind) (Fault, bool) {
	if f == nil {
		return Fault{}, false
	}
	return f.set.Strike(func(f Fault) bool { return f.On == kind || f.On == Any && kind != Entry })
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
