package system

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/google/uuid"
	"go.uber.org/zap"

	"adpulse/actors/collector"
	"adpulse/actors/exporter"
	"adpulse/actors/ingress"
	"adpulse/actors/mailbox"
	"adpulse/actors/simulator"
	"adpulse/actors/supervision"
	"adpulse/messages"
	"adpulse/system/gateway"
	"adpulse/system/stream"
	"adpulse/system/telemetry"
)

// Node is a running node. Its methods may be called concurrently.
type Node struct {
	config  Config
	log     *zap.Logger
	metrics *telemetry.Metrics
	opened  time.Time
	// id is the process that owns leases: the node's name and its data
	// directory's instance, or a random one without a directory.
	id string
	// boot tells this start of the node from all others.
	boot  uuid.UUID
	seams seams

	listener net.Listener
	store    edgeStore
	stream   *stream.Stream
	between  *interference
	tags     []messages.TagID
	keeper   *laneKeeper
	actors   *actor.ActorSystem
	guardian *supervision.Guardian
	ingress  *ingress.Ingress
	gateway  *gateway.Server

	collectors []*collecting
	exporters  []*exporter.Stats
	simulators []string

	background sync.WaitGroup
	// closers undo what Open did, last first.
	closers []func() error

	failing sync.Once
	failed  chan struct{}
	err     error

	stopping sync.Once
	stopErr  error
	mu       sync.Mutex
	final    *Status
}

// seams are where tests reach into a node; all may be nil.
type seams struct {
	// inspect sees every batch before a collector gathers it, journaled every
	// segment after it is in the journal. Either may panic.
	inspect   func(*messages.Collect)
	journaled func(events, bytes int)
	// supervised changes how often failing actors are restarted.
	supervised func(*supervision.Config)
}

// collecting is a collector as seen from outside.
type collecting struct {
	lane  messages.LaneID
	stats collector.Stats
	box   *mailbox.Handle
}

// Open starts a node: what it needs and is not given runs inside the process.
// It returns when the node takes events. Its errors are *FlagError where a
// setting is at fault. Stop the node after use.
func Open(ctx context.Context, config Config, log *zap.Logger, metrics *telemetry.Metrics) (*Node, error) {
	return open(ctx, config, log, metrics, seams{})
}

func open(ctx context.Context, config Config, log *zap.Logger, metrics *telemetry.Metrics, seams seams) (_ *Node, err error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	n := &Node{config: config, log: log, metrics: metrics, failed: make(chan struct{}), boot: uuid.New(), seams: seams}
	if n.between, err = interfere(log); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, n.close())
		}
	}()
	for _, step := range []func(context.Context) error{n.openStores, n.claimLanes, n.startActors, n.startGateway} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	n.keeper.start()
	n.opened = time.Now()
	return n, nil
}

// openStores starts the embedded servers and connects to all of them.
func (n *Node) openStores(ctx context.Context) error {
	c := &n.config
	n.id = c.Node + "@" + n.boot.String()
	var dir *dataDir
	var err error
	if c.DataDir != "" {
		if dir, err = openDataDir(c.DataDir); err != nil {
			return err
		}
		n.onClose(dir.Close)
		n.id = c.Node + "@" + dir.instance.String()
	}
	if n.listener, err = listenHTTP(ctx, c); err != nil {
		return err
	}
	n.onClose(func() error {
		if err := n.listener.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			return fmt.Errorf("close the gateway's listener: %w", err)
		}
		return nil
	})
	var edgeAt, coreAt, kafkaAt string
	if c.Edge == "" {
		server, err := startAerospike(c, dir.sub(edgeName), c.EdgeListen, "edge-listen", n.log)
		if err != nil {
			return err
		}
		n.onClose(server.Close)
		n.watch("edge store", server)
		edgeAt = server.Addr().String()
	}
	if c.Core == "" {
		server, err := startAerospike(c, dir.sub(coreName), c.CoreListen, "core-listen", n.log)
		if err != nil {
			return err
		}
		n.onClose(server.Close)
		n.watch("core store", server)
		coreAt = server.Addr().String()
	}
	if c.Kafka == "" {
		server, err := startBroker(ctx, c, dir.sub(kafkaName), n.log)
		if err != nil {
			return err
		}
		n.onClose(server.Close)
		n.watch("Kafka", server)
		kafkaAt = server.Addr().String()
	}
	store, err := openEdge(ctx, c, edgeAt, n.log, n.metrics, n.between.clock())
	if err != nil {
		return err
	}
	n.store = n.between.store(store)
	n.onClose(func() error { n.store.Close(); return nil })
	if err := n.openKafka(ctx, kafkaAt); err != nil {
		return err
	}
	return n.readTags(ctx, coreAt)
}

// embedded is a server inside the node.
type embedded interface {
	Done() <-chan struct{}
	Err() error
}

// watch ends the node when an embedded server cannot go on.
func (n *Node) watch(name string, server embedded) {
	closing, watched := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(watched)
		select {
		case <-server.Done():
			n.fail(fmt.Errorf("the embedded %s cannot go on: %w", name, server.Err()))
		case <-closing:
		}
	}()
	n.onClose(func() error {
		close(closing)
		<-watched
		return nil
	})
}

// tagsHeld bounds the tags that simulators choose from.
const tagsHeld = 10_000

// readTags fills an empty core, and keeps tags for the simulators.
func (n *Node) readTags(ctx context.Context, embedded string) error {
	store, err := openCore(ctx, &n.config, embedded)
	if err != nil {
		return err
	}
	defer store.Close()
	there, err := store.TagCount(ctx)
	if err != nil {
		return fmt.Errorf("look at core: %w", err)
	}
	if there == 0 {
		n.log.Info("core is empty; filling it", zap.Int("campaigns", n.config.Campaigns), zap.Int("tags each", n.config.TagsPerCampaign))
		if err := seed(ctx, &n.config, store, nil); err != nil {
			return err
		}
	}
	if n.tags, err = store.Tags(ctx, tagsHeld); err != nil {
		return fmt.Errorf("read tags: %w", err)
	}
	return nil
}

func (n *Node) onClose(f func() error) { n.closers = append(n.closers, f) }

// close undoes what Open did, last first.
func (n *Node) close() error {
	var all error
	for i := len(n.closers) - 1; i >= 0; i-- {
		all = errors.Join(all, n.closers[i]())
	}
	n.closers = nil
	return all
}

// fail ends the node: whoever watches Done is told why.
func (n *Node) fail(err error) {
	n.failing.Do(func() {
		n.err = err
		close(n.failed)
	})
}

// Done is closed when the node cannot go on. Stop it then.
func (n *Node) Done() <-chan struct{} { return n.failed }

// Err is why Done was closed, nil before.
func (n *Node) Err() error {
	select {
	case <-n.failed:
		return n.err
	default:
		return nil
	}
}

// HTTPAddr is where the gateway listens.
func (n *Node) HTTPAddr() string { return n.listener.Addr().String() }

// Status is the node now, or as it ended.
func (n *Node) Status() Status {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.final != nil {
		return *n.final
	}
	return n.status()
}

func (n *Node) status() Status {
	totals := n.metrics.Totals()
	s := Status{
		Acknowledged: totals.Acknowledged, Rejected: totals.Rejected, Exported: totals.Exported, Duplicates: totals.Duplicates,
		AckP50: totals.AckP50, AckP99: totals.AckP99, Uptime: time.Since(n.opened), Backlog: n.backlog(),
	}
	for _, c := range n.collectors {
		if box := c.box.Stats(); box.Capacity > 0 {
			s.MailboxFill = max(s.MailboxFill, float64(box.Events)/float64(box.Capacity))
		}
	}
	return s
}

// backlog is what the node's lanes hold and Kafka does not, in events.
func (n *Node) backlog() uint64 {
	events := n.keeper.backlog()
	for _, c := range n.collectors {
		events += c.stats.Backlog.Load()
	}
	return events
}

// closeTimeout bounds what Stop does after the drain.
const closeTimeout = 10 * time.Second

// Stop drains the node in the order that events take, as far as ctx's deadline
// allows, and closes it. What could not be drained is in the journal and is
// exported by the next run; the error says so then. Later calls return what the
// first one did.
func (n *Node) Stop(ctx context.Context) error {
	n.stopping.Do(func() {
		drained := n.drain(ctx)
		uptime := time.Since(n.opened)
		n.stopErr = errors.Join(drained, n.close())
		// After the close: where the drain was cut short the actors went on
		// until then.
		final := n.status()
		final.Uptime = uptime
		n.mu.Lock()
		n.final = &final
		n.mu.Unlock()
	})
	return n.stopErr
}

func (n *Node) drain(ctx context.Context) error {
	if err := n.gateway.Shutdown(ctx); err != nil {
		return fmt.Errorf("drain the gateway: %w", err)
	}
	for _, name := range n.simulators {
		if _, err := supervision.Request[*simulator.Drained](ctx, n.guardian, name, &simulator.Drain{}); err != nil {
			return fmt.Errorf("drain %s: %w", name, err)
		}
	}
	if err := n.ingress.Close(ctx); err != nil {
		return fmt.Errorf("drain the gateway's events: %w", err)
	}
	if err := n.drainCollectors(ctx); err != nil {
		return err
	}
	for i := range n.exporters {
		if _, err := supervision.Request[*exporter.Drained](ctx, n.guardian, exporterName(i), &exporter.Drain{}); err != nil {
			return fmt.Errorf("drain %s: %w", exporterName(i), err)
		}
	}
	// Once more: how far they are exported is in front of this in their
	// mailboxes.
	return n.drainCollectors(ctx)
}

func (n *Node) drainCollectors(ctx context.Context) error {
	for i := range n.collectors {
		if _, err := supervision.Request[*collector.Drained](ctx, n.guardian, collectorName(i), &collector.Drain{}); err != nil {
			return fmt.Errorf("drain %s: %w", collectorName(i), err)
		}
	}
	return nil
}
