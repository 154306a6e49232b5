package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"go.uber.org/zap"

	"adpulse/actors/simulator"
	"adpulse/system"
	"adpulse/system/telemetry"
)

// How often a running node's status is told: redrawn on a terminal, logged
// elsewhere.
const (
	redrawEvery = 500 * time.Millisecond
	logEvery    = 10 * time.Second
)

// lastWords is what a node that has failed may take to stop.
const lastWords = 5 * time.Second

// node is a running system; *system.Node is one.
type node interface {
	Status() system.Status
	Done() <-chan struct{}
	Err() error
	HTTPAddr() string
	Stop(ctx context.Context) error
}

// opener starts a node; system.Open is one.
type opener func(context.Context, system.Config, *zap.Logger, *telemetry.Metrics) (node, error)

// runOptions is what run takes beside the node's configuration.
type runOptions struct {
	config              system.Config
	duration            time.Duration
	summary             string
	logLevel, logFormat string
}

func (p *program) runCommand() *cobra.Command {
	o := runOptions{config: system.DefaultConfig(), logLevel: "info", logFormat: "console"}
	c := &cobra.Command{
		Use:   "run",
		Short: "Run a node: gateway, simulators, collectors, exporters, and what they need",
		Long: "Run a node: a gateway that takes events over HTTP, simulators that make some, collectors\n" +
			"that journal them at the edge, and exporters that ship them to Kafka. Aerospike and Kafka\n" +
			"run inside the process unless --edge, --core and --kafka name real ones.\n\n" +
			"Ctrl-C or SIGTERM stops gracefully: nothing new is taken, what was acknowledged is exported,\n" +
			"then the stores close. A second one ends the process at once; nothing acknowledged is lost,\n" +
			"the next run exports it.",
		Example: "  adpulse run                                       everything embedded, 1000 simulated events/s\n" +
			"  adpulse run --simulators 0                        only what comes over HTTP\n" +
			"  adpulse run --rate 0 --for 30s --summary json     as fast as it goes, then one line of figures\n" +
			"  adpulse run --rate 0 --collectors 4 --mailbox 32768 --segment-events 1000\n" +
			"  adpulse run --edge as1:3000 --core as1:3000 --kafka k1:9092,k2:9092 --simulators 0",
	}
	f := c.Flags()
	grouped(f, "This run", func(f *pflag.FlagSet) {
		f.DurationVar(&o.duration, "for", 0, "stop, drain and exit after this `time`, for instance 30s; 0s is to run until stopped")
		choose(f, &o.summary, "summary", "`format` of the figures on stdout at the end: none, or json for one line", "none", "json")
	})
	secrets := nodeFlags(f, &o.config)
	logFlags(f, &o.logLevel, &o.logFormat)
	p.command(c, secrets, func(ctx context.Context) error { return p.runNode(ctx, &o) })
	completeValues(c, nodeWords)
	return c
}

// nodeWords are well-known values for shell completion.
var nodeWords = map[string][]string{
	"mix": {"reference", "realistic"},
	"for": {"10s", "30s", "1m", "10m"},
}

func (p *program) runNode(ctx context.Context, o *runOptions) (failed error) {
	if err := o.config.Validate(); err != nil {
		return err
	}
	if _, err := simulator.ParseMix(o.config.Mix); err != nil {
		return &system.FlagError{Flag: "mix", Problem: err.Error(), Hint: "use a preset, or four numbers such as 25:5:3:1"}
	}
	if o.duration < 0 {
		return usage("--for: is negative", "use a time such as 30s, or 0s to run until stopped")
	}
	log, bottom, err := p.logger(o.logLevel, o.logFormat)
	if err != nil {
		return err
	}
	stderr := p.stderr
	if bottom != nil {
		stderr = bottom
	}
	n, err := p.open(ctx, o.config, log, telemetry.New())
	if err != nil {
		if ctx.Err() != nil {
			return &failure{exitRuntime, "interrupted while starting", ""}
		}
		return err
	}
	announce(stderr, log, o, n.HTTPAddr())

	fatal := p.watch(ctx, n, o.duration, log, bottom)
	// The drain has its own time: ctx has ended when a signal asked to stop.
	within := o.config.DrainTimeout
	if fatal != nil {
		within = min(within, lastWords) // it will hardly drain any more
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), within)
	defer cancel()
	err = n.Stop(drain)
	status := n.Status()
	if err != nil && fatal != nil {
		log.Warn("not drained; what was acknowledged is in the journal and is exported by the next run", zap.Error(err))
		err = nil
	}
	if err != nil {
		err = fmt.Errorf("stop: %w", err)
		if errors.Is(err, context.DeadlineExceeded) {
			err = &failure{exitRuntime, err.Error(), "what was acknowledged is in the journal and is exported by the next run; raise --drain-timeout to wait longer"}
		}
	}
	log.Info("stopped", fields(status, status.EventsPerSecond(), 0)...)
	if o.summary == "json" {
		err = errors.Join(err, writeJSONLine(p.stdout, summaryOf(status)))
	}
	if fatal != nil {
		return errors.Join(fatal, err)
	}
	return err
}

// watch tells how the node does until somebody asks it to stop, its time is
// over, or it fails; then it returns why.
func (p *program) watch(ctx context.Context, n node, duration time.Duration, log *zap.Logger, bottom *bottomLine) error {
	every := logEvery
	if bottom != nil {
		every = redrawEvery
		defer bottom.show("", 0)
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	var over <-chan time.Time
	if duration > 0 {
		timer := time.NewTimer(duration)
		defer timer.Stop()
		over = timer.C
	}
	var rates meter
	rates.observe(n.Status())
	for {
		select {
		case <-ctx.Done():
			log.Info("stopping: asked to; once more stops at once")
			return nil
		case <-over:
			log.Info("stopping: time is over", zap.Duration("for", duration))
			return nil
		case <-n.Done():
			if err := n.Err(); err != nil {
				return fmt.Errorf("the node failed: %w", err)
			}
			return errors.New("the node failed")
		case <-tick.C:
			status := n.Status()
			acknowledged, exported := rates.observe(status)
			if bottom != nil {
				bottom.show(line(status, acknowledged, exported), width(p.stderr))
			} else {
				log.Info("status", fields(status, acknowledged, exported)...)
			}
		}
	}
}

// sampleEvent is what the first lines suggest to send.
const sampleEvent = `{"event":"impression","tag":"6ff4e1c6-4b46-4a1c-a7c0-2f1a1e1b9d10","publisher":"me"}`

// announce tells where things listen, and one request to try.
func announce(w io.Writer, log *zap.Logger, o *runOptions, httpAddr string) {
	c := &o.config
	scheme := "http"
	if c.HTTPTLSCert != "" {
		scheme = "https"
	}
	url := scheme + "://" + httpAddr
	where := func(cluster, embedded string) string {
		if cluster != "" {
			return cluster
		}
		return embedded + " (embedded, " + c.DataDir + ")"
	}
	if o.logFormat == "json" {
		log.Info("running", zap.String("node", c.Node), zap.String("http", url),
			zap.String("kafka", where(c.Kafka, c.KafkaListen)),
			zap.String("edge", where(c.Edge, c.EdgeListen)), zap.String("core", where(c.Core, c.CoreListen)))
		return
	}
	rate := "as fast as credit allows"
	if c.Rate > 0 {
		rate = thousands(c.Rate) + " events/s"
	}
	fmt.Fprintf(w, "adpulse %s is running\n"+
		"  gateway     %s   also /healthz /readyz /metrics\n"+
		"  kafka       %s\n"+
		"  edge        %s\n"+
		"  core        %s\n"+
		"  simulators  %d, %s\n"+
		"  try         curl -i %s/event/impression -H 'Content-Type: application/json' -d '%s'\n"+
		"  and         adpulse tail --kafka %s\n",
		c.Node, url, where(c.Kafka, c.KafkaListen), where(c.Edge, c.EdgeListen), where(c.Core, c.CoreListen),
		c.Simulators, rate, url, sampleEvent, firstOf(c.Kafka, c.KafkaListen))
}

func firstOf(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}
