package minispike_test

import (
	"net"
	"testing"
	"time"

	as "github.com/aerospike/aerospike-client-go/v7"
	"github.com/aerospike/aerospike-client-go/v7/types"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"

	"adpulse/system/minispike"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start runs a server in memory and returns a client of it.
func start(tb testing.TB, config minispike.Config) (*minispike.Server, *as.Client) {
	tb.Helper()
	if config.Log == nil {
		config.Log = zaptest.NewLogger(tb, zaptest.Level(zap.WarnLevel))
	}
	if config.MemoryBytes == 0 {
		config.MemoryBytes = 64 << 20
	}
	server, err := minispike.Start(config)
	require.NoError(tb, err)
	tb.Cleanup(func() { require.NoError(tb, server.Close()) })
	return server, connect(tb, server.Addr())
}

// patience is for how long clients wait: machines are slow at times.
const patience = 20 * time.Second

func patient(policy *as.BasePolicy) { policy.TotalTimeout, policy.SocketTimeout = patience, patience }

func writePolicy(generation, ttl uint32) *as.WritePolicy {
	policy := as.NewWritePolicy(generation, ttl)
	patient(&policy.BasePolicy)
	return policy
}

func batchPolicy() *as.BatchPolicy {
	policy := as.NewBatchPolicy()
	patient(&policy.BasePolicy)
	return policy
}

func scanPolicy() *as.ScanPolicy {
	policy := as.NewScanPolicy()
	patient(&policy.BasePolicy)
	return policy
}

func queryPolicy() *as.QueryPolicy {
	policy := as.NewQueryPolicy()
	patient(&policy.BasePolicy)
	return policy
}

func connect(tb testing.TB, addr net.Addr) *as.Client {
	tb.Helper()
	tcp := addr.(*net.TCPAddr)
	policy := as.NewClientPolicy()
	policy.Timeout = 5 * time.Second
	client, err := as.NewClientWithPolicy(policy, tcp.IP.String(), tcp.Port)
	require.NoError(tb, err)
	tb.Cleanup(client.Close)
	for _, policy := range []*as.BasePolicy{
		client.DefaultPolicy, &client.DefaultWritePolicy.BasePolicy, &client.DefaultBatchPolicy.BasePolicy,
		&client.DefaultScanPolicy.BasePolicy, &client.DefaultQueryPolicy.BasePolicy,
	} {
		patient(policy)
	}
	client.DefaultInfoPolicy.Timeout = patience
	return client
}

func key(tb testing.TB, set string, value any) *as.Key {
	tb.Helper()
	k, err := as.NewKey("test", set, value)
	require.NoError(tb, err)
	return k
}

// refused requires that an operation failed with the result code.
func refused(tb testing.TB, err as.Error, code types.ResultCode) {
	tb.Helper()
	require.Error(tb, err)
	require.True(tb, err.Matches(code), "want %s, got %v", types.ResultCodeToString(code), err)
}

func TestPutThenGetReturnsEveryKindOfBin(t *testing.T) {
	_, client := start(t, minispike.Config{})
	k := key(t, "things", "one")
	bins := as.BinMap{
		"int": 42, "neg": -7, "float": 1.5, "text": "grüß", "blob": []byte{0, 1, 255}, "yes": true,
		"list": []any{1, "two", 3.0}, "map": map[any]any{"a": 1, "b": []any{2}},
	}
	require.NoError(t, client.Put(nil, k, bins))
	record, err := client.Get(nil, k)
	require.NoError(t, err)
	require.Equal(t, bins, record.Bins)
	require.EqualValues(t, 1, record.Generation)

	record, err = client.Get(nil, k, "int", "text", "none")
	require.NoError(t, err)
	require.Equal(t, as.BinMap{"int": 42, "text": "grüß"}, record.Bins)

	record, err = client.GetHeader(nil, k)
	require.NoError(t, err)
	require.Empty(t, record.Bins)

	exists, err := client.Exists(nil, k)
	require.NoError(t, err)
	require.True(t, exists)
	existed, err := client.Delete(nil, k)
	require.NoError(t, err)
	require.True(t, existed)
	existed, err = client.Delete(nil, k)
	require.NoError(t, err)
	require.False(t, existed)
	_, err = client.Get(nil, k)
	refused(t, err, types.KEY_NOT_FOUND_ERROR)
}
