package system

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"syscall"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"go.uber.org/zap"

	"adpulse/actors/collector"
	"adpulse/actors/credit"
	"adpulse/actors/exporter"
	"adpulse/actors/ingress"
	"adpulse/actors/mailbox"
	"adpulse/actors/simulator"
	"adpulse/actors/supervision"
	"adpulse/messages"
	"adpulse/system/gateway"
	"adpulse/system/telemetry"
)

// Names of the node's actors, in metrics and logs too.
const orphansName = "orphans"

func collectorName(i int) string { return fmt.Sprint("collector-", i) }
func exporterName(i int) string  { return fmt.Sprint("exporter-", i) }
func simulatorName(i int) string { return fmt.Sprint("simulator-", i) }

// claimLanes takes the lanes of the node's collectors.
func (n *Node) claimLanes(ctx context.Context) error {
	n.keeper = &laneKeeper{
		store: n.store, node: n.config.Node, owner: n.id, leaseFor: n.config.LeaseFor,
		log: n.log.Named("lanes"), now: n.between.clock(),
		adopt: n.adopt, release: n.release, lost: n.lost,
		held: make(map[messages.LaneID]messages.Lease), orphans: make(map[messages.LaneID]*orphan),
		renewed: make(map[messages.LaneID]time.Time),
	}
	leases, err := n.keeper.claimOwn(ctx, n.config.Collectors)
	n.onClose(func() error {
		n.keeper.stop()
		ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
		defer cancel()
		return n.keeper.letGo(ctx)
	})
	for _, lease := range leases {
		n.collectors = append(n.collectors, &collecting{lane: lease.Lane})
	}
	return err
}

// adopt gives a lane without a collector to an exporter.
func (n *Node) adopt(lease messages.Lease) {
	n.actors.Root.Send(n.guardian.Child(n.exporterOf(lease.Lane)), &exporter.Adopt{Lane: n.orphanLane(lease)})
}

func (n *Node) orphanLane(lease messages.Lease) exporter.Lane {
	return exporter.Lane{Lease: lease, Collector: n.guardian.Child(orphansName)}
}

// exporterOf is the exporter of a lane: the same for as long as the node runs.
func (n *Node) exporterOf(lane messages.LaneID) string {
	i, _ := lane.Index()
	return exporterName(i % n.config.Exporters)
}

func (n *Node) release(lane messages.LaneID) {
	n.actors.Root.Send(n.guardian.Child(n.exporterOf(lane)), &exporter.Release{Lane: lane})
}

// lost hears of a lane that somebody else has taken. One that a collector of
// this node writes ends the node: another process believes that it is dead.
func (n *Node) lost(lane messages.LaneID, err error) {
	for _, c := range n.collectors {
		if c.lane == lane {
			n.fail(fmt.Errorf("another node has taken lane %s: %w", lane, err))
			return
		}
	}
	n.log.Warn("another node has taken an adopted lane", zap.String("lane", string(lane)), zap.Error(err))
	n.release(lane)
}

// startActors spawns everything between the gateway and the stores.
func (n *Node) startActors(ctx context.Context) (err error) {
	n.actors = actor.NewActorSystem(
		actor.WithDeadLetterThrottleInterval(10*time.Second),
		actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger { return telemetry.Slog(n.log, "actors") }),
	)
	n.onClose(func() error { n.actors.Shutdown(); return nil })
	supervised := supervision.DefaultConfig()
	if n.seams.supervised != nil {
		n.seams.supervised(&supervised)
	}
	n.guardian, err = supervision.Open(n.actors, supervised, supervision.Hooks{
		Restarted: n.metrics.Restarted,
		Failed:    n.refuseFailed,
		Exhausted: func(name string, reason error) { n.fail(fmt.Errorf("%s fails again and again: %w", name, reason)) },
	}, n.log.Named("supervision"))
	if err != nil {
		return fmt.Errorf("start the guardian: %w", err)
	}
	n.onClose(func() error {
		ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
		defer cancel()
		return n.guardian.Close(ctx)
	})
	err = n.guardian.Spawn(ctx, orphansName, actor.PropsFromFunc(func(c actor.Context) {
		if m, ok := c.Message().(*messages.Exported); ok {
			n.keeper.exported(m)
		}
	}))
	if err != nil {
		return fmt.Errorf("start %s: %w", orphansName, err)
	}
	for _, start := range []func(context.Context) error{n.startExporters, n.startCollectors, n.startIngress, n.startSimulators} {
		if err := start(ctx); err != nil {
			return err
		}
	}
	return nil
}

// refuseFailed answers who waits for a message that an actor failed on.
func (n *Node) refuseFailed(_ string, message any, sender *actor.PID) {
	if m, ok := message.(*messages.Collect); ok && sender != nil {
		n.actors.Root.Send(sender, &messages.Rejected{Batch: m.Batch, Reason: messages.ReasonFault, Retryable: true})
	}
}

func (n *Node) startExporters(ctx context.Context) error {
	config := exporter.DefaultConfig()
	config.TransactionEvents, config.TrimDelay = n.config.ExportEvents, n.config.TrimDelay
	config.Keyspace.Namespace = n.config.Namespace
	orphans, err := n.keeper.claimOrphans(ctx)
	if err != nil {
		return err
	}
	lanes := make(map[string][]exporter.Lane)
	for _, lease := range n.keeper.leases() {
		for i, c := range n.collectors {
			if c.lane == lease.Lane {
				name := n.exporterOf(lease.Lane)
				lanes[name] = append(lanes[name], exporter.Lane{Lease: lease, Collector: n.guardian.Child(collectorName(i))})
			}
		}
	}
	for _, lease := range orphans {
		name := n.exporterOf(lease.Lane)
		lanes[name] = append(lanes[name], n.orphanLane(lease))
	}
	for i := range n.config.Exporters {
		stats := &exporter.Stats{Observe: n.exported}
		n.exporters = append(n.exporters, stats)
		props := exporter.Props(config, exporter.Parts{
			Journal: n.store, Stream: n.between.stream(n.stream), TransactionalID: n.transactionalID(i),
			Lost: n.lost, Stats: stats, Log: n.log.Named("exporter"),
		}, lanes[exporterName(i)])
		if err := n.guardian.Spawn(ctx, exporterName(i), props); err != nil {
			return fmt.Errorf("start %s: %w", exporterName(i), err)
		}
	}
	return nil
}

// transactionalID is the same for every start of the node, so that a new one
// fences its predecessor. The embedded broker forgets too much when it is
// killed for that: there every start has its own, and the data directory's lock
// stands in for the fence.
func (n *Node) transactionalID(exporter int) string {
	id := fmt.Sprintf("adpulse-%s-%d", n.config.Node, exporter)
	if n.config.Kafka == "" {
		id += "-" + n.boot.String()
	}
	return id
}

func (n *Node) exported(exported, duplicates exporter.Counts, took time.Duration) {
	for _, t := range messages.EventTypes {
		n.metrics.Exported(t, exported[t])
		n.metrics.Duplicate(t, duplicates[t])
	}
	n.metrics.Transaction("committed", took)
}

func (n *Node) startCollectors(ctx context.Context) error {
	config := collector.DefaultConfig()
	config.SegmentEvents, config.Linger, config.InFlight = n.config.SegmentEvents, n.config.Linger, n.config.InFlight
	config.WindowEvents, config.Inspect = n.config.Window, n.seams.inspect
	config.HighWaterEvents = max(1, n.config.HighWater/n.config.Collectors)
	for _, lease := range n.keeper.leases() {
		for i, c := range n.collectors {
			if c.lane != lease.Lane {
				continue
			}
			c.stats.Segment = n.journaled
			c.box = mailbox.New(mailbox.Config{Events: n.config.Mailbox, MaxWait: n.config.EnqueueTimeout, Refused: n.refuseUndelivered})
			props := collector.Props(config, collector.Parts{
				Lease: lease, Journal: n.store, Mailbox: c.box,
				Exporter: n.guardian.Child(n.exporterOf(c.lane)), Lost: n.lost, Stats: &c.stats, Log: n.log.Named("collector"),
				Stale: func() bool { return n.keeper.asleep(c.lane) > n.config.LeaseFor+n.config.TrimDelay },
			}, c.box.Option())
			if err := n.guardian.Spawn(ctx, collectorName(i), props); err != nil {
				return fmt.Errorf("start %s: %w", collectorName(i), err)
			}
			n.metrics.Mailbox(collectorName(i), func() (events, capacity, parked int) {
				s := c.box.Stats()
				return s.Events, s.Capacity, s.Parked
			})
			n.metrics.Backlog(string(c.lane), func() (events, segments uint64) {
				head, exported := c.stats.Head.Load(), c.stats.Exported.Load()
				return c.stats.Backlog.Load(), head - min(head, exported)
			})
		}
	}
	return nil
}

func (n *Node) journaled(events, bytes int) {
	n.metrics.Segment(events, bytes)
	if n.seams.journaled != nil {
		n.seams.journaled(events, bytes)
	}
}

// refuseUndelivered answers who sent what a mailbox had no room for.
func (n *Node) refuseUndelivered(message any, sender *actor.PID, why mailbox.Refusal) {
	m, ok := message.(*messages.Collect)
	if !ok || sender == nil {
		return
	}
	reason := messages.ReasonCredit
	if why == mailbox.Stopped {
		reason = messages.ReasonStopping
	}
	n.actors.Root.Send(sender, &messages.Rejected{Batch: m.Batch, Reason: reason, Retryable: true})
}

func (n *Node) collectorPIDs() []*actor.PID {
	pids := make([]*actor.PID, len(n.collectors))
	for i := range pids {
		pids[i] = n.guardian.Child(collectorName(i))
	}
	return pids
}

// creditFor is one sender's share of all mailboxes.
func (n *Node) creditFor(sender string) *credit.Pool {
	pool := credit.NewPool(n.config.Collectors, credit.Share(n.config.Mailbox, n.config.Simulators+1))
	for i := range n.collectors {
		n.metrics.Credit(sender, collectorName(i), func() (outstanding, window int) { return pool.Outstanding(i), pool.Window() })
	}
	return pool
}

func (n *Node) startIngress(context.Context) (err error) {
	config := ingress.DefaultConfig()
	pool := n.creditFor("gateway")
	config.WaitingEvents = n.config.Collectors * pool.Window()
	config.BatchEvents, config.EnqueueTimeout = min(n.config.SegmentEvents, pool.Window()), n.config.EnqueueTimeout
	n.ingress, err = ingress.Open(n.actors, "gateway", config, ingress.Parts{
		Collectors: n.collectorPIDs(), Credit: pool, Log: n.log.Named("gateway"),
		Acknowledged: n.acknowledged, Rejected: n.rejected,
	})
	if err != nil {
		return fmt.Errorf("start the way from the gateway to the collectors: %w", err)
	}
	n.onClose(func() error {
		ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
		defer cancel()
		return n.ingress.Close(ctx)
	})
	return nil
}

func byType(events []messages.Event, count func(messages.EventType, int)) {
	var counts [messages.Conversion + 1]int
	for i := range events {
		counts[events[i].Type]++
	}
	for _, t := range messages.EventTypes {
		if counts[t] > 0 {
			count(t, counts[t])
		}
	}
}

func (n *Node) acknowledged(events []messages.Event, took time.Duration) {
	byType(events, n.metrics.Acknowledged)
	n.metrics.Ack(took, len(events))
}

func (n *Node) rejected(events []messages.Event, _ messages.Reason) {
	byType(events, n.metrics.Rejected)
}

func (n *Node) startSimulators(ctx context.Context) error {
	mix, err := simulator.ParseMix(n.config.Mix)
	if err != nil {
		return &FlagError{"mix", err.Error(), "use a preset, or four numbers such as 25:5:3:1"}
	}
	for i := range n.config.Simulators {
		config := simulator.DefaultConfig()
		config.Mix, config.Tags, config.Seed, config.Number, config.Run = mix, n.tags, n.config.Seed, i, rand.Uint64()
		config.Rate, config.Batch = n.config.Rate/float64(n.config.Simulators), n.config.SimulatorBatch
		props, err := simulator.Props(config, simulator.Parts{
			Collectors: n.collectorPIDs(), Credit: n.creditFor(simulatorName(i)), Stats: new(simulator.Stats),
			Log: n.log.Named("simulator"), Acknowledged: n.acknowledged, Rejected: n.rejected,
		})
		if err != nil {
			return fmt.Errorf("configure %s: %w", simulatorName(i), err)
		}
		if err := n.guardian.Spawn(ctx, simulatorName(i), props); err != nil {
			return fmt.Errorf("start %s: %w", simulatorName(i), err)
		}
		n.simulators = append(n.simulators, simulatorName(i))
	}
	return nil
}

// startGateway lets the world in.
func (n *Node) startGateway(context.Context) (err error) {
	c := &n.config
	config := gateway.DefaultConfig()
	config.Origins, config.ClientRate, config.TLSCert, config.TLSKey = c.Origins, c.ClientRate, c.HTTPTLSCert, c.HTTPTLSKey
	config.ConnectionsMax = n.connectionsMax()
	n.gateway, err = gateway.New(config, gateway.Parts{
		Events: n.between.submitter(n.ingress), Ready: n.ready, Metrics: n.metrics.Handler(), Log: n.log.Named("gateway"),
		Refuses: n.refuses, Connections: n.metrics.Connections, Turned: n.metrics.Turned, Observe: n.metrics.Request,
	})
	if err != nil {
		return &FlagError{"http", err.Error(), "see --help for what the gateway takes"}
	}
	bound := n.memoryBound(int64(config.HeldBytesMax) * 2)
	n.metrics.MemoryBound(bound)
	n.log.Info("memory for events on their way is bounded", zap.Int64("bytes", bound))
	n.background.Go(func() {
		if err := n.gateway.Serve(n.listener); err != nil {
			n.fail(fmt.Errorf("gateway: %w", err))
		}
	})
	n.onClose(func() error {
		ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
		defer cancel()
		err := n.gateway.Shutdown(ctx)
		n.background.Wait()
		return err
	})
	return nil
}

// descriptorsKept are those that connections at the gateway leave to the stores
// and their clients: without any, an edge store cannot write.
const descriptorsKept = 4096

// connectionsMax is what the user wants, or what the process's descriptors allow
// where that is less.
func (n *Node) connectionsMax() int {
	wanted := n.config.HTTPConnections
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		n.log.Warn("cannot tell how many descriptors there are", zap.Error(err))
		return wanted
	}
	if left := max(limit.Cur/2, limit.Cur-min(limit.Cur, descriptorsKept)); left < uint64(wanted) {
		n.log.Warn("fewer connections than --http-connections, for the process has too few descriptors (ulimit -n)",
			zap.Uint64("descriptors", limit.Cur), zap.Int("wanted", wanted), zap.Uint64("connections", left))
		return int(left)
	}
	return wanted
}

// refuses tells why events that come now would not be taken, before anybody
// has spent time on reading them.
func (n *Node) refuses() error {
	switch {
	case n.ingress.Crowded():
		return &messages.NotCollected{Reason: messages.ReasonCredit, Retryable: true}
	case n.backlog() >= uint64(n.config.HighWater):
		return &messages.NotCollected{Reason: messages.ReasonHighWater, Retryable: true}
	}
	return nil
}

// eventBytes is what an event counts in the memory bound: several times what
// real ones have, and an eighth of the largest that is taken.
const eventBytes = 2 << 10

// memoryBound is the most bytes that events on their way can take, at
// eventBytes an event: all bounds but those of bodies and windows are in events.
func (n *Node) memoryBound(gatewayBytes int64) int64 {
	collecting := collector.DefaultConfig()
	collecting.SegmentEvents, collecting.InFlight, collecting.WindowEvents = n.config.SegmentEvents, n.config.InFlight, n.config.Window
	exporting := exporter.DefaultConfig()
	exporting.TransactionEvents = n.config.ExportEvents
	lanes := (n.config.Collectors + n.config.Exporters - 1) / n.config.Exporters
	return gatewayBytes +
		int64(n.config.Collectors)*(collecting.MemoryBound()+int64(n.config.Mailbox)*eventBytes) +
		int64(n.config.Exporters)*exporting.MemoryBound(lanes)
}

// ready returns nil when an event can be made durable now.
func (n *Node) ready(ctx context.Context) error {
	var all error
	for _, c := range n.collectors {
		if !c.stats.Owned.Load() {
			all = errors.Join(all, fmt.Errorf("lane %s is not owned yet", c.lane))
		}
	}
	if backlog := n.backlog(); backlog >= uint64(n.config.HighWater) {
		all = errors.Join(all, fmt.Errorf("the journal holds %d events, its high-water mark is %d", backlog, n.config.HighWater))
	}
	if err := n.store.Ping(ctx); err != nil {
		all = errors.Join(all, errors.New("the edge store does not take writes"))
	}
	return all
}
