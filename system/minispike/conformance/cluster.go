package conformance

import (
	"encoding/base64"
	"strings"
	"testing"

	as "github.com/aerospike/aerospike-client-go/v7"
	"github.com/stretchr/testify/require"
)

const partitions = 4096

var clusterCases = []contract{
	{"the client finds one active node", func(t *testing.T, c *caller) {
		require.True(t, c.IsConnected())
		require.NotEmpty(t, c.GetNodes())
		require.True(t, c.GetNodes()[0].IsActive())
	}},
	{"the node names itself as it is listed", func(t *testing.T, c *caller) {
		node := c.GetNodes()[0]
		answer, err := node.RequestInfo(as.NewInfoPolicy(), "node", "build", "features", "namespaces")
		require.NoError(t, err)
		require.Equal(t, node.GetName(), answer["node"])
		require.NotEmpty(t, answer["build"])
		require.Contains(t, answer["features"], "pscans")
		require.Contains(t, strings.Split(answer["namespaces"], ";"), namespace)
	}},
	{"every partition has a master", func(t *testing.T, c *caller) {
		var masters [partitions / 8]byte
		for _, node := range c.GetNodes() {
			answer, err := node.RequestInfo(as.NewInfoPolicy(), "partition-generation", "replicas")
			require.NoError(t, err)
			require.NotEmpty(t, answer["partition-generation"])
			// namespace:regime,copies,bitmap of the first copy,…;…
			for _, one := range strings.Split(answer["replicas"], ";") {
				name, table, found := strings.Cut(one, ":")
				require.True(t, found, "replicas %q", one)
				if name != namespace {
					continue
				}
				columns := strings.Split(table, ",")
				require.GreaterOrEqual(t, len(columns), 3)
				bitmap, err := base64.StdEncoding.DecodeString(columns[2])
				require.NoError(t, err)
				require.Len(t, bitmap, len(masters))
				for i, b := range bitmap {
					masters[i] |= b
				}
			}
		}
		for i, b := range masters {
			require.Equal(t, byte(0xff), b, "partitions %d to %d", i*8, i*8+7)
		}
	}},
	{"a second client sees what the first wrote", func(t *testing.T, c *caller) {
		key := c.key(t, "shared")
		c.put(t, key, as.BinMap{"a": 1})
		second, err := as.NewClient(c.host.Name, c.host.Port)
		require.NoError(t, err)
		defer second.Close()
		record, err := second.Get(nil, key)
		require.NoError(t, err)
		require.Equal(t, as.BinMap{"a": 1}, record.Bins)
	}},
	{"an unknown info command is answered, not ignored", func(t *testing.T, c *caller) {
		answer, err := c.GetNodes()[0].RequestInfo(as.NewInfoPolicy(), "no-such-command")
		require.NoError(t, err)
		require.Contains(t, strings.ToUpper(answer["no-such-command"]), "ERR")
	}},
}
