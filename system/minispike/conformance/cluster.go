package conformance

import (
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
		answer, err := c.GetNodes()[0].RequestInfo(as.NewInfoPolicy(), "partition-generation", "replicas:max=1")
		require.NoError(t, err)
		require.NotEmpty(t, answer["partition-generation"])
		require.Contains(t, answer["replicas:max=1"], namespace+":")
		for id := range partitions {
			filter := as.NewPartitionFilterById(id)
			require.Equal(t, id, filter.Begin)
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
