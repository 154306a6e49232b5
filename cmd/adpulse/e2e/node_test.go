package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

// program is the built binary, buildFlags how it is built.
var (
	program    string
	buildFlags []string
)

// patience bounds every wait for something that must happen.
const patience = 90 * time.Second

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "adpulse-e2e-")
	if err == nil {
		program = filepath.Join(dir, "adpulse")
		build := exec.Command("go", append(append([]string{"build"}, buildFlags...), "-o", program, "adpulse/cmd/adpulse")...)
		build.Stdout, build.Stderr = os.Stderr, os.Stderr
		err = build.Run()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e: cannot build the program:", err)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		if err := os.RemoveAll(dir); err != nil {
			fmt.Fprintln(os.Stderr, "e2e:", err)
		}
		os.Exit(code)
	}))
}

// place is where a node keeps its data and listens. A node that is started
// again at its place is the same node.
type place struct {
	dir                     string
	http, edge, core, kafka string
}

func newPlace(t *testing.T) place {
	t.Helper()
	return place{
		dir: filepath.Join(t.TempDir(), "data"), http: freePort(t), edge: freePort(t),
		core: freePort(t), kafka: freePort(t),
	}
}

// freePort picks a port below those that the system hands to connections, so
// that none of them takes it between two starts of a node.
func freePort(t *testing.T) string {
	t.Helper()
	for range 1000 {
		address := net.JoinHostPort("127.0.0.1", strconv.Itoa(20000+rand.IntN(12000)))
		listener, err := net.Listen("tcp", address)
		if err != nil {
			continue
		}
		require.NoError(t, listener.Close())
		return address
	}
	t.Fatal("no free port")
	return ""
}

// args are the flags of a small node at p. Few campaigns make it start fast.
func (p place) args(command string, more ...string) []string {
	return append([]string{
		command, "--data-dir", p.dir, "--http", p.http, "--edge-listen", p.edge, "--core-listen", p.core,
		"--kafka-listen", p.kafka, "--campaigns", "3", "--tags", "10", "--log-format", "json",
	}, more...)
}

// process is the program, started.
type process struct {
	command        *exec.Cmd
	stdout, stderr lockedBuffer
	ended          chan struct{}
	err            error // of Wait; read after ended
}

type lockedBuffer struct {
	mu    sync.Mutex
	bytes bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.bytes.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.bytes.String()
}

// start runs the program in a clean environment. It is killed when the test
// ends, if it still runs.
func start(t *testing.T, args ...string) *process {
	t.Helper()
	p := &process{command: exec.Command(program, args...), ended: make(chan struct{})}
	p.command.Stdout, p.command.Stderr = &p.stdout, &p.stderr
	for _, pair := range os.Environ() {
		if !strings.HasPrefix(pair, "ADPULSE_") {
			p.command.Env = append(p.command.Env, pair)
		}
	}
	require.NoError(t, p.command.Start())
	go func() {
		p.err = p.command.Wait()
		close(p.ended)
	}()
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("adpulse %s\nstdout:\n%s\nstderr:\n%s", strings.Join(args, " "), lastLines(p.stdout.String()), lastLines(p.stderr.String()))
		}
	})
	return p
}

func lastLines(s string) string {
	lines := strings.Split(s, "\n")
	return strings.Join(lines[max(0, len(lines)-40):], "\n")
}

// kill is kill -9, and waits until the process is gone.
func (p *process) kill() {
	// A process that has ended already is as dead as asked.
	_ = p.command.Process.Kill()
	<-p.ended
}

// exitCode waits until the process has ended by itself.
func (p *process) exitCode(t *testing.T) int {
	t.Helper()
	select {
	case <-p.ended:
	case <-time.After(patience):
		t.Fatalf("adpulse has not ended after %s", patience)
	}
	var exit *exec.ExitError
	if p.err != nil && !errors.As(p.err, &exit) {
		t.Fatalf("wait for adpulse: %v", p.err)
	}
	return p.command.ProcessState.ExitCode()
}

// stop asks the process to end, as Ctrl-C does, and waits for exit code 0.
func (p *process) stop(t *testing.T) {
	t.Helper()
	require.NoError(t, p.command.Process.Signal(syscall.SIGTERM))
	require.Zero(t, p.exitCode(t))
}

// figures is the line of --summary json.
type figures struct {
	Acknowledged    *uint64  `json:"acknowledged"`
	Rejected        *uint64  `json:"rejected"`
	Exported        *uint64  `json:"exported"`
	Duplicates      *uint64  `json:"duplicates"`
	Backlog         *uint64  `json:"backlog"`
	EventsPerSecond *float64 `json:"events_per_second"`
	AckP50          *float64 `json:"ack_p50_ms"`
	AckP99          *float64 `json:"ack_p99_ms"`
}

// figures reads the last line on stdout; every figure must be there.
func (p *process) figures(t *testing.T) figures {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(p.stdout.String()), "\n")
	var f figures
	require.NoError(t, json.Unmarshal([]byte(lines[len(lines)-1]), &f), "last line on stdout: %q", lines[len(lines)-1])
	for name, there := range map[string]bool{
		"acknowledged": f.Acknowledged != nil, "rejected": f.Rejected != nil, "exported": f.Exported != nil,
		"duplicates": f.Duplicates != nil, "backlog": f.Backlog != nil, "events_per_second": f.EventsPerSecond != nil,
		"ack_p50_ms": f.AckP50 != nil, "ack_p99_ms": f.AckP99 != nil,
	} {
		require.True(t, there, "summary without %s", name)
	}
	return f
}

// run starts a node at p and waits until it can make an event durable.
func (p place) run(t *testing.T, more ...string) *process {
	t.Helper()
	node := start(t, p.args("run", more...)...)
	deadline := time.Now().Add(patience)
	for {
		select {
		case <-node.ended:
			t.Fatalf("adpulse ended before it was ready: %s", node.stderr.String())
		case <-time.After(25 * time.Millisecond):
		}
		if code, _, err := get(t, "http://"+p.http+"/readyz"); err == nil && code == http.StatusOK {
			return node
		}
		require.True(t, time.Now().Before(deadline), "not ready after %s", patience)
	}
}

func get(t *testing.T, url string) (code int, body []byte, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	require.NoError(t, err)
	request.Close = true
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, nil, err
	}
	body, err = io.ReadAll(answer.Body)
	return answer.StatusCode, body, errors.Join(err, answer.Body.Close())
}

// events is what /metrics says about events, by outcome.
func (p place) events(t *testing.T) map[string]int {
	t.Helper()
	code, page, err := get(t, "http://"+p.http+"/metrics")
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, code)
	counts := map[string]int{}
	for line := range strings.Lines(string(page)) {
		rest, ok := strings.CutPrefix(line, `adpulse_events_total{outcome="`)
		if !ok {
			continue
		}
		outcome, rest, _ := strings.Cut(rest, `"`)
		_, number, _ := strings.Cut(strings.TrimSpace(rest), "} ")
		count, err := strconv.ParseFloat(number, 64)
		require.NoError(t, err, line)
		counts[outcome] += int(count)
	}
	return counts
}

// drained waits until as many events have left the journal as are said to have
// been acknowledged by this process, and at least some.
func (p place) drained(t *testing.T, some int) {
	t.Helper()
	require.Eventually(t, func() bool {
		counts := p.events(t)
		return counts["acknowledged"] >= some && counts["exported"]+counts["duplicate"] >= counts["acknowledged"]
	}, patience, 50*time.Millisecond, "the journal is not exported")
}
