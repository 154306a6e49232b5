package system

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"

	"go.uber.org/zap"

	"adpulse/system/broker"
	"adpulse/system/minispike"
)

// Topics that the embedded broker makes. The others than edge-to-core have one
// partition: they carry what a person looks at.
const (
	topicEvents  = "edge-to-core"
	topicRefused = "edge-to-core.dlq"
	topicTotals  = "subscription-events"
)

// startAerospike starts an embedded edge or core store.
func startAerospike(c *Config, dir, listen, flag string, log *zap.Logger) (*minispike.Server, error) {
	server, err := minispike.Start(minispike.Config{
		Listen: listen, Dir: dir, Namespace: c.Namespace, Sync: c.Fsync, Log: log.Named(flag),
	})
	if err != nil {
		return nil, listenError(err, flag, listen, "another Aerospike may be running there; use it with --"+strings.TrimSuffix(flag, "-listen")+", or choose another address")
	}
	return server, nil
}

// startBroker starts the embedded Kafka.
func startBroker(ctx context.Context, c *Config, dir string, log *zap.Logger) (*broker.Broker, error) {
	config := broker.DefaultConfig()
	config.Listen, config.Dir, config.Sync, config.Log = c.KafkaListen, dir, c.Fsync, log.Named("kafka")
	config.Topics = []broker.Topic{{Name: topicEvents, Partitions: c.Partitions}, {Name: topicRefused, Partitions: 1}, {Name: topicTotals, Partitions: 1}}
	b, err := broker.Start(ctx, config)
	if err != nil {
		return nil, listenError(err, "kafka-listen", c.KafkaListen, "another Kafka may be running there; use it with --kafka, or choose another address")
	}
	return b, nil
}

// listenHTTP takes the gateway's address.
func listenHTTP(ctx context.Context, c *Config) (net.Listener, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", c.HTTP)
	if err != nil {
		return nil, listenError(err, "http", c.HTTP, "choose another address with --http")
	}
	return listener, nil
}

// listenError is a *FlagError where an address cannot be listened on, and err
// itself for everything else.
func listenError(err error, flag, address, hint string) error {
	var listening *net.OpError
	if !errors.As(err, &listening) || listening.Op != "listen" {
		return err
	}
	problem := listening.Err.Error()
	var call *os.SyscallError
	if errors.As(err, &call) {
		problem = call.Err.Error()
	}
	if errors.Is(err, syscall.EADDRINUSE) {
		problem = "address already in use"
	}
	return &FlagError{flag, fmt.Sprintf("cannot listen on %s: %s", address, problem), hint}
}
