package system

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
	"go.uber.org/zap"

	"adpulse/actors/exporter"
	"adpulse/system/core"
	"adpulse/system/edge"
	"adpulse/system/stream"
	"adpulse/system/telemetry"
)

// unreachable names the flag of a cluster that does not answer.
func unreachable(flag, given string, err error) error {
	if given == "" {
		return err // the embedded one; no flag of the user's is at fault
	}
	return &FlagError{flag, err.Error(), "check that it runs and that the address is right, or leave --" + flag + " out for the embedded one"}
}

// addresses are those of the cluster that was given, or of the embedded server.
func addresses(given, embedded string) []string {
	if given == "" {
		given = embedded
	}
	return strings.Split(given, ",")
}

// authorities reads a PEM file into a client's TLS configuration.
func authorities(file, flag string) (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if file == "" {
		return config, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, &FlagError{flag, err.Error(), "name a PEM file of certificate authorities"}
	}
	config.RootCAs = x509.NewCertPool()
	if !config.RootCAs.AppendCertsFromPEM(text) {
		return nil, &FlagError{flag, file + " holds no certificate", "name a PEM file of certificate authorities"}
	}
	return config, nil
}

// aerospikeTLS is nil without --edge-tls-ca.
func aerospikeTLS(c *Config) (*tls.Config, error) {
	if c.EdgeTLSCA == "" {
		return nil, nil
	}
	return authorities(c.EdgeTLSCA, "edge-tls-ca")
}

func openEdge(
	ctx context.Context, c *Config, embedded string, log *zap.Logger, metrics *telemetry.Metrics, now func() time.Time,
) (*edge.Store, error) {
	config := edge.DefaultConfig()
	config.Hosts, config.Namespace = addresses(c.Edge, embedded), c.Namespace
	config.EventTTL, config.Log, config.Observe, config.Now = c.DedupeFor, log.Named("edge"), metrics.Edge, now
	if c.Edge != "" {
		config.User, config.Password = c.EdgeUser, c.EdgePassword
		var err error
		if config.TLS, err = aerospikeTLS(c); err != nil {
			return nil, err
		}
	}
	store, err := edge.Open(ctx, config)
	if err != nil {
		return nil, unreachable("edge", c.Edge, err)
	}
	return store, nil
}

func openCore(ctx context.Context, c *Config, embedded string) (*core.Store, error) {
	config := core.DefaultConfig()
	config.Hosts, config.Namespace = addresses(c.Core, embedded), c.Namespace
	if c.Core != "" {
		config.User, config.Password = c.EdgeUser, c.EdgePassword
		var err error
		if config.TLS, err = aerospikeTLS(c); err != nil {
			return nil, err
		}
	}
	store, err := core.Open(ctx, config)
	if err != nil {
		return nil, unreachable("core", c.Core, err)
	}
	return store, nil
}

func openStream(
	ctx context.Context, c *Config, embedded string, away bool, log *zap.Logger, failed func(string), hooks ...kgo.Hook,
) (*stream.Stream, error) {
	config := stream.DefaultConfig()
	config.Away = away
	config.Brokers, config.Topic = addresses(c.Kafka, embedded), topicEvents
	config.Log, config.Failed, config.Hooks = log.Named("kafka-client"), failed, hooks
	if c.Kafka != "" {
		config.SASL = mechanism(c)
		if c.KafkaTLS || c.KafkaTLSCA != "" {
			var err error
			if config.TLS, err = authorities(c.KafkaTLSCA, "kafka-tls-ca"); err != nil {
				return nil, err
			}
		}
	}
	s, err := stream.Open(ctx, config)
	if err != nil {
		return nil, unreachable("kafka", c.Kafka, err)
	}
	return s, nil
}

func mechanism(c *Config) sasl.Mechanism {
	switch c.KafkaSASL {
	case "plain":
		return plain.Auth{User: c.KafkaUser, Pass: c.KafkaPassword}.AsMechanism()
	case "scram-sha-256":
		return scram.Auth{User: c.KafkaUser, Pass: c.KafkaPassword}.AsSha256Mechanism()
	case "scram-sha-512":
		return scram.Auth{User: c.KafkaUser, Pass: c.KafkaPassword}.AsSha512Mechanism()
	}
	return nil
}

// exporterStream is a stream as the exporters see it.
type exporterStream struct{ *stream.Stream }

// OpenSink implements exporter.Stream.
func (s exporterStream) OpenSink(ctx context.Context, transactionalID string) (exporter.Sink, error) {
	sink, err := s.Stream.OpenSink(ctx, transactionalID)
	if err != nil {
		return nil, err
	}
	return sink, nil
}

// Seed fills the core store, the embedded one or that of --core, and completes
// what an interrupted call began. progress hears of records done and in all;
// it is not called where nothing is to be done.
func Seed(ctx context.Context, c Config, log *zap.Logger, progress func(done, total int)) (err error) {
	embedded := ""
	if c.Core == "" {
		dir, err := openDataDir(c.DataDir)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, dir.Close()) }()
		server, err := startAerospike(&c, dir.sub(coreName), c.CoreListen, "core-listen", log)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, server.Close()) }()
		embedded = server.Addr().String()
	}
	store, err := openCore(ctx, &c, embedded)
	if err != nil {
		return err
	}
	defer store.Close()
	return seed(ctx, &c, store, progress)
}

func seed(ctx context.Context, c *Config, store *core.Store, progress func(done, total int)) error {
	err := store.Seed(ctx, c.Campaigns, c.TagsPerCampaign, progress)
	var size *core.SizeError
	if errors.As(err, &size) {
		return &FlagError{"campaigns", err.Error(), "ask for as many campaigns and tags as there are, or name another store or --data-dir"}
	}
	if err != nil {
		return fmt.Errorf("fill core: %w", err)
	}
	return nil
}

// Follow visits the committed messages of a topic of --kafka, or of the node
// that listens on --kafka-listen, from its beginning or from now on, until ctx
// ends or visit fails, and returns why.
func Follow(ctx context.Context, c Config, topic string, earliest bool, visit func(stream.Message) error) error {
	s, err := openStream(ctx, &c, c.KafkaListen, false, zap.NewNop(), nil)
	if err != nil {
		return err
	}
	defer s.Close()
	return s.Follow(ctx, topic, earliest, visit)
}
