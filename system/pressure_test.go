package system_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"adpulse/system"
	"adpulse/system/broker"
	"adpulse/system/minispike"
)

// crowd is a number of publishers who remember what was acknowledged. They send
// new events with every request, whatever became of the one before.
type crowd struct {
	t      *testing.T
	url    string
	client *http.Client

	mu           sync.Mutex
	acknowledged map[string]bool
	codes        map[int]int
}

func newCrowd(t *testing.T, n *system.Node) *crowd {
	t.Helper()
	transport := &http.Transport{MaxIdleConnsPerHost: 256}
	t.Cleanup(transport.CloseIdleConnections)
	return &crowd{
		t: t, url: "http://" + n.HTTPAddr(), client: &http.Client{Transport: transport, Timeout: patience},
		acknowledged: map[string]bool{}, codes: map[int]int{},
	}
}

// post sends so many new events and returns the answer's code.
func (c *crowd) post(events int) int {
	var lines bytes.Buffer
	ids := make([]string, events)
	for i := range ids {
		ids[i] = uuid.NewString()
		fmt.Fprintf(&lines, `{"event":"click","tag":"6ff4e1c6-4b46-4a1c-a7c0-2f1a1e1b9d10","publisher":"p","event_id":%q}`+"\n", ids[i])
	}
	answer, err := c.client.Post(c.url+"/events", "application/x-ndjson", &lines)
	if err != nil {
		c.t.Errorf("a request was not answered: %v", err)
		return 0
	}
	_, err = io.Copy(io.Discard, answer.Body)
	_ = answer.Body.Close()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.codes[answer.StatusCode]++
	switch {
	case err != nil:
		c.t.Errorf("an answer was cut off: %v", err)
	case answer.StatusCode == http.StatusAccepted:
		for _, id := range ids {
			c.acknowledged[id] = true
		}
	case answer.StatusCode == http.StatusServiceUnavailable:
		if wait, err := strconv.Atoi(answer.Header.Get("Retry-After")); err != nil || wait < 1 {
			c.t.Errorf("503 with Retry-After %q", answer.Header.Get("Retry-After"))
		}
	default:
		c.t.Errorf("answered %d", answer.StatusCode)
	}
	return answer.StatusCode
}

// send posts so many requests, several at a time.
func (c *crowd) send(requests, events, atOnce int) {
	c.t.Helper()
	var left atomic.Int64
	left.Store(int64(requests))
	var senders sync.WaitGroup
	for range atOnce {
		senders.Go(func() {
			for left.Add(-1) >= 0 {
				c.post(events)
			}
		})
	}
	senders.Wait()
	require.False(c.t, c.t.Failed())
}

// until posts until it is answered so.
func (c *crowd) until(code int) {
	c.t.Helper()
	require.Eventually(c.t, func() bool { return c.post(20) == code }, patience, time.Millisecond)
	require.False(c.t, c.t.Failed())
}

func (c *crowd) answered(code int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.codes[code]
}

// page is what the gateway shows at a path.
func (c *crowd) page(path string) (int, string) {
	c.t.Helper()
	answer, err := c.client.Get(c.url + path)
	require.NoError(c.t, err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	require.NoError(c.t, err)
	return answer.StatusCode, string(text)
}

// metric is a figure without labels, or the first of several.
func (c *crowd) metric(name string) float64 {
	c.t.Helper()
	_, page := c.page("/metrics")
	for line := range strings.Lines(page) {
		if rest, found := strings.CutPrefix(line, name+" "); found {
			figure, err := strconv.ParseFloat(strings.TrimSpace(rest), 64)
			require.NoError(c.t, err)
			return figure
		}
	}
	c.t.Fatalf("there is no metric %s", name)
	return 0
}

// settle stops the node and checks the ledger: what was acknowledged is in the
// topic, and nothing is there twice.
func (c *crowd) settle(n *system.Node, config system.Config) {
	c.t.Helper()
	require.Eventually(c.t, func() bool { return n.Status().Backlog == 0 }, patience, 10*time.Millisecond)
	s := stopNode(c.t, n)
	require.Zero(c.t, s.Backlog)
	found := topicIDs(c.t, config, int(s.Exported))
	for id, copies := range found {
		require.Equal(c.t, 1, copies, "event %s", id)
	}
	for id := range c.acknowledged {
		require.Contains(c.t, found, id, "an acknowledged event is missing")
	}
}

// outage is a Kafka that can go away and come back.
type outage struct {
	t      *testing.T
	config broker.Config
	broker *broker.Broker
}

func newOutage(t *testing.T) *outage {
	t.Helper()
	o := &outage{t: t, config: broker.DefaultConfig()}
	o.config.Listen, o.config.Dir = "127.0.0.1:0", t.TempDir()
	o.start()
	o.config.Listen = o.broker.Addr().String()
	t.Cleanup(func() { require.NoError(t, o.broker.Close()) })
	return o
}

func (o *outage) start() {
	o.t.Helper()
	var err error
	o.broker, err = broker.Start(o.t.Context(), o.config)
	require.NoError(o.t, err)
}

func (o *outage) stop() {
	o.t.Helper()
	require.NoError(o.t, o.broker.Close())
}

// served is a small node without simulators on this Kafka.
func (o *outage) served(change func(*system.Config)) (*system.Node, system.Config, *crowd) {
	o.t.Helper()
	c := small(filepath.Join(o.t.TempDir(), "data"))
	c.Kafka, c.Simulators = o.config.Listen, 0
	if change != nil {
		change(&c)
	}
	n := openNode(o.t, c)
	return n, c, newCrowd(o.t, n)
}

func TestKafkaDownUnderLoadIsNoPublishersConcern(t *testing.T) {
	t.Parallel()
	const requests, batch = 20, 50
	kafka := newOutage(t)
	n, config, senders := kafka.served(nil)
	senders.send(requests, batch, 4)
	kafka.stop()
	senders.send(requests, batch, 4)
	require.GreaterOrEqual(t, n.Status().Backlog, uint64(requests*batch), "the journal has what Kafka has not")
	kafka.start()
	senders.send(requests, batch, 4)
	require.Equal(t, 3*requests, senders.answered(http.StatusAccepted))
	senders.settle(n, config)
}

func TestHighWaterMarkRefusesUntilKafkaIsBack(t *testing.T) {
	t.Parallel()
	const mark = 1000
	kafka := newOutage(t)
	n, config, senders := kafka.served(func(c *system.Config) { c.HighWater = mark })
	senders.until(http.StatusAccepted)
	kafka.stop()
	senders.until(http.StatusServiceUnavailable)
	// What is under way when the mark is reached goes past it, and no more.
	senders.send(40, 20, 4)
	require.Less(t, n.Status().Backlog, uint64(2*mark))
	require.Eventually(t, func() bool {
		senders.post(1) // one lane reaches its part of the mark before the other
		code, page := senders.page("/readyz")
		return code == http.StatusServiceUnavailable && strings.Contains(page, "high-water")
	}, patience, time.Millisecond)
	kafka.start()
	senders.until(http.StatusAccepted)
	require.Eventually(t, func() bool {
		code, _ := senders.page("/readyz")
		return code == http.StatusOK
	}, patience, 5*time.Millisecond)
	senders.settle(n, config)
}

// A Kafka whose transactions each take their time slows nobody but itself.
func TestSlowKafkaIsNoPublishersConcern(t *testing.T) {
	t.Parallel()
	const requests, batch = 30, 50
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	require.NoError(t, err)
	t.Cleanup(cluster.Close)
	var slow atomic.Bool
	var ended atomic.Int64
	cluster.ControlKey(kmsg.EndTxn.Int16(), func(kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		ended.Add(1)
		if slow.Load() {
			<-time.After(50 * time.Millisecond)
		}
		return nil, nil, false
	})
	c := small(filepath.Join(t.TempDir(), "data"))
	c.Kafka, c.Simulators, c.ExportEvents = cluster.ListenAddrs()[0], 0, 500
	n := openNode(t, c)
	senders := newCrowd(t, n)
	slow.Store(true)
	senders.send(requests, batch, 8)
	require.Equal(t, requests, senders.answered(http.StatusAccepted))
	require.Eventually(t, func() bool { return ended.Load() > 1 }, patience, time.Millisecond, "it was slow at none")
	slow.Store(false)
	senders.settle(n, c)
}

func TestEdgeDownIsToldAndOvercome(t *testing.T) {
	t.Parallel()
	at := minispike.Config{Listen: "127.0.0.1:0", Dir: t.TempDir()}
	edge, err := minispike.Start(at)
	require.NoError(t, err)
	at.Listen = edge.Addr().String()
	t.Cleanup(func() { require.NoError(t, edge.Close()) })
	kafka := newOutage(t)
	n, config, senders := kafka.served(func(c *system.Config) { c.Edge = at.Listen })
	senders.send(20, 50, 4)
	require.NoError(t, edge.Close())
	senders.until(http.StatusServiceUnavailable)
	code, page := senders.page("/readyz")
	require.Equal(t, http.StatusServiceUnavailable, code)
	require.Contains(t, page, "edge store")
	edge, err = minispike.Start(at)
	require.NoError(t, err)
	senders.until(http.StatusAccepted)
	require.Eventually(t, func() bool {
		code, _ := senders.page("/readyz")
		return code == http.StatusOK
	}, patience, 5*time.Millisecond)
	senders.settle(n, config)
}

// heapBase is what a node on this heap has beside events on their way: its
// stores' caches above all, and here its publishers and their Kafka too.
const heapBase = 256 << 20

func TestOverloadIsSentAwayAndTheRestIsServed(t *testing.T) {
	t.Parallel()
	faults := minispike.NewFaults(1)
	edge, err := minispike.Start(minispike.Config{Faults: faults})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, edge.Close()) })
	kafka := newOutage(t)
	n, config, senders := kafka.served(func(c *system.Config) {
		c.Edge, c.Mailbox, c.EnqueueTimeout = edge.Addr().String(), 200, 20*time.Millisecond
	})
	faults.Set(minispike.Fault{On: minispike.Write, Do: minispike.Delay, Delay: 50 * time.Millisecond})
	bound := senders.metric("adpulse_memory_bound_bytes")
	require.Positive(t, bound)
	watching, watched := context.WithCancel(t.Context())
	var highest atomic.Uint64
	var watch sync.WaitGroup
	watch.Go(func() {
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for watching.Err() == nil {
			var now runtime.MemStats
			runtime.ReadMemStats(&now)
			highest.Store(max(highest.Load(), now.HeapAlloc))
			<-tick.C
		}
	})
	senders.send(300, 50, 64)
	watched()
	watch.Wait()
	faults.Set()
	t.Logf("%d requests accepted, %d sent away, heap at most %d MiB of %.0f",
		senders.answered(http.StatusAccepted), senders.answered(http.StatusServiceUnavailable), highest.Load()>>20, (bound+heapBase)/(1<<20))
	require.Positive(t, senders.answered(http.StatusAccepted))
	require.Positive(t, senders.answered(http.StatusServiceUnavailable))
	require.Less(t, highest.Load(), uint64(bound)+heapBase)
	senders.until(http.StatusAccepted)
	senders.settle(n, config)
}
