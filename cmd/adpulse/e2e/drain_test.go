package e2e_test

import (
	"context"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"adpulse/system/broker"
)

// TestWhatADrainCannotExportIsExportedByTheNextRun stops a node whose Kafka is
// away: it says that it could not finish, and what it left comes with the next
// run, each event once.
func TestWhatADrainCannotExportIsExportedByTheNextRun(t *testing.T) {
	const before, during, batch = 5, 10, 100
	p := newPlace(t)
	kafka := broker.DefaultConfig()
	kafka.Listen, kafka.Dir = p.kafka, t.TempDir()
	cluster, err := broker.Start(t.Context(), kafka)
	require.NoError(t, err)
	defer func() { require.NoError(t, cluster.Close()) }()

	node := p.run(t, "--simulators", "0", "--kafka", p.kafka, "--drain-timeout", "2s", "--summary", "json")
	sender := p.publisher(t)
	sent := make([]map[string]any, (before+during)*batch)
	for i := range sent {
		sent[i] = newEvent(i)
	}
	post := func(from, to int) {
		each(t, to-from, 4, func(ctx context.Context, i int) error {
			return ok(sender.postLines(ctx, sent[(from+i)*batch:(from+i+1)*batch]))
		})
	}
	post(0, before)
	p.drained(t, before*batch)
	require.NoError(t, cluster.Close())
	post(before, before+during)

	sender.client.CloseIdleConnections()
	require.NoError(t, node.command.Process.Signal(syscall.SIGTERM))
	require.Equal(t, 1, node.exitCode(t))
	said := node.stderr.String()
	require.Contains(t, said, "\nadpulse: stop: drain exporter-0", said)
	require.Contains(t, said, "is exported by the next run; raise --drain-timeout")
	f := node.figures(t)
	require.EqualValues(t, len(sent), *f.Acknowledged)
	require.EqualValues(t, during*batch, *f.Backlog)

	cluster, err = broker.Start(t.Context(), kafka)
	require.NoError(t, err)
	p.run(t, "--simulators", "0", "--kafka", p.kafka).stop(t)
	found := p.messages(t)
	require.Equal(t, len(sent), once(t, found))
	for _, e := range sent {
		id, _ := e["event_id"].(string)
		require.Len(t, found[id], 1, id)
	}
}
