package minispike_test

import (
	"syscall"
	"testing"
	"time"

	as "github.com/aerospike/aerospike-client-go/v7"
	"github.com/stretchr/testify/require"

	"adpulse/system/minispike"
)

// A write that the disk has no room for is seen by readers before it fails, and
// gone after a restart. So nobody is answered from then on.
func TestFullDiskAnswersNobody(t *testing.T) {
	dir := t.TempDir()
	server, client := start(t, minispike.Config{Dir: dir})
	kept, lost := key(t, "full", "kept"), key(t, "full", "lost")
	require.NoError(t, client.Put(once(), kept, as.BinMap{"n": 1}))

	var before syscall.Rlimit
	require.NoError(t, syscall.Getrlimit(syscall.RLIMIT_FSIZE, &before))
	require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: 1, Max: before.Max}))
	err := client.Put(once(), lost, as.BinMap{"n": 1})
	require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &before))
	require.Error(t, err)
	require.True(t, err.IsInDoubt())
	select {
	case <-server.Done():
	case <-time.After(10 * time.Second):
		t.Fatal("the server has not noticed")
	}
	require.ErrorContains(t, server.Err(), "file too large")
	policy := as.NewPolicy()
	policy.TotalTimeout, policy.MaxRetries = time.Second, 0
	for _, k := range []*as.Key{kept, lost} {
		_, err := client.Get(policy, k)
		require.Error(t, err, "somebody was answered")
	}
	client.Close()
	_ = server.Close() // what it says of the disk has been said
}
