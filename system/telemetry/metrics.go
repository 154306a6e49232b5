package telemetry

import (
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"adpulse/messages"
)

// Metrics is everything a node measures, in a registry of its own, so that two
// nodes in one process do not meet. Its methods may be called concurrently;
// those for events take a number, so that a batch costs what one event costs.
type Metrics struct {
	registry *prometheus.Registry

	events [outcomes][messages.Conversion + 1]atomic.Uint64
	acks   *latency

	mailboxes *gauges
	credits   *gauges
	backlogs  *gauges
	memory    prometheus.Gauge

	segmentEvents, segmentBytes prometheus.Histogram
	transactions                *prometheus.CounterVec
	transactionSeconds          prometheus.Histogram
	kafkaErrors                 *prometheus.CounterVec
	edgeSeconds                 *prometheus.HistogramVec
	restarts                    *prometheus.CounterVec
	requests                    *prometheus.CounterVec
	requestSeconds              *prometheus.HistogramVec
	connections                 prometheus.Gauge
	turned                      prometheus.Counter
}

// outcome is what became of an event.
type outcome uint8

const (
	acknowledged outcome = iota
	rejected
	exported
	duplicate
	outcomes
)

var outcomeNames = [outcomes]string{"acknowledged", "rejected", "exported", "duplicate"}

// New returns metrics at zero, with those of the Go runtime and the process
// beside adpulse's own. docs/METRICS.md lists them all.
func New() *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		acks: newLatency(desc("adpulse_ack_seconds",
			"Time from handing an event to a collector to its acknowledgement, in seconds, by event.")),
		mailboxes: newGauges(
			desc("adpulse_mailbox_events", "Events that wait in an actor's mailbox.", "actor"),
			desc("adpulse_mailbox_capacity_events", "Events that an actor's mailbox holds at most (--mailbox).", "actor"),
			desc("adpulse_mailbox_parked_senders", "Senders that wait because an actor's mailbox is full.", "actor")),
		credits: newGauges(
			desc("adpulse_credit_outstanding_events", "Events that a sender has handed to a collector and that are not answered.", "sender", "collector"),
			desc("adpulse_credit_window_events", "Events that a sender may have outstanding at a collector.", "sender", "collector")),
		backlogs: newGauges(
			desc("adpulse_journal_backlog_events", "Events of a lane that are in the journal and not yet in Kafka.", "lane"),
			desc("adpulse_journal_backlog_segments", "Segments of a lane that are in the journal and not yet in Kafka.", "lane")),
		memory: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "adpulse_memory_bound_bytes",
			Help: "Most bytes that events in mailboxes, segments in flight and windows can take, at 2 KiB an event, computed at start.",
		}),
		segmentEvents: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "adpulse_segment_events",
			Help:    "Events in a journal segment, by segment written.",
			Buckets: []float64{1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 16384},
		}),
		segmentBytes: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "adpulse_segment_bytes",
			Help:    "Encoded size of a journal segment in bytes, by segment written.",
			Buckets: prometheus.ExponentialBuckets(256, 2, 13),
		}),
		transactions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "adpulse_export_transactions_total",
			Help: "Kafka transactions of the exporters, by how they ended.",
		}, []string{"outcome"}),
		transactionSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "adpulse_export_transaction_seconds",
			Help:    "Time from the first record of a Kafka transaction to its end, in seconds.",
			Buckets: ackBuckets,
		}),
		kafkaErrors: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "adpulse_kafka_errors_total",
			Help: "Failed conversations with Kafka, by kind of error.",
		}, []string{"kind"}),
		edgeSeconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "adpulse_edge_seconds",
			Help:    "Time that an operation on the edge store took, in seconds, by operation and outcome.",
			Buckets: ackBuckets,
		}, []string{"op", "outcome"}),
		restarts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "adpulse_restarts_total",
			Help: "Restarts of an actor by its supervisor after a failure.",
		}, []string{"actor"}),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "adpulse_http_requests_total",
			Help: "HTTP requests answered, by route and status code.",
		}, []string{"route", "code"}),
		requestSeconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "adpulse_http_seconds",
			Help:    "Time from a request's headers to the end of its answer, in seconds, by route.",
			Buckets: ackBuckets,
		}, []string{"route"}),
		connections: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "adpulse_http_connections",
			Help: "Connections that are open at the gateway.",
		}),
		turned: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "adpulse_http_connections_turned_total",
			Help: "Connections that were closed at once because as many as may be were open (--http-connections).",
		}),
	}
	build := ReadBuild()
	m.registry.MustRegister(
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		m.acks, m.mailboxes, m.credits, m.backlogs, m.memory, m.segmentEvents, m.segmentBytes,
		m.transactions, m.transactionSeconds, m.kafkaErrors, m.edgeSeconds, m.restarts, m.requests, m.requestSeconds,
		m.connections, m.turned,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name:        "adpulse_build",
			Help:        "Always 1; its labels tell which build of adpulse this is.",
			ConstLabels: prometheus.Labels{"version": build.Version, "commit": build.Commit, "go": build.Go},
		}, func() float64 { return 1 }),
	)
	for o := range m.events {
		for _, t := range messages.EventTypes {
			count := &m.events[o][t]
			m.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
				Name:        "adpulse_events_total",
				Help:        "Events by type and by what became of them.",
				ConstLabels: prometheus.Labels{"type": t.String(), "outcome": outcomeNames[o]},
			}, func() float64 { return float64(count.Load()) }))
		}
	}
	return m
}

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, labels, nil)
}

// Handler serves the metrics in the Prometheus text format.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{Registry: m.registry})
}

// Acknowledged counts events of a type that are in the edge journal.
func (m *Metrics) Acknowledged(t messages.EventType, events int) { m.count(acknowledged, t, events) }

// Rejected counts events of a type that their sender was told are not.
func (m *Metrics) Rejected(t messages.EventType, events int) { m.count(rejected, t, events) }

// Exported counts events of a type whose Kafka transaction was committed.
func (m *Metrics) Exported(t messages.EventType, events int) { m.count(exported, t, events) }

// Duplicate counts events of a type that were dropped on the way out because
// their id had been exported with another origin.
func (m *Metrics) Duplicate(t messages.EventType, events int) { m.count(duplicate, t, events) }

func (m *Metrics) count(o outcome, t messages.EventType, events int) {
	if t.Valid() && events > 0 {
		m.events[o][t].Add(uint64(events))
	}
}

// Ack records how long a number of events that went together waited for their
// acknowledgement.
func (m *Metrics) Ack(took time.Duration, events int) { m.acks.record(took, events) }

// Totals are the counts of events over all types, and the quantiles of Ack.
type Totals struct {
	Acknowledged, Rejected, Exported, Duplicates uint64
	AckP50, AckP99                               time.Duration
}

// Totals reads the totals since New. They are read one after the other: under
// load they are of slightly different moments.
func (m *Metrics) Totals() Totals {
	// What comes later on an event's way is read first: exported never exceeds
	// acknowledged merely because of the time between two reads.
	t := Totals{Duplicates: m.total(duplicate), Exported: m.total(exported)}
	t.Acknowledged, t.Rejected = m.total(acknowledged), m.total(rejected)
	t.AckP50, t.AckP99 = m.acks.quantile(50), m.acks.quantile(99)
	return t
}

func (m *Metrics) total(o outcome) (sum uint64) {
	for i := range m.events[o] {
		sum += m.events[o][i].Load()
	}
	return sum
}

// Mailbox registers an actor's mailbox, read at every scrape: events that wait,
// events that it holds at most, senders that are parked. A second registration
// of the actor replaces the first. forget takes this one away.
func (m *Metrics) Mailbox(actor string, read func() (events, capacity, parked int)) (forget func()) {
	return m.mailboxes.add(func() []float64 {
		events, capacity, parked := read()
		return []float64{float64(events), float64(capacity), float64(parked)}
	}, actor)
}

// Credit registers the credit that a sender holds at a collector, in events,
// read at every scrape. A second registration of the pair replaces the first.
// forget takes this one away.
func (m *Metrics) Credit(sender, collector string, read func() (outstanding, window int)) (forget func()) {
	return m.credits.add(func() []float64 {
		outstanding, window := read()
		return []float64{float64(outstanding), float64(window)}
	}, sender, collector)
}

// Backlog registers what lies in a lane and is not yet in Kafka, read at every
// scrape. A second registration of the lane replaces the first. forget takes
// this one away.
func (m *Metrics) Backlog(lane string, read func() (events, segments uint64)) (forget func()) {
	return m.backlogs.add(func() []float64 {
		events, segments := read()
		return []float64{float64(events), float64(segments)}
	}, lane)
}

// MemoryBound sets the most bytes that events on their way can take.
func (m *Metrics) MemoryBound(bytes int64) { m.memory.Set(float64(bytes)) }

// Segment records a segment that was written to the journal.
func (m *Metrics) Segment(events, bytes int) {
	m.segmentEvents.Observe(float64(events))
	m.segmentBytes.Observe(float64(bytes))
}

// Transaction records the end of an exporter's Kafka transaction. outcome is of
// a small fixed set, for instance committed, aborted, unknown.
func (m *Metrics) Transaction(outcome string, took time.Duration) {
	m.transactions.WithLabelValues(outcome).Inc()
	m.transactionSeconds.Observe(took.Seconds())
}

// KafkaError counts a failed conversation with Kafka. kind is of a small fixed
// set, for instance dial, read, produce, transaction.
func (m *Metrics) KafkaError(kind string) { m.kafkaErrors.WithLabelValues(kind).Inc() }

// Edge records an operation on the edge store. op and outcome are of small
// fixed sets.
func (m *Metrics) Edge(op, outcome string, took time.Duration) {
	m.edgeSeconds.WithLabelValues(op, outcome).Observe(took.Seconds())
}

// Restarted counts a restart of an actor by its supervisor.
func (m *Metrics) Restarted(actor string) { m.restarts.WithLabelValues(actor).Inc() }

// Request records an answered HTTP request. route is the pattern it matched,
// not its path: paths come from outside and have no bound.
func (m *Metrics) Request(route string, code int, took time.Duration) {
	m.requests.WithLabelValues(route, strconv.Itoa(code)).Inc()
	m.requestSeconds.WithLabelValues(route).Observe(took.Seconds())
}

// Connections sets how many connections the gateway has.
func (m *Metrics) Connections(open int) { m.connections.Set(float64(open)) }

// Turned counts a connection that the gateway closed for want of room.
func (m *Metrics) Turned() { m.turned.Inc() }
