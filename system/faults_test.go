package system_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"adpulse/system"
	"adpulse/system/broker"
	"adpulse/system/minispike"
	"adpulse/system/stream"
)

// TestFailingEdgeLosesAndDoublesNothing posts events, with retries under the
// same ids, while the edge store drops connections before and after it has
// written, and refuses requests. The stores are given as real clusters are.
func TestFailingEdgeLosesAndDoublesNothing(t *testing.T) {
	const batches, batch = 60, 50
	faults := minispike.NewFaults(1)
	edge, err := minispike.Start(minispike.Config{Faults: faults})
	require.NoError(t, err)
	defer func() { require.NoError(t, edge.Close()) }()
	kafka := broker.DefaultConfig()
	kafka.Listen, kafka.Dir = "127.0.0.1:0", t.TempDir()
	stored, err := broker.Start(t.Context(), kafka)
	require.NoError(t, err)
	defer func() { require.NoError(t, stored.Close()) }()

	c := small(filepath.Join(t.TempDir(), "data"))
	c.Edge, c.Kafka, c.Simulators = edge.Addr().String(), stored.Addr().String(), 0
	n := openNode(t, c)
	faults.Set(
		minispike.Fault{On: minispike.Write, Do: minispike.DropAfter, Chance: 0.05},
		minispike.Fault{On: minispike.Write, Do: minispike.DropBefore, Chance: 0.05},
		minispike.Fault{On: minispike.Batch, Do: minispike.DropAfter, Chance: 0.05},
		minispike.Fault{On: minispike.Batch, Do: minispike.Refuse, Code: 18, Chance: 0.05},
	)
	sent := map[string]bool{}
	for range batches {
		var lines bytes.Buffer
		for range batch {
			id := uuid.NewString()
			sent[id] = true
			fmt.Fprintf(&lines, `{"event":"click","tag":"6ff4e1c6-4b46-4a1c-a7c0-2f1a1e1b9d10","publisher":"p","event_id":%q}`+"\n", id)
		}
		postUntilTaken(t, "http://"+n.HTTPAddr()+"/events", lines.Bytes())
	}
	require.Positive(t, faults.Hits(), "no fault was hit")
	faults.Set()
	require.Zero(t, stopNode(t, n).Backlog)

	found := topicIDs(t, c, len(sent))
	for id := range sent {
		require.Equal(t, 1, found[id], "event %s", id)
	}
	require.Len(t, found, len(sent))
}

// postUntilTaken repeats a request as a client does that was told to.
func postUntilTaken(t *testing.T, url string, body []byte) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
		require.NoError(t, err)
		request.Header.Set("Content-Type", "application/x-ndjson")
		request.Close = true
		answer, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		require.NoError(t, answer.Body.Close())
		if answer.StatusCode < 300 {
			return
		}
		require.Equal(t, http.StatusServiceUnavailable, answer.StatusCode)
	}
}

// topicIDs counts the event ids in the topic, up to the marker of a transaction
// that follows them all.
func topicIDs(t *testing.T, c system.Config, events int) map[string]int {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	found := map[string]int{}
	quiet := time.AfterFunc(patience, cancel)
	defer quiet.Stop()
	total, enough := 0, errors.New("enough")
	err := system.Follow(ctx, c, "edge-to-core", true, func(m stream.Message) error {
		var record struct {
			Bins []struct {
				Name  string `json:"name"`
				Value any    `json:"value"`
			} `json:"bins"`
		}
		require.NoError(t, json.Unmarshal(m.Value, &record))
		for _, bin := range record.Bins {
			if id, ok := bin.Value.(string); ok && bin.Name == "event-id" {
				found[id]++
			}
		}
		if total++; total == events {
			// What is still to come would be a second copy: wait for it a while.
			quiet.Reset(time.Second)
		}
		if total > events {
			return enough
		}
		return nil
	})
	if !errors.Is(err, context.Canceled) {
		require.ErrorIs(t, err, enough, "%d of %d events read", total, events)
	}
	return found
}
