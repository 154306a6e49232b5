package system_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

// attackers are bare connections to a node.
type attackers struct {
	t     *testing.T
	at    string
	conns []*net.TCPConn
}

func (a *attackers) dial() *net.TCPConn {
	a.t.Helper()
	conn, err := net.Dial("tcp", a.at)
	require.NoError(a.t, err)
	a.conns = append(a.conns, conn.(*net.TCPConn))
	return conn.(*net.TCPConn)
}

func (a *attackers) leave() {
	for _, conn := range a.conns {
		_ = conn.Close()
	}
	a.conns = nil
}

// descriptors counts what the process has open.
func descriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/dev/fd")
	require.NoError(t, err)
	return len(entries)
}

const clickBody = `{"tag":"6ff4e1c6-4b46-4a1c-a7c0-2f1a1e1b9d10","publisher":"p"}`

func requestOf(path, kind, body string) string {
	return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s", path, kind, len(body), body)
}

// TestStrangeClientsLeaveNothingBehind lets idle, slow and half-closed clients
// at a node, in numbers. A normal one is served throughout, and when the others
// are gone, again and again, goroutines and descriptors stay as many. It is
// not parallel: those are counted for the whole process.
func TestStrangeClientsLeaveNothingBehind(t *testing.T) {
	const idle, slow, half = 2000, 30, 30
	c := small(filepath.Join(t.TempDir(), "data"))
	c.Simulators = 0
	n := openNode(t, c)
	normal := newCrowd(t, n)
	attacks := map[string]func(a *attackers){
		"idle": func(a *attackers) {
			for range idle {
				a.dial()
			}
			require.Eventually(t, func() bool { return normal.metric("adpulse_http_connections") > idle }, patience, 10*time.Millisecond)
		},
		"slow senders": func(a *attackers) {
			text := requestOf("/event/click", "application/json", clickBody)
			for range slow {
				a.dial()
			}
			for i := range len(text) { // a byte each, in turn
				for _, conn := range a.conns {
					_, err := conn.Write([]byte(text[i : i+1]))
					require.NoError(t, err)
				}
			}
			for _, conn := range a.conns {
				requireCode(t, conn, http.StatusAccepted)
			}
		},
		"senders of half a request": func(a *attackers) {
			text := requestOf("/event/click", "application/json", clickBody)
			for i := range slow {
				_, err := io.WriteString(a.dial(), text[:len(text)*(i+1)/(slow+1)])
				require.NoError(t, err)
			}
		},
		"slow readers": func(a *attackers) {
			// The answers are larger than what waits in the connection between.
			var lines strings.Builder
			for range 9000 {
				fmt.Fprintf(&lines, `{"event":"click","tag":"%s"}`+"\n", uuid.NewString())
			}
			for range 4 {
				conn := a.dial()
				require.NoError(t, conn.SetReadBuffer(4<<10))
				_, err := io.WriteString(conn, requestOf("/events", "application/x-ndjson", lines.String()))
				require.NoError(t, err)
				_, err = conn.Read(make([]byte, 1))
				require.NoError(t, err, "the answer has begun")
			}
		},
		"half-closed": func(a *attackers) {
			for i := range half {
				conn := a.dial()
				if i%2 == 0 {
					_, err := io.WriteString(conn, requestOf("/event/click", "application/json", clickBody))
					require.NoError(t, err)
				}
				require.NoError(t, conn.CloseWrite())
				if i%2 == 0 {
					requireCode(t, conn, http.StatusAccepted)
				}
			}
		},
	}
	// The stores' clients keep the connections that they once needed, so that a
	// round may leave some more; what clients leave behind adds up in every one.
	const rounds, spare = 6, 20
	var goroutines, open int
	for round := 1; ; round++ {
		for name, attack := range attacks {
			a := &attackers{t: t, at: n.HTTPAddr()}
			attack(a)
			require.Equal(t, http.StatusAccepted, normal.post(5), "a normal client is served among %s", name)
			a.leave()
		}
		require.Eventually(t, func() bool {
			normal.client.CloseIdleConnections()
			return normal.metric("adpulse_http_connections") <= 1 // the one that asks
		}, patience, 20*time.Millisecond)
		normal.client.CloseIdleConnections()
		before, openBefore := goroutines, open
		goroutines, open = runtime.NumGoroutine(), descriptors(t)
		if goroutines <= before+spare && open <= openBefore+spare {
			break
		}
		require.Less(t, round, rounds, "goroutines or descriptors are left by every round: %d and %d, now %d and %d", before, openBefore, goroutines, open)
	}
	require.Zero(t, stopNode(t, n).Backlog)
}

func requireCode(t *testing.T, conn net.Conn, code int) {
	t.Helper()
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(patience)))
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	require.Equal(t, code, answer.StatusCode)
	require.NoError(t, answer.Body.Close())
}

// Past --http-connections nobody waits: it is closed, and who leaves makes room.
func TestConnectionsAreBounded(t *testing.T) {
	c := small(filepath.Join(t.TempDir(), "data"))
	c.Simulators, c.HTTPConnections = 0, 20
	n := openNode(t, c)
	a := &attackers{t: t, at: n.HTTPAddr()}
	var closed sync.WaitGroup
	for i := range 30 {
		conn := a.dial()
		if i < 20 {
			_, err := io.WriteString(conn, requestOf("/event/click", "application/json", clickBody))
			require.NoError(t, err)
			requireCode(t, conn, http.StatusAccepted)
			continue
		}
		require.NoError(t, conn.SetReadDeadline(time.Now().Add(patience)))
		closed.Go(func() {
			var late net.Error
			if _, err := io.ReadAll(conn); errors.As(err, &late) && late.Timeout() {
				t.Error("a connection past the bound is left waiting")
			}
		})
	}
	closed.Wait()
	a.leave()
	normal := newCrowd(t, n)
	require.Eventually(t, func() bool {
		answer, err := normal.client.Get(normal.url + "/healthz")
		if err != nil {
			return false
		}
		_ = answer.Body.Close()
		return answer.StatusCode == http.StatusOK
	}, patience, 5*time.Millisecond)
	require.GreaterOrEqual(t, normal.metric("adpulse_http_connections_turned_total"), 10.0)
	stopNode(t, n)
}
