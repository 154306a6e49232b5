package minispike_test

import (
	"fmt"
	"testing"
	"time"

	as "github.com/aerospike/aerospike-client-go/v7"
	"github.com/aerospike/aerospike-client-go/v7/types"
	"github.com/stretchr/testify/require"

	"adpulse/system/minispike"
)

// once is a write policy without retries.
func once() *as.WritePolicy {
	policy := writePolicy(0, 0)
	policy.MaxRetries = 0
	return policy
}

func TestFaults(t *testing.T) {
	faults := minispike.NewFaults(1)
	_, client := start(t, minispike.Config{Faults: faults})
	_, err := client.WarmUp(8)
	require.NoError(t, err)
	there := func(k *as.Key) bool {
		t.Helper()
		exists, err := client.Exists(nil, k)
		require.NoError(t, err)
		return exists
	}
	put := func(k *as.Key) as.Error { return client.Put(once(), k, as.BinMap{"n": 1}) }

	t.Run("refuse", func(t *testing.T) {
		faults.Set(minispike.Fault{On: minispike.Write, Do: minispike.Refuse, Code: byte(types.DEVICE_OVERLOAD), Count: 2})
		k := key(t, "faults", "refuse")
		refused(t, put(k), types.DEVICE_OVERLOAD)
		refused(t, put(k), types.DEVICE_OVERLOAD)
		require.False(t, there(k))
		require.NoError(t, put(k))
		require.Equal(t, 2, faults.Hits())
	})
	t.Run("drop before", func(t *testing.T) {
		faults.Set(minispike.Fault{On: minispike.Write, Do: minispike.DropBefore, Count: 1})
		k := key(t, "faults", "before")
		require.Error(t, put(k))
		require.False(t, there(k))
	})
	t.Run("drop after", func(t *testing.T) {
		faults.Set(minispike.Fault{On: minispike.Write, Do: minispike.DropAfter, Count: 1})
		k := key(t, "faults", "after")
		err := put(k)
		require.Error(t, err)
		require.True(t, err.IsInDoubt())
		require.True(t, there(k))
	})
	t.Run("delay", func(t *testing.T) {
		faults.Set(minispike.Fault{On: minispike.Read, Do: minispike.Delay, Delay: 30 * time.Millisecond, Count: 1})
		before := time.Now()
		there(key(t, "faults", "delay"))
		require.GreaterOrEqual(t, time.Since(before), 30*time.Millisecond)
	})
	t.Run("batch and query", func(t *testing.T) {
		faults.Set(
			minispike.Fault{On: minispike.Batch, Do: minispike.Refuse, Code: byte(types.BATCH_QUEUES_FULL), Count: 1},
			minispike.Fault{On: minispike.Query, Do: minispike.Refuse, Code: byte(types.SCAN_ABORT), Count: 1})
		policy := batchPolicy()
		policy.MaxRetries = 0
		_, err := client.BatchGet(policy, []*as.Key{key(t, "faults", 1), key(t, "faults", 2)})
		refused(t, err, types.BATCH_QUEUES_FULL)
		scanning := scanPolicy()
		scanning.MaxRetries = 0
		records, err := client.ScanAll(scanning, "test", "faults")
		require.NoError(t, err)
		var failed as.Error
		for result := range records.Results() {
			if result.Err != nil {
				failed = result.Err
			}
		}
		refused(t, failed, types.SCAN_ABORT)
	})
	t.Run("chance", func(t *testing.T) {
		faults.Set(minispike.Fault{On: minispike.Write, Do: minispike.Refuse, Code: byte(types.KEY_BUSY), Chance: 0.5})
		for i := range 100 {
			_ = put(key(t, "faults", i)) // about half of them fail
		}
		require.InDelta(t, 50, faults.Hits(), 30)
	})
	faults.Set()
	require.NoError(t, put(key(t, "faults", "well again")))
}

// What the client says of a batch whose answer was lost: the batch is in doubt,
// and its records do not say that they are. Whoever asks the records has to take
// every one that is not OK for undecided, whatever InDoubt says. When this fails
// after an upgrade, the client has become better.
func TestLostAnswerToABatchIsInDoubt(t *testing.T) {
	faults := minispike.NewFaults(1)
	_, client := start(t, minispike.Config{Faults: faults})
	var writes []as.BatchRecordIfc
	for i := range 3 {
		writes = append(writes, as.NewBatchWrite(nil, key(t, "faults", fmt.Sprint("doubt", i)), as.PutOp(as.NewBin("n", i))))
	}
	policy := as.NewBatchPolicy()
	policy.MaxRetries = 0
	faults.Set(minispike.Fault{On: minispike.Batch, Do: minispike.DropAfter, Count: 1})
	err := client.BatchOperate(policy, writes)
	require.Error(t, err)
	for _, w := range writes {
		require.NotEqual(t, types.OK, w.BatchRec().ResultCode)
		require.False(t, w.BatchRec().InDoubt)
	}
	require.True(t, err.IsInDoubt())
}

// One record of a batch that is refused leaves the others done.
func TestBatchDoneInPart(t *testing.T) {
	faults := minispike.NewFaults(1)
	_, client := start(t, minispike.Config{Faults: faults})
	var writes []as.BatchRecordIfc
	for i := range 3 {
		writes = append(writes, as.NewBatchWrite(nil, key(t, "faults", fmt.Sprint("part", i)), as.PutOp(as.NewBin("n", i))))
	}
	faults.Set(minispike.Fault{On: minispike.Entry, Do: minispike.Refuse, Code: byte(types.DEVICE_OVERLOAD), Count: 1})
	require.NoError(t, client.BatchOperate(nil, writes))
	refused := 0
	for _, w := range writes {
		if w.BatchRec().ResultCode != types.OK {
			require.Equal(t, types.DEVICE_OVERLOAD, w.BatchRec().ResultCode)
			refused++
		}
	}
	require.Equal(t, 1, refused)
}
