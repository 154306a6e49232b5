package system

import (
	"fmt"
	"net"
	"strings"
	"time"

	"adpulse/messages"
)

// Config is what a node's users choose. Open composes the parts' own
// configurations from it; no part sees the whole. Every field's comment names
// the flag that sets it.
type Config struct {
	// Node (--node) names this node and its lanes: letters, digits, '-', '_', '.'.
	Node string
	// DataDir (--data-dir) holds what the embedded servers keep. One process at
	// a time may use it.
	DataDir string

	// HTTP (--http) is the gateway's listen address.
	HTTP string
	// HTTPTLSCert and HTTPTLSKey (--http-tls-cert, --http-tls-key) are PEM
	// files; with both, the gateway speaks TLS only.
	HTTPTLSCert, HTTPTLSKey string
	// Origins (--cors-origins) may send events from a browser; "*" means all.
	Origins []string
	// ClientRate (--client-rate) bounds one client's requests a second; 0 is
	// no bound.
	ClientRate float64

	// HTTPConnections (--http-connections) bounds the gateway's connections;
	// what comes past it is closed at once. What the system's descriptors allow
	// is a bound too.
	HTTPConnections int

	// Edge, Core and Kafka (--edge, --core, --kafka) are host:port lists of real
	// clusters, separated by commas. Empty: the embedded server.
	Edge, Core, Kafka string
	// EdgeListen, CoreListen and KafkaListen (--edge-listen, --core-listen,
	// --kafka-listen) are where the embedded servers listen.
	EdgeListen, CoreListen, KafkaListen string
	// Fsync (--fsync) makes the embedded servers write through to the disk. What
	// was answered survives the death of the process either way; with it, that
	// of the machine too.
	Fsync bool
	// Namespace (--namespace) is the Aerospike namespace of edge and core.
	Namespace string
	// EdgeUser and EdgePassword (--edge-user, ADPULSE_EDGE_PASSWORD) log in to
	// both Aerospike clusters; empty is no login.
	EdgeUser, EdgePassword string
	// EdgeTLSCA (--edge-tls-ca) is a PEM file of authorities; set, the clients
	// of both Aerospike clusters speak TLS.
	EdgeTLSCA string
	// KafkaUser, KafkaPassword and KafkaSASL (--kafka-user,
	// ADPULSE_KAFKA_PASSWORD, --kafka-sasl plain|scram-sha-256|scram-sha-512)
	// log in to Kafka; empty is no login.
	KafkaUser, KafkaPassword, KafkaSASL string
	// KafkaTLS and KafkaTLSCA (--kafka-tls, --kafka-tls-ca) make the Kafka
	// client speak TLS, with the system's authorities or those of a PEM file.
	KafkaTLS   bool
	KafkaTLSCA string
	// Partitions (--partitions) of edge-to-core when this node creates it.
	Partitions int

	// Campaigns and TagsPerCampaign (--campaigns, --tags) are what an empty core
	// is filled with.
	Campaigns, TagsPerCampaign int

	// Simulators (--simulators) is the number of simulator actors.
	Simulators int
	// Rate (--rate) is what all simulators together produce, in events a
	// second; 0 is as fast as credit allows.
	Rate float64
	// Mix (--mix) is the proportion impression:click:visit:conversion, or the
	// name of a preset.
	Mix string
	// Seed (--seed) makes the simulators' events reproducible.
	Seed uint64
	// SimulatorBatch (--simulator-batch) is the events of one Collect message.
	SimulatorBatch int

	// Collectors and Exporters (--collectors, --exporters) are actor counts.
	Collectors, Exporters int
	// Mailbox (--mailbox) bounds what may be outstanding in front of one
	// collector, in events.
	Mailbox int
	// SegmentEvents (--segment-events) closes a segment, in events.
	SegmentEvents int
	// Linger (--linger) is how long an open segment waits for more events after
	// the mailbox has run empty; 0 closes it at once.
	Linger time.Duration
	// InFlight (--in-flight) bounds a collector's unanswered journal writes.
	InFlight int
	// ExportEvents (--export-events) bounds one Kafka transaction, in events.
	ExportEvents int
	// Window (--window) bounds what a collector may have handed to its exporter
	// in memory, in events; past it the exporter reads the journal.
	Window int
	// HighWater (--high-water) is the journal's backlog, in events of all lanes,
	// past which new events are refused with 503.
	HighWater int
	// EnqueueTimeout (--enqueue-timeout) is how long a request waits for credit.
	EnqueueTimeout time.Duration
	// DrainTimeout (--drain-timeout) bounds a graceful stop.
	DrainTimeout time.Duration
	// TrimDelay (--trim-delay) is how long exported segments stay readable.
	TrimDelay time.Duration
	// DedupeFor (--dedupe-for) is how long change records, and with them the
	// memory of an event id, live at the edge; 0 is for ever.
	DedupeFor time.Duration
	// LeaseFor (--lease-for) is how long a silent node keeps its lanes.
	LeaseFor time.Duration
}

// DefaultConfig runs everything embedded on two cores.
func DefaultConfig() Config {
	return Config{
		Node: "edge-1", DataDir: "adpulse-data",
		HTTP: "127.0.0.1:4000", Origins: []string{"*"}, HTTPConnections: 10_000,
		EdgeListen: "127.0.0.1:3010", CoreListen: "127.0.0.1:3000", KafkaListen: "127.0.0.1:9092",
		Namespace: "test", Partitions: 8,
		Campaigns: 100, TagsPerCampaign: 1000,
		Simulators: 2, Rate: 1000, Mix: "reference", Seed: 1, SimulatorBatch: 100,
		Collectors: 2, Exporters: 1,
		Mailbox: 8192, SegmentEvents: 500, Linger: time.Millisecond, InFlight: 4,
		ExportEvents: 4000, Window: 16384, HighWater: 2_000_000,
		EnqueueTimeout: 250 * time.Millisecond, DrainTimeout: time.Minute,
		TrimDelay: 2 * time.Minute, DedupeFor: 24 * time.Hour, LeaseFor: 15 * time.Second,
	}
}

// FlagError is a setting that cannot be: the flag at fault, what is wrong with
// its value, and what to do.
type FlagError struct {
	Flag, Problem, Hint string
}

// Error implements error.
func (e *FlagError) Error() string { return fmt.Sprintf("--%s: %s", e.Flag, e.Problem) }

// Validate checks every field by itself and against the others, and returns a
// *FlagError for the first that cannot be.
func (c *Config) Validate() error {
	for _, check := range []func() error{c.validateNames, c.validateAddresses, c.validateSizes, c.validateTimes} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

func (c *Config) validateNames() error {
	if !plainName(c.Node) || len(c.Node) > messages.LaneNameMax-8 {
		return &FlagError{"node", fmt.Sprintf("%q is no node name", c.Node), "use letters, digits, '-', '_' and '.'"}
	}
	if !plainName(c.Namespace) || len(c.Namespace) > 31 {
		return &FlagError{"namespace", fmt.Sprintf("%q is no Aerospike namespace", c.Namespace), "use up to 31 letters, digits, '-', '_' and '.'"}
	}
	if c.DataDir == "" && (c.Edge == "" || c.Core == "" || c.Kafka == "") {
		return &FlagError{"data-dir", "is empty, and embedded servers need one", "name a directory, or name --edge, --core and --kafka"}
	}
	if (c.HTTPTLSCert == "") != (c.HTTPTLSKey == "") {
		return &FlagError{"http-tls-cert", "certificate and key belong together", "give --http-tls-cert and --http-tls-key, or neither"}
	}
	switch c.KafkaSASL {
	case "", "plain", "scram-sha-256", "scram-sha-512":
	default:
		return &FlagError{"kafka-sasl", fmt.Sprintf("%q is no mechanism", c.KafkaSASL), "use plain, scram-sha-256 or scram-sha-512"}
	}
	return nil
}

func plainName(s string) bool {
	return s != "" && strings.IndexFunc(s, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' || r == '.')
	}) < 0
}

func (c *Config) validateAddresses() error {
	for _, a := range []struct {
		flag, value string
		list        bool
	}{
		{"http", c.HTTP, false},
		{"edge-listen", c.EdgeListen, false},
		{"core-listen", c.CoreListen, false},
		{"kafka-listen", c.KafkaListen, false},
		{"edge", c.Edge, true},
		{"core", c.Core, true},
		{"kafka", c.Kafka, true},
	} {
		if a.value == "" && a.list {
			continue
		}
		for _, address := range strings.Split(a.value, ",") {
			_, port, err := net.SplitHostPort(address)
			if err == nil {
				_, err = net.LookupPort("tcp", port)
			}
			if err != nil {
				return &FlagError{a.flag, fmt.Sprintf("%q is no address: %v", address, err), "write it as host:port, for instance 127.0.0.1:4000"}
			}
		}
	}
	return nil
}

func (c *Config) validateSizes() error {
	for _, s := range []struct {
		flag             string
		value, low, high int
	}{
		{"http-connections", c.HTTPConnections, 1, 1 << 20},
		{"collectors", c.Collectors, 1, 1024},
		{"exporters", c.Exporters, 1, 256},
		{"simulators", c.Simulators, 0, 1024},
		{"simulator-batch", c.SimulatorBatch, 1, 4096},
		{"mailbox", c.Mailbox, 16, 1 << 20},
		{"segment-events", c.SegmentEvents, 1, messages.SegmentEventsMax},
		{"in-flight", c.InFlight, 1, messages.GapMax / 2},
		{"export-events", c.ExportEvents, 1, 1 << 16},
		{"window", c.Window, 1, 1 << 22},
		{"high-water", c.HighWater, 1, 1 << 40},
		{"partitions", c.Partitions, 1, 1024},
		{"campaigns", c.Campaigns, 1, 1_000_000},
		{"tags", c.TagsPerCampaign, 1, 1_000_000},
	} {
		if s.value < s.low || s.value > s.high {
			return &FlagError{s.flag, fmt.Sprintf("%d is out of range", s.value), fmt.Sprintf("use %d to %d", s.low, s.high)}
		}
	}
	if c.Rate < 0 {
		return &FlagError{"rate", "is negative", "use events a second, or 0 for as fast as credit allows"}
	}
	if c.ClientRate < 0 {
		return &FlagError{"client-rate", "is negative", "use requests a second, or 0 for no bound"}
	}
	if senders := c.Simulators + 1; c.Mailbox/senders < 1 {
		return &FlagError{
			"mailbox", fmt.Sprintf("%d events cannot be shared by %d senders", c.Mailbox, senders),
			"raise --mailbox or lower --simulators",
		}
	}
	return nil
}

func (c *Config) validateTimes() error {
	for _, t := range []struct {
		flag      string
		value     time.Duration
		low, high time.Duration
	}{
		{"linger", c.Linger, 0, time.Second},
		{"enqueue-timeout", c.EnqueueTimeout, time.Millisecond, time.Minute},
		{"drain-timeout", c.DrainTimeout, time.Second, time.Hour},
		{"trim-delay", c.TrimDelay, 0, 7 * 24 * time.Hour},
		{"dedupe-for", c.DedupeFor, 0, 10 * 365 * 24 * time.Hour},
		{"lease-for", c.LeaseFor, time.Second, time.Hour},
	} {
		if t.value < t.low || t.value > t.high {
			return &FlagError{t.flag, fmt.Sprintf("%s is out of range", t.value), fmt.Sprintf("use %s to %s", t.low, t.high)}
		}
	}
	return nil
}
