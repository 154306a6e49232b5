package broker_test

import (
	"context"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"adpulse/system/broker"
)

// readable is every committed message, counted by value: those in front of one
// that is produced now.
func readable(t *testing.T, b *broker.Broker) map[string]int {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	marks := client(t, b, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	for partition := range int32(3) {
		require.NoError(t, marks.ProduceSync(ctx, &kgo.Record{Topic: "edge-to-core", Partition: partition, Value: []byte("mark")}).FirstErr())
	}
	c := client(t, b, kgo.ConsumeTopics("edge-to-core"), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	found := map[string]int{}
	ends := map[int32]int64{}
	listed, err := kadm.NewClient(c).ListCommittedOffsets(ctx, "edge-to-core")
	require.NoError(t, err)
	listed.Each(func(o kadm.ListedOffset) { ends[o.Partition] = o.Offset })
	for len(ends) > 0 {
		fetches := c.PollFetches(ctx)
		require.NoError(t, fetches.Err0())
		fetches.EachRecord(func(r *kgo.Record) {
			if string(r.Value) != "mark" {
				found[string(r.Value)]++
			}
			if r.Offset+1 >= ends[r.Partition] {
				delete(ends, r.Partition)
			}
		})
	}
	return found
}

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

	// What became of the transaction is for its readers to see, and must look
	// the same from then on: an exporter that found it there does not send it
	// again. A copy of the living broker's directory is what kill -9 leaves.
	second := start(t, config)
	produce(t, second, 1, 1)
	seen := readable(t, second)
	require.Equal(t, 1, seen["before"])
	require.Equal(t, 1, seen["1"])
	copied := filepath.Join(t.TempDir(), "copy")
	require.NoError(t, os.CopyFS(copied, os.DirFS(config.Dir)))
	require.Equal(t, seen, readable(t, start(t, configured(copied))))
}
