package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"

	"adpulse/messages"
	"adpulse/system/broker"
	"adpulse/system/minispike"
)

// shared is the arena of two nodes on one edge store and one Kafka, which the
// harness runs and makes ill.
type shared struct {
	*arena
	// edgeAt and kafkaAt are where the stores listen. Those of somebody else
	// have no server here.
	edgeAt, kafkaAt string
	edge            *minispike.Server
	ill             *minispike.Faults
	kafka           *broker.Broker
	config          broker.Config

	members []*member
	// kafkaLeft and edgeLeft are still to be drawn before all come again.
	kafkaLeft, edgeLeft []ill
}

// member is one of the nodes, kept running as an init system would.
type member struct {
	s       *shared
	name    string
	http    string
	process *process
	// environment is for the next start only.
	environment []string
}

// leaseFor is short, so that a node that is frozen loses its lanes soon.
const leaseFor = 1500 * time.Millisecond

func fightShared(ctx context.Context, a *arena) (_ *ledger, err error) {
	s := &shared{arena: a, ill: minispike.NewFaults(a.Seed)}
	if err := os.MkdirAll(a.dir, 0o700); err != nil {
		return nil, err
	}
	if err := s.openStores(ctx); err != nil {
		return nil, errors.Join(err, s.closeStores())
	}
	defer func() { err = errors.Join(err, s.closeStores()) }()
	var targets []string
	for _, name := range []string{"a", "b"} {
		m := &member{s: s, name: name}
		if m.http, err = freePort(ctx); err != nil {
			return nil, err
		}
		s.members, targets = append(s.members, m), append(targets, m.http)
	}
	defer func() {
		for _, m := range s.members {
			if m.process != nil {
				m.process.kill()
			}
		}
	}()
	a.load = startLoad(ctx, a.Senders, a.Batch, targets...)
	defer a.load.abandon()
	for a.goesOn() {
		if err := s.round(ctx); err != nil {
			return nil, err
		}
	}
	return s.settle(ctx)
}

// openStores starts the stores that are not given.
func (s *shared) openStores(ctx context.Context) (err error) {
	s.edgeAt, s.kafkaAt = s.Edge, s.Kafka
	if s.edgeAt == "" {
		if err := freePorts(ctx, &s.edgeAt); err != nil {
			return err
		}
		s.edge, err = minispike.Start(minispike.Config{
			Listen: s.edgeAt, Dir: filepath.Join(s.dir, "edge"), Namespace: namespace, Faults: s.ill, Log: zap.NewNop(),
		})
		if err != nil {
			return err
		}
	}
	if s.kafkaAt == "" {
		if err := freePorts(ctx, &s.kafkaAt); err != nil {
			return err
		}
		s.config = broker.DefaultConfig()
		s.config.Listen, s.config.Dir, s.config.Log = s.kafkaAt, filepath.Join(s.dir, "kafka"), zap.NewNop()
		s.config.Topics = []broker.Topic{{Name: topic, Partitions: 8}}
		if s.kafka, err = broker.Start(ctx, s.config); err != nil {
			return err
		}
	}
	return nil
}

func (s *shared) closeStores() (err error) {
	if s.kafka != nil {
		err = s.kafka.Close()
	}
	if s.edge != nil {
		err = errors.Join(err, s.edge.Close())
	}
	return err
}

func (m *member) start() error {
	p, err := start(m.s.Program, m.s.environment(m.environment...), "run", "--node", m.name,
		"--data-dir", filepath.Join(m.s.dir, m.name), "--http", m.http,
		"--edge", m.s.edgeAt, "--core", m.s.edgeAt, "--kafka", m.s.kafkaAt,
		"--campaigns", "2", "--tags", "5", "--simulators", "0", "--log-format", "json", "--trim-delay", "0s",
		"--lease-for", leaseFor.String(), "--collectors", strconv.Itoa(1+m.s.chance.IntN(2)),
		"--segment-events", pick(m.s.arena, "20", "100"), "--export-events", pick(m.s.arena, "50", "300", "4000"))
	m.process, m.environment = p, nil
	return err
}

// keep starts the nodes that do not run. One that has ended by itself has a
// reason to; the timeline says which.
func (s *shared) keep(ctx context.Context) error {
	for _, m := range s.members {
		if m.process != nil && m.process.alive() {
			continue
		}
		if m.process != nil && m.process.exitCode() > 0 {
			if said := m.process.said(); strings.Contains(said, "panic:") {
				return fmt.Errorf("node %s panicked:\n%s", m.name, said)
			}
			s.count("node ended by itself, started again")
			s.say("node %s ended by itself: %s", m.name, reason(m.process.said()))
		}
		if err := m.start(); err != nil {
			return err
		}
	}
	return errors.Join(ctx.Err(), s.load.err())
}

// reason is the line that a program ends with.
func reason(said string) string {
	for line := range strings.Lines(said) {
		if why, ok := strings.CutPrefix(line, "adpulse: "); ok {
			return strings.TrimSpace(why)
		}
	}
	return "without a word"
}

// round makes sure that both nodes run, lets them work, and does one of the
// things that go wrong.
func (s *shared) round(ctx context.Context) error {
	if err := s.keep(ctx); err != nil {
		return err
	}
	victim, other := s.members[0], s.members[1]
	if s.chance.IntN(2) == 0 {
		victim, other = other, victim
	}
	choices := []choice{
		{"failpoint", 35, func() error { return s.point(ctx, victim, other) }},
		{"kill", 15, func() error {
			s.work(ctx, 2000)
			s.kill(victim, "kill -9 under load")
			return nil
		}},
		{"kill both", 5, func() error {
			s.work(ctx, 2000)
			s.kill(victim, "kill -9 of both nodes")
			s.kill(other, "kill -9 of both nodes")
			return nil
		}},
		{"freeze", 10, func() error { return s.freeze(ctx, victim) }},
		{"clock", 5, func() error { return s.clock(ctx, victim) }},
		{"terminate", 3, func() error { return s.terminate(ctx, victim) }},
		{"fence", 3, func() error { return s.stealIdentity(ctx, victim) }},
	}
	if s.kafka != nil {
		choices = append(choices,
			choice{"kafka restart", 4, func() error { return s.restartKafka(ctx) }},
			choice{"kafka", 10, func() error { return s.sicken(ctx, nextOf(s, &s.kafkaLeft, kafkaIlls)) }})
	}
	if s.edge != nil {
		choices = append(choices, choice{"edge", 10, func() error { return s.sicken(ctx, nextOf(s, &s.edgeLeft, edgeIlls)) }})
	}
	return s.draw(choices)
}

// nextOf draws from all before it draws one again.
func nextOf(s *shared, left *[]ill, all []ill) ill {
	if len(*left) == 0 {
		*left = slices.Clone(all)
		s.chance.Shuffle(len(all), func(i, j int) { (*left)[i], (*left)[j] = (*left)[j], (*left)[i] })
	}
	of := (*left)[0]
	*left = (*left)[1:]
	return of
}

// work waits until some more is acknowledged, or for a while.
func (s *shared) work(ctx context.Context, acks int) {
	timer := time.NewTimer(4 * time.Second)
	defer timer.Stop()
	select {
	case <-s.load.more(1 + s.chance.IntN(acks)):
	case <-timer.C:
	case <-ctx.Done():
	}
}

func (s *shared) kill(m *member, kind string) {
	m.process.kill()
	s.crashes++
	s.count(kind)
	s.say("%s: node %s; %d acknowledged", kind, m.name, s.load.acknowledged())
}

// point starts a node anew so that it kills itself at a failpoint. One of them
// is where it adopts a lane; the other node has to die first for that.
func (s *shared) point(ctx context.Context, m, other *member) error {
	m.process.kill()
	name, setting := s.arena.point("kill")
	m.environment = []string{setting}
	if err := m.start(); err != nil {
		return err
	}
	if name == "predecessor-fenced" {
		s.work(ctx, 500)
		s.kill(other, "kill -9 under load")
	}
	timer := time.NewTimer(reachWithin)
	defer timer.Stop()
	kind := "kill -9 under load"
	select {
	case <-m.process.reached:
		kind = "failpoint " + name
		<-m.process.ended
	case <-m.process.ended:
	case <-timer.C:
	case <-ctx.Done():
	}
	s.kill(m, kind)
	return nil
}

// freeze stops a node, at once or in front of a commit, for longer than its
// lease, so that the other one adopts its lanes; then it goes on as a zombie.
func (s *shared) freeze(ctx context.Context, m *member) error {
	kind := "frozen past its lease"
	if s.chance.IntN(3) > 0 {
		m.process.kill()
		kind = "frozen in front of a commit, past its lease"
		m.environment = []string{fmt.Sprintf("ADPULSE_FAILPOINTS=before-commit=stop@%d", 1+s.chance.IntN(30))}
		if err := m.start(); err != nil {
			return err
		}
		select {
		case <-m.process.reached:
		case <-m.process.ended:
			return nil
		case <-time.After(reachWithin):
			m.process.kill() // or it would stop at some later time, and for ever
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	} else {
		s.work(ctx, 1000)
		m.process.freeze()
	}
	wait(ctx, 2*leaseFor+time.Duration(s.chance.IntN(1500))*time.Millisecond)
	m.process.thaw()
	s.count(kind)
	s.say("node %s %s; %d acknowledged", m.name, kind, s.load.acknowledged())
	s.work(ctx, 1000)
	return nil
}

// clock restarts a node with a clock that is wrong, so that it takes living
// nodes' leases for run out, or others take its own for that.
func (s *shared) clock(ctx context.Context, m *member) error {
	off := pick(s.arena, "-30s", "-1h", "20s", "20s", "-30s@1s", "-2s@1s", "20s@1s")
	m.process.kill()
	m.environment = []string{"ADPULSE_CLOCK=" + off}
	if err := m.start(); err != nil {
		return err
	}
	until := time.Now().Add(3 * time.Second)
	for time.Now().Before(until) && ctx.Err() == nil {
		s.work(ctx, 500)
		if err := s.keep(ctx); err != nil {
			return err
		}
	}
	s.kill(m, "clock wrong, then killed")
	return nil
}

func (s *shared) terminate(ctx context.Context, m *member) error {
	s.work(ctx, 1000)
	ended, err := m.stop(ctx)
	if err != nil || ended {
		return err
	}
	s.count("SIGTERM under load")
	s.say("SIGTERM under load: node %s; %d acknowledged", m.name, s.load.acknowledged())
	return nil
}

// stop asks the node to drain and end, once it is up: before that, a signal
// just ends it. It tells when the node ended by itself instead, because its
// lanes had been taken.
func (m *member) stop(ctx context.Context) (byItself bool, err error) {
	if err := ready(ctx, m.process, m.http, startWithin); err != nil {
		if !m.process.alive() {
			return true, nil
		}
		return false, err
	}
	err = m.process.stop(ctx, drainWithin)
	if err != nil && m.process.exitCode() > 0 && strings.Contains(reason(m.process.said()), messages.ErrFenced.Error()) {
		return true, nil
	}
	return false, err
}

// stealIdentity uses a node's transactional id, which fences its exporter.
func (s *shared) stealIdentity(ctx context.Context, m *member) error {
	s.work(ctx, 1000)
	client, err := kgo.NewClient(kgo.SeedBrokers(s.kafkaAt), kgo.TransactionalID("adpulse-"+m.name+"-0"))
	if err != nil {
		return err
	}
	defer client.Close()
	within, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	if _, _, err := client.ProducerID(within); err != nil {
		return fmt.Errorf("steal a transactional id: %w", err)
	}
	s.count("Kafka: transactional id fenced")
	s.say("Kafka: node %s fenced; %d acknowledged", m.name, s.load.acknowledged())
	s.work(ctx, 1000)
	return nil
}

// restartKafka closes the broker, leaves it away for a while, and starts it.
func (s *shared) restartKafka(ctx context.Context) (err error) {
	s.work(ctx, 1000)
	if err := s.kafka.Close(); err != nil {
		return err
	}
	wait(ctx, time.Duration(s.chance.IntN(2500))*time.Millisecond)
	if s.kafka, err = broker.Start(ctx, s.config); err != nil {
		return err
	}
	s.count("Kafka: gone and back")
	s.say("Kafka: gone and back; %d acknowledged", s.load.acknowledged())
	return nil
}

// settle makes everything well and takes the ledger.
func (s *shared) settle(ctx context.Context) (*ledger, error) {
	s.heal()
	for _, m := range s.members {
		m.process.thaw()
	}
	done, cancel := context.WithCancel(ctx)
	defer cancel()
	kept := make(chan error, 1)
	go func() { // a zombie may end yet
		for done.Err() == nil {
			if err := s.keep(done); err != nil {
				kept <- err
				return
			}
			wait(done, 200*time.Millisecond)
		}
		kept <- nil
	}()
	err := s.load.end(ctx, drainWithin)
	if err == nil {
		err = exported(ctx, s.edgeAt, drainWithin)
	}
	cancel()
	if keeping := <-kept; keeping != nil && !errors.Is(keeping, context.Canceled) {
		err = errors.Join(err, keeping)
	}
	if err != nil {
		return nil, fmt.Errorf("%w\nnode a\n%s\nnode b\n%s", err, s.members[0].process.said(), s.members[1].process.said())
	}
	for _, m := range s.members {
		if _, err := m.stop(ctx); err != nil {
			return nil, err
		}
	}
	return compare(ctx, s.load, s.edgeAt, s.kafkaAt)
}
