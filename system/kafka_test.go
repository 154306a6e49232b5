package system_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"adpulse/system"
	"adpulse/system/broker"
	"adpulse/system/minispike"
	"adpulse/system/telemetry"
)

// A node that is started while its Kafka is away takes events and exports them
// later, unless it has never exported: then the address is a mistake.
func TestNodeStartsWhileItsKafkaIsAway(t *testing.T) {
	edge, err := minispike.Start(minispike.Config{})
	require.NoError(t, err)
	defer func() { require.NoError(t, edge.Close()) }()
	config := broker.DefaultConfig()
	config.Listen, config.Dir = "127.0.0.1:0", t.TempDir()
	kafka, err := broker.Start(t.Context(), config)
	require.NoError(t, err)
	config.Listen = kafka.Addr().String()
	require.NoError(t, kafka.Close())

	c := small(filepath.Join(t.TempDir(), "data"))
	c.Edge, c.Kafka = edge.Addr().String(), config.Listen
	_, err = system.Open(t.Context(), c, zap.NewNop(), telemetry.New())
	var flag *system.FlagError
	require.ErrorAs(t, err, &flag)
	require.Equal(t, "kafka", flag.Flag)

	kafka, err = broker.Start(t.Context(), config)
	require.NoError(t, err)
	n := openNode(t, c)
	acknowledged(t, n, 500)
	before := stopNode(t, n).Acknowledged
	require.NoError(t, kafka.Close())

	n = openNode(t, c)
	acknowledged(t, n, 2000)
	require.Positive(t, n.Status().Backlog)
	require.Zero(t, n.Status().Exported)
	kafka, err = broker.Start(t.Context(), config)
	require.NoError(t, err)
	defer func() { require.NoError(t, kafka.Close()) }()
	require.Eventually(t, func() bool { return n.Status().Exported > 2000 }, patience, 10*time.Millisecond)
	s := stopNode(t, n)
	require.Zero(t, s.Backlog)
	total := int(before + s.Acknowledged)
	found := topicIDs(t, c, total)
	require.Len(t, found, total)
	for id, copies := range found {
		require.Equal(t, 1, copies, id)
	}
}
