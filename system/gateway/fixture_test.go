package gateway_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"adpulse/messages"
	"adpulse/system/gateway"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	tagText = "0a3c2f6e-1d4b-4c5a-9e8f-7a6b5c4d3e2f"
	idText  = "0d33124c-8f1a-4b6e-9c2d-5e4f3a2b1c0d"
	click   = `{"event":"click","tag":"` + tagText + `","publisher":"P"}`

	jsonType  = "application/json"
	linesType = "application/x-ndjson"
	urlType   = "application/x-www-form-urlencoded"
)

// journal is a Submitter that keeps what it is given, or does as it is told.
type journal struct {
	// do, where set, decides a call's outcome; what it returns an error for is
	// not kept.
	do func(ctx context.Context, events []messages.Event) error

	mu     sync.Mutex
	calls  []int // events of each
	events []messages.Event
}

func (j *journal) Submit(ctx context.Context, events []messages.Event) error {
	if j.do != nil {
		if err := j.do(ctx, events); err != nil {
			return err
		}
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.calls = append(j.calls, len(events))
	j.events = append(j.events, events...)
	return nil
}

func (j *journal) stored() []messages.Event {
	j.mu.Lock()
	defer j.mu.Unlock()
	return append([]messages.Event(nil), j.events...)
}

// observed is one call of Observe.
type observed struct {
	route string
	code  int
}

type fixture struct {
	*gateway.Server
	t       *testing.T
	journal *journal
	logs    *observer.ObservedLogs
	client  *http.Client
	address string
	url     string
	served  chan error

	mu   sync.Mutex
	seen []observed
}

// open starts a gateway on a port of its own, changed as the test wants it.
func open(t *testing.T, change func(*gateway.Config, *gateway.Parts)) *fixture {
	t.Helper()
	core, logs := observer.New(zapcore.DebugLevel)
	f := &fixture{t: t, journal: &journal{}, logs: logs, served: make(chan error, 1)}
	config := gateway.DefaultConfig()
	parts := gateway.Parts{
		Events: f.journal, Log: zap.New(core),
		Observe: func(route string, code int, _ time.Duration) {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.seen = append(f.seen, observed{route, code})
		},
	}
	if change != nil {
		change(&config, &parts)
	}
	server, err := gateway.New(config, parts)
	require.NoError(t, err)
	f.Server = server
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	f.address = listener.Addr().String()
	f.url = "http://" + f.address
	transport := &http.Transport{DisableCompression: true}
	f.client = &http.Client{Transport: transport}
	go func() { f.served <- server.Serve(listener) }()
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		require.NoError(t, server.Shutdown(ctx))
		require.NoError(t, <-f.served)
	})
	return f
}

// reply is an answer, read to its end.
type reply struct {
	code   int
	header http.Header
	body   string
}

func (f *fixture) do(method, path, contentType, body string, headers ...string) reply {
	f.t.Helper()
	r, err := f.try(method, path, contentType, body, headers...)
	require.NoError(f.t, err)
	return r
}

func (f *fixture) try(method, path, contentType, body string, headers ...string) (reply, error) {
	request, err := http.NewRequestWithContext(context.Background(), method, f.url+path, strings.NewReader(body))
	if err != nil {
		return reply{}, err
	}
	request.Header.Set("User-Agent", "test/1")
	if contentType != "" {
		request.Header.Set("Content-Type", contentType)
	}
	for i := 0; i < len(headers); i += 2 {
		request.Header.Add(headers[i], headers[i+1])
	}
	response, err := f.client.Do(request)
	if err != nil {
		return reply{}, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return reply{response.StatusCode, response.Header, string(text)}, err
}

// becomes waits until a request to /events is answered with the code.
func (f *fixture) becomes(code int, body string) {
	f.t.Helper()
	require.Eventually(f.t, func() bool {
		r, err := f.try(http.MethodPost, "/events", linesType, body)
		return err == nil && r.code == code
	}, 10*time.Second, 5*time.Millisecond)
}

func (f *fixture) post(path, contentType, body string, headers ...string) reply {
	f.t.Helper()
	return f.do(http.MethodPost, path, contentType, body, headers...)
}

func (f *fixture) get(path string, headers ...string) reply {
	f.t.Helper()
	return f.do(http.MethodGet, path, "", "", headers...)
}

type receipt struct {
	ID, Status, Field, Error string
}

// receipts reads a good answer of /events.
func (r reply) receipts(t *testing.T) []receipt {
	t.Helper()
	require.Equal(t, http.StatusAccepted, r.code, r.body)
	require.Equal(t, jsonType, r.header.Get("Content-Type"))
	var list []receipt
	require.NoError(t, json.Unmarshal([]byte(r.body), &list), r.body)
	return list
}

// failure is an answer other than 2xx.
type failure struct {
	Error, Field string
	Receipts     []receipt
}

func (r reply) failure(t *testing.T) failure {
	t.Helper()
	require.Equal(t, jsonType, r.header.Get("Content-Type"))
	var f failure
	decoder := json.NewDecoder(bytes.NewReader([]byte(r.body)))
	decoder.DisallowUnknownFields()
	require.NoError(t, decoder.Decode(&f), r.body)
	require.NotEmpty(t, f.Error)
	return f
}

func statuses(receipts []receipt) string {
	var text strings.Builder
	for _, r := range receipts {
		text.WriteString(r.Status[:1])
	}
	return text.String()
}
