package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"go.uber.org/zap"

	"adpulse/system"
	"adpulse/system/telemetry"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeNode is a node whose life a test decides.
type fakeNode struct {
	status  system.Status
	done    chan struct{}
	failed  error
	stopErr error
	stopped int
}

func (n *fakeNode) Status() system.Status      { return n.status }
func (n *fakeNode) Done() <-chan struct{}      { return n.done }
func (n *fakeNode) Err() error                 { return n.failed }
func (n *fakeNode) HTTPAddr() string           { return "127.0.0.1:4000" }
func (n *fakeNode) Stop(context.Context) error { n.stopped++; return n.stopErr }

// world is everything around a program, for a test to set and to look at.
type world struct {
	program
	stdout, stderr bytes.Buffer
	signals        chan os.Signal
	exits          chan int
	node           *fakeNode
	config         system.Config // that the node was opened with
	opened         chan struct{}
	openErr        error
	messages       []tailed
}

func newWorld() *world {
	w := &world{
		signals: make(chan os.Signal, 2), exits: make(chan int, 1), opened: make(chan struct{}),
		node: &fakeNode{done: make(chan struct{}), status: system.Status{
			Acknowledged: 1000, Exported: 990, Duplicates: 10, Uptime: 2 * time.Second,
			AckP50: 1500 * time.Microsecond, AckP99: 12 * time.Millisecond, MailboxFill: .25,
		}},
	}
	once := sync.OnceFunc(func() { close(w.opened) })
	w.program = program{
		stdin: strings.NewReader(""), stdout: &w.stdout, stderr: &w.stderr, signals: w.signals,
		exit: func(code int) { w.exits <- code },
		open: func(_ context.Context, c system.Config, _ *zap.Logger, _ *telemetry.Metrics) (node, error) {
			w.config = c
			once()
			return w.node, w.openErr
		},
		seed: func(_ context.Context, c system.Config, _ *zap.Logger, progress func(done, total int)) error {
			w.config = c
			progress(c.Campaigns, c.Campaigns)
			return w.openErr
		},
		follow: func(ctx context.Context, _ *tailOptions, visit func(tailed) error) error {
			for _, m := range w.messages {
				if err := visit(m); err != nil {
					return err
				}
			}
			<-ctx.Done()
			return ctx.Err()
		},
	}
	return w
}

func TestStrongerSourcesWin(t *testing.T) {
	file := filepath.Join(t.TempDir(), "adpulse.yaml")
	require.NoError(t, os.WriteFile(file, []byte(
		"mailbox: 1000\ncors-origins: [https://a.example, https://b.example]\nlinger: 3ms\nkafka-password: of the file\n"+
			"rate: 2500.5\nfsync: true\nhigh-water:\nedge-user: someone\ncount: 3\n"), 0o600))
	def := system.DefaultConfig()
	for _, c := range []struct {
		name string
		file bool
		env  []string
		args []string
		want func(*system.Config)
	}{
		{"defaults", false, nil, nil, func(*system.Config) {}},
		{"file", true, nil, []string{"--high-water", "7"}, func(c *system.Config) {
			c.Mailbox, c.Linger, c.Rate, c.Fsync, c.HighWater = 1000, 3*time.Millisecond, 2500.5, true, 7
			c.Origins = []string{"https://a.example", "https://b.example"}
			c.KafkaPassword, c.EdgeUser = "of the file", "someone"
		}},
		{
			"environment over default", false,
			[]string{"ADPULSE_MAILBOX=2000", "ADPULSE_DATA_DIR=/srv/x", "ADPULSE_EDGE_PASSWORD=secret", "ADPULSE_REQUIRE_TOOLS=1", "MAILBOX=5"},
			nil, func(c *system.Config) { c.Mailbox, c.DataDir, c.EdgePassword = 2000, "/srv/x", "secret" },
		},
		{"an empty variable is unset", false, []string{"ADPULSE_MAILBOX="}, nil, func(*system.Config) {}},
		{
			"environment over file", true,
			[]string{"ADPULSE_MAILBOX=2000", "ADPULSE_LINGER=4ms", "ADPULSE_KAFKA_PASSWORD=of the environment"},
			[]string{"--high-water", "7"},
			func(c *system.Config) {
				c.Mailbox, c.Linger, c.Rate, c.Fsync, c.HighWater = 2000, 4*time.Millisecond, 2500.5, true, 7
				c.Origins = []string{"https://a.example", "https://b.example"}
				c.KafkaPassword, c.EdgeUser = "of the environment", "someone"
			},
		},
		{
			"flag over all", true,
			[]string{"ADPULSE_MAILBOX=2000"},
			[]string{"--mailbox", "3000", "--high-water", "7", "--cors-origins", "*", "--fsync=false", "--rate", "1"},
			func(c *system.Config) {
				c.Mailbox, c.Linger, c.Rate, c.HighWater = 3000, 3*time.Millisecond, 1, 7
				c.KafkaPassword, c.EdgeUser = "of the file", "someone"
			},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld()
			w.env = c.env
			args := append([]string{"run", "--for", "1ms"}, c.args...)
			if c.file {
				args = append(args, "--config", file)
			}
			code := w.run(args)
			require.Zero(t, code, w.stderr.String())
			want := def
			c.want(&want)
			require.Equal(t, want, w.config)
		})
	}
	w := newWorld()
	w.env = []string{"ADPULSE_CONFIG=" + file}
	require.Equal(t, exitUsage, w.run([]string{"run"}), "high-water without a value, from the file that the environment names")
	require.Contains(t, w.stderr.String(), "--high-water")
}

func TestWhatIsWrongIsSaidInOneLineWithAHint(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	for _, c := range []struct {
		name string
		env  []string
		args []string
		want []string
	}{
		{"unknown flag", nil, []string{"run", "--mailbx", "1"}, []string{`"mailbx"`, "did you mean --mailbox?"}},
		{"unknown command", nil, []string{"rum"}, []string{`"rum"`, "did you mean run?"}},
		{"argument", nil, []string{"run", "fast"}, []string{`"fast"`}},
		{"no number", nil, []string{"run", "--mailbox", "many"}, []string{"--mailbox", "whole number"}},
		{"no value", nil, []string{"run", "--mailbox"}, []string{"--mailbox needs a value"}},
		{"no duration", nil, []string{"run", "--for", "soon"}, []string{"--for", "duration"}},
		{"negative duration", nil, []string{"run", "--for", "-1s"}, []string{"--for"}},
		{"no choice", nil, []string{"run", "--log-format", "xml"}, []string{"--log-format", "console, json"}},
		{"out of range", nil, []string{"run", "--mailbox", "1"}, []string{"--mailbox", "use 16 to"}},
		{"secret as flag", nil, []string{"run", "--edge-password", "x"}, []string{"ADPULSE_EDGE_PASSWORD"}},
		{"mix", nil, []string{"run", "--mix", "1:2"}, []string{"--mix"}},
		{"environment", []string{"ADPULSE_MAILBOX=many"}, []string{"run"}, []string{"--mailbox", "environment ADPULSE_MAILBOX"}},
		{"no file", nil, []string{"run", "--config", filepath.Join(dir, "none")}, []string{"--config", "no such file"}},
		{"no YAML", nil, []string{"run", "--config", file("a", "a: b: c")}, []string{"--config"}},
		{"no mapping", nil, []string{"run", "--config", file("b", "- a\n- b")}, []string{"--config"}},
		{"unknown setting", nil, []string{"run", "--config", file("c", "mailbx: 1")}, []string{"--config", `"mailbx"`, "did you mean mailbox?"}},
		{"twice", nil, []string{"run", "--config", file("d", "mailbox: 100\nmailbox: 200")}, []string{"--config", "already defined"}},
		{"nested", nil, []string{"run", "--config", file("e", "mailbox: {events: 1}")}, []string{"--mailbox"}},
		{"simulate batch", nil, []string{"simulate", "--batch", "0"}, []string{"--batch"}},
		{"simulate target", nil, []string{"simulate", "--target", "nowhere"}, []string{"--target"}},
		{"simulate unreachable", nil, []string{"simulate", "--target", "http://127.0.0.1:1"}, []string{"--target", "adpulse run"}},
		{"tail from", nil, []string{"tail", "--from", "then"}, []string{"--from", "latest, earliest"}},
		{"tail count", nil, []string{"tail", "-n", "-1"}, []string{"--count"}},
		{"init campaigns", nil, []string{"init", "--campaigns", "0"}, []string{"--campaigns"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld()
			w.env = c.env
			require.Equal(t, exitUsage, w.run(c.args))
			said := w.stderr.String()
			require.Equal(t, 1, strings.Count(said, "adpulse: "), said)
			require.LessOrEqual(t, strings.Count(said, "\n"), 2, said)
			for _, want := range c.want {
				require.Contains(t, said, want)
			}
			require.Empty(t, w.stdout.String())
		})
	}
}

func TestEverySettingIsAFlagWithMeaningAndKnownToTheFile(t *testing.T) {
	w := newWorld()
	for _, name := range []string{"run", "init", "simulate", "tail", "version"} {
		w.stdout.Reset()
		require.Zero(t, w.run([]string{name, "--help"}))
		require.Contains(t, w.stdout.String(), "Examples:")
		require.Contains(t, w.stdout.String(), "Exit codes:")
	}
	sample, err := os.ReadFile(filepath.Join("..", "..", "deployments", "adpulse.yaml"))
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "all.yaml")
	// The sample with its commented settings switched on is valid, too.
	all := strings.NewReplacer("# edge:", "edge:", "# core:", "core:", "# kafka:", "kafka:", "# edge-user:", "edge-user:",
		"# kafka-user:", "kafka-user:", "# kafka-sasl:", "kafka-sasl:", "# kafka-tls:", "kafka-tls:").Replace(string(sample))
	for _, text := range []string{string(sample), all} {
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		require.Zero(t, w.run([]string{"run", "--for", "1ms", "--config", path}), w.stderr.String())
	}
	require.Equal(t, "scram-sha-512", w.config.KafkaSASL)
}

func TestRunEndsWithOneLineOfFigures(t *testing.T) {
	w := newWorld()
	require.Zero(t, w.run([]string{"run", "--for", "1ms", "--summary", "json"}))
	require.Equal(t, 1, w.node.stopped)
	require.JSONEq(t, `{"acknowledged":1000,"rejected":0,"exported":990,"duplicates":10,"backlog":0,
		"events_per_second":500,"ack_p50_ms":1.5,"ack_p99_ms":12,"uptime_seconds":2}`, w.stdout.String())
	require.Contains(t, w.stderr.String(), "http://127.0.0.1:4000")
}

func TestASignalDrainsAndASecondEndsAtOnce(t *testing.T) {
	w := newWorld()
	ended := make(chan int)
	go func() { ended <- w.run([]string{"run"}) }()
	<-w.opened
	w.signals <- syscall.SIGTERM
	require.Zero(t, <-ended)
	require.Equal(t, 1, w.node.stopped)

	w = newWorld()
	stuck := make(chan struct{})
	w.seed = func(context.Context, system.Config, *zap.Logger, func(int, int)) error { <-stuck; return nil }
	go func() { ended <- w.run([]string{"init"}) }()
	w.signals <- syscall.SIGINT
	w.signals <- syscall.SIGINT
	require.Equal(t, exitRuntime, <-w.exits)
	close(stuck)
	<-ended
}

func TestFailuresOfTheNode(t *testing.T) {
	w := newWorld()
	w.openErr = &system.FlagError{Flag: "http", Problem: "127.0.0.1:4000 is in use", Hint: "choose another"}
	require.Equal(t, exitUsage, w.run([]string{"run"}))
	require.Equal(t, "adpulse: --http: 127.0.0.1:4000 is in use\n         choose another\n", w.stderr.String())

	w = newWorld()
	w.node.failed = errors.New("collector edge-1/0: restart budget\nexceeded")
	close(w.node.done)
	require.Equal(t, exitRuntime, w.run([]string{"run", "--summary", "json"}))
	require.Contains(t, w.stderr.String(), "adpulse: the node failed: collector edge-1/0: restart budget; exceeded\n")
	require.True(t, json.Valid(w.stdout.Bytes()), "the figures come all the same")

	w = newWorld()
	w.node.stopErr = context.DeadlineExceeded
	require.Equal(t, exitRuntime, w.run([]string{"run", "--for", "1ms"}))
	require.Contains(t, w.stderr.String(), "--drain-timeout")
}

func TestTailPrintsWhatItFollows(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	change := `{"msg":"write","bins":[{"name":"event-id","type":"str","value":"0d33124c"},` +
		`{"name":"event-data","type":"map","value":{"tag":"0a3c","publisher":"me"}},{"name":"event-type","type":"str","value":"click"}]}`
	w := newWorld()
	w.messages = []tailed{
		{Partition: 3, Offset: 7, Time: at, Key: []byte("k"), Headers: map[string]string{"adpulse-origin": "edge-1/0:4:2"}, Value: []byte(change)},
		{Partition: 4, Offset: 8, Time: at, Value: []byte("no JSON \x1b[2J\xff")},
		{Partition: 5, Offset: 9, Time: at, Value: []byte("not printed")},
	}
	require.Zero(t, w.run([]string{"tail", "-n", "2"}))
	lines := strings.Split(w.stdout.String(), "\n")
	require.Len(t, lines, 3)
	require.Contains(t, lines[0], `3:7        click      0d33124c {"tag":"0a3c","publisher":"me"}`)
	require.Contains(t, lines[1], "4:8        no JSON ·[2J·")

	w.stdout.Reset()
	require.Zero(t, w.run([]string{"tail", "-n", "2", "--format", "json"}))
	lines = strings.Split(w.stdout.String(), "\n")
	require.JSONEq(t, `{"topic":"edge-to-core","partition":3,"offset":7,"time":"2026-01-02T03:04:05Z","key":"k",
		"headers":{"adpulse-origin":"edge-1/0:4:2"},"value":`+change+`}`, lines[0])
	require.True(t, json.Valid([]byte(lines[1])))
}

func TestMeterTakesRatesOverTwoSeconds(t *testing.T) {
	var m meter
	at := func(seconds float64, acknowledged, exported uint64) (float64, float64) {
		return m.observe(system.Status{Uptime: time.Duration(seconds * float64(time.Second)), Acknowledged: acknowledged, Exported: exported})
	}
	acknowledged, _ := at(0, 0, 0)
	require.Zero(t, acknowledged)
	acknowledged, exported := at(1, 1000, 500)
	require.InDelta(t, 1000, acknowledged, .01)
	require.InDelta(t, 500, exported, .01)
	at(2, 2000, 2000)
	acknowledged, _ = at(3, 6000, 2000)
	require.InDelta(t, 2500, acknowledged, .01)
	require.Equal(t, "1,234,567", thousands(1234567))
	require.Equal(t, "-1,000", thousands(-1000))
	require.Equal(t, "1.23s", short(1234*time.Millisecond))
}
