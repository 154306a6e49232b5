package broker_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"adpulse/system/broker"
)

// A producer of another node lives on when the broker's node is restarted. Its
// transaction was aborted meanwhile, so its commit must not be answered with
// success: kfake takes it for the repetition of the commit before.
func TestProducerThatOutlivesTheBrokerCannotCommit(t *testing.T) {
	config := configured(t.TempDir())
	first, err := broker.Start(t.Context(), config)
	require.NoError(t, err)
	config.Listen = first.Addr().String()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	producer := client(t, first, kgo.TransactionalID("elsewhere"), kgo.DefaultProduceTopic("edge-to-core"))
	transact := func(value string) {
		require.NoError(t, producer.BeginTransaction())
		require.NoError(t, producer.ProduceSync(ctx, kgo.StringRecord(value)).FirstErr())
	}
	transact("before")
	require.NoError(t, producer.EndTransaction(ctx, kgo.TryCommit))
	transact("torn")
	require.NoError(t, first.Close())

	second := start(t, config)
	require.Error(t, producer.EndTransaction(ctx, kgo.TryCommit))
	produce(t, second, 1, 1)
	require.Equal(t, map[string]int{"before": 1, "1": 1}, committed(t, second, 2))
}
