package gateway_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"adpulse/messages"
	"adpulse/system/gateway"
)

// blocked makes Submit wait for release, and tells of each that has begun.
func (f *fixture) blocked() (begun chan struct{}, release chan struct{}) {
	begun, release = make(chan struct{}, 100), make(chan struct{})
	f.journal.do = func(ctx context.Context, _ []messages.Event) error {
		begun <- struct{}{}
		select {
		case <-release:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return begun, release
}

func TestTooManyRequestsAtOnceAreSentAway(t *testing.T) {
	t.Parallel()
	f := open(t, func(c *gateway.Config, _ *gateway.Parts) { c.RequestsMax = 1 })
	begun, release := f.blocked()
	first := make(chan reply)
	go func() { first <- f.post("/event/click", jsonType, click) }()
	<-begun
	r := f.post("/events", jsonType, "["+click+"]")
	require.Equal(t, http.StatusServiceUnavailable, r.code)
	require.Equal(t, "1", r.header.Get("Retry-After"))
	require.Equal(t, http.StatusOK, f.get("/healthz").code, "health has no part in that limit")
	close(release)
	require.Equal(t, http.StatusAccepted, (<-first).code)
	require.Equal(t, http.StatusAccepted, f.post("/event/click", jsonType, click).code)
}

func TestBodiesUnderWayAreBoundedTogether(t *testing.T) {
	t.Parallel()
	f := open(t, func(c *gateway.Config, _ *gateway.Parts) { c.BodyBytesMax, c.HeldBytesMax = 64<<10, 64<<10 })
	conn, err := net.Dial("tcp", f.address)
	require.NoError(t, err)
	defer conn.Close()
	// One request holds most of the room, and does not come to its end.
	_, err = fmt.Fprintf(conn, "POST /events HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s",
		linesType, 64<<10, strings.Repeat(" ", 60<<10))
	require.NoError(t, err)
	body := strings.Repeat(" ", 8<<10) + click
	f.becomes(http.StatusServiceUnavailable, body)
	require.NoError(t, conn.Close())
	f.becomes(http.StatusAccepted, body)
}

func TestAClientOverItsRateIsToldWhenToCome(t *testing.T) {
	t.Parallel()
	now := time.UnixMilli(1760695200123)
	f := open(t, func(c *gateway.Config, _ *gateway.Parts) {
		c.ClientRate, c.ClientBurst = 0.25, 2
		c.Now = func() time.Time { return now }
	})
	for range 2 {
		require.Equal(t, http.StatusAccepted, f.post("/event/click", jsonType, click).code)
	}
	for range 3 { // asking again does not push the moment away
		r := f.post("/event/click", jsonType, click)
		require.Equal(t, http.StatusTooManyRequests, r.code)
		require.Equal(t, "4", r.header.Get("Retry-After"))
		r.failure(t)
	}
	require.Equal(t, http.StatusOK, f.get("/healthz").code)
	require.Len(t, f.journal.stored(), 2)
}

func TestASlowBodyIsGivenUp(t *testing.T) {
	t.Parallel()
	f := open(t, func(c *gateway.Config, _ *gateway.Parts) { c.ReadTimeout = 100 * time.Millisecond })
	conn, err := net.Dial("tcp", f.address)
	require.NoError(t, err)
	defer conn.Close()
	_, err = fmt.Fprintf(conn, "POST /event/click HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\nContent-Length: 100\r\n\r\n{", jsonType)
	require.NoError(t, err)
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	defer response.Body.Close()
	require.Equal(t, http.StatusRequestTimeout, response.StatusCode)
	require.Empty(t, f.journal.stored())
}

// A client that closes its sending side looks gone, and may still be reading.
func TestNoAnswerPromisesWhatIsNotStored(t *testing.T) {
	t.Parallel()
	f := open(t, nil)
	f.journal.do = func(ctx context.Context, _ []messages.Event) error {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(200 * time.Millisecond):
			return &messages.NotCollected{Reason: messages.ReasonEdge, Retryable: true}
		}
	}
	conn, err := net.Dial("tcp", f.address)
	require.NoError(t, err)
	defer conn.Close()
	_, err = fmt.Fprintf(conn, "POST /event/click HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s", jsonType, len(click), click)
	require.NoError(t, err)
	require.NoError(t, conn.(*net.TCPConn).CloseWrite())
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	defer response.Body.Close()
	require.Equal(t, http.StatusServiceUnavailable, response.StatusCode)
	require.Empty(t, f.journal.stored())
}

func TestLargeHeadersAreRefused(t *testing.T) {
	t.Parallel()
	f := open(t, func(c *gateway.Config, _ *gateway.Parts) { c.HeaderBytesMax = 4 << 10 })
	r := f.post("/event/click", jsonType, click, "X-Large", strings.Repeat("x", 16<<10))
	require.Equal(t, http.StatusRequestHeaderFieldsTooLarge, r.code)
}

func TestABodyOfUnknownLengthIsBoundedToo(t *testing.T) {
	t.Parallel()
	f := open(t, nil)
	for path, most := range map[string]int{"/event/click": messages.EventBytesMax, "/events": 1 << 20} {
		request, err := http.NewRequestWithContext(context.Background(), http.MethodPost, f.url+path,
			io.MultiReader(strings.NewReader(strings.Repeat(" ", most)), strings.NewReader(click)))
		require.NoError(t, err)
		request.Header.Set("Content-Type", jsonType)
		response, err := f.client.Do(request)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Equal(t, http.StatusRequestEntityTooLarge, response.StatusCode)
	}
}

func TestShutdownLetsRequestsFinish(t *testing.T) {
	t.Parallel()
	f := open(t, nil)
	begun, release := f.blocked()
	first := make(chan reply)
	go func() { first <- f.post("/event/click", jsonType, click) }()
	<-begun
	stopped := make(chan error)
	go func() { stopped <- f.Shutdown(context.Background()) }()
	require.Eventually(t, func() bool {
		conn, err := net.Dial("tcp", f.address)
		if err == nil {
			_ = conn.Close()
		}
		return err != nil
	}, 10*time.Second, 5*time.Millisecond, "nobody new comes in")
	select {
	case <-stopped:
		t.Fatal("a request is under way")
	default:
	}
	close(release)
	require.Equal(t, http.StatusAccepted, (<-first).code)
	require.NoError(t, <-stopped)
}

func TestShutdownEndsWithItsContext(t *testing.T) {
	t.Parallel()
	f := open(t, nil)
	begun, _ := f.blocked()
	gone := make(chan error)
	go func() {
		request, _ := http.NewRequestWithContext(context.Background(), http.MethodPost, f.url+"/event/click", strings.NewReader(click))
		request.Header.Set("Content-Type", jsonType)
		response, err := f.client.Do(request)
		if err == nil {
			_ = response.Body.Close()
		}
		gone <- err
	}()
	<-begun
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, f.Shutdown(ctx), context.DeadlineExceeded)
	require.Error(t, <-gone, "what was not stored is not answered")
}

func TestAStoppingGatewayTakesNoMore(t *testing.T) {
	t.Parallel()
	f := open(t, nil)
	handler := newRecorder(t, f)
	require.NoError(t, f.Shutdown(context.Background()))
	code, header := handler(http.MethodPost, "/event/click")
	require.Equal(t, http.StatusServiceUnavailable, code)
	require.NotEmpty(t, header.Get("Retry-After"))
	code, _ = handler(http.MethodGet, "/readyz")
	require.Equal(t, http.StatusServiceUnavailable, code)
	code, _ = handler(http.MethodGet, "/healthz")
	require.Equal(t, http.StatusOK, code)
}

func TestReadinessTellsTheReasons(t *testing.T) {
	t.Parallel()
	var reasons error
	f := open(t, func(_ *gateway.Config, p *gateway.Parts) {
		p.Ready = func(ctx context.Context) error {
			_, bounded := ctx.Deadline()
			require.True(t, bounded)
			return reasons
		}
		p.Metrics = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "metric 1\n") })
	})
	require.Equal(t, http.StatusOK, f.get("/readyz").code)
	reasons = errors.Join(errors.New("edge is not writable"), fmt.Errorf("lane %w", errors.Join(errors.New("a"), errors.New("b"))))
	r := f.get("/readyz")
	require.Equal(t, http.StatusServiceUnavailable, r.code)
	require.JSONEq(t, `{"status":"not ready","reasons":["edge is not writable","lane a\nb"]}`, r.body)
	require.Equal(t, http.StatusOK, f.get("/healthz").code)
	require.Equal(t, "metric 1\n", f.get("/metrics").body)
	require.Equal(t, http.StatusMethodNotAllowed, f.post("/metrics", jsonType, "").code)
	require.Equal(t, observed{"/metrics", http.StatusOK}, f.seen[3])
	require.Equal(t, http.StatusNotFound, open(t, nil).get("/metrics").code)
}

// ready is no index of a list of one.
func ready(context.Context) int { return 1 }

func TestAPanicIsAnsweredAndLogged(t *testing.T) {
	t.Parallel()
	f := open(t, func(_ *gateway.Config, p *gateway.Parts) {
		p.Ready = func(ctx context.Context) error {
			return []error{nil}[ready(ctx)]
		}
		p.Metrics = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusOK)
			panic("half way")
		})
	})
	r := f.get("/readyz")
	require.Equal(t, http.StatusInternalServerError, r.code)
	r.failure(t)
	require.Equal(t, 1, f.logs.FilterMessage("panic in a request").Len())
	_, err := f.client.Get(f.url + "/metrics")
	require.Error(t, err, "half an answer is cut off")
	require.Equal(t, http.StatusAccepted, f.post("/event/click", jsonType, click).code)
}
