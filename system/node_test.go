package system_test

import (
	"context"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"adpulse/system"
	"adpulse/system/telemetry"
)

// patience bounds every wait for something that must happen.
const patience = time.Minute

// small is a node on free ports with its data in dir.
func small(dir string) system.Config {
	c := system.DefaultConfig()
	c.DataDir = dir
	c.HTTP, c.EdgeListen, c.CoreListen, c.KafkaListen = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"
	c.Campaigns, c.TagsPerCampaign = 2, 5
	// The race detector costs a node more than half a millisecond an event: a
	// higher rate would have the tests wait for its backlog.
	c.Rate, c.LeaseFor = 1000, time.Second
	return c
}

func openNode(t testing.TB, c system.Config) *system.Node {
	t.Helper()
	n, err := system.Open(t.Context(), c, zap.NewNop(), telemetry.New())
	require.NoError(t, err)
	return n
}

func stopNode(t testing.TB, n *system.Node) system.Status {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	require.NoError(t, n.Stop(ctx))
	require.NoError(t, n.Stop(ctx), "a second stop does nothing")
	require.NoError(t, n.Err())
	return n.Status()
}

func acknowledged(t testing.TB, n *system.Node, events uint64) {
	t.Helper()
	require.Eventually(t, func() bool { return n.Status().Acknowledged >= events }, patience, 5*time.Millisecond)
}

func TestStoppedNodeHasExportedAllThatItAcknowledged(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	for range 2 {
		n := openNode(t, small(dir))
		acknowledged(t, n, 2000)
		s := stopNode(t, n)
		require.Equal(t, s.Acknowledged, s.Exported)
		require.Zero(t, s.Backlog)
	}
}

// A node that is cut off before it has drained leaves lanes behind; one with
// fewer collectors exports them and retires them.
func TestLeftoverLanesAreExported(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	c := small(dir)
	c.Collectors, c.Exporters = 3, 2
	first := openNode(t, c)
	acknowledged(t, first, 3000)
	cut, cancel := context.WithCancel(context.Background())
	cancel()
	require.Error(t, first.Stop(cut), "a stop without time to drain says so")

	c.Collectors, c.Exporters, c.Simulators = 1, 1, 0
	second := openNode(t, c)
	require.Eventually(t, func() bool { return second.Status().Backlog == 0 }, patience, 10*time.Millisecond)
	require.Zero(t, stopNode(t, second).Backlog)
}

// BenchmarkPipeline runs simulators as fast as the whole pipeline takes their
// events: a low high-water mark holds them back when the exporter is slower.
func BenchmarkPipeline(b *testing.B) {
	c := small(filepath.Join(b.TempDir(), "data"))
	c.Rate, c.HighWater, c.LeaseFor = 0, 100_000, 15*time.Second
	n := openNode(b, c)
	exported := func(events uint64) {
		for n.Status().Exported < events {
			select {
			case <-n.Done():
				b.Fatal(n.Err())
			case <-time.After(2 * time.Millisecond):
			}
		}
	}
	exported(50_000) // warm
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	from := n.Status().Exported
	b.ResetTimer()
	exported(from + uint64(b.N))
	b.StopTimer()
	runtime.ReadMemStats(&after)
	events := float64(n.Status().Exported - from)
	b.ReportMetric(events/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric(float64(after.Mallocs-before.Mallocs)/events, "allocs/event")
	stopNode(b, n)
}
