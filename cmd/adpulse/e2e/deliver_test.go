package e2e_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRunForAWhileExportsAllThatItAcknowledged(t *testing.T) {
	p := newPlace(t)
	var exported uint64
	for range 2 { // the second run finds the first one's data
		run := start(t, p.args("run", "--for", "5s", "--rate", "2000", "--summary", "json")...)
		require.Zero(t, run.exitCode(t))
		f := run.figures(t)
		require.Positive(t, *f.Acknowledged)
		require.Equal(t, *f.Acknowledged, *f.Exported)
		require.Zero(t, *f.Backlog)
		require.Zero(t, *f.Duplicates)
		require.Positive(t, *f.EventsPerSecond)
		require.Positive(t, *f.AckP99)
		exported += *f.Exported
	}
	node := p.run(t, "--simulators", "0")
	require.EqualValues(t, exported, once(t, p.messages(t)))
	node.stop(t)
}

func TestPostedEventsArriveOnceAndRetriesAddNothing(t *testing.T) {
	const batches, batch, singles = 100, 500, 2000
	p := newPlace(t)
	node := p.run(t, "--simulators", "0", "--summary", "json")
	sender := p.publisher(t)

	sent := make([]map[string]any, batches*batch+singles)
	for i := range sent {
		sent[i] = newEvent(i)
	}
	each(t, batches, 4, func(ctx context.Context, i int) error {
		events := sent[i*batch : (i+1)*batch]
		if i%2 == 0 {
			return ok(sender.postArray(ctx, events))
		}
		return ok(sender.postLines(ctx, events))
	})
	single := sent[batches*batch:]
	postSingles := func() {
		each(t, singles, 32, func(ctx context.Context, i int) error { return ok(sender.postOne(ctx, single[i])) })
	}
	postSingles()
	p.drained(t, len(sent))

	found := p.messages(t)
	require.Equal(t, len(sent), once(t, found))
	for _, e := range sent {
		id, _ := e["event_id"].(string)
		require.Len(t, found[id], 1, id)
		bins := found[id][0].bins
		require.Equal(t, e["event"], bins["event-type"])
		require.Equal(t, e["tag"], bins["event-tag-id"])
		body, _ := bins["event-data"].(map[string]any)
		for _, kind := range kinds {
			if kind.name == e["event"] {
				require.Equal(t, e[kind.source], bins["event-source"])
				require.Equal(t, e[kind.source], body[kind.source])
			}
		}
		require.Equal(t, e["event"], body["event"])
		require.Equal(t, e["tag"], body["tag"])
		require.Equal(t, e["geo"], body["geo"])
		require.Equal(t, userAgent, body["userAgent"])
	}

	postSingles()
	p.drained(t, len(sent)+singles)
	require.Equal(t, len(sent), once(t, p.messages(t)))

	node.stop(t)
	f := node.figures(t)
	require.EqualValues(t, len(sent)+singles, *f.Acknowledged)
	require.EqualValues(t, len(sent), *f.Exported)
	require.EqualValues(t, singles, *f.Duplicates)
	require.Zero(t, *f.Backlog)
}
