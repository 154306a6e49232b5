package broker_test

import (
	"context"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"adpulse/system/broker"
)

// filesEndAt lets no file of this process grow beyond a size, as on a full disk.
func filesEndAt(t *testing.T, size uint64) (room func()) {
	t.Helper()
	var before syscall.Rlimit
	require.NoError(t, syscall.Getrlimit(syscall.RLIMIT_FSIZE, &before))
	require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: size, Max: before.Max}))
	return func() { require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &before)) }
}

// kfake says that a transaction is committed although the disk had no room for
// its markers. Nobody may hear that.
func TestFullDiskIsNotAcknowledged(t *testing.T) {
	config := configured(t.TempDir())
	first, err := broker.Start(t.Context(), config)
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	producer := client(t, first, kgo.TransactionalID("one"), kgo.DefaultProduceTopic("edge-to-core"), kgo.RecordDeliveryTimeout(2*time.Second))
	require.NoError(t, producer.BeginTransaction())
	require.NoError(t, producer.ProduceSync(ctx, kgo.StringRecord("before")).FirstErr())
	require.NoError(t, producer.EndTransaction(ctx, kgo.TryCommit))
	require.NoError(t, producer.BeginTransaction())
	require.NoError(t, producer.ProduceSync(ctx, kgo.StringRecord("full")).FirstErr())

	room := filesEndAt(t, 1)
	ending, stop := context.WithTimeout(ctx, 2*time.Second)
	err = producer.EndTransaction(ending, kgo.TryCommit)
	stop()
	room()
	require.Error(t, err)
	select {
	case <-first.Done():
	case <-ctx.Done():
		t.Fatal("the broker has not noticed")
	}
	require.ErrorContains(t, first.Err(), "file too large")
	_ = first.Close() // what it says of the disk has been said

	// What became of the transaction is for its readers to see; what was
	// acknowledged is there.
	require.Equal(t, 1, committed(t, start(t, config), 1)["before"])
}
