package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

// publisher is a client with its own ids that remembers what was acknowledged.
type publisher struct {
	base   string
	client *http.Client
}

const userAgent = "adpulse-e2e/1.0"

func (p place) publisher(t *testing.T) *publisher {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}, Timeout: patience}
	t.Cleanup(client.CloseIdleConnections)
	return &publisher{base: "http://" + p.http, client: client}
}

var kinds = []struct{ name, source string }{
	{"impression", "publisher"}, {"click", "publisher"}, {"visit", "advertiser"}, {"conversion", "vendor"},
}

// newEvent is the n-th event of a test: every type, with geo and a source.
func newEvent(n int) map[string]any {
	kind := kinds[n%len(kinds)]
	return map[string]any{
		"event": kind.name, "event_id": uuid.NewString(), "tag": uuid.NewString(),
		"geo": []any{52.366521, 4.894981}, kind.source: fmt.Sprintf("Stack \"Underflow\" %d é", n%7),
	}
}

// post sends a body and returns the answer's code.
func (p *publisher) post(ctx context.Context, path, contentType string, body []byte) (int, []byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, p.base+path, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	request.Header.Set("Content-Type", contentType)
	request.Header.Set("User-Agent", userAgent)
	answer, err := p.client.Do(request)
	if err != nil {
		return 0, nil, err
	}
	said, err := io.ReadAll(answer.Body)
	return answer.StatusCode, said, errors.Join(err, answer.Body.Close())
}

// postArray sends events as a JSON array, postLines as NDJSON.
func (p *publisher) postArray(ctx context.Context, events []map[string]any) (int, []byte, error) {
	body, err := json.Marshal(events)
	if err != nil {
		return 0, nil, err
	}
	return p.post(ctx, "/events", "application/json", body)
}

func (p *publisher) postLines(ctx context.Context, events []map[string]any) (int, []byte, error) {
	var body bytes.Buffer
	for _, e := range events {
		if err := json.NewEncoder(&body).Encode(e); err != nil {
			return 0, nil, err
		}
	}
	return p.post(ctx, "/events", "application/x-ndjson", body.Bytes())
}

func (p *publisher) postOne(ctx context.Context, event map[string]any) (int, []byte, error) {
	body, err := json.Marshal(event)
	if err != nil {
		return 0, nil, err
	}
	return p.post(ctx, fmt.Sprintf("/event/%s", event["event"]), "application/json", body)
}

// each calls do for 0 to n-1 from several goroutines and waits for all.
func each(t *testing.T, n, workers int, do func(ctx context.Context, i int) error) {
	t.Helper()
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	var next atomic.Int64
	var working sync.WaitGroup
	for range workers {
		working.Go(func() {
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				if err := do(ctx, i); err != nil {
					cancel(err)
				}
			}
		})
	}
	working.Wait()
	require.NoError(t, context.Cause(ctx))
}

// ok turns an answer that is not 2xx into an error.
func ok(code int, said []byte, err error) error {
	if err == nil && (code < 200 || code > 299) {
		err = fmt.Errorf("answered %d: %.300s", code, said)
	}
	return err
}
