package broker_test

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/goleak"

	"adpulse/system/broker"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds every wait for something that must happen.
const patience = 30 * time.Second

func configured(dir string) broker.Config {
	config := broker.DefaultConfig()
	config.Listen, config.Dir = "127.0.0.1:0", dir
	config.Topics = []broker.Topic{{Name: "edge-to-core", Partitions: 3}}
	return config
}

func start(t *testing.T, config broker.Config) *broker.Broker {
	t.Helper()
	b, err := broker.Start(t.Context(), config)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, b.Close()) })
	return b
}

func client(t *testing.T, b *broker.Broker, options ...kgo.Opt) *kgo.Client {
	t.Helper()
	c, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(b.Addr().String()), kgo.MetadataMinAge(100 * time.Millisecond)}, options...)...)
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}

func produce(t *testing.T, b *broker.Broker, from, n int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c := client(t, b)
	records := make([]*kgo.Record, n)
	for i := range records {
		records[i] = &kgo.Record{Topic: "edge-to-core", Value: fmt.Append(nil, from+i)}
	}
	require.NoError(t, c.ProduceSync(ctx, records...).FirstErr())
}

// committed reads so many committed messages and counts them by value.
func committed(t *testing.T, b *broker.Broker, n int) map[string]int {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c := client(t, b, kgo.ConsumeTopics("edge-to-core"), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	found := map[string]int{}
	for total := 0; total < n; {
		fetches := c.PollFetches(ctx)
		require.NoError(t, fetches.Err0())
		fetches.EachRecord(func(r *kgo.Record) { found[string(r.Value)]++; total++ })
	}
	return found
}

func TestMessagesSurviveARestart(t *testing.T) {
	dir := t.TempDir()
	first := start(t, configured(dir))
	produce(t, first, 0, 100)
	require.NoError(t, first.Close())
	second := start(t, configured(dir))
	produce(t, second, 100, 100)
	require.Len(t, committed(t, second, 200), 200)
}

// TestOpenTransactionOfAKilledBrokerIsAborted copies the directory of a living
// broker, which is what a killed one leaves.
func TestOpenTransactionOfAKilledBrokerIsAborted(t *testing.T) {
	dir, copied := t.TempDir(), filepath.Join(t.TempDir(), "copy")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	first := start(t, configured(dir))
	produce(t, first, 0, 10)
	transactional := client(t, first, kgo.TransactionalID("exporter-0"), kgo.DefaultProduceTopic("edge-to-core"))
	require.NoError(t, transactional.BeginTransaction())
	for i := range 30 {
		transactional.Produce(ctx, &kgo.Record{Value: fmt.Append(nil, "open ", i)}, nil)
	}
	require.NoError(t, transactional.Flush(ctx))
	require.NoError(t, os.CopyFS(copied, os.DirFS(dir)))

	second := start(t, configured(copied))
	// The same transactional id commits, and a reader finds just that.
	again := client(t, second, kgo.TransactionalID("exporter-0"), kgo.DefaultProduceTopic("edge-to-core"))
	require.NoError(t, again.BeginTransaction())
	for i := range 10 {
		again.Produce(ctx, &kgo.Record{Value: fmt.Append(nil, 10+i)}, nil)
	}
	require.NoError(t, again.Flush(ctx))
	require.NoError(t, again.EndTransaction(ctx, kgo.TryCommit))
	found := committed(t, second, 20)
	require.Len(t, found, 20)
	for value, times := range found {
		require.NotContains(t, value, "open")
		require.Equal(t, 1, times, value)
	}
}

func TestSecondBrokerOnADirectoryIsRefused(t *testing.T) {
	dir := t.TempDir()
	start(t, configured(dir))
	_, err := broker.Start(t.Context(), configured(dir))
	require.ErrorIs(t, err, broker.ErrLocked)
}

func TestTakenAddressIsRefusedAndLeavesNoMark(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { require.NoError(t, taken.Close()) }()
	config := configured(t.TempDir())
	config.Listen = taken.Addr().String()
	_, err = broker.Start(t.Context(), config)
	require.ErrorIs(t, err, syscall.EADDRINUSE)
	config.Listen = "127.0.0.1:0"
	start(t, config)
}

func TestRetentionIsEnforcedAfterARestartToo(t *testing.T) {
	dir := t.TempDir()
	config := configured(dir)
	config.Topics[0].Partitions = 1
	config.RetainBytes, config.RetentionEvery = 4<<20, 20*time.Millisecond
	first := start(t, config)
	require.NoError(t, first.Close())
	second := start(t, config)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c := client(t, second, kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.DefaultProduceTopic("edge-to-core"))
	value := make([]byte, 64<<10)
	for range 200 {
		c.Produce(ctx, &kgo.Record{Value: value}, nil)
	}
	require.NoError(t, c.Flush(ctx))
	admin := kadm.NewClient(c)
	require.Eventually(t, func() bool {
		starts, err := admin.ListStartOffsets(ctx, "edge-to-core")
		require.NoError(t, err)
		at, ok := starts.Lookup("edge-to-core", 0)
		return ok && at.Offset > 50
	}, patience, 20*time.Millisecond, "nothing was dropped")
}

// A topic keeps the partitions that it was made with; its bytes are shared out
// among those, not among what a later configuration asks for.
func TestBytesAreSharedAmongTheTopicsOwnPartitions(t *testing.T) {
	config := configured(t.TempDir())
	config.RetainBytes, config.Topics[0].Partitions = 240<<20, 2
	first := start(t, config)
	require.NoError(t, first.Close())
	config.Topics[0].Partitions = 8
	admin := kadm.NewClient(client(t, start(t, config)))
	found, err := admin.DescribeTopicConfigs(t.Context(), "edge-to-core")
	require.NoError(t, err)
	bounds, err := found.On("edge-to-core", nil)
	require.NoError(t, err)
	require.NoError(t, bounds.Err)
	at := slices.IndexFunc(bounds.Configs, func(c kadm.Config) bool { return c.Key == "retention.bytes" })
	require.NotEqual(t, -1, at)
	require.Equal(t, fmt.Sprint(120<<20), bounds.Configs[at].MaybeValue())
}

// TestMalformedFramesEndTheirConnectionOnly sends what ends a bare kfake, or
// makes it allocate what a length promises, and random requests of every kind.
func TestMalformedFramesEndTheirConnectionOnly(t *testing.T) {
	b := start(t, configured(t.TempDir()))
	frames := map[string][]byte{
		"an API key that there is not": unhex(t, "0000000a270f000000000000ffff"),
		"HTTP":                         []byte("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"),
		"empty":                        unhex(t, "00000000"),
		"a header cut short":           unhex(t, "0000000400120003"),
		"a negative version":           unhex(t, "0000000a0012ffff00000000ffff"),
		"a version from the future":    unhex(t, "0000000a0000007f00000000ffff"),
		"a length of 4 GiB":            unhex(t, "ffffffff00000000"),
	}
	for name, frame := range frames {
		t.Run(name, func(t *testing.T) {
			answer := say(t, b, frame)
			require.Empty(t, answer, "an answer to that")
		})
	}
	produce(t, b, 0, 10)
	require.Len(t, committed(t, b, 10), 10)
}

func TestRandomRequestsDoNotEndTheBroker(t *testing.T) {
	b := start(t, configured(t.TempDir()))
	// Always the same noise: some bodies take kmsg minutes to refuse.
	chance := rand.New(rand.NewPCG(1, 0))
	for range 600 {
		frame := randomRequest(chance)
		conn, err := net.Dial("tcp", b.Addr().String())
		require.NoError(t, err)
		_, err = conn.Write(frame)
		require.NoError(t, err)
		require.NoError(t, conn.Close())
	}
	produce(t, b, 0, 10)
}

// randomRequest is a request as a client would send it, with some of its bytes
// changed.
func randomRequest(chance *rand.Rand) []byte {
	request := kmsg.RequestForKey(int16(chance.IntN(93)))
	for request == nil {
		request = kmsg.RequestForKey(int16(chance.IntN(93)))
	}
	request.SetVersion(int16(chance.IntN(int(request.MaxVersion()) + 1)))
	frame := kmsg.NewRequestFormatter(kmsg.FormatterClientID("noise")).AppendRequest(nil, request, 1)
	for range chance.IntN(4) {
		at := 8 + chance.IntN(len(frame)-8)
		frame[at] = byte(chance.Uint32())
	}
	return frame
}

func TestTooManyConnectionsAreClosed(t *testing.T) {
	config := configured(t.TempDir())
	config.ConnectionsMax = 3
	b := start(t, config)
	var open []net.Conn
	defer func() {
		for _, conn := range open {
			require.NoError(t, conn.Close())
		}
	}()
	closed := 0
	for range 6 {
		conn, err := net.Dial("tcp", b.Addr().String())
		require.NoError(t, err)
		open = append(open, conn)
	}
	for _, conn := range open {
		require.NoError(t, conn.SetReadDeadline(time.Now().Add(300*time.Millisecond)))
		if _, err := conn.Read(make([]byte, 1)); !os.IsTimeout(err) {
			closed++
		}
	}
	require.Equal(t, 3, closed)
}

func TestSilentAndSlowClientsAreCutOff(t *testing.T) {
	config := configured(t.TempDir())
	config.IdleTimeout, config.FrameTimeout = 50*time.Millisecond, 50*time.Millisecond
	b := start(t, config)
	for name, begun := range map[string][]byte{"silent": {}, "slow": unhex(t, "0000ff")} {
		t.Run(name, func(t *testing.T) { require.Empty(t, say(t, b, begun)) })
	}
}

// say writes bytes and returns what comes until the broker closes.
func say(t *testing.T, b *broker.Broker, bytes []byte) []byte {
	t.Helper()
	conn, err := net.Dial("tcp", b.Addr().String())
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close()) }()
	require.NoError(t, conn.SetDeadline(time.Now().Add(patience)))
	_, err = conn.Write(bytes)
	require.NoError(t, err)
	answer, err := io.ReadAll(conn)
	require.False(t, os.IsTimeout(err), "the connection stays open")
	return answer
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	bytes, err := hex.DecodeString(s)
	require.NoError(t, err)
	return bytes
}
