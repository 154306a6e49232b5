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
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"adpulse/messages"
	"adpulse/system/gateway"
)

// dial opens a bare connection that ends with the test.
func (f *fixture) dial() *net.TCPConn {
	f.t.Helper()
	conn, err := net.Dial("tcp", f.address)
	require.NoError(f.t, err)
	f.t.Cleanup(func() { _ = conn.Close() })
	require.NoError(f.t, conn.SetDeadline(time.Now().Add(10*time.Second)))
	return conn.(*net.TCPConn)
}

// say begins a POST to /event/click whose body has so many bytes.
func say(t *testing.T, conn net.Conn, length int, body string) {
	t.Helper()
	_, err := fmt.Fprintf(conn, "POST /event/click HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s", jsonType, length, body)
	require.NoError(t, err)
}

func codeOf(t *testing.T, conn net.Conn) int {
	t.Helper()
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	defer response.Body.Close()
	_, err = io.Copy(io.Discard, response.Body)
	require.NoError(t, err)
	return response.StatusCode
}

func TestAConnectionPastTheLimitIsClosedAtOnce(t *testing.T) {
	t.Parallel()
	var opened, turned atomic.Int64
	f := counting(t, 2, &opened, &turned)
	first, second := f.dial(), f.dial()
	for _, conn := range []net.Conn{first, second} {
		say(t, conn, len(click), click)
		require.Equal(t, http.StatusAccepted, codeOf(t, conn))
	}
	_, err := f.dial().Read(make([]byte, 1))
	require.Error(t, err)
	var late net.Error
	require.False(t, errors.As(err, &late) && late.Timeout(), "it is told, not left waiting")
	require.EqualValues(t, 1, turned.Load())
	require.Equal(t, 1, f.logs.FilterMessageSnippet("closed at once").Len())

	require.NoError(t, first.Close())
	require.Eventually(t, func() bool { return opened.Load() == 1 }, 10*time.Second, time.Millisecond)
	third := f.dial()
	say(t, third, len(click), click)
	require.Equal(t, http.StatusAccepted, codeOf(t, third), "who leaves makes room")
}

// counting opens a gateway of so many connections, which are counted.
func counting(t *testing.T, connections int, opened, turned *atomic.Int64) *fixture {
	t.Helper()
	return open(t, func(c *gateway.Config, p *gateway.Parts) {
		c.ConnectionsMax = connections
		p.Connections = func(n int) { opened.Store(int64(n)) }
		p.Turned = func() { turned.Add(1) }
	})
}

func TestAStalledBodyIsGivenUpBeforeItsTime(t *testing.T) {
	t.Parallel()
	f := open(t, func(c *gateway.Config, _ *gateway.Parts) { c.StallTimeout = 50 * time.Millisecond })
	conn := f.dial()
	say(t, conn, 100, "{")
	require.Equal(t, http.StatusRequestTimeout, codeOf(t, conn))
	require.Empty(t, f.journal.stored())
}

// An event that takes longer than a body may stall is answered all the same,
// and its connection serves the next one.
func TestAnAnswerMayTakeLongerThanABody(t *testing.T) {
	t.Parallel()
	f := open(t, func(c *gateway.Config, _ *gateway.Parts) {
		c.StallTimeout, c.ReadTimeout = 20*time.Millisecond, 20*time.Millisecond
	})
	f.journal.do = func(context.Context, []messages.Event) error {
		<-time.After(100 * time.Millisecond)
		return nil
	}
	conn := f.dial()
	for range 2 {
		say(t, conn, len(click), click)
		require.Equal(t, http.StatusAccepted, codeOf(t, conn))
	}
	require.Len(t, f.journal.stored(), 2)
}

func TestAClientThatClosedItsSendingSideIsAnswered(t *testing.T) {
	t.Parallel()
	f := open(t, nil)
	f.journal.do = func(ctx context.Context, _ []messages.Event) error {
		select {
		case <-ctx.Done(): // net/http has seen that nothing more will come
			return ctx.Err()
		case <-time.After(200 * time.Millisecond):
			return nil
		}
	}
	conn := f.dial()
	say(t, conn, len(click), click)
	require.NoError(t, conn.CloseWrite())
	require.Equal(t, http.StatusAccepted, codeOf(t, conn))
	require.Len(t, f.journal.stored(), 1)

	f.journal.do = func(context.Context, []messages.Event) error {
		return &messages.NotCollected{Reason: messages.ReasonEdge, Retryable: true}
	}
	conn = f.dial()
	say(t, conn, len(click), click)
	require.NoError(t, conn.CloseWrite())
	require.Equal(t, http.StatusServiceUnavailable, codeOf(t, conn), "never 2xx for what is not stored")
}

func TestSlowSendersTakeNoRequestsPlace(t *testing.T) {
	t.Parallel()
	f := open(t, func(c *gateway.Config, _ *gateway.Parts) { c.RequestsMax = 1 })
	slow := make([]net.Conn, 20)
	for i := range slow {
		slow[i] = f.dial()
		say(t, slow[i], len(click), click[:10])
	}
	require.Equal(t, http.StatusAccepted, f.post("/event/click", jsonType, click).code)
	for _, conn := range slow {
		_, err := io.WriteString(conn, click[10:])
		require.NoError(t, err)
		require.Equal(t, http.StatusAccepted, codeOf(t, conn))
	}
}

// What waits to become durable is held too: decoded events as well as bodies.
func TestEventsThatWaitAreHeld(t *testing.T) {
	t.Parallel()
	f := open(t, func(c *gateway.Config, _ *gateway.Parts) { c.BodyBytesMax, c.HeldBytesMax = 64<<10, 64<<10 })
	begun, release := f.blocked()
	first := make(chan reply, 1)
	body := strings.Repeat(click+"\n", 120)
	go func() {
		r, _ := f.try(http.MethodPost, "/events", linesType, body)
		first <- r
	}()
	<-begun
	r := f.post("/events", linesType, body)
	require.Equal(t, http.StatusServiceUnavailable, r.code)
	require.Equal(t, "1", r.header.Get("Retry-After"))
	close(release)
	require.Equal(t, http.StatusAccepted, (<-first).code)
	f.becomes(http.StatusAccepted, body)
}

func TestWhatWouldBeRefusedIsNotRead(t *testing.T) {
	t.Parallel()
	var reason atomic.Pointer[messages.NotCollected]
	f := open(t, func(_ *gateway.Config, p *gateway.Parts) {
		p.Refuses = func() error {
			if r := reason.Load(); r != nil {
				return r
			}
			return nil
		}
	})
	reason.Store(&messages.NotCollected{Reason: messages.ReasonHighWater, Retryable: true})
	r := f.post("/event/click", jsonType, "no event")
	require.Equal(t, http.StatusServiceUnavailable, r.code)
	require.Equal(t, "1", r.header.Get("Retry-After"))
	require.Contains(t, r.failure(t).Error, string(messages.ReasonHighWater))
	reason.Store(nil)
	require.Equal(t, http.StatusAccepted, f.post("/event/click", jsonType, click).code)
}
