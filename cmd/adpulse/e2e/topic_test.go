package e2e_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"os"
	"os/exec"
	"testing"

	as "github.com/aerospike/aerospike-client-go/v7"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

const topic = "edge-to-core"

// message is a change record as it stands in the topic.
type message struct {
	Msg  string `json:"msg"`
	Key  []any  `json:"key"`
	Gen  *int64 `json:"gen"`
	Exp  *int64 `json:"exp"`
	Lut  *int64 `json:"lut"`
	Bins []bin  `json:"bins"`
	bins map[string]any
}

type bin struct {
	Name  string `json:"name"`
	Type  string `json:"type"`
	Value any    `json:"value"`
}

// messages reads the whole topic, committed messages only, and checks each
// against the format: names and types of the bins, and a digest equal to the
// one that the client library computes of the id.
func (p place) messages(t *testing.T) map[string][]message {
	t.Helper()
	byID := map[string][]message{}
	for line := range bytes.Lines(p.read(t)) {
		var m message
		decoder := json.NewDecoder(bytes.NewReader(line))
		decoder.DisallowUnknownFields()
		require.NoError(t, decoder.Decode(&m), "%s", line)
		require.Equal(t, "write", m.Msg)
		require.NotNil(t, m.Gen)
		require.NotNil(t, m.Exp)
		require.NotNil(t, m.Lut)
		m.bins = map[string]any{}
		var shape []string
		for _, b := range m.Bins {
			shape = append(shape, b.Name+" "+b.Type)
			m.bins[b.Name] = b.Value
		}
		require.Equal(t, []string{"event-id str", "event-data map", "event-tag-id str", "event-source str", "event-type str"}, shape)
		id, ok := m.bins["event-id"].(string)
		require.True(t, ok)
		key, err := as.NewKey("test", "events", id)
		require.NoError(t, err)
		require.Equal(t, []any{"test", "events", base64.StdEncoding.EncodeToString(key.Digest()), nil}, m.Key)
		byID[id] = append(byID[id], m)
	}
	return byID
}

// once fails for every id that is in the topic more than once, and returns how
// many ids there are.
func once(t *testing.T, byID map[string][]message) int {
	t.Helper()
	twice := 0
	for id, copies := range byID {
		if len(copies) != 1 {
			twice++
			if twice <= 5 {
				t.Errorf("event %s is in the topic %d times", id, len(copies))
			}
		}
	}
	require.Zero(t, twice, "events that are in the topic more than once")
	return len(byID)
}

// read returns the topic's messages, one a line.
func (p place) read(t *testing.T) []byte {
	t.Helper()
	kcat, err := exec.LookPath("kcat")
	if err != nil {
		require.NotEqual(t, "1", os.Getenv("ADPULSE_REQUIRE_TOOLS"), "kcat is not installed")
		t.Log("kcat is not installed: reading with franz-go")
		return p.readWithFranz(t)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	command := exec.CommandContext(ctx, kcat, "-b", p.kafka, "-C", "-t", topic, "-o", "beginning", "-e", "-q",
		"-X", "isolation.level=read_committed", "-f", `%s\n`)
	var complaint bytes.Buffer
	command.Stderr = &complaint
	lines, err := command.Output()
	require.NoError(t, err, "kcat: %s", &complaint)
	return lines
}

func (p place) readWithFranz(t *testing.T) []byte {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	client, err := kgo.NewClient(kgo.SeedBrokers(p.kafka), kgo.ConsumeTopics(topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords())
	require.NoError(t, err)
	defer client.Close()
	// The last stable offset counts the markers of transactions too; they are
	// kept above so that reaching it can be seen.
	ends, err := kadm.NewClient(client).ListCommittedOffsets(ctx, topic)
	require.NoError(t, err)
	left := map[int32]int64{}
	ends.Each(func(o kadm.ListedOffset) {
		if o.Offset > 0 {
			left[o.Partition] = o.Offset
		}
	})
	var lines bytes.Buffer
	for len(left) > 0 {
		fetches := client.PollFetches(ctx)
		require.NoError(t, fetches.Err())
		fetches.EachRecord(func(r *kgo.Record) {
			if r.Offset+1 >= left[r.Partition] {
				delete(left, r.Partition)
			}
			if !r.Attrs.IsControl() {
				lines.Write(append(r.Value, '\n'))
			}
		})
	}
	return lines.Bytes()
}
