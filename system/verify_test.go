package system_test

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"

	as "github.com/aerospike/aerospike-client-go/v7"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"adpulse/messages"
	"adpulse/system"
	"adpulse/system/broker"
	"adpulse/system/edge"
	"adpulse/system/minispike"
)

// clusters are an edge store and a Kafka as a node is given real ones.
func clusters(t *testing.T, c *system.Config) {
	t.Helper()
	edge, err := minispike.Start(minispike.Config{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, edge.Close()) })
	kafka := broker.DefaultConfig()
	kafka.Listen, kafka.Dir = "127.0.0.1:0", t.TempDir()
	stored, err := broker.Start(t.Context(), kafka)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, stored.Close()) })
	c.Edge, c.Kafka = edge.Addr().String(), stored.Addr().String()
}

func verify(t *testing.T, c system.Config) *system.Verification {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	v, err := system.Verify(ctx, c, system.VerifyOptions{All: true})
	require.NoError(t, err)
	return v
}

// exportedNode runs a node for a while and leaves what it has stored.
func exportedNode(t *testing.T) system.Config {
	t.Helper()
	c := small(filepath.Join(t.TempDir(), "data"))
	clusters(t, &c)
	n := openNode(t, c)
	for range 3 { // while it runs, too
		acknowledged(t, n, n.Status().Acknowledged+500)
		v := verify(t, c)
		require.True(t, v.Agree(), "%+v", v.Problems)
	}
	stopNode(t, n)
	v := verify(t, c)
	require.True(t, v.Agree(), "%+v", v.Problems)
	require.Empty(t, v.Warnings)
	require.Zero(t, v.PendingEvents)
	require.Positive(t, v.Messages)
	return c
}

func TestVerifyFindsWhatIsWrong(t *testing.T) {
	for _, broken := range []struct {
		name, what string
		breakIt    func(*testing.T, system.Config, *edge.Store)
	}{
		{"a message twice", "events in the topic twice", func(t *testing.T, c system.Config, _ *edge.Store) {
			client, err := kgo.NewClient(kgo.SeedBrokers(c.Kafka), kgo.ConsumeTopics("edge-to-core"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
			require.NoError(t, err)
			defer client.Close()
			first := client.PollRecords(t.Context(), 1).Records()[0]
			require.NoError(t, client.ProduceSync(t.Context(), &kgo.Record{Topic: first.Topic, Key: first.Key, Value: first.Value, Headers: first.Headers}).FirstErr())
		}},
		{"a checkpoint that is ahead", "events that the checkpoint says are exported and that are not in the topic", func(t *testing.T, _ system.Config, store *edge.Store) {
			lane, head := someLane(t, store)
			event := messages.Event{
				ID: messages.NewEventID(), Type: messages.Click, Source: "p", ReceivedAt: 1, Body: []byte(`{"event":"click"}`),
			}
			require.NoError(t, store.Append(t.Context(), &messages.Segment{Lane: lane.Lane, Seq: head + 1, Epoch: lane.Epoch, Token: 1, Events: []messages.Event{event}}))
			require.NoError(t, store.MoveCheckpoint(t.Context(), lane, messages.Checkpoint{Seq: head + 1, Offsets: messages.Offsets{}}))
		}},
		{"a segment of noise", "segments that cannot be read", func(t *testing.T, c system.Config, store *edge.Store) {
			lane, head := someLane(t, store)
			hosts, err := as.NewHosts(c.Edge)
			require.NoError(t, err)
			client, err := as.NewClientWithPolicyAndHost(as.NewClientPolicy(), hosts...)
			require.NoError(t, err)
			defer client.Close()
			key, err := as.NewKey("test", "journal", fmt.Sprintf("%s:%d", lane.Lane, head+1))
			require.NoError(t, err)
			require.NoError(t, client.PutBins(nil, key, as.NewBin("segment", []byte("noise"))))
		}},
		{"a topic that was replaced", "checkpoint behind the topic's end: the topic was replaced, or cut", func(t *testing.T, _ system.Config, store *edge.Store) {
			lane, head := someLane(t, store)
			require.NoError(t, store.MoveCheckpoint(t.Context(), lane, messages.Checkpoint{Seq: head, Offsets: messages.Offsets{0: 1 << 40}}))
		}},
	} {
		t.Run(broken.name, func(t *testing.T) {
			c := exportedNode(t)
			config := edge.DefaultConfig()
			config.Hosts = []string{c.Edge}
			store, err := edge.Open(t.Context(), config)
			require.NoError(t, err)
			defer store.Close()
			broken.breakIt(t, c, store)
			v := verify(t, c)
			require.False(t, v.Agree())
			require.Len(t, v.Problems, 1, "%+v", v.Problems)
			require.Equal(t, broken.what, v.Problems[0].What)
			require.NotEmpty(t, v.Problems[0].Examples)
		})
	}
}

// someLane returns a lane and its head.
func someLane(t *testing.T, store *edge.Store) (messages.Lease, messages.Sequence) {
	t.Helper()
	lanes, err := store.Lanes(t.Context())
	require.NoError(t, err)
	require.NotEmpty(t, lanes)
	checkpoint, _, err := store.Checkpoint(t.Context(), lanes[0].Lane)
	require.NoError(t, err)
	return lanes[0], checkpoint.Seq
}

func TestVerifyReadsAStoppedNode(t *testing.T) {
	c := small(filepath.Join(t.TempDir(), "data"))
	n := openNode(t, c)
	acknowledged(t, n, 500)
	_, err := system.Verify(t.Context(), c, system.VerifyOptions{Offline: true})
	var flag *system.FlagError
	require.ErrorAs(t, err, &flag, "a running node keeps its directory")
	stopNode(t, n)
	v, err := system.Verify(t.Context(), c, system.VerifyOptions{Offline: true, All: true})
	require.NoError(t, err)
	require.True(t, v.Agree(), "%+v", v.Problems)
	require.Positive(t, v.Messages)
}
