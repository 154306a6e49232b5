// Package stream is Kafka as the exporters need it: transactional producers
// that fence their predecessors, and a reader of a topic's committed tail.
package stream

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/plugin/kzap"
	"go.uber.org/zap"

	"adpulse/messages"
)

// Config says where Kafka is and how it is used.
type Config struct {
	// Brokers are host:port of some of the cluster's brokers.
	Brokers []string
	// Topic is what exporters produce to.
	Topic string
	// TLS, where set, encrypts every connection; SASL, where set, logs in.
	TLS  *tls.Config
	SASL sasl.Mechanism
	// TransactionTimeout is after which the broker aborts a transaction whose
	// producer has gone silent.
	TransactionTimeout time.Duration
	// RequestTimeout bounds opening, and each question about the topic.
	RequestTimeout time.Duration
	// Away lets Open succeed while no broker answers; whatever is asked of the
	// stream fails until one does.
	Away bool
	// BufferedRecords and BufferedBytes bound one producer's memory.
	BufferedRecords, BufferedBytes int
	// BatchBytes bounds one partition's batch; the broker's message.max.bytes
	// must allow it.
	BatchBytes int
	// Failed, where set, hears of each failed conversation by its kind: open,
	// fence, produce, transaction, read, ask. It may be called concurrently.
	Failed func(kind string)
	// Hooks hear of what every client says and hears on the wire.
	Hooks []kgo.Hook
	// Log hears of what the client makes up for.
	Log *zap.Logger
}

// DefaultConfig suits a cluster that answers within milliseconds.
func DefaultConfig() Config {
	return Config{
		Topic: "edge-to-core", TransactionTimeout: 40 * time.Second, RequestTimeout: 15 * time.Second,
		BufferedRecords: 100_000, BufferedBytes: 64 << 20, BatchBytes: 512 << 10, Log: zap.NewNop(),
	}
}

// OriginHeader names the Kafka header with an event's messages.Origin.
const OriginHeader = "adpulse-origin"

// Stream is an open connection to Kafka. Its methods may be called
// concurrently.
type Stream struct {
	config Config
	client *kgo.Client
	admin  *kadm.Client
}

// Open connects. It fails, within RequestTimeout, when no broker answers and
// Config.Away does not allow that. Close the stream after use.
func Open(ctx context.Context, config Config) (*Stream, error) {
	s := &Stream{config: config}
	client, err := s.connect()
	if err != nil {
		return nil, err
	}
	s.client, s.admin = client, kadm.NewClient(client)
	if config.Away {
		return s, nil
	}
	ctx, cancel := context.WithTimeout(ctx, config.RequestTimeout)
	defer cancel()
	if err := client.Ping(ctx); err != nil {
		client.Close()
		return nil, s.failed("open", fmt.Errorf("connect to Kafka at %v: %w", config.Brokers, err))
	}
	return s, nil
}

// Close ends the connections. Sinks have to be closed before.
func (s *Stream) Close() { s.client.Close() }

// connect makes a client with what all of them share. The short metadata age
// bounds what a retriable error costs: a producer waits for new metadata.
func (s *Stream) connect(more ...kgo.Opt) (*kgo.Client, error) {
	options := []kgo.Opt{
		kgo.SeedBrokers(s.config.Brokers...), kgo.ClientID("adpulse"),
		kgo.MetadataMinAge(250 * time.Millisecond), kgo.DialTimeout(5 * time.Second),
		kgo.WithLogger(kzap.New(s.config.Log, kzap.Level(kgo.LogLevelWarn))), kgo.WithHooks(s.config.Hooks...),
	}
	if s.config.TLS != nil {
		options = append(options, kgo.DialTLSConfig(s.config.TLS))
	}
	if s.config.SASL != nil {
		options = append(options, kgo.SASL(s.config.SASL))
	}
	client, err := kgo.NewClient(append(options, more...)...)
	if err != nil {
		return nil, fmt.Errorf("configure the Kafka client: %w", err)
	}
	return client, nil
}

// EnsureTopic makes the exporters' topic if it is missing, with the broker's
// default replication, and returns how many partitions it has.
func (s *Stream) EnsureTopic(ctx context.Context, partitions int) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, s.config.RequestTimeout)
	defer cancel()
	_, err := s.admin.CreateTopic(ctx, int32(partitions), -1, nil, s.config.Topic)
	if err == nil {
		return partitions, nil
	}
	if !errors.Is(err, kerr.TopicAlreadyExists) {
		return 0, s.failed("ask", fmt.Errorf("make topic %s: %w", s.config.Topic, err))
	}
	topics, err := s.admin.ListTopics(ctx, s.config.Topic)
	if err == nil {
		err = topics.Error()
	}
	if err != nil {
		return 0, s.failed("ask", fmt.Errorf("describe topic %s: %w", s.config.Topic, err))
	}
	return len(topics[s.config.Topic].Partitions), nil
}

// EndOffsets returns each partition's end, open transactions included.
func (s *Stream) EndOffsets(ctx context.Context) (messages.Offsets, error) {
	return s.offsets(ctx, "end", s.admin.ListEndOffsets)
}

func (s *Stream) offsets(
	ctx context.Context, what string, list func(context.Context, ...string) (kadm.ListedOffsets, error),
) (messages.Offsets, error) {
	ctx, cancel := context.WithTimeout(ctx, s.config.RequestTimeout)
	defer cancel()
	listed, err := list(ctx, s.config.Topic)
	if err == nil {
		err = listed.Error()
	}
	if err != nil {
		return nil, s.failed("ask", fmt.Errorf("%s of topic %s: %w", what, s.config.Topic, err))
	}
	offsets := messages.Offsets{}
	for partition, at := range listed[s.config.Topic] {
		offsets[partition] = at.Offset
	}
	return offsets, nil
}

// Fence ends whatever a transactional id has open, and makes its owner's
// commits fail from now on.
func (s *Stream) Fence(ctx context.Context, transactionalID string) error {
	client, err := s.connect(kgo.TransactionalID(transactionalID), kgo.TransactionTimeout(s.config.TransactionTimeout))
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, s.config.RequestTimeout)
	defer cancel()
	if _, _, err := client.ProducerID(ctx); err != nil {
		return s.failed("fence", fmt.Errorf("fence transactional id %s: %w", transactionalID, err))
	}
	return nil
}

func (s *Stream) failed(kind string, err error) error {
	if s.config.Failed != nil {
		s.config.Failed(kind)
	}
	return err
}
