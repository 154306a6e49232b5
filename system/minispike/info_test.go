package minispike_test

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"net"
	"strings"
	"testing"
	"time"

	as "github.com/aerospike/aerospike-client-go/v7"
	"github.com/stretchr/testify/require"

	"adpulse/system/minispike"
)

func TestInfoAnswersCommandByCommand(t *testing.T) {
	server, client := start(t, minispike.Config{ClusterName: "edge", Advertise: "192.0.2.7"})
	asked := []string{
		"cluster-name", "namespaces", "partitions", "status", "no-such-command", "service-clear-std", "sindex-list:",
		"sindex-create:ns=test;set=s;indexname=i;indexdata=b,numeric", "sindex-exists:ns=test;indexname=i",
		"sindex-create:ns=test;set=s;indexname=j;indexdata=b,geo2dsphere", "sindex-delete:ns=other;indexname=i",
		"udf-put:filename=x", "namespace/other", "truncate:namespace=test;set=s;lut=x",
	}
	answers, err := client.GetNodes()[0].RequestInfo(as.NewInfoPolicy(), asked...)
	require.NoError(t, err)
	_, port, _ := net.SplitHostPort(server.Addr().String())
	for command, want := range map[string]string{
		"cluster-name": "edge", "namespaces": "test", "partitions": "4096", "status": "ok", "sindex-list:": "",
		"service-clear-std": "192.0.2.7:" + port,
		"no-such-command":   "ERROR:4:unrecognized command",
		"sindex-create:ns=test;set=s;indexname=i;indexdata=b,numeric":     "ok",
		"sindex-exists:ns=test;indexname=i":                               "true",
		"sindex-create:ns=test;set=s;indexname=j;indexdata=b,geo2dsphere": "ERROR:16:minispike indexes integers and strings",
		"sindex-delete:ns=other;indexname=i":                              "ERROR:20:unknown namespace",
		"udf-put:filename=x":                                              "ERROR:16:not supported by minispike",
		"namespace/other":                                                 "type=unknown",
		"truncate:namespace=test;set=s;lut=x":                             "ERROR:4:bad lut",
	} {
		require.Equal(t, want, answers[command], command)
	}
}

func TestClientsWithUseCompressionAreServed(t *testing.T) {
	server, client := start(t, minispike.Config{})
	policy := writePolicy(0, 0)
	policy.UseCompression = true
	blob := bytes.Repeat([]byte("compressible "), 1000)
	require.NoError(t, client.Put(policy, key(t, "zip", 1), as.BinMap{"b": blob}))
	record, err := client.Get(nil, key(t, "zip", 1))
	require.NoError(t, err)
	require.Equal(t, blob, record.Bins["b"])

	var bomb bytes.Buffer
	writer := zlib.NewWriter(&bomb)
	_, werr := writer.Write(make([]byte, 1<<20))
	require.NoError(t, werr)
	require.NoError(t, writer.Close())
	short := append(binary.BigEndian.AppendUint64(nil, 100), bomb.Bytes()...)
	require.Empty(t, send(t, server.Addr(), frame(4, short)))
}

func TestImpossibleConfigurations(t *testing.T) {
	for _, config := range []minispike.Config{
		{Namespace: strings.Repeat("n", 32)},
		{MemoryBytes: 1 << 20},
		{MaxFrameBytes: 100},
		{DefaultTTL: -time.Second},
		{DefaultTTL: time.Millisecond},
		{MaxConnections: -1},
	} {
		_, err := minispike.Start(config)
		require.ErrorIs(t, err, minispike.ErrConfig)
	}
	taken, _ := start(t, minispike.Config{})
	_, err := minispike.Start(minispike.Config{Listen: taken.Addr().String()})
	require.Error(t, err)
}
