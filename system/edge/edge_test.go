package edge_test

import (
	"context"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	as "github.com/aerospike/aerospike-client-go/v7"
	"github.com/aerospike/aerospike-client-go/v7/types"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"adpulse/messages"
	"adpulse/system/edge"
	"adpulse/system/minispike"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve starts a server in memory, or names the one of ADPULSE_EDGE. Faults
// can only be had of the former.
func serve(t testing.TB, faults *minispike.Faults) string {
	t.Helper()
	if address := os.Getenv("ADPULSE_EDGE"); address != "" && faults == nil {
		return address
	}
	server, err := minispike.Start(minispike.Config{Faults: faults})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Close()) })
	return server.Addr().String()
}

// open opens a store on address; change adapts its configuration.
func open(t testing.TB, address string, change func(*edge.Config)) *edge.Store {
	t.Helper()
	config := edge.DefaultConfig()
	config.Hosts = []string{address}
	if change != nil {
		change(&config)
	}
	store, err := edge.Open(t.Context(), config)
	require.NoError(t, err)
	t.Cleanup(store.Close)
	return store
}

func newStore(t testing.TB) *edge.Store { return open(t, serve(t, nil), nil) }

// client is the bare client, to look behind the store.
func client(t testing.TB, address string) *as.Client {
	t.Helper()
	host, port, err := net.SplitHostPort(address)
	require.NoError(t, err)
	number, err := net.LookupPort("tcp", port)
	require.NoError(t, err)
	c, failure := as.NewClient(host, number)
	require.NoError(t, failure)
	t.Cleanup(c.Close)
	return c
}

// newLane names a lane that no other test, or run of it, has.
func newLane() messages.LaneID { return messages.NewLaneID("test-"+uuid.NewString(), 0) }

func segment(lane messages.LaneID, seq messages.Sequence, epoch messages.Epoch, token uint64, events ...messages.Event) *messages.Segment {
	return &messages.Segment{Lane: lane, Seq: seq, Epoch: epoch, Token: token, Events: events}
}

func event(body string) messages.Event {
	return messages.Event{
		ID: messages.NewEventID(), Type: messages.Click, Tag: messages.TagID(uuid.New()),
		ReceivedAt: 1_700_000_000_000, Source: "Stack Underflow", Body: []byte(body),
	}
}

// observations collects what a store reports.
type observations struct {
	mu   sync.Mutex
	seen []string
}

func (o *observations) observe(op, outcome string, _ time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.seen = append(o.seen, op+" "+outcome)
}

func TestOpenFailsQuicklyAndNamesTheHosts(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	refusing := listener.Addr().String()
	require.NoError(t, listener.Close())
	for _, c := range []struct {
		name, host, says string
	}{
		{"nobody listens", refusing, refusing},
		{"no port", "localhost", "localhost"},
		{"port 0", "localhost:0", "host:port"},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			config := edge.DefaultConfig()
			config.Hosts = []string{c.host}
			_, err := edge.Open(ctx, config)
			require.ErrorContains(t, err, c.says)
			require.NotContains(t, err.Error(), "\n")
		})
	}
}

func TestOpenEndsWithItsContext(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0") // accepts, and never answers
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, listener.Close()) })
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	config := edge.DefaultConfig()
	config.Hosts = []string{listener.Addr().String()}
	_, err = edge.Open(ctx, config)
	require.Error(t, err)
}

func TestConfigValidate(t *testing.T) {
	require.NoError(t, edge.DefaultConfig().Validate())
	for name, spoil := range map[string]func(*edge.Config){
		"namespace":   func(c *edge.Config) { c.Namespace = "" },
		"set":         func(c *edge.Config) { c.Set = strings.Repeat("s", 64) },
		"taken":       func(c *edge.Config) { c.Set = "journal" },
		"connections": func(c *edge.Config) { c.Connections = 0 },
		"timeouts":    func(c *edge.Config) { c.WriteTimeout = 0 },
		"ttl":         func(c *edge.Config) { c.EventTTL = time.Millisecond },
	} {
		config := edge.DefaultConfig()
		spoil(&config)
		require.ErrorContains(t, config.Validate(), name)
	}
}

func TestPing(t *testing.T) {
	faults := minispike.NewFaults(1)
	var seen observations
	store := open(t, serve(t, faults), func(c *edge.Config) { c.Observe = seen.observe })
	require.NoError(t, store.Ping(t.Context()))
	faults.Set(minispike.Fault{On: minispike.Write, Do: minispike.Refuse, Code: byte(types.SERVER_MEM_ERROR)})
	require.ErrorContains(t, store.Ping(t.Context()), "stop-writes")
	require.Equal(t, []string{"ping ok", "ping error"}, seen.seen)
}
