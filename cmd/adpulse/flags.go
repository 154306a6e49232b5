package main

import (
	"errors"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"adpulse/system"
)

// choice is a flag of a few words.
type choice struct {
	value   *string
	allowed []string
}

// String implements pflag.Value.
func (c *choice) String() string { return *c.value }

// Type implements pflag.Value.
func (c *choice) Type() string { return "choice" }

// Set implements pflag.Value.
func (c *choice) Set(word string) error {
	if !slices.Contains(c.allowed, word) {
		return errors.New("not one of " + strings.Join(c.allowed, ", "))
	}
	*c.value = word
	return nil
}

// choose adds a flag that takes one of a few words; value holds the default.
func choose(f *pflag.FlagSet, value *string, name, usage string, allowed ...string) {
	f.Var(&choice{value, allowed}, name, usage)
}

// groupKey is the annotation that names the heading a flag is shown under.
const groupKey = "group"

// grouped adds flags to f that --help shows under a heading of their own.
func grouped(f *pflag.FlagSet, heading string, add func(*pflag.FlagSet)) {
	group := pflag.NewFlagSet(heading, pflag.ContinueOnError)
	group.SortFlags = false
	add(group)
	group.VisitAll(func(flag *pflag.Flag) {
		flag.Annotations = map[string][]string{groupKey: {heading}}
		f.AddFlag(flag)
	})
}

// completeValues offers the words of every choice, and a few well-known values
// of other flags, to shell completion.
func completeValues(c *cobra.Command, known map[string][]string) {
	c.Flags().VisitAll(func(f *pflag.Flag) {
		words := known[f.Name]
		if picked, ok := f.Value.(*choice); ok {
			words = picked.allowed
		}
		if words == nil {
			return
		}
		err := c.RegisterFlagCompletionFunc(f.Name, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp))
		if err != nil {
			panic("completion of --" + f.Name + ": " + err.Error()) // registered twice: a mistake in this file
		}
	})
}

// secretNames are settings that are no flags, because command lines are seen by
// everybody on a machine.
var secretNames = map[string]bool{"edge-password": true, "kafka-password": true}

// nodeFlags adds a flag for every field of c, whose values are the defaults,
// and returns the secrets as a set of settings beside them.
func nodeFlags(f *pflag.FlagSet, c *system.Config) (secrets *pflag.FlagSet) {
	grouped(f, "Node", func(f *pflag.FlagSet) {
		f.StringVar(&c.Node, "node", c.Node, "`name` of this node and of its lanes")
		f.StringVar(&c.DataDir, "data-dir", c.DataDir, "`directory` of the embedded servers, one process at a time")
		f.DurationVar(&c.DrainTimeout, "drain-timeout", c.DrainTimeout, "how long a graceful stop may take")
	})
	grouped(f, "Gateway", func(f *pflag.FlagSet) {
		f.StringVar(&c.HTTP, "http", c.HTTP, "listen `address` of the gateway")
		f.StringVar(&c.HTTPTLSCert, "http-tls-cert", c.HTTPTLSCert, "PEM `file` of its certificate; with a key, TLS only")
		f.StringVar(&c.HTTPTLSKey, "http-tls-key", c.HTTPTLSKey, "PEM `file` of its key")
		f.StringSliceVar(&c.Origins, "cors-origins", c.Origins, "`origins` whose pages may send events, separated by commas; * is all")
		f.IntVar(&c.HTTPConnections, "http-connections", c.HTTPConnections, "open `connections` at most; more are closed at once")
		f.Float64Var(&c.ClientRate, "client-rate", c.ClientRate, "most `requests` a second of one client, past it 429; 0 is no bound")
		f.DurationVar(&c.EnqueueTimeout, "enqueue-timeout", c.EnqueueTimeout, "how long a request waits for credit, past it 503")
		f.IntVar(&c.HighWater, "high-water", c.HighWater, "`events` of backlog in the journal, past it 503")
	})
	grouped(f, "Real clusters (host:port lists, separated by commas; empty is the embedded server)", func(f *pflag.FlagSet) {
		f.StringVar(&c.Edge, "edge", c.Edge, "Aerospike `addresses` of the edge store")
		f.StringVar(&c.Core, "core", c.Core, "Aerospike `addresses` of the core store")
		f.StringVar(&c.Namespace, "namespace", c.Namespace, "Aerospike namespace `name` of edge and core")
		f.StringVar(&c.EdgeUser, "edge-user", c.EdgeUser, "Aerospike `login`; its password is "+variable("edge-password"))
		f.StringVar(&c.EdgeTLSCA, "edge-tls-ca", c.EdgeTLSCA, "PEM `file` of authorities; set, both Aerospike clients speak TLS")
		kafkaFlags(c)(f)
	})
	grouped(f, "Embedded servers", func(f *pflag.FlagSet) {
		f.StringVar(&c.EdgeListen, "edge-listen", c.EdgeListen, "`address` of the embedded edge store")
		f.StringVar(&c.CoreListen, "core-listen", c.CoreListen, "`address` of the embedded core store")
		f.StringVar(&c.KafkaListen, "kafka-listen", c.KafkaListen, "`address` of the embedded Kafka")
		f.BoolVar(&c.Fsync, "fsync", c.Fsync, "write through to the disk: answers survive the machine's death too, not only the process's")
		f.IntVar(&c.Partitions, "partitions", c.Partitions, "`partitions` of edge-to-core when this node creates it")
		f.IntVar(&c.Campaigns, "campaigns", c.Campaigns, "`campaigns` that an empty core is filled with")
		f.IntVar(&c.TagsPerCampaign, "tags", c.TagsPerCampaign, "`tags` of each")
	})
	grouped(f, "Simulators", func(f *pflag.FlagSet) {
		f.IntVar(&c.Simulators, "simulators", c.Simulators, "simulator `actors`; 0 is none")
		f.Float64Var(&c.Rate, "rate", c.Rate, "`events` a second of all simulators together; 0 is as fast as credit allows")
		f.StringVar(&c.Mix, "mix", c.Mix, "`proportion` impression:click:visit:conversion, or a preset: reference (25:5:3:1), realistic")
		f.Uint64Var(&c.Seed, "seed", c.Seed, "`number` that the events are drawn from; the same gives the same")
		f.IntVar(&c.SimulatorBatch, "simulator-batch", c.SimulatorBatch, "`events` of one message to a collector")
	})
	grouped(f, "Collectors and exporters", func(f *pflag.FlagSet) {
		f.IntVar(&c.Collectors, "collectors", c.Collectors, "collector `actors`, each with a lane of the journal")
		f.IntVar(&c.Mailbox, "mailbox", c.Mailbox, "`events` that may be outstanding in front of one collector: this is the back-pressure")
		f.IntVar(&c.SegmentEvents, "segment-events", c.SegmentEvents, "`events` at most in one write to the journal")
		f.DurationVar(&c.Linger, "linger", c.Linger, "how long an open segment waits for more after the mailbox ran empty; 0s is not at all")
		f.IntVar(&c.InFlight, "in-flight", c.InFlight, "unanswered journal `writes` of one collector")
		f.IntVar(&c.Exporters, "exporters", c.Exporters, "exporter `actors`, which share the lanes")
		f.IntVar(&c.ExportEvents, "export-events", c.ExportEvents, "`events` at most in one Kafka transaction")
		f.IntVar(&c.Window, "window", c.Window, "`events` handed to an exporter in memory; past it, it reads the journal")
		f.DurationVar(&c.TrimDelay, "trim-delay", c.TrimDelay, "how long exported segments stay readable")
		f.DurationVar(&c.DedupeFor, "dedupe-for", c.DedupeFor, "how long an event id is remembered; 0s is for ever")
		f.DurationVar(&c.LeaseFor, "lease-for", c.LeaseFor, "how long a silent node keeps its lanes")
	})
	secrets = pflag.NewFlagSet("secrets", pflag.ContinueOnError)
	secrets.StringVar(&c.EdgePassword, "edge-password", c.EdgePassword, "password of --edge-user")
	secrets.StringVar(&c.KafkaPassword, "kafka-password", c.KafkaPassword, "password of --kafka-user")
	return secrets
}

// kafkaFlags adds where Kafka is and how to log in to it.
func kafkaFlags(c *system.Config) func(*pflag.FlagSet) {
	return func(f *pflag.FlagSet) {
		f.StringVar(&c.Kafka, "kafka", c.Kafka, "Kafka bootstrap `addresses`")
		f.StringVar(&c.KafkaUser, "kafka-user", c.KafkaUser, "Kafka `login`; its password is "+variable("kafka-password"))
		choose(f, &c.KafkaSASL, "kafka-sasl", "`mechanism` of that login: plain, scram-sha-256 or scram-sha-512",
			"", "plain", "scram-sha-256", "scram-sha-512")
		f.BoolVar(&c.KafkaTLS, "kafka-tls", c.KafkaTLS, "speak TLS to Kafka, with the system's authorities")
		f.StringVar(&c.KafkaTLSCA, "kafka-tls-ca", c.KafkaTLSCA, "PEM `file` of authorities for that, instead of the system's")
	}
}

// logFlags adds how a command logs.
func logFlags(f *pflag.FlagSet, level, format *string) {
	grouped(f, "Output", func(f *pflag.FlagSet) {
		choose(f, level, "log-level", "least `level` that is logged: debug, info, warn or error", "debug", "info", "warn", "error")
		choose(f, format, "log-format", "`format` of the log on stderr: console or json", "console", "json")
	})
}
