package edge_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	as "github.com/aerospike/aerospike-client-go/v7"
	"github.com/aerospike/aerospike-client-go/v7/types"
	"github.com/stretchr/testify/require"

	"adpulse/messages"
	"adpulse/system/edge"
	"adpulse/system/minispike"
)

// changes makes change records of events, at sequence 1 of a lane of their own.
func changes(events ...messages.Event) []messages.ChangeRecord {
	lane := newLane()
	records := make([]messages.ChangeRecord, len(events))
	for i := range events {
		records[i] = messages.ChangeRecord{
			Origin: messages.Origin{Lane: lane, Seq: 1, Index: uint32(i)}, Event: &events[i],
		}
	}
	return records
}

func events(n int) []messages.Event {
	list := make([]messages.Event, n)
	for i := range list {
		list[i] = event(fmt.Sprintf(`{"event":"click","n":%d,"geo":[52.366521,4.894981],"nested":{"list":[1,"two",null,true]}}`, i))
	}
	return list
}

func outcomes(records []messages.ChangeRecord) []messages.Outcome {
	list := make([]messages.Outcome, len(records))
	for i := range records {
		list[i] = records[i].Outcome
	}
	return list
}

func repeated(outcome messages.Outcome, n int) []messages.Outcome {
	list := make([]messages.Outcome, n)
	for i := range list {
		list[i] = outcome
	}
	return list
}

func TestChangeRecordHasTheReferencesBins(t *testing.T) {
	address := serve(t, nil)
	store := open(t, address, nil)
	e := event(`{"event":"click","tag":"x","geo":[52.366521,4.894981],"publisher":"Stack Underflow","deep":{"a":[1,null,true,"é"]}}`)
	records := changes(e)
	require.NoError(t, store.WriteChangeRecords(t.Context(), records))

	key, err := as.NewKey("test", "events", e.ID.String())
	require.NoError(t, err)
	require.Equal(t, key.Digest(), records[0].Digest[:])
	record, err := client(t, address).Get(nil, key)
	require.NoError(t, err)
	require.Equal(t, as.BinMap{
		"event-id": e.ID.String(), "event-tag-id": e.Tag.String(), "event-source": "Stack Underflow", "event-type": "click",
		"event-data": map[any]any{
			"event": "click", "tag": "x", "geo": []any{52.366521, 4.894981}, "publisher": "Stack Underflow",
			"deep": map[any]any{"a": []any{1, nil, true, "é"}},
		},
		"origin": records[0].Origin.String(),
	}, record.Bins)
	require.Equal(t, uint32(as.TTLDontExpire), record.Expiration)
}

func TestOutcomes(t *testing.T) {
	store := newStore(t)
	for _, n := range []int{1, 3, 1203} {
		sent := events(n)
		records := changes(sent...)
		require.NoError(t, store.WriteChangeRecords(t.Context(), records))
		require.Equal(t, repeated(messages.Fresh, n), outcomes(records))
		digests := records[n-1].Digest
		require.NoError(t, store.WriteChangeRecords(t.Context(), records))
		require.Equal(t, repeated(messages.Replay, n), outcomes(records), "the same call again")

		others := changes(sent...) // of another lane
		require.NoError(t, store.WriteChangeRecords(t.Context(), others))
		require.Equal(t, repeated(messages.Duplicate, n), outcomes(others))
		require.Equal(t, digests, others[n-1].Digest)
	}
	require.NoError(t, store.WriteChangeRecords(t.Context(), nil))
}

func TestOutcomesMixed(t *testing.T) {
	store := newStore(t)
	sent := events(1500)
	first := changes(sent[:700]...)
	require.NoError(t, store.WriteChangeRecords(t.Context(), first))
	second := changes(sent...)
	for i := range 300 { // an interrupted try of the second call
		second[i].Origin = first[i].Origin
	}
	require.NoError(t, store.WriteChangeRecords(t.Context(), second))
	require.Equal(t, repeated(messages.Replay, 300), outcomes(second[:300]))
	require.Equal(t, repeated(messages.Duplicate, 400), outcomes(second[300:700]))
	require.Equal(t, repeated(messages.Fresh, 800), outcomes(second[700:]))
}

func TestOneIDTwiceInOneCall(t *testing.T) {
	store := open(t, serve(t, nil), func(c *edge.Config) { c.BatchRecords = 4 })
	const f, r, d = messages.Fresh, messages.Replay, messages.Duplicate
	sent := events(10)
	sent[2].ID, sent[9].ID, sent[5].ID = sent[0].ID, sent[0].ID, sent[4].ID
	records := changes(sent...)
	require.NoError(t, store.WriteChangeRecords(t.Context(), records))
	require.Equal(t, []messages.Outcome{f, f, d, f, f, d, f, f, f, d}, outcomes(records))
	require.Equal(t, records[0].Digest, records[9].Digest)
	require.NoError(t, store.WriteChangeRecords(t.Context(), records))
	require.Equal(t, []messages.Outcome{r, r, d, r, r, d, r, r, r, d}, outcomes(records))

	t.Run("the later was written by an earlier call", func(t *testing.T) {
		sent := events(3)
		sent[1].ID, sent[2].ID = sent[0].ID, sent[0].ID
		records := changes(sent...)
		require.NoError(t, store.WriteChangeRecords(t.Context(), records[1:2]))
		require.Equal(t, f, records[1].Outcome)
		require.NoError(t, store.WriteChangeRecords(t.Context(), records))
		require.Equal(t, []messages.Outcome{d, r, d}, outcomes(records))
	})
	t.Run("one origin twice", func(t *testing.T) {
		sent := events(1)
		records := changes(sent[0], sent[0], sent[0])
		for i := range records {
			records[i].Origin = records[0].Origin
		}
		require.NoError(t, store.WriteChangeRecords(t.Context(), records))
		require.Equal(t, []messages.Outcome{f, d, d}, outcomes(records))
		require.NoError(t, store.WriteChangeRecords(t.Context(), records))
		require.Equal(t, []messages.Outcome{r, d, d}, outcomes(records))
	})
}

func TestChangeRecordsMakeUpForLostAnswers(t *testing.T) {
	faults := minispike.NewFaults(1)
	store := open(t, serve(t, faults), func(c *edge.Config) { c.BatchRecords = 50 })
	for _, do := range []minispike.Action{minispike.DropAfter, minispike.DropBefore} {
		records := changes(events(200)...)
		faults.Set(minispike.Fault{On: minispike.Batch, Do: do, Count: 2})
		require.NoError(t, store.WriteChangeRecords(t.Context(), records))
		require.NotContains(t, outcomes(records), messages.Duplicate)
		require.NotContains(t, outcomes(records), messages.Outcome(0))
	}
	t.Run("and of one record", func(t *testing.T) {
		records := changes(events(1)...)
		faults.Set(minispike.Fault{On: minispike.Write, Do: minispike.DropAfter, Count: 1}, minispike.Fault{On: minispike.Batch, Do: minispike.DropAfter, Count: 1})
		require.NoError(t, store.WriteChangeRecords(t.Context(), records))
		require.Equal(t, []messages.Outcome{messages.Replay}, outcomes(records))
	})
	t.Run("when the caller repeats it", func(t *testing.T) {
		records := changes(events(200)...)
		faults.Set(minispike.Fault{On: minispike.Batch, Do: minispike.DropAfter})
		require.Error(t, store.WriteChangeRecords(t.Context(), records))
		faults.Set()
		require.NoError(t, store.WriteChangeRecords(t.Context(), records))
		require.NotContains(t, outcomes(records), messages.Duplicate)
		require.Contains(t, outcomes(records), messages.Replay)
	})
	t.Run("and says why it gave up", func(t *testing.T) {
		faults.Set(minispike.Fault{On: minispike.Batch, Do: minispike.Refuse, Code: byte(types.DEVICE_OVERLOAD)})
		err := store.WriteChangeRecords(t.Context(), changes(events(3)...))
		require.ErrorContains(t, err, "cannot keep up")
		require.NotContains(t, err.Error(), "\n")
	})
}

func TestChangeRecordOfABadBody(t *testing.T) {
	err := newStore(t).WriteChangeRecords(t.Context(), changes(event(`{"a":1}`), event(`not json`)))
	require.ErrorIs(t, err, messages.ErrCorrupt)
}

func TestChangeRecordsExpire(t *testing.T) {
	address := serve(t, minispike.NewFaults(1)) // a real server may refuse a time to live
	store := open(t, address, func(c *edge.Config) { c.EventTTL = time.Hour })
	records := changes(events(2)...)
	require.NoError(t, store.WriteChangeRecords(t.Context(), records))
	key, err := as.NewKey("test", "events", records[1].Event.ID.String())
	require.NoError(t, err)
	record, err := client(t, address).GetHeader(nil, key)
	require.NoError(t, err)
	require.InDelta(t, 3600, record.Expiration, 60)
}

func TestChangeRecordsEndWithTheirContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, newStore(t).WriteChangeRecords(ctx, changes(events(3)...)), context.Canceled)
}
