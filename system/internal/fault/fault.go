// Package fault decides which request a deliberate fault hits: what the
// embedded servers share when a test makes them ill.
package fault

import (
	"math/rand/v2"
	"sync"
)

// Terms are when a fault hits.
type Terms struct {
	// Count is how many requests it hits before it is spent; 0 means all.
	Count int
	// Chance is the probability with which it hits a request, between 0 and
	// 1; 0 means always.
	Chance float64
}

// Set holds the faults of a kind that are armed at the moment. The zero value
// has none. Its methods may be called concurrently.
type Set[F any] struct {
	mu     sync.Mutex
	armed  []armed[F]
	hits   int
	chance *rand.Rand
}

type armed[F any] struct {
	fault F
	Terms
}

// Seed makes chance follow a seed; without it, it follows that of 1.
func (s *Set[F]) Seed(seed uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.chance = rand.New(rand.NewPCG(seed, seed))
}

// Arm replaces the faults by these, and counts hits from 0.
func (s *Set[F]) Arm(faults []F, terms func(F) Terms) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.armed, s.hits = nil, 0
	for _, f := range faults {
		s.armed = append(s.armed, armed[F]{f, terms(f)})
	}
}

// Hits is how many requests have been hit since the last Arm.
func (s *Set[F]) Hits() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.hits
}

// Strike returns the first fault that fits a request and hits it, if one does.
func (s *Set[F]) Strike(fits func(F) bool) (hit F, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.armed {
		a := &s.armed[i]
		if !fits(a.fault) || !s.likely(a.Chance) {
			continue
		}
		hit = a.fault
		s.hits++
		if a.Count > 0 {
			if a.Count--; a.Count == 0 {
				s.armed = append(s.armed[:i], s.armed[i+1:]...)
			}
		}
		return hit, true
	}
	return hit, false
}

func (s *Set[F]) likely(chance float64) bool {
	if chance <= 0 {
		return true
	}
	if s.chance == nil {
		s.chance = rand.New(rand.NewPCG(1, 1))
	}
	return s.chance.Float64() < chance
}
