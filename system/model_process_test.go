package system

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"go.uber.org/zap"

	"adpulse/actors/collector"
	"adpulse/actors/exporter"
	"adpulse/actors/mailbox"
	"adpulse/messages"
)

// Times and sizes of a history: small, so that few events meet every bound.
const (
	modelLease     = 3 * time.Second
	modelTrimDelay = 2 * time.Second
	modelTimeout   = time.Hour // by the real clock: never
)

// process is one run of a node: a keeper of leases, a collector with its lane
// and an exporter, all of them production code.
type process struct {
	w           *world
	node, owner string
	number      int
	keeper      *laneKeeper
	store       edgeView

	collector, exporter, orphans *actor.PID
	pids                         []*actor.PID
	exporting                    exporter.Stats
	collecting                   collector.Stats
	steps                        []*task // the exporter's, that are not over

	renewed               time.Time // when the own lane's lease was, last
	booted, givenUp, dead bool
}

func (p *process) String() string { return fmt.Sprintf("%s#%d", p.node, p.number) }

// launch starts a process of a node. Its data directory is locked by one that
// runs, so that a second one is another machine's.
func (w *world) launch(node string) *process {
	p := &process{w: w, node: node, owner: node + "@disk", number: len(w.processes), renewed: w.now}
	for _, other := range w.processes {
		if other.node == node && !other.dead {
			w.replaced++
			p.owner = fmt.Sprintf("%s@%d", node, w.replaced)
		}
	}
	p.store = edgeView{w, p}
	p.keeper = &laneKeeper{
		store: p.store, node: node, owner: p.owner, leaseFor: modelLease, log: zap.NewNop(),
		now:   func() time.Time { return w.now },
		adopt: func(lease messages.Lease) { p.send(p.exporter, &exporter.Adopt{Lane: p.orphan(lease)}) },
		release: func(lane messages.LaneID) {
			p.send(p.exporter, &exporter.Release{Lane: lane})
		},
		lost: p.lost,
		held: map[messages.LaneID]messages.Lease{}, orphans: map[messages.LaneID]*orphan{}, renewed: map[messages.LaneID]time.Time{},
	}
	w.processes = append(w.processes, p)
	w.t.Logf("%s starts as %s", p, p.owner)
	w.begin(p, p.run)
	w.settle()
	return p
}

func (p *process) send(to *actor.PID, message any) {
	if to != nil {
		p.w.actors.Root.Send(to, message)
	}
}

func (p *process) own() messages.LaneID { return messages.NewLaneID(p.node, 0) }

// lost does what Node.lost does.
func (p *process) lost(lane messages.LaneID, _ error) {
	p.w.seen["lane lost"]++
	if lane == p.own() {
		p.givenUp = true
		return
	}
	p.send(p.exporter, &exporter.Release{Lane: lane})
}

func (p *process) orphan(lease messages.Lease) exporter.Lane {
	return exporter.Lane{Lease: lease, Collector: p.orphans}
}

// run does what opening a node does, and then what its keeper does.
func (p *process) run() {
	ctx := context.Background()
	lease, err := p.await(ctx)
	if err != nil {
		p.givenUp = true
		return
	}
	p.keeper.hold(lease, time.Now())
	orphans, err := p.keeper.claimOrphans(ctx)
	if err != nil {
		p.givenUp = true
		return
	}
	p.renewed = lease.Expires.Add(-modelLease)
	p.spawn(lease, orphans)
	for p.w.wait(ctx, modelLease/3) == nil {
		p.keeper.renew(ctx)
		p.keeper.look(ctx)
		p.keeper.retire(ctx)
	}
}

// await does what laneKeeper.await does, by the world's clock.
func (p *process) await(ctx context.Context) (messages.Lease, error) {
	until := p.w.now.Add(modelLease + 2*claimEvery)
	for {
		lease, err := p.store.Claim(ctx, p.own(), p.owner, modelLease)
		if !errors.Is(err, messages.ErrHeld) || p.w.now.After(until) {
			return lease, err
		}
		if err := p.w.wait(ctx, claimEvery); err != nil {
			return lease, err
		}
	}
}

func (p *process) spawn(lease messages.Lease, orphans []messages.Lease) {
	w := p.w
	p.orphans = p.listen(func(message any) {
		if m, ok := message.(*messages.Exported); ok {
			p.keeper.exported(m)
		}
	})
	// The collector's signals pass by here; some get lost.
	hints := p.listen(func(message any) {
		if m, ok := message.(*messages.Appended); ok {
			if w.signalsLost > 0 {
				w.signalsLost--
				w.seen["signal lost"]++
				return
			}
			p.send(p.exporter, m)
		}
	})
	// The collector's name is known before it is there: the exporter tells it.
	progress := p.listen(func(message any) {
		if m, ok := message.(*messages.Exported); ok {
			p.send(p.collector, m)
		}
	})
	lanes := []exporter.Lane{{Lease: lease, Collector: progress}}
	for _, orphan := range orphans {
		lanes = append(lanes, p.orphan(orphan))
	}
	p.exporter = p.actor(exporter.Props(p.exporterConfig(), exporter.Parts{
		Journal: p.store, Stream: kafkaView{w, p}, TransactionalID: "adpulse-" + p.node,
		Lost: p.lost, Stats: &p.exporting, Log: zap.NewNop(),
	}, lanes))
	box := mailbox.New(mailbox.Config{Events: 1 << 20})
	p.collector = p.actor(collector.Props(p.collectorConfig(), collector.Parts{
		Lease: lease, Journal: p.store, Mailbox: box, Exporter: hints,
		Lost: p.lost, Stats: &p.collecting, Log: zap.NewNop(),
	}, box.Option()))
	p.booted = true
}

func (p *process) actor(props *actor.Props) *actor.PID {
	pid := p.w.spawn(props)
	p.pids = append(p.pids, pid)
	return pid
}

func (p *process) listen(hear func(message any)) *actor.PID {
	pid := p.w.listen(hear)
	p.pids = append(p.pids, pid)
	return pid
}

func (p *process) collectorConfig() collector.Config {
	c := collector.DefaultConfig()
	c.SegmentEvents, c.InFlight, c.WindowEvents, c.Linger = 2, 2, 4, 0
	c.RetryDelay, c.GiveUpAfter, c.SealDelay = 50*time.Millisecond, 200*time.Millisecond, 500*time.Millisecond
	c.WriteTimeout = modelTimeout
	c.Now, c.Token, c.Wait = func() time.Time { return p.w.now }, p.w.token, p.w.wait
	c.Go = func(step func()) {
		if !p.dead {
			p.w.begin(p, step)
		}
	}
	return c
}

func (p *process) exporterConfig() exporter.Config {
	c := exporter.DefaultConfig()
	c.TransactionEvents, c.Prepared, c.ReadSegments, c.CheckpointTransactions = 3, 1, 16, 2
	c.CheckpointEvery, c.Poll = 200*time.Millisecond, 500*time.Millisecond
	c.TrimDelay, c.TrimEvery = modelTrimDelay, time.Second
	c.RetryDelay, c.RetryDelayMax = 50*time.Millisecond, 200*time.Millisecond
	c.StepTimeout, c.CommitTimeout, c.RecoverTimeout = modelTimeout, modelTimeout, modelTimeout
	c.Now, c.Wait, c.Go = func() time.Time { return p.w.now }, p.w.wait, p.exporterStep
	return c
}

// exporterStep begins a step of the exporter. One that is not ready begins
// nothing but recoveries, and those wait for every step before: here they are
// not begun, since a coroutine that waits for another would wait for ever.
func (p *process) exporterStep(step func()) {
	if p.dead {
		return
	}
	running := p.steps[:0]
	for _, task := range p.steps {
		if !task.gone {
			running = append(running, task)
		}
	}
	var after []*task
	if !p.exporting.Ready.Load() {
		after = append(after, running...)
	}
	p.steps = append(running, p.w.begin(p, step, after...))
}

// foresay is a mistake: it moves the checkpoint of what is to be produced.
func (p *process) foresay(records []messages.Outbound) {
	for _, r := range records {
		stored := p.w.edge.checkpoints[r.Origin.Lane]
		if stored.value.Seq < r.Origin.Seq {
			stored.value.Seq = r.Origin.Seq
			_ = p.w.edge.swapCheckpoint(r.Origin.Lane, stored.generation, stored.value)
		}
	}
}

// clients send events and take note of what is acknowledged.
type clients struct {
	w           *world
	pid         *actor.PID
	events      uint64
	batches     messages.BatchID
	outstanding map[messages.BatchID]sending
	acknowledged,
	unsure []messages.EventID // in the order of their (first) answers
	answered map[messages.EventID]bool // and whether it was an acknowledgement
}

type sending struct {
	to     *process
	events []messages.Event
}

func newClients(w *world) *clients {
	c := &clients{w: w, outstanding: map[messages.BatchID]sending{}, answered: map[messages.EventID]bool{}}
	c.pid = w.listen(c.hear)
	return c
}

func (c *clients) close() { c.w.actors.ProcessRegistry.Remove(c.pid) }

func (c *clients) hear(message any) {
	switch m := message.(type) {
	case *messages.Collected:
		for _, id := range m.Batches {
			c.acknowledge(c.outstanding[id].events)
			delete(c.outstanding, id)
		}
	case *messages.Rejected:
		c.doubt(c.outstanding[m.Batch].events)
		delete(c.outstanding, m.Batch)
	}
}

func (c *clients) acknowledge(events []messages.Event) {
	c.w.t.Logf("acknowledged: %s", text(func() string { return namesOf(events) }))
	for i := range events {
		id := events[i].ID
		if !c.w.edge.known[id] {
			c.w.violate("event %s is acknowledged and was never in the journal", name(id))
		}
		if acknowledged := c.answered[id]; !acknowledged {
			c.acknowledged = append(c.acknowledged, id)
		}
		c.answered[id] = true
	}
}

// doubt takes note of events that are to be sent again.
func (c *clients) doubt(events []messages.Event) {
	for i := range events {
		id := events[i].ID
		if _, known := c.answered[id]; !known {
			c.answered[id] = false
			c.unsure = append(c.unsure, id)
		}
	}
}

// forget gives up waiting for a process that is gone.
func (c *clients) forget(p *process) {
	for id := messages.BatchID(1); id <= c.batches; id++ {
		if s, waits := c.outstanding[id]; waits && s.to == p {
			c.doubt(s.events)
			delete(c.outstanding, id)
		}
	}
}

// fresh makes an event that nobody has sent.
func (c *clients) fresh() messages.EventID {
	c.events++
	var id messages.EventID
	binary.BigEndian.PutUint64(id[8:], c.events)
	return id
}

// send sends events to a process.
func (c *clients) send(to *process, ids ...messages.EventID) {
	events := make([]messages.Event, len(ids))
	for i, id := range ids {
		events[i] = messages.Event{ID: id, Type: messages.Click, Body: []byte("{}")}
	}
	c.batches++
	c.outstanding[c.batches] = sending{to, events}
	c.w.t.Logf("%s is sent %s", to, text(func() string { return namesOf(events) }))
	c.w.actors.Root.RequestWithCustomSender(to.collector, &messages.Collect{Batch: c.batches, Events: events}, c.pid)
	c.w.settle()
}

func name(id messages.EventID) string { return fmt.Sprint("e", binary.BigEndian.Uint64(id[8:])) }

func namesOf(events []messages.Event) string {
	names := make([]string, len(events))
	for i := range events {
		names[i] = name(events[i].ID)
	}
	return "[" + strings.Join(names, " ") + "]"
}
