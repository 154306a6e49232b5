package minispike_test

import (
	"fmt"
	"testing"

	as "github.com/aerospike/aerospike-client-go/v7"
	"github.com/aerospike/aerospike-client-go/v7/types"
	"github.com/stretchr/testify/require"

	"adpulse/system/minispike"
)

func TestBatchWritesEachRecordForItself(t *testing.T) {
	_, client := start(t, minispike.Config{})
	create := as.NewBatchWritePolicy()
	create.RecordExistsAction = as.CREATE_ONLY
	create.Expiration = 1000
	require.NoError(t, client.Put(nil, key(t, "batch", 7), as.BinMap{"n": "old"}))

	const records = 1300
	batch := make([]as.BatchRecordIfc, records)
	for i := range batch {
		batch[i] = as.NewBatchWrite(create, key(t, "batch", i), as.PutOp(as.NewBin("n", i)), as.PutOp(as.NewBin("t", "text")))
	}
	policy := batchPolicy()
	policy.RespondAllKeys = true
	require.NoError(t, client.BatchOperate(policy, batch))
	for i, r := range batch {
		if i == 7 {
			require.Equal(t, types.KEY_EXISTS_ERROR, r.BatchRec().ResultCode)
			continue
		}
		require.Equal(t, types.OK, r.BatchRec().ResultCode, i)
		require.EqualValues(t, 1, r.BatchRec().Record.Generation)
	}

	keys := make([]*as.Key, records+10)
	for i := range keys {
		keys[i] = key(t, "batch", i)
	}
	found, err := client.BatchGet(nil, keys)
	require.NoError(t, err)
	for i, r := range found {
		switch {
		case i == 7:
			require.Equal(t, "old", r.Bins["n"])
		case i < records:
			require.Equal(t, as.BinMap{"n": i, "t": "text"}, r.Bins, i)
		default:
			require.Nil(t, r)
		}
	}
	exists, err := client.BatchExists(nil, keys)
	require.NoError(t, err)
	require.True(t, exists[0] && exists[7] && !exists[records])
	headers, err := client.BatchGetHeader(nil, keys[:3])
	require.NoError(t, err)
	require.EqualValues(t, 1, headers[2].Generation)

	deleted, err := client.BatchDelete(nil, nil, keys)
	require.NoError(t, err)
	require.Equal(t, types.OK, deleted[0].ResultCode)
	require.Equal(t, types.KEY_NOT_FOUND_ERROR, deleted[records+1].ResultCode)
	exists, err = client.BatchExists(nil, keys)
	require.NoError(t, err)
	require.NotContains(t, exists, true)
}

func TestBatchMixesKindsAndKeepsTheOrderOfOneRecord(t *testing.T) {
	_, client := start(t, minispike.Config{})
	a, b := key(t, "mix", "a"), key(t, "mix", "b")
	require.NoError(t, client.Put(nil, a, as.BinMap{"n": 1, "m": 2}))
	read := as.NewBatchRead(nil, a, []string{"m"})
	all := as.NewBatchRead(nil, b, nil)
	all.ReadAllBins = true
	batch := []as.BatchRecordIfc{
		read,
		as.NewBatchWrite(nil, b, as.AddOp(as.NewBin("n", 1)), as.GetBinOp("n")),
		as.NewBatchWrite(nil, b, as.AddOp(as.NewBin("n", 10)), as.GetBinOp("n")),
		as.NewBatchWrite(nil, b, as.AddOp(as.NewBin("n", 100)), as.GetBinOp("n")),
		all,
		as.NewBatchDelete(nil, a),
	}
	require.NoError(t, client.BatchOperate(nil, batch))
	require.Equal(t, as.BinMap{"m": 2}, read.Record.Bins)
	require.Equal(t, as.BinMap{"n": 111}, all.Record.Bins)
	last := batch[3].BatchRec().Record.Bins["n"].(as.OpResults)
	require.Equal(t, 111, last[1])
	require.Equal(t, types.OK, batch[5].BatchRec().ResultCode)
	exists, err := client.Exists(nil, a)
	require.NoError(t, err)
	require.False(t, exists)
}

func TestBatchWithoutRespondAllStopsAtTheFirstFailure(t *testing.T) {
	_, client := start(t, minispike.Config{})
	create := as.NewBatchWritePolicy()
	create.RecordExistsAction = as.CREATE_ONLY
	require.NoError(t, client.Put(nil, key(t, "stop", 0), as.BinMap{"n": 0}))
	batch := make([]as.BatchRecordIfc, 3)
	for i := range batch {
		batch[i] = as.NewBatchWrite(create, key(t, "stop", i), as.PutOp(as.NewBin("n", i)))
	}
	policy := batchPolicy()
	policy.RespondAllKeys = false
	err := client.BatchOperate(policy, batch)
	require.True(t, err != nil || batch[0].BatchRec().ResultCode == types.KEY_EXISTS_ERROR)
}

func TestBatchGetOperate(t *testing.T) {
	_, client := start(t, minispike.Config{})
	keys := make([]*as.Key, 20)
	for i := range keys {
		keys[i] = key(t, "ops", i)
		require.NoError(t, client.Put(nil, keys[i], as.BinMap{"n": i, "text": fmt.Sprint(i)}))
	}
	found, err := client.BatchGetOperate(nil, keys, as.GetBinOp("text"))
	require.NoError(t, err)
	require.Equal(t, "13", found[13].Bins["text"])
	some, err := client.BatchGet(nil, keys, "n")
	require.NoError(t, err)
	require.Equal(t, as.BinMap{"n": 4}, some[4].Bins)
}
