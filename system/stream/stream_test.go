package stream_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/goleak"

	"adpulse/messages"
	"adpulse/system/stream"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds every wait for something that must happen.
const patience = 30 * time.Second

const lane = messages.LaneID("test/0")

func open(t testing.TB) (*stream.Stream, *kfake.Cluster) {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	require.NoError(t, err)
	t.Cleanup(cluster.Close)
	config := stream.DefaultConfig()
	config.Brokers = cluster.ListenAddrs()
	s, err := stream.Open(t.Context(), config)
	require.NoError(t, err)
	t.Cleanup(s.Close)
	partitions, err := s.EnsureTopic(t.Context(), 4)
	require.NoError(t, err)
	require.Equal(t, 4, partitions)
	return s, cluster
}

func sink(t testing.TB, s *stream.Stream, id string) *stream.Sink {
	t.Helper()
	k, err := s.OpenSink(t.Context(), id)
	require.NoError(t, err)
	t.Cleanup(k.Close)
	return k
}

// outbound makes n records of a segment.
func outbound(seq messages.Sequence, n int) []messages.Outbound {
	records := make([]messages.Outbound, n)
	for i := range records {
		records[i] = messages.Outbound{
			Origin: messages.Origin{Lane: lane, Seq: seq, Index: uint32(i)},
			Key:    fmt.Append(nil, seq, "/", i), Value: make([]byte, 600),
		}
	}
	return records
}

// tail reads the origins of the lane from the offsets on.
func tail(t *testing.T, s *stream.Stream, from messages.Offsets) (map[messages.Origin]int, messages.Offsets) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	found := map[messages.Origin]int{}
	ends, err := s.ReadTail(ctx, from, func(l messages.LaneID) bool { return l == lane }, func(o messages.Origin) { found[o]++ })
	require.NoError(t, err)
	return found, ends
}

func TestTailHasWhatWasCommittedOnce(t *testing.T) {
	s, _ := open(t)
	k := sink(t, s, "exporter-0")
	first, err := k.Commit(t.Context(), outbound(1, 300))
	require.NoError(t, err)
	require.NotEmpty(t, first)
	_, err = k.Commit(t.Context(), outbound(2, 100))
	require.NoError(t, err)
	found, ends := tail(t, s, nil)
	require.Len(t, found, 400)
	for origin, times := range found {
		require.Equal(t, 1, times, origin)
	}
	found, _ = tail(t, s, first)
	require.Len(t, found, 100, "from the first commit's end on")
	found, _ = tail(t, s, ends)
	require.Empty(t, found)
}

func TestOtherLanesAreNotVisited(t *testing.T) {
	s, _ := open(t)
	k := sink(t, s, "exporter-0")
	others := outbound(1, 10)
	for i := range others {
		others[i].Origin.Lane = "other/0"
	}
	_, err := k.Commit(t.Context(), others)
	require.NoError(t, err)
	found, _ := tail(t, s, nil)
	require.Empty(t, found)
}

func TestPredecessorIsFenced(t *testing.T) {
	for name, fence := range map[string]func(*testing.T, *stream.Stream){
		"by its successor": func(t *testing.T, s *stream.Stream) { sink(t, s, "exporter-0") },
		"by an adopter":    func(t *testing.T, s *stream.Stream) { require.NoError(t, s.Fence(t.Context(), "exporter-0")) },
	} {
		t.Run(name, func(t *testing.T) {
			s, _ := open(t)
			old := sink(t, s, "exporter-0")
			_, err := old.Commit(t.Context(), outbound(1, 10))
			require.NoError(t, err)
			fence(t, s)
			_, err = old.Commit(t.Context(), outbound(2, 10))
			require.ErrorIs(t, err, messages.ErrFenced)
			require.False(t, s.Aborted(err))
			found, _ := tail(t, s, nil)
			require.Len(t, found, 10)
		})
	}
}

func TestTailEndsBehindAnAbortedTransaction(t *testing.T) {
	s, cluster := open(t)
	k := sink(t, s, "exporter-0")
	cluster.ControlKey(int16(kmsg.EndTxn), func(kmsg.Request) (kmsg.Response, error, bool) {
		return nil, errors.New("the connection breaks"), true
	})
	_, err := k.Commit(t.Context(), outbound(1, 50))
	if err == nil { // the client tried again, and the second try went through
		found, _ := tail(t, s, nil)
		require.Len(t, found, 50)
		return
	}
	require.NoError(t, s.Fence(t.Context(), "exporter-0"))
	found, _ := tail(t, s, nil)
	require.Contains(t, []int{0, 50}, len(found), "a part of a transaction is visible")
}

func TestAbortedTransactionMayBeTriedAgain(t *testing.T) {
	s, cluster := open(t)
	k := sink(t, s, "exporter-0")
	refused := cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.MessageTooLarge, Count: 1})
	defer refused.Remove()
	_, err := k.Commit(t.Context(), outbound(1, 1))
	require.Error(t, err)
	require.True(t, s.Aborted(err), err)
	_, err = k.Commit(t.Context(), outbound(1, 1))
	require.NoError(t, err)
	found, _ := tail(t, s, nil)
	require.Len(t, found, 1)
}

func TestFollowVisitsInOrderFromTheBeginning(t *testing.T) {
	s, _ := open(t)
	_, err := sink(t, s, "exporter-0").Commit(t.Context(), outbound(1, 20))
	require.NoError(t, err)
	enough := errors.New("enough")
	seen := 0
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	err = s.Follow(ctx, "edge-to-core", true, func(m stream.Message) error {
		require.Contains(t, m.Headers, stream.OriginHeader)
		if seen++; seen == 20 {
			return enough
		}
		return nil
	})
	require.ErrorIs(t, err, enough)
}

func TestUnreachableKafkaIsAnErrorInTime(t *testing.T) {
	config := stream.DefaultConfig()
	config.Brokers, config.RequestTimeout = []string{"127.0.0.1:1"}, time.Second
	_, err := stream.Open(t.Context(), config)
	require.ErrorContains(t, err, "127.0.0.1:1")
}

func BenchmarkCommit(b *testing.B) {
	s, _ := open(b)
	k := sink(b, s, "exporter-0")
	const events = 4000
	records := outbound(1, events)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := k.Commit(b.Context(), records); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)*events/b.Elapsed().Seconds(), "events/s")
}
