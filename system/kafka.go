package system

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"
)

// openKafka connects to Kafka and makes the topic.
//
// A Kafka that does not answer is a mistake in the flags, unless this node has
// exported before: then it is an outage, during which the node goes on taking
// events, also when it is started anew. They are exported when Kafka is back.
func (n *Node) openKafka(ctx context.Context, embedded string) (err error) {
	open := func(away bool) (err error) {
		n.stream, err = openStream(ctx, &n.config, embedded, away, n.log, n.metrics.KafkaError, n.between.hooks()...)
		return err
	}
	err = open(false)
	if err == nil {
		if _, err = n.stream.EnsureTopic(ctx, n.config.Partitions); err != nil {
			n.stream.Close()
		}
	}
	away := err != nil
	if away {
		before, unread := n.exportedBefore(ctx)
		if unread != nil || !before {
			return errors.Join(err, unread)
		}
		n.log.Warn("Kafka does not answer; events are taken meanwhile and exported when it does", zap.Error(err))
		if err := open(true); err != nil {
			return err
		}
	}
	n.onClose(func() error { n.stream.Close(); return nil })
	if away {
		n.ensureTopicLater()
	}
	return nil
}

// exportedBefore tells whether an earlier run of this node has exported.
func (n *Node) exportedBefore(ctx context.Context) (bool, error) {
	lanes, err := n.store.Lanes(ctx)
	for _, l := range lanes {
		if l.TransactionalID != "" && l.Lane.Node() == n.config.Node {
			return true, nil
		}
	}
	return false, err
}

// ensureEvery is how often a Kafka that was away is asked for the topic.
const ensureEvery = 2 * time.Second

// ensureTopicLater makes the topic once Kafka is there: it may be another one, or
// have lost it.
func (n *Node) ensureTopicLater() {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			_, err := n.stream.EnsureTopic(ctx, n.config.Partitions)
			if err == nil {
				n.log.Info("Kafka answers")
				return
			}
			select {
			case <-time.After(ensureEvery):
			case <-ctx.Done():
				return
			}
		}
	}()
	n.onClose(func() error {
		cancel()
		<-ended
		return nil
	})
}
