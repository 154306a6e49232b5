package publisher_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"adpulse/messages"
	"adpulse/system/publisher"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// source makes impressions with ascending ids.
type source struct {
	connection byte
	made       byte
}

func (s *source) Batch(n int, _ int64) []messages.Event {
	events := make([]messages.Event, n)
	for i := range events {
		s.made++
		events[i] = messages.Event{ID: messages.EventID{1, s.connection, s.made}, Type: messages.Click, Body: []byte(`{"tag":"00000000-0000-0000-0000-000000000001","event":"click"}`)}
	}
	return events
}

func sources(connection int) (publisher.Source, error) {
	return &source{connection: byte(connection)}, nil
}

// ledger is a gateway that answers as the test says and keeps what it took.
type ledger struct {
	t      *testing.T
	answer func(try int) int // status of the nth request

	mu    sync.Mutex
	tries int
	seen  map[messages.EventID]int
	paths map[string]int
}

func (l *ledger) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tries++
	l.paths[r.Method+" "+r.URL.Path+" "+r.Header.Get("Content-Type")]++
	lines := bufio.NewScanner(r.Body)
	for lines.Scan() {
		event, err := messages.DecodeEvent(lines.Bytes(), 0, r.UserAgent())
		if err != nil {
			l.t.Error(err)
			continue
		}
		l.seen[event.ID]++
	}
	status := l.answer(l.tries)
	w.WriteHeader(status)
	_, _ = io.WriteString(w, `{"error":"as told"}`)
}

func open(t *testing.T, answer func(try int) int) (*ledger, publisher.Config) {
	t.Helper()
	l := &ledger{t: t, answer: answer, seen: map[messages.EventID]int{}, paths: map[string]int{}}
	server := httptest.NewServer(l)
	t.Cleanup(server.Close)
	config := publisher.DefaultConfig()
	config.Target, config.Connections, config.Batch, config.RetryDelay = server.URL+"/", 3, 10, time.Millisecond
	return l, config
}

func ok(int) int { return http.StatusOK }

func TestEveryEventIsSentOnce(t *testing.T) {
	l, config := open(t, ok)
	config.Events = 95
	var mu sync.Mutex
	acknowledged := map[messages.EventID]int{}
	config.Acknowledged = func(events []messages.Event) {
		mu.Lock()
		defer mu.Unlock()
		for i := range events {
			acknowledged[events[i].ID]++
		}
	}
	progress := new(publisher.Progress)
	result, err := publisher.Run(context.Background(), config, sources, progress)
	require.NoError(t, err)
	require.EqualValues(t, 95, result.Sent)
	require.EqualValues(t, 95, result.Acknowledged)
	require.EqualValues(t, 95, progress.Acknowledged.Load())
	require.Equal(t, l.seen, acknowledged)
	require.Len(t, l.seen, 95)
	require.Equal(t, map[string]int{"POST /events application/x-ndjson": 10}, l.paths)
	require.NotZero(t, result.P99)
}

func TestSingleEventsGoToThePathOfTheirType(t *testing.T) {
	l, config := open(t, ok)
	config.Events, config.Batch = 5, 1
	result, err := publisher.Run(context.Background(), config, sources, nil)
	require.NoError(t, err)
	require.EqualValues(t, 5, result.Acknowledged)
	require.Equal(t, map[string]int{"POST /event/click application/json": 5}, l.paths)
}

func TestWhatIsUnavailableIsTriedAgainWithTheSameIDs(t *testing.T) {
	l, config := open(t, func(try int) int {
		return []int{http.StatusServiceUnavailable, http.StatusTooManyRequests, http.StatusInternalServerError, http.StatusAccepted}[min(try, 4)-1]
	})
	config.Events, config.Connections = 10, 1
	result, err := publisher.Run(context.Background(), config, sources, nil)
	require.NoError(t, err)
	require.EqualValues(t, 10, result.Acknowledged)
	require.EqualValues(t, 3, result.Retries)
	require.Len(t, l.seen, 10)
	for id, times := range l.seen {
		require.Equal(t, 4, times, id)
	}
}

func TestARefusalIsNotTriedAgain(t *testing.T) {
	_, config := open(t, func(int) int { return http.StatusUnprocessableEntity })
	config.Events = 20
	result, err := publisher.Run(context.Background(), config, sources, nil)
	require.NoError(t, err)
	require.EqualValues(t, 20, result.Refused)
	require.Zero(t, result.Retries)
	require.Equal(t, `answered 422: {"error":"as told"}`, result.Problem)
}

func TestNobodyListensAndTheRunEnds(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, listener.Close())
	config := publisher.DefaultConfig()
	config.Target, config.Events, config.RetryDelay, config.GiveUpAfter = "http://"+listener.Addr().String(), 100, time.Millisecond, 20*time.Millisecond
	result, err := publisher.Run(context.Background(), config, sources, nil)
	require.NoError(t, err)
	require.EqualValues(t, 100, result.Unanswered)
	require.Contains(t, result.Problem, "given up")
}

func TestTheDurationEndsTheRun(t *testing.T) {
	_, config := open(t, ok)
	config.Duration, config.Rate = 300*time.Millisecond, 1000
	result, err := publisher.Run(context.Background(), config, sources, nil)
	require.NoError(t, err)
	require.Equal(t, result.Sent, result.Acknowledged)
	require.NotZero(t, result.Sent)
}

func TestImpossibleRunsAreRefused(t *testing.T) {
	for _, change := range []func(*publisher.Config){
		func(c *publisher.Config) { c.Target = "127.0.0.1:4000" },
		func(c *publisher.Config) { c.Target = "ftp://host" },
		func(c *publisher.Config) { c.Connections = 0 },
		func(c *publisher.Config) { c.Batch = 0 },
		func(c *publisher.Config) { c.Rate = -1 },
	} {
		config := publisher.DefaultConfig()
		config.Target = "http://127.0.0.1:1"
		change(&config)
		_, err := publisher.Run(context.Background(), config, sources, nil)
		require.Error(t, err)
		require.False(t, strings.Contains(err.Error(), "\n"))
	}
}
