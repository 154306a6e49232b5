package minispike_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	as "github.com/aerospike/aerospike-client-go/v7"
	"github.com/aerospike/aerospike-client-go/v7/types"
	"github.com/stretchr/testify/require"

	"adpulse/system/minispike"
)

func TestRecordsIndexesAndTruncationsSurviveAReopening(t *testing.T) {
	config := minispike.Config{Dir: t.TempDir()}
	server, client := start(t, config)
	fill(t, client, "kept", 300)
	fill(t, client, "cut", 20)
	index(t, client, "kept", "by_n", "n", as.NUMERIC)
	require.NoError(t, client.Truncate(nil, "test", "cut", nil))
	client.Close()
	require.NoError(t, server.Close())

	_, client = start(t, config)
	require.Len(t, scan(t, client, nil, "kept"), 300)
	require.Empty(t, scan(t, client, nil, "cut"))
	require.Eventually(t, func() bool {
		found, err := query(t, client, "kept", as.NewRangeFilter("n", 10, 19))
		return err == nil && len(found) == 10
	}, 10*time.Second, 50*time.Millisecond)
	create := writePolicy(0, 0)
	create.RecordExistsAction = as.CREATE_ONLY
	refused(t, client.Put(create, key(t, "kept", 5), as.BinMap{"n": 0}), types.KEY_EXISTS_ERROR)
}

func TestASecondServerOnADirectoryIsRefused(t *testing.T) {
	config := minispike.Config{Dir: t.TempDir()}
	start(t, config)
	_, err := minispike.Start(config)
	require.Error(t, err)
}

const childDir = "MINISPIKE_TEST_DIR"

// TestChild is the process that the next test kills; by itself it does nothing.
func TestChild(t *testing.T) {
	dir := os.Getenv(childDir)
	if dir == "" {
		return
	}
	server, err := minispike.Start(minispike.Config{Dir: dir, MemoryBytes: 16 << 20})
	require.NoError(t, err)
	fmt.Println("listening", server.Addr())
	<-t.Context().Done() // until it is killed
}

func TestAnsweredWritesSurviveKill(t *testing.T) {
	dir := t.TempDir()
	for round := range 2 {
		answered := killUnderWrites(t, dir, round)
		require.NotZero(t, answered.puts.Load())
		require.NotZero(t, answered.batches.Load())
		server, client := start(t, minispike.Config{Dir: dir, MemoryBytes: 16 << 20})
		for worker := range writers {
			for i := range answered.last[worker].Load() {
				k := key(t, "kill", fmt.Sprintf("%d-%d-%d", round, worker, i))
				exists, err := client.Exists(nil, k)
				require.NoError(t, err)
				require.True(t, exists, "an answered put is lost: round %d worker %d number %d", round, worker, i)
			}
		}
		for batch := range answered.batches.Load() {
			keys := make([]*as.Key, batchRecords)
			for i := range keys {
				keys[i] = key(t, "kill", fmt.Sprintf("b%d-%d-%d", round, batch, i))
			}
			exists, err := client.BatchExists(nil, keys)
			require.NoError(t, err)
			require.NotContains(t, exists, false, "a record of an answered batch is lost: round %d batch %d", round, batch)
		}
		client.Close()
		require.NoError(t, server.Close())
	}
}

const (
	writers      = 4
	batchRecords = 100
)

type tally struct {
	puts, batches atomic.Int64
	last          [writers]atomic.Int64
}

// killUnderWrites starts a server in a process of its own, writes to it from
// several connections, kills it in the middle, and says what was answered.
func killUnderWrites(t *testing.T, dir string, round int) *tally {
	t.Helper()
	child := exec.Command(os.Args[0], "-test.run=^TestChild$", "-test.timeout=60s")
	child.Env = append(os.Environ(), childDir+"="+dir)
	out, err := child.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, child.Start())
	defer func() { _ = child.Wait() }() // killed
	defer func() { _ = child.Process.Kill() }()
	lines := bufio.NewScanner(out)
	require.True(t, lines.Scan())
	address, ok := strings.CutPrefix(lines.Text(), "listening ")
	require.True(t, ok, lines.Text())
	host, portText, _ := strings.Cut(address, ":")
	port, err := strconv.Atoi(portText)
	require.NoError(t, err)
	policy := as.NewClientPolicy()
	policy.TendInterval = time.Hour
	client, err := as.NewClientWithPolicy(policy, host, port)
	require.NoError(t, err)
	defer client.Close()

	answered := &tally{}
	var group sync.WaitGroup
	for worker := range writers {
		group.Go(func() {
			for i := int64(0); ; i++ {
				k, err := as.NewKey("test", "kill", fmt.Sprintf("%d-%d-%d", round, worker, i))
				if err != nil || client.Put(once(), k, as.BinMap{"n": i, "pad": make([]byte, 300)}) != nil {
					return
				}
				answered.last[worker].Store(i + 1)
				answered.puts.Add(1)
			}
		})
	}
	group.Go(func() {
		for batch := int64(0); ; batch++ {
			records := make([]as.BatchRecordIfc, batchRecords)
			for i := range records {
				k, err := as.NewKey("test", "kill", fmt.Sprintf("b%d-%d-%d", round, batch, i))
				if err != nil {
					return
				}
				records[i] = as.NewBatchWrite(nil, k, as.PutOp(as.NewBin("n", i)))
			}
			policy := batchPolicy()
			policy.MaxRetries = 0
			if err := client.BatchOperate(policy, records); err != nil {
				return
			}
			answered.batches.Store(batch + 1)
		}
	})
	require.Eventually(t, func() bool {
		return answered.puts.Load() > int64(300) && answered.batches.Load() > 3
	}, 20*time.Second, time.Millisecond)
	require.NoError(t, child.Process.Kill())
	group.Wait()
	return answered
}
