// Package publisher sends events to a gateway over HTTP, as the pages of many
// publishers would, and counts what becomes of them.
package publisher

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"golang.org/x/time/rate"

	"adpulse/messages"
)

// Source makes the events of one connection. It is used by one goroutine.
type Source interface {
	// Batch makes n events, received at a time in milliseconds since the epoch.
	Batch(n int, receivedAt int64) []messages.Event
}

// Config is where to, how much and how fast.
type Config struct {
	// Target is the gateway's address, such as http://127.0.0.1:4000.
	Target string
	// Connections send side by side, each one request at a time.
	Connections int
	// Batch is the events of one request. Of more than one, the request goes to
	// /events as NDJSON; a single one goes to /event/<type>.
	Batch int
	// Rate bounds all connections together, in events a second; 0 is as fast as
	// the gateway answers.
	Rate float64
	// Events and Duration end the run, whichever comes first; 0 is no end. What
	// was begun before is finished.
	Events   uint64
	Duration time.Duration
	// RequestTimeout bounds one try.
	RequestTimeout time.Duration
	// RetryDelay is the wait before a request is tried again, where its answer
	// names none; it doubles up to RetryDelayMax, which bounds what an answer
	// may name too.
	RetryDelay, RetryDelayMax time.Duration
	// GiveUpAfter bounds all tries of one request together.
	GiveUpAfter time.Duration
	// Acknowledged, where set, gets the events of each request that was
	// answered with 2xx: a ledger of what must not be lost. It is called
	// concurrently.
	Acknowledged func(events []messages.Event)
}

// DefaultConfig sends a hundred events a request over eight connections until
// told to stop. Target is still to be set.
func DefaultConfig() Config {
	return Config{
		Connections: 8, Batch: 100, RequestTimeout: 10 * time.Second,
		RetryDelay: 50 * time.Millisecond, RetryDelayMax: 2 * time.Second, GiveUpAfter: 30 * time.Second,
	}
}

func (c *Config) validate() error {
	target, err := url.Parse(c.Target)
	if err != nil || (target.Scheme != "http" && target.Scheme != "https") || target.Host == "" {
		return fmt.Errorf("target %q: use an address such as http://127.0.0.1:4000", c.Target)
	}
	if c.Connections < 1 || c.Batch < 1 || c.Rate < 0 || c.RequestTimeout <= 0 || c.RetryDelay <= 0 || c.RetryDelayMax < c.RetryDelay || c.GiveUpAfter <= 0 {
		return fmt.Errorf("connections %d, batch %d, rate %g: the first two must be positive, and so must the times", c.Connections, c.Batch, c.Rate)
	}
	return nil
}

// Result is what became of the events of a run. Each one that was sent was
// acknowledged, refused, or left unanswered.
type Result struct {
	// Sent counts each event once, however often it was tried.
	Sent uint64 `json:"sent"`
	// Acknowledged events were answered with 2xx.
	Acknowledged uint64 `json:"acknowledged"`
	// Refused events were answered with a status that no retry mends.
	Refused uint64 `json:"refused"`
	// Unanswered events were given up: they may have been counted.
	Unanswered uint64 `json:"unanswered"`
	// Retries counts requests, not events.
	Retries uint64 `json:"retries"`
	// P50 and P99 are times from a request's first try to its 2xx.
	P50 time.Duration `json:"ack_p50_ns"`
	P99 time.Duration `json:"ack_p99_ns"`
	// Elapsed is the length of the run.
	Elapsed time.Duration `json:"elapsed_ns"`
	// Problem is the first refusal or failure in the words of whoever told it.
	Problem string `json:"problem,omitempty"`
}

// Progress is a running total, for a display.
type Progress struct{ Sent, Acknowledged, Retries atomic.Uint64 }

// Run sends until the run's end, or that of ctx, which cuts off what is under
// way. sources makes the events of each connection, counted from 0. progress
// may be nil. An error says that the run could not begin; what went wrong later
// is in the result.
func Run(ctx context.Context, config Config, sources func(connection int) (Source, error), progress *Progress) (Result, error) {
	if err := config.validate(); err != nil {
		return Result{}, err
	}
	if progress == nil {
		progress = new(Progress)
	}
	transport := &http.Transport{
		MaxIdleConns: config.Connections, MaxIdleConnsPerHost: config.Connections, IdleConnTimeout: time.Minute,
		DisableCompression: true,
	}
	defer transport.CloseIdleConnections()
	r := &run{
		config: config, progress: progress,
		client: &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
		target: strings.TrimSuffix(config.Target, "/"),
		pace:   rate.NewLimiter(rate.Inf, 0),
	}
	if config.Rate > 0 {
		r.pace = rate.NewLimiter(rate.Limit(config.Rate), max(config.Batch, int(config.Rate/100)))
	}
	connections := make([]*connection, config.Connections)
	for i := range connections {
		source, err := sources(i)
		if err != nil {
			return Result{}, fmt.Errorf("connection %d: %w", i, err)
		}
		connections[i] = &connection{run: r, source: source, took: hdrhistogram.New(1, int64(time.Hour/time.Microsecond), 3)}
	}

	begin := ctx // ends when no new request may begin
	if config.Duration > 0 {
		var cancel context.CancelFunc
		begin, cancel = context.WithTimeout(ctx, config.Duration)
		defer cancel()
	}
	started := time.Now()
	var all sync.WaitGroup
	for _, c := range connections {
		all.Add(1)
		go func() {
			defer all.Done()
			c.send(ctx, begin)
		}()
	}
	all.Wait()
	return r.result(connections, time.Since(started)), nil
}

// run is what the connections of one run share.
type run struct {
	config   Config
	client   *http.Client
	target   string
	pace     *rate.Limiter
	progress *Progress

	begun   atomic.Uint64 // events given out, of config.Events
	problem struct {
		sync.Once
		text string
	}
}

// claim returns how many events the next request may carry; 0 at the end.
func (r *run) claim() int {
	if r.config.Events == 0 {
		return r.config.Batch
	}
	for {
		begun := r.begun.Load()
		n := min(uint64(r.config.Batch), r.config.Events-begun)
		if n == 0 || r.begun.CompareAndSwap(begun, begun+n) {
			return int(n)
		}
	}
}

func (r *run) note(err error) {
	r.problem.Do(func() { r.problem.text = err.Error() })
}

func (r *run) result(connections []*connection, elapsed time.Duration) Result {
	total := Result{Elapsed: elapsed, Problem: r.problem.text}
	took := hdrhistogram.New(1, int64(time.Hour/time.Microsecond), 3)
	for _, c := range connections {
		total.Sent += c.count.Sent
		total.Acknowledged += c.count.Acknowledged
		total.Refused += c.count.Refused
		total.Unanswered += c.count.Unanswered
		total.Retries += c.count.Retries
		took.Merge(c.took)
	}
	total.P50 = time.Duration(took.ValueAtQuantile(50)) * time.Microsecond
	total.P99 = time.Duration(took.ValueAtQuantile(99)) * time.Microsecond
	return total
}

// connection sends one request after the other.
type connection struct {
	run    *run
	source Source
	took   *hdrhistogram.Histogram // microseconds, an entry an event
	count  Result
	body   []byte // of the request; reused
}

func (c *connection) send(ctx, begin context.Context) {
	for begin.Err() == nil {
		n := c.run.claim()
		if n == 0 || c.run.pace.WaitN(begin, n) != nil {
			return
		}
		events := c.source.Batch(n, time.Now().UnixMilli())
		c.count.Sent += uint64(n)
		c.run.progress.Sent.Add(uint64(n))
		started := time.Now()
		err := c.deliver(ctx, events)
		var refused *refusal
		switch {
		case err == nil:
			c.count.Acknowledged += uint64(n)
			c.run.progress.Acknowledged.Add(uint64(n))
			c.record(time.Since(started), n)
			if c.run.config.Acknowledged != nil {
				c.run.config.Acknowledged(events)
			}
		case errors.As(err, &refused):
			c.count.Refused += uint64(n)
			c.run.note(err)
		default:
			c.count.Unanswered += uint64(n)
			c.run.note(err)
		}
	}
}

func (c *connection) record(took time.Duration, events int) {
	units := min(max(took.Microseconds(), 1), c.took.HighestTrackableValue())
	if err := c.took.RecordValues(units, int64(events)); err != nil {
		panic("publisher: latency out of the histogram's range: " + err.Error()) // clamped above
	}
}
