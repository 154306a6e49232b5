package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"go.uber.org/zap"

	"adpulse/actors/simulator"
	"adpulse/messages"
	"adpulse/system"
	"adpulse/system/core"
	"adpulse/system/publisher"
	"adpulse/system/telemetry"
)

// simulateOptions is what simulate takes.
type simulateOptions struct {
	load                publisher.Config
	mix                 string
	seed                uint64
	campaigns, tags     int
	summary             string
	logLevel, logFormat string
}

func (p *program) simulateCommand() *cobra.Command {
	d := system.DefaultConfig()
	o := simulateOptions{
		load: publisher.DefaultConfig(), mix: d.Mix, seed: d.Seed, campaigns: d.Campaigns, tags: d.TagsPerCampaign,
		summary: "none", logLevel: "info", logFormat: "console",
	}
	o.load.Target, o.load.Rate = "http://"+d.HTTP, d.Rate
	c := &cobra.Command{
		Use:   "simulate",
		Short: "Send simulated events over HTTP to a node",
		Long: "Send simulated events over HTTP to a node's gateway, as many publishers would, and tell\n" +
			"what became of them. A request that gets no answer, or 503, is sent again with the same\n" +
			"event ids. Exit code 1 says that some events were refused or never answered.",
		Example: "  adpulse simulate                                        1000 events/s until Ctrl-C\n" +
			"  adpulse simulate --events 50000 --rate 0 --summary json as fast as it goes, then figures\n" +
			"  adpulse simulate --for 30s --mix realistic --batch 1    one event a request\n" +
			"  adpulse simulate --target http://edge1:4000 --seed 7",
	}
	f := c.Flags()
	grouped(f, "Load", func(f *pflag.FlagSet) {
		f.StringVar(&o.load.Target, "target", o.load.Target, "`address` of the gateway")
		f.Float64Var(&o.load.Rate, "rate", o.load.Rate, "`events` a second; 0 is as fast as the gateway answers")
		f.Uint64Var(&o.load.Events, "events", 0, "`events` to send; 0 is no end")
		f.DurationVar(&o.load.Duration, "for", 0, "`time` to send for; 0s is no end")
		f.IntVar(&o.load.Batch, "batch", o.load.Batch, "`events` a request; 1 goes to /event/TYPE, more to /events")
		f.IntVar(&o.load.Connections, "concurrency", o.load.Connections, "`requests` under way at once")
	})
	grouped(f, "Events", func(f *pflag.FlagSet) {
		f.StringVar(&o.mix, "mix", o.mix, "`proportion` impression:click:visit:conversion, or a preset: reference (25:5:3:1), realistic")
		f.Uint64Var(&o.seed, "seed", o.seed, "`number` that the events are drawn from; the same gives the same")
		f.IntVar(&o.campaigns, "campaigns", o.campaigns, "`campaigns` whose tags are used, as init makes them")
		f.IntVar(&o.tags, "tags", o.tags, "`tags` of each")
	})
	grouped(f, "Summary", func(f *pflag.FlagSet) {
		choose(f, &o.summary, "summary", "`format` of the figures on stdout at the end: none, or json for one line", "none", "json")
	})
	logFlags(f, &o.logLevel, &o.logFormat)
	p.command(c, nil, func(ctx context.Context) error { return p.simulate(ctx, &o) })
	completeValues(c, nodeWords)
	return c
}

func (p *program) simulate(ctx context.Context, o *simulateOptions) error {
	mix, err := o.validate()
	if err != nil {
		return err
	}
	log, screen, err := p.logger(o.logLevel, o.logFormat)
	if err != nil {
		return err
	}
	if err := reachable(ctx, o.load.Target); err != nil {
		return err
	}
	tags := make([]messages.TagID, 0, o.campaigns*o.tags)
	for campaign := 1; campaign <= o.campaigns; campaign++ {
		for tag := 1; tag <= o.tags; tag++ {
			tags = append(tags, core.TagID(campaign, tag))
		}
	}
	run := rand.Uint64()
	sources := func(connection int) (publisher.Source, error) {
		return simulator.NewGenerator(mix, tags, o.seed, connection, run)
	}
	var progress publisher.Progress
	watched := p.watchLoad(log, screen, &progress, o.load.Events)
	result, err := publisher.Run(ctx, o.load, sources, &progress)
	watched()
	if err != nil {
		return fmt.Errorf("simulate: %w", err)
	}
	log.Info("sent", zap.Uint64("sent", result.Sent), zap.Uint64("acknowledged", result.Acknowledged),
		zap.Uint64("refused", result.Refused), zap.Uint64("unanswered", result.Unanswered),
		zap.Uint64("retries", result.Retries), zap.Float64("events_per_second", tenths(perSecond(result))),
		zap.Float64("ack_p99_ms", milliseconds(result.P99)))
	if o.summary == "json" {
		if err := writeJSONLine(p.stdout, loadSummaryOf(result)); err != nil {
			return err
		}
	}
	// What was under way when somebody asked to stop is nobody's failure.
	if failed := result.Refused + result.Unanswered; failed > 0 && ctx.Err() == nil {
		return &failure{
			exitRuntime, fmt.Sprintf("%d of %d events were refused or never answered: %s", failed, result.Sent, result.Problem),
			"the gateway's log and /readyz tell more",
		}
	}
	return nil
}

func (o *simulateOptions) validate() (simulator.Mix, error) {
	mix, err := simulator.ParseMix(o.mix)
	if err != nil {
		return mix, &system.FlagError{Flag: "mix", Problem: err.Error(), Hint: "use a preset, or four numbers such as 25:5:3:1"}
	}
	target, err := url.Parse(o.load.Target)
	if err != nil || (target.Scheme != "http" && target.Scheme != "https") || target.Host == "" {
		return mix, &system.FlagError{
			Flag: "target", Problem: fmt.Sprintf("%q is no address of a gateway", o.load.Target),
			Hint: "write it as http://127.0.0.1:4000",
		}
	}
	for _, s := range []struct {
		flag             string
		value, low, high int
	}{
		{"batch", o.load.Batch, 1, 2000}, // more would not fit a request of 1 MiB
		{"concurrency", o.load.Connections, 1, 10_000},
		{"campaigns", o.campaigns, 1, 1_000_000},
		{"tags", o.tags, 1, 1_000_000},
		{"campaigns", o.campaigns * o.tags, 1, 10_000_000},
	} {
		if s.value < s.low || s.value > s.high {
			return mix, &system.FlagError{
				Flag: s.flag, Problem: fmt.Sprintf("%d is out of range", s.value), Hint: fmt.Sprintf("use %d to %d", s.low, s.high),
			}
		}
	}
	if o.load.Rate < 0 {
		return mix, &system.FlagError{Flag: "rate", Problem: "is negative", Hint: "use events a second, or 0 for as fast as it goes"}
	}
	if o.load.Duration < 0 {
		return mix, &system.FlagError{Flag: "for", Problem: "is negative", Hint: "use a time such as 30s, or 0s for no end"}
	}
	return mix, nil
}

// dialTimeout bounds the first look at an address that a flag names.
const dialTimeout = 5 * time.Second

// reachable says whether anybody listens at target, so that a wrong address is
// told at once and not after every retry.
func reachable(ctx context.Context, target string) error {
	address, err := url.Parse(target)
	if err != nil {
		return fmt.Errorf("parse %q: %w", target, err)
	}
	port := address.Port()
	if port == "" {
		port = address.Scheme
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", net.JoinHostPort(address.Hostname(), port))
	if err != nil {
		return &system.FlagError{
			Flag: "target", Problem: fmt.Sprintf("%s does not answer: %v", target, err),
			Hint: "is `adpulse run` running there? its --http says where it listens",
		}
	}
	return conn.Close()
}

// watchLoad tells how a load does until the returned function is called.
func (p *program) watchLoad(log *zap.Logger, screen *bottomLine, progress *publisher.Progress, of uint64) (stop func()) {
	done, ended := make(chan struct{}), make(chan struct{})
	every := logEvery
	if screen != nil {
		every = redrawEvery
	}
	go func() {
		defer close(ended)
		tick := time.NewTicker(every)
		defer tick.Stop()
		started := time.Now()
		var rates meter
		for {
			select {
			case <-done:
				if screen != nil {
					screen.show("", 0)
				}
				return
			case now := <-tick.C:
				acknowledged := progress.Acknowledged.Load()
				rate, _ := rates.observe(system.Status{Acknowledged: acknowledged, Uptime: now.Sub(started)})
				if screen == nil {
					log.Info("status", zap.Uint64("acknowledged", acknowledged),
						zap.Float64("acknowledged_per_second", tenths(rate)), zap.Uint64("retries", progress.Retries.Load()))
					continue
				}
				total := ""
				if of > 0 {
					total = " of " + thousands(float64(of))
				}
				screen.show(fmt.Sprintf("%s events/s · %s%s acknowledged · %d retries",
					thousands(rate), thousands(float64(acknowledged)), total, progress.Retries.Load()), width(p.stderr))
			}
		}
	}()
	return func() {
		close(done)
		<-ended
	}
}

// loadSummary is what simulate --summary json prints.
type loadSummary struct {
	Sent            uint64  `json:"sent"`
	Acknowledged    uint64  `json:"acknowledged"`
	Refused         uint64  `json:"refused"`
	Unanswered      uint64  `json:"unanswered"`
	Retries         uint64  `json:"retries"`
	EventsPerSecond float64 `json:"events_per_second"`
	AckP50          float64 `json:"ack_p50_ms"`
	AckP99          float64 `json:"ack_p99_ms"`
	Elapsed         float64 `json:"elapsed_seconds"`
}

func loadSummaryOf(r publisher.Result) loadSummary {
	return loadSummary{
		Sent: r.Sent, Acknowledged: r.Acknowledged, Refused: r.Refused, Unanswered: r.Unanswered, Retries: r.Retries,
		EventsPerSecond: tenths(perSecond(r)), AckP50: milliseconds(r.P50), AckP99: milliseconds(r.P99),
		Elapsed: float64(r.Elapsed.Milliseconds()) / 1000,
	}
}

func perSecond(r publisher.Result) float64 {
	if r.Elapsed <= 0 {
		return 0
	}
	return float64(r.Acknowledged) / r.Elapsed.Seconds()
}

// logger is a command's log on stderr, and the line below it on a terminal;
// nil elsewhere.
func (p *program) logger(level, format string) (*zap.Logger, *bottomLine, error) {
	out, screen := p.stderr, (*bottomLine)(nil)
	if width(p.stderr) > 0 && format == "console" {
		screen = &bottomLine{w: p.stderr}
		out = screen
	}
	log, err := telemetry.NewLogger(out, level, format)
	if err != nil {
		return nil, nil, usage(err.Error(), "")
	}
	return log, screen, nil
}
