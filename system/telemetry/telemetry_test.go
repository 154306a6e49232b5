package telemetry_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"pgregory.net/rapid"

	"adpulse/messages"
	"adpulse/system/telemetry"
)

var rewrite = flag.Bool("rewrite", false, "write docs/METRICS.md instead of comparing it")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// scrape returns the metrics as Prometheus reads them.
func scrape(t *testing.T, m *telemetry.Metrics) string {
	t.Helper()
	answer := httptest.NewRecorder()
	m.Handler().ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	require.Equal(t, http.StatusOK, answer.Code)
	return answer.Body.String()
}

// touch records something under every metric, so that all are exported.
func touch(m *telemetry.Metrics) {
	m.Acknowledged(messages.Impression, 3)
	m.Ack(time.Millisecond, 3)
	m.Mailbox("collector-0", func() (int, int, int) { return 7, 8192, 1 })
	m.Credit("gateway", "collector-0", func() (int, int) { return 5, 2730 })
	m.Backlog("edge-1/0", func() (uint64, uint64) { return 1000, 2 })
	m.MemoryBound(64 << 20)
	m.Segment(500, 100_000)
	m.Transaction("committed", 10*time.Millisecond)
	m.KafkaError("produce")
	m.Edge("append", "ok", time.Millisecond)
	m.Restarted("collector-0")
	m.Connections(12)
	m.Turned()
	m.Request("POST /events", 200, time.Millisecond)
}

func TestMetricsAreExported(t *testing.T) {
	m := telemetry.New()
	touch(m)
	page := scrape(t, m)
	for _, line := range []string{
		`adpulse_events_total{outcome="acknowledged",type="impression"} 3`,
		`adpulse_events_total{outcome="duplicate",type="conversion"} 0`,
		`adpulse_ack_seconds_bucket{le="0.0005"} 0`,
		`adpulse_ack_seconds_bucket{le="0.001"} 3`,
		`adpulse_ack_seconds_bucket{le="+Inf"} 3`,
		`adpulse_ack_seconds_count 3`,
		`adpulse_http_connections 12`,
		`adpulse_http_connections_turned_total 1`,
		`adpulse_mailbox_events{actor="collector-0"} 7`,
		`adpulse_mailbox_capacity_events{actor="collector-0"} 8192`,
		`adpulse_mailbox_parked_senders{actor="collector-0"} 1`,
		`adpulse_credit_outstanding_events{collector="collector-0",sender="gateway"} 5`,
		`adpulse_credit_window_events{collector="collector-0",sender="gateway"} 2730`,
		`adpulse_journal_backlog_events{lane="edge-1/0"} 1000`,
		`adpulse_journal_backlog_segments{lane="edge-1/0"} 2`,
		`adpulse_memory_bound_bytes 6.7108864e+07`,
		`adpulse_segment_events_sum 500`,
		`adpulse_segment_bytes_sum 100000`,
		`adpulse_export_transactions_total{outcome="committed"} 1`,
		`adpulse_export_transaction_seconds_count 1`,
		`adpulse_kafka_errors_total{kind="produce"} 1`,
		`adpulse_edge_seconds_count{op="append",outcome="ok"} 1`,
		`adpulse_restarts_total{actor="collector-0"} 1`,
		`adpulse_http_requests_total{code="200",route="POST /events"} 1`,
		`adpulse_http_seconds_count{route="POST /events"} 1`,
	} {
		require.Contains(t, page, line+"\n")
	}
	require.Regexp(t, `(?m)^adpulse_build\{.*\} 1$`, page)
	require.Contains(t, page, "go_goroutines ")
}

func TestTwoNodesInOneProcessDoNotMeet(t *testing.T) {
	one, other := telemetry.New(), telemetry.New()
	one.Acknowledged(messages.Click, 2)
	require.Equal(t, uint64(2), one.Totals().Acknowledged)
	require.Zero(t, other.Totals().Acknowledged)
}

func TestTotalsAddUpTypesAndIgnoreWhatIsNone(t *testing.T) {
	m := telemetry.New()
	for _, typ := range messages.EventTypes {
		m.Acknowledged(typ, 10)
		m.Rejected(typ, 1)
		m.Exported(typ, 8)
		m.Duplicate(typ, 2)
	}
	m.Acknowledged(0, 5)
	m.Acknowledged(messages.Click, -5)
	m.Ack(0, -1)
	totals := m.Totals()
	require.Equal(t, telemetry.Totals{Acknowledged: 40, Rejected: 4, Exported: 32, Duplicates: 8}, totals)
}

func TestAckQuantilesWeighByEvents(t *testing.T) {
	m := telemetry.New()
	m.Ack(time.Millisecond, 990)
	m.Ack(100*time.Millisecond, 10)
	m.Ack(time.Hour, 0)
	totals := m.Totals()
	require.InEpsilon(t, time.Millisecond, totals.AckP50, .01)
	require.InEpsilon(t, time.Millisecond, totals.AckP99, .01)
	m.Ack(time.Hour, 100)
	require.InEpsilon(t, time.Minute, m.Totals().AckP99, .01, "past the histogram's range counts as its end")
	require.Contains(t, scrape(t, m), `adpulse_ack_seconds_bucket{le="30"} 1000`)
}

func TestAckQuantileIsWithinAThousandth(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := telemetry.New()
		took := time.Duration(rapid.Int64Range(int64(time.Microsecond), int64(time.Minute)).Draw(t, "took"))
		m.Ack(took, rapid.IntRange(1, 1_000_000).Draw(t, "events"))
		got := m.Totals().AckP99
		if diff := (got - took).Abs(); diff > took/500+2*time.Microsecond {
			t.Fatalf("recorded %s, p99 is %s", took, got)
		}
	})
}

func TestRegisteringAgainReplacesAndForgettingIsOwn(t *testing.T) {
	m := telemetry.New()
	forgetFirst := m.Mailbox("collector-0", func() (int, int, int) { return 1, 10, 0 })
	forgetSecond := m.Mailbox("collector-0", func() (int, int, int) { return 2, 10, 0 })
	forgetFirst()
	require.Contains(t, scrape(t, m), `adpulse_mailbox_events{actor="collector-0"} 2`)
	forgetSecond()
	require.NotContains(t, scrape(t, m), `adpulse_mailbox_events{`)
}

func TestLoggerWritesOneLineAnEntry(t *testing.T) {
	var out bytes.Buffer
	log, err := telemetry.NewLogger(&out, "info", "json")
	require.NoError(t, err)
	log.Debug("not this")
	log.Named("edge").Error("write failed", zap.String("lane", "edge-1/0"), zap.Duration("took", time.Second))
	require.Equal(t, 1, strings.Count(out.String(), "\n"), "one line: no stack trace")
	var entry map[string]any
	require.NoError(t, json.Unmarshal(out.Bytes(), &entry))
	require.Equal(t, "write failed", entry["message"])
	require.Equal(t, "edge", entry["part"])
	require.Equal(t, "edge-1/0", entry["lane"])
	require.Equal(t, "1s", entry["took"])

	out.Reset()
	log, err = telemetry.NewLogger(&out, "warn", "console")
	require.NoError(t, err)
	log.Info("not this")
	log.Warn("backlog grows", zap.Int("events", 12))
	require.Regexp(t, `^\d\d:\d\d:\d\d\.\d{3}  WARN  backlog grows  \{"events": 12\}\n$`, out.String())
}

func TestLoggerRefusesWhatItDoesNotKnow(t *testing.T) {
	_, err := telemetry.NewLogger(&bytes.Buffer{}, "loud", "json")
	require.ErrorContains(t, err, "debug, info, warn, error")
	_, err = telemetry.NewLogger(&bytes.Buffer{}, "info", "xml")
	require.ErrorContains(t, err, "console, json")
}

func TestSlogArrivesInTheSameLog(t *testing.T) {
	var out bytes.Buffer
	log, err := telemetry.NewLogger(&out, "info", "json")
	require.NoError(t, err)
	bridge := telemetry.Slog(log, "protoactor")
	bridge.Debug("not this")
	bridge.With(slog.String("actor", "collector-0")).Error("failed", slog.Int("restarts", 2))
	require.Equal(t, 1, strings.Count(out.String(), "\n"))
	var entry map[string]any
	require.NoError(t, json.Unmarshal(out.Bytes(), &entry))
	require.Equal(t, "protoactor", entry["part"])
	require.Equal(t, "error", entry["level"])
	require.Equal(t, "collector-0", entry["actor"])
	require.InDelta(t, 2, entry["restarts"], 0)
}

func TestBuildIsFilledEvenWithoutVersionControl(t *testing.T) {
	b := telemetry.ReadBuild()
	require.NotEmpty(t, b.Version)
	require.NotEmpty(t, b.Commit)
	require.Regexp(t, `^go1\.`, b.Go)
	require.Contains(t, b.Platform, "/")
}

// TestMetricsPage keeps docs/METRICS.md and the registry the same:
// go test ./system/telemetry -run TestMetricsPage -rewrite
func TestMetricsPage(t *testing.T) {
	m := telemetry.New()
	touch(m)
	want := metricsPage(scrape(t, m))
	path := filepath.Join("..", "..", "docs", "METRICS.md")
	if *rewrite {
		require.NoError(t, os.WriteFile(path, []byte(want), 0o644))
	}
	got, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, want, string(got), "write it anew with: go tool task generate")
}

var labelName = regexp.MustCompile(`([a-z]+)="`)

// metricsPage lists adpulse's own metrics of a scrape as a Markdown table.
func metricsPage(scraped string) string {
	type row struct {
		help, kind string
		labels     map[string]bool
	}
	rows := map[string]*row{}
	var name string
	for line := range strings.Lines(scraped) {
		line = strings.TrimSuffix(line, "\n")
		if rest, ok := strings.CutPrefix(line, "# HELP "); ok {
			var help string
			name, help, _ = strings.Cut(rest, " ")
			rows[name] = &row{help: help, labels: map[string]bool{}}
		} else if rest, ok := strings.CutPrefix(line, "# TYPE "); ok {
			_, rows[name].kind, _ = strings.Cut(rest, " ")
		} else {
			for _, label := range labelName.FindAllStringSubmatch(line, -1) {
				if label[1] != "le" {
					rows[name].labels[label[1]] = true
				}
			}
		}
	}
	var page strings.Builder
	page.WriteString("# Metrics\n\n" +
		"`GET /metrics` on the gateway's address, in the Prometheus text format. Beside these stand the\n" +
		"usual `go_…` and `process_…` of the Go client. This page is written by `go tool task generate`;\n" +
		"a test compares it with the registry.\n\n" +
		"| metric | kind | labels | meaning |\n| --- | --- | --- | --- |\n")
	for _, name := range slices.Sorted(maps.Keys(rows)) {
		if r := rows[name]; strings.HasPrefix(name, "adpulse_") {
			labels := strings.Join(slices.Sorted(maps.Keys(r.labels)), ", ")
			fmt.Fprintf(&page, "| `%s` | %s | %s | %s |\n", name, r.kind, labels, r.help)
		}
	}
	return page.String()
}

func BenchmarkCountAndAck(b *testing.B) {
	const batch = 100
	m := telemetry.New()
	b.ReportAllocs()
	for b.Loop() {
		m.Acknowledged(messages.Impression, batch)
		m.Ack(time.Millisecond, batch)
	}
	b.ReportMetric(float64(b.N)*batch/b.Elapsed().Seconds(), "events/s")
}
