// Package failpoint ends or freezes the process at a named instant. It is
// linked into builds for chaos tests only.
package failpoint

import (
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Set holds what is to be done where. Its methods may be called concurrently.
type Set struct {
	out io.Writer

	mu     sync.Mutex
	points map[string]*point
}

type point struct {
	action string
	at     int // the visit at which it acts
	visits int
	delay  time.Duration
}

// The actions: SIGKILL and SIGSTOP to the process itself.
const (
	actionKill = "kill"
	actionStop = "stop"
)

// Parse reads what is to be done: names, each with an action, the visit at which
// it acts and perhaps the most that it waits before, at random, separated by
// commas:
//
//	after-commit=kill@3,commit-sent=kill@1+2ms,before-commit=stop@5
//
// Whenever one acts, its name is written to out first, as "failpoint NAME".
func Parse(text string, out io.Writer) (*Set, error) {
	s := &Set{out: out, points: make(map[string]*point)}
	for _, part := range strings.FieldsFunc(text, func(r rune) bool { return r == ',' }) {
		name, rest, ok := strings.Cut(part, "=")
		if !ok || name == "" {
			return nil, fmt.Errorf("%q: write NAME=ACTION@VISIT", part)
		}
		rest, wait, delayed := strings.Cut(rest, "+")
		action, visit, _ := strings.Cut(rest, "@")
		p := &point{action: action}
		if action != actionKill && action != actionStop {
			return nil, fmt.Errorf("%q: the actions are %s and %s", part, actionKill, actionStop)
		}
		var err error
		if p.at, err = strconv.Atoi(visit); err != nil || p.at < 1 {
			return nil, fmt.Errorf("%q: the visit is a number from 1 up", part)
		}
		if delayed {
			if p.delay, err = time.ParseDuration(wait); err != nil || p.delay <= 0 {
				return nil, fmt.Errorf("%q: the wait is a time such as 2ms", part)
			}
		}
		s.points[name] = p
	}
	return s, nil
}

// String lists the points as Parse reads them, in no order.
func (s *Set) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	parts := make([]string, 0, len(s.points))
	for name, p := range s.points {
		part := fmt.Sprintf("%s=%s@%d", name, p.action, p.at)
		if p.delay > 0 {
			part += "+" + p.delay.String()
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, ",")
}

// Reach counts a visit, and acts when it is the one.
func (s *Set) Reach(name string) {
	s.mu.Lock()
	p := s.points[name]
	acts := false
	if p != nil {
		p.visits++
		acts = p.visits == p.at
	}
	s.mu.Unlock()
	if !acts {
		return
	}
	if p.delay > 0 {
		<-time.After(rand.N(p.delay))
	}
	fmt.Fprintf(s.out, "failpoint %s\n", name)
	signal := syscall.SIGKILL
	if p.action == actionStop {
		signal = syscall.SIGSTOP
	}
	if err := syscall.Kill(os.Getpid(), signal); err != nil {
		panic("failpoint " + name + ": " + err.Error()) // nobody may go on from here
	}
	if p.action == actionKill {
		select {} // until the signal arrives
	}
}
