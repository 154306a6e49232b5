package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Bounds of the waits for a system that is well.
const (
	startWithin = time.Minute
	drainWithin = 90 * time.Second
	reachWithin = 12 * time.Second
)

// embedded is the arena of one node with everything inside.
type embedded struct {
	*arena
	http, edge, core, kafka string
}

func fightEmbedded(ctx context.Context, a *arena) (*ledger, error) {
	if err := os.MkdirAll(a.dir, 0o700); err != nil {
		return nil, err
	}
	e := &embedded{arena: a}
	if err := freePorts(ctx, &e.http, &e.edge, &e.core, &e.kafka); err != nil {
		return nil, err
	}
	a.load = startLoad(ctx, a.Senders, a.Batch, e.http)
	defer a.load.abandon()
	for a.goesOn() {
		if err := e.round(ctx); err != nil {
			return nil, err
		}
	}
	return e.settle(ctx)
}

// start runs the node. Small segments and transactions make many instants worth
// dying at, and a number of collectors that changes leaves lanes behind.
func (e *embedded) start(environment ...string) (*process, error) {
	return start(e.Program, e.environment(environment...), "run", "--data-dir", e.dir+"/data",
		"--http", e.http, "--edge-listen", e.edge, "--core-listen", e.core, "--kafka-listen", e.kafka,
		"--campaigns", "2", "--tags", "5", "--simulators", "0", "--log-format", "json", "--trim-delay", "0s",
		"--collectors", strconv.Itoa(1+e.chance.IntN(3)), "--exporters", strconv.Itoa(1+e.chance.IntN(2)),
		"--segment-events", pick(e.arena, "20", "100", "500"), "--export-events", pick(e.arena, "50", "300", "4000"))
}

// round starts the node, lets it work, and ends it in one of the ways.
func (e *embedded) round(ctx context.Context) error {
	return e.draw([]choice{
		{"failpoint", 60, func() error {
			name, setting := e.point("kill")
			return e.untilPoint(ctx, name, setting)
		}},
		{"kill", 20, func() error {
			acks := 300 + e.chance.IntN(6000)
			return e.crash(ctx, "kill -9 under load", func(p *process) {
				e.await(ctx, p, e.load.more(acks), reachWithin)
			})
		}},
		{"kill starting", 10, func() error {
			after := time.Duration(e.chance.IntN(1500)) * time.Millisecond
			return e.crash(ctx, "kill -9 while starting", func(p *process) { e.await(ctx, p, nil, after) })
		}},
		{"kill draining", 5, func() error {
			acks := 300 + e.chance.IntN(4000)
			after := time.Duration(e.chance.IntN(150)) * time.Millisecond
			return e.crash(ctx, "kill -9 while draining", func(p *process) {
				e.await(ctx, p, e.load.more(acks), reachWithin)
				p.signal(syscall.SIGTERM)
				e.await(ctx, p, nil, after)
			})
		}},
		{"disk full", 4, func() error { return e.fillDisk(ctx) }},
		{"terminate", 5, func() error { return e.terminate(ctx) }},
	})
}

// await waits for a signal, the process's end, or so long.
func (e *embedded) await(ctx context.Context, p *process, told <-chan struct{}, most time.Duration) {
	timer := time.NewTimer(most)
	defer timer.Stop()
	select {
	case <-told:
	case <-timer.C:
	case <-p.ended:
	case <-ctx.Done():
	}
}

// crash runs a node and kills it after what comes before.
func (e *embedded) crash(ctx context.Context, kind string, before func(*process)) error {
	p, err := e.start()
	if err != nil {
		return err
	}
	before(p)
	ended := !p.alive() && p.exitCode() > 0
	p.kill()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if ended {
		return fmt.Errorf("the node ended by itself:\n%s", p.said())
	}
	e.crashed(kind)
	return e.load.err()
}

func (e *embedded) crashed(kind string) {
	e.crashes++
	e.count(kind)
	e.say("%s; %d acknowledged", kind, e.load.acknowledged())
}

// untilPoint runs a node that kills itself at a failpoint, and kills it where it
// does not come there.
func (e *embedded) untilPoint(ctx context.Context, name, setting string) error {
	p, err := e.start(setting)
	if err != nil {
		return err
	}
	e.await(ctx, p, nil, reachWithin)
	kind := "kill -9 under load"
	ended := !p.alive() && p.exitCode() > 0
	p.kill()
	select {
	case <-p.reached:
		kind = "failpoint " + name
	default:
	}
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case ended:
		return fmt.Errorf("the node ended by itself:\n%s", p.said())
	}
	e.crashed(kind)
	return e.load.err()
}

// fillDisk lets no file of the node's grow any more, and waits until the node
// has noticed and ended; the next one has room again.
func (e *embedded) fillDisk(ctx context.Context) error {
	p, err := e.start()
	if err != nil {
		return err
	}
	e.await(ctx, p, e.load.more(1+e.chance.IntN(3000)), reachWithin)
	size := uint64(1) << (10 + e.chance.IntN(12))
	limit := unix.Rlimit{Cur: size, Max: size}
	if err := unix.Prlimit(p.command.Process.Pid, unix.RLIMIT_FSIZE, &limit, nil); err != nil {
		p.kill()
		return fmt.Errorf("limit the size of a node's files: %w", err)
	}
	e.await(ctx, p, nil, reachWithin)
	kind := "disk full, node ended by itself"
	if p.alive() {
		kind = "disk full, then kill -9"
	} else if said := p.said(); strings.Contains(said, "fatal error") && strings.Contains(said, "pebble") {
		kind = "disk full, Pebble ended the node" // beyond recovery, when it is about to begin a new log
	} else if !strings.Contains(said, "cannot go on") {
		return fmt.Errorf("the node does not say that its disk is full:\n%s", said)
	}
	p.kill()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	e.crashed(kind)
	return e.load.err()
}

// terminate ends a node gracefully, under load.
func (e *embedded) terminate(ctx context.Context) error {
	p, err := e.start()
	if err != nil {
		return err
	}
	e.await(ctx, p, e.load.more(1000), reachWithin)
	if err := p.stop(ctx, drainWithin); err != nil {
		return err
	}
	e.count("SIGTERM under load")
	e.say("SIGTERM under load; %d acknowledged", e.load.acknowledged())
	return e.load.err()
}

// settle lets the system become well, and takes the ledger.
func (e *embedded) settle(ctx context.Context) (*ledger, error) {
	p, err := e.start()
	if err != nil {
		return nil, err
	}
	defer p.kill()
	if err := ready(ctx, p, e.http, startWithin); err != nil {
		return nil, err
	}
	if err := e.load.end(ctx, drainWithin); err != nil {
		return nil, err
	}
	if err := exported(ctx, e.edge, drainWithin); err != nil {
		return nil, fmt.Errorf("%w\n%s", err, p.said())
	}
	books, err := compare(ctx, e.load, e.edge, e.kafka)
	if err != nil {
		return nil, err
	}
	return books, p.stop(ctx, drainWithin)
}
