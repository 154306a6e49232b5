package conformance

import (
	"fmt"
	"testing"
	"time"

	as "github.com/aerospike/aerospike-client-go/v7"
	"github.com/aerospike/aerospike-client-go/v7/types"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

const (
	namespace = "test"
	// patience bounds every request and every wait for something to show: a
	// busy machine is slow, a broken server never gets there.
	patience = 15 * time.Second
	// glance is how often a wait looks again.
	glance = 50 * time.Millisecond
)

// Run puts the server at host and port to every case, each a subtest of t.
//
// The server must hold the namespace "test" and accept times to live. What
// the cases write is removed again. Run may be used by several tests at once.
func Run(t *testing.T, host string, port int) {
	t.Helper()
	c := connect(t, host, port)
	for _, group := range []struct {
		name  string
		cases []contract
	}{
		{"cluster", clusterCases},
		{"record", recordCases},
		{"value", valueCases},
		{"policy", policyCases},
		{"expiry", expiryCases},
		{"operate", operateCases},
		{"map", mapCases},
		{"list", listCases},
		{"batch", batchCases},
		{"scan", scanCases},
		{"index", indexCases},
		{"filter", filterCases},
		{"refusal", refusalCases},
	} {
		t.Run(group.name, func(t *testing.T) {
			for _, one := range group.cases {
				t.Run(one.name, func(t *testing.T) { one.holds(t, c) })
			}
		})
	}
}

// contract is one thing that a server must do.
type contract struct {
	name  string
	holds func(*testing.T, *caller)
}

// caller is a client and the set that the cases of this run share.
type caller struct {
	*as.Client
	host *as.Host
	run  string // makes the keys of this run its own
}

func connect(t *testing.T, host string, port int) *caller {
	t.Helper()
	policy := as.NewClientPolicy()
	policy.Timeout = patience
	client, err := as.NewClientWithPolicy(policy, host, port)
	require.NoError(t, err, "connect to %s:%d", host, port)
	t.Cleanup(client.Close)

	// The client's own second is too short for a machine that is busy
	// building something else.
	read := as.NewPolicy()
	read.TotalTimeout = patience
	client.SetDefaultPolicy(read)
	batch := as.NewBatchPolicy()
	batch.TotalTimeout = patience
	client.SetDefaultBatchPolicy(batch)
	client.SetDefaultWritePolicy(writing())
	return &caller{Client: client, host: as.NewHost(host, port), run: uuid.NewString()}
}

// writing is a write policy with the patience of this suite, changed as the
// case needs it.
func writing(changes ...func(*as.WritePolicy)) *as.WritePolicy {
	policy := as.NewWritePolicy(0, 0)
	policy.TotalTimeout = patience
	for _, change := range changes {
		change(policy)
	}
	return policy
}

// reading is a read policy with the patience of this suite.
func reading(filter *as.Expression) *as.BasePolicy {
	policy := as.NewPolicy()
	policy.TotalTimeout = patience
	policy.FilterExpression = filter
	return policy
}

// key is a key of the shared set that no other case and no other run uses.
// Its record is deleted when the test ends.
func (c *caller) key(t *testing.T, name string) *as.Key {
	t.Helper()
	return c.keyIn(t, "conformance", fmt.Sprintf("%s %s %s", c.run, t.Name(), name))
}

// keys are n keys of the shared set.
func (c *caller) keys(t *testing.T, n int) []*as.Key {
	t.Helper()
	keys := make([]*as.Key, n)
	for i := range keys {
		keys[i] = c.key(t, fmt.Sprint(i))
	}
	return keys
}

// keyIn is a key of a set that the case names.
func (c *caller) keyIn(t *testing.T, set string, value any) *as.Key {
	t.Helper()
	key, err := as.NewKey(namespace, set, value)
	require.NoError(t, err)
	t.Cleanup(func() {
		_, err := c.Delete(nil, key)
		require.NoError(t, err, "remove %s", key)
	})
	return key
}

// ownSet is the name of a set that nothing else uses, for the cases that
// look at a whole set.
func ownSet() string { return "cf-" + uuid.NewString()[:13] }

func (c *caller) put(t *testing.T, key *as.Key, bins as.BinMap) {
	t.Helper()
	require.NoError(t, c.Put(nil, key, bins))
}

// bins are those that the server has under key.
func (c *caller) bins(t *testing.T, key *as.Key) as.BinMap {
	t.Helper()
	record, err := c.Get(nil, key)
	require.NoError(t, err)
	return record.Bins
}

// operate carries out operations that must succeed and returns their bins.
func (c *caller) operate(t *testing.T, key *as.Key, operations ...*as.Operation) as.BinMap {
	t.Helper()
	record, err := c.Operate(nil, key, operations...)
	require.NoError(t, err)
	return record.Bins
}

// refused checks that the server said no with this code and none other.
func refused(t *testing.T, code types.ResultCode, err as.Error) {
	t.Helper()
	require.NotNil(t, err, "want %s (%d)", code, code)
	require.True(t, err.Matches(code), "want %s (%d), got %v", code, code, err)
}
