package minispike_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	as "github.com/aerospike/aerospike-client-go/v7"
	particletype "github.com/aerospike/aerospike-client-go/v7/types/particle_type"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"adpulse/system/minispike"
)

// stores are the ways to keep records that the benchmarks compare.
var stores = []struct {
	name string
	disk bool
}{
	{"memory", false},
	{"disk", true},
}

func benchmark(b *testing.B, run func(b *testing.B, client *as.Client)) {
	b.Helper()
	for _, store := range stores {
		b.Run(store.name, func(b *testing.B) {
			config := minispike.Config{Log: zap.NewNop(), MemoryBytes: 256 << 20}
			if store.disk {
				config.Dir = b.TempDir()
			}
			_, client := start(b, config)
			_, err := client.WarmUp(32)
			require.NoError(b, err)
			b.ReportAllocs()
			run(b, client)
		})
	}
}

// spread runs work for each of b.N numbers, by some workers at once.
func spread(b *testing.B, workers int, work func(i int) error) {
	b.Helper()
	var next atomic.Int64
	var group sync.WaitGroup
	b.ResetTimer()
	for range workers {
		group.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= b.N {
					return
				}
				if err := work(i); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
	b.StopTimer()
}

func rate(b *testing.B, each int) {
	b.Helper()
	b.ReportMetric(float64(b.N*each)/b.Elapsed().Seconds(), "records/s")
}

// eventData is an event's body as adpulse stores it: a packed map.
var eventData = packed(
	"event", "impression", "tag", "0a3c2d4e-1111-4222-8333-944445555666", "publisher", "Stack Underflow",
	"userAgent", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0 Safari/537.36",
)

func packed(pairs ...string) []byte {
	out := []byte{0x80 | byte(len(pairs)/2)}
	for _, text := range pairs {
		out = append(out, 0xd9, byte(len(text)+1), byte(particletype.STRING))
		out = append(out, text...)
	}
	return out
}

func eventBins(id string) []*as.Bin {
	return []*as.Bin{
		as.NewBin("event-id", id),
		as.NewBin("event-data", as.NewRawBlobValue(particletype.MAP, eventData)),
		as.NewBin("event-tag-id", "0a3c2d4e-1111-4222-8333-944445555666"),
		as.NewBin("event-source", "publisher"),
		as.NewBin("event-type", "impression"),
	}
}

func BenchmarkPut(b *testing.B) {
	benchmark(b, func(b *testing.B, client *as.Client) {
		b.Helper()
		bins := eventBins(uuid.NewString())
		policy := as.NewWritePolicy(0, 3600)
		policy.RecordExistsAction = as.CREATE_ONLY
		spread(b, 32, func(i int) error {
			k, err := as.NewKey("test", "events", fmt.Sprint(i))
			if err == nil {
				err = client.PutBins(policy, k, bins...)
			}
			return err
		})
		rate(b, 1)
	})
}

func BenchmarkGet(b *testing.B) {
	benchmark(b, func(b *testing.B, client *as.Client) {
		b.Helper()
		const stored = 10_000
		keys := make([]*as.Key, stored)
		for i := range keys {
			keys[i] = key(b, "events", i)
			require.NoError(b, client.PutBins(nil, keys[i], eventBins(uuid.NewString())...))
		}
		spread(b, 32, func(i int) error {
			_, err := client.Get(nil, keys[i%stored])
			return err
		})
		rate(b, 1)
	})
}

// BenchmarkBatchWrite is adpulse's hot path: batches of 500 event records
// that must not exist, with a time to live.
func BenchmarkBatchWrite(b *testing.B) {
	const records = 500
	benchmark(b, func(b *testing.B, client *as.Client) {
		b.Helper()
		ops := make([]*as.Operation, 0, 5)
		for _, bin := range eventBins(uuid.NewString()) {
			ops = append(ops, as.PutOp(bin))
		}
		policy := as.NewBatchWritePolicy()
		policy.RecordExistsAction = as.CREATE_ONLY
		policy.Expiration = 3600
		batchPolicy := as.NewBatchPolicy()
		batchPolicy.RespondAllKeys = true
		batchPolicy.TotalTimeout, batchPolicy.SocketTimeout = 20*time.Second, 20*time.Second
		spread(b, 4, func(i int) error {
			batch := make([]as.BatchRecordIfc, records)
			for n := range batch {
				k, err := as.NewKey("test", "events", fmt.Sprintf("%d-%d", i, n))
				if err != nil {
					return err
				}
				batch[n] = as.NewBatchWrite(policy, k, ops...)
			}
			if err := client.BatchOperate(batchPolicy, batch); err != nil {
				return err
			}
			for _, r := range batch {
				if err := r.BatchRec().Err; err != nil {
					return err
				}
			}
			return nil
		})
		rate(b, records)
	})
}

// BenchmarkBatchRead reads 500 event records at once.
func BenchmarkBatchRead(b *testing.B) {
	const records, stored = 500, 10_000
	benchmark(b, func(b *testing.B, client *as.Client) {
		b.Helper()
		keys := make([]*as.Key, stored)
		for i := range keys {
			keys[i] = key(b, "events", i)
			require.NoError(b, client.PutBins(nil, keys[i], eventBins(uuid.NewString())...))
		}
		spread(b, 4, func(i int) error {
			at := i * records % stored
			found, err := client.BatchGet(nil, keys[at:at+records])
			if err == nil && (len(found) != records || found[0] == nil) {
				return fmt.Errorf("%d records", len(found))
			}
			return err
		})
		rate(b, records)
	})
}

// BenchmarkSegment puts journal segments of 500 events and deletes each a
// while later, as trimming does.
func BenchmarkSegment(b *testing.B) {
	const events, kept = 500, 200
	benchmark(b, func(b *testing.B, client *as.Client) {
		b.Helper()
		blob := make([]byte, 300*events)
		for i := range blob {
			blob[i] = byte(i * i >> 3)
		}
		policy := as.NewWritePolicy(0, as.TTLDontExpire)
		policy.RecordExistsAction = as.CREATE_ONLY
		b.SetBytes(int64(len(blob)))
		spread(b, 4, func(i int) error {
			k, err := as.NewKey("test", "segments", fmt.Sprintf("node/1:%d", i))
			if err == nil {
				err = client.PutBins(policy, k, as.NewBin("events", blob), as.NewBin("count", events))
			}
			if err == nil && i >= kept {
				k, err = as.NewKey("test", "segments", fmt.Sprintf("node/1:%d", i-kept))
				if err == nil {
					_, err = client.Delete(nil, k)
				}
			}
			return err
		})
		rate(b, events)
	})
}
