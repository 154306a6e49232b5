package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"adpulse/system"
)

// verifyOptions is what verify takes.
type verifyOptions struct {
	config system.Config
	what   system.VerifyOptions
	format string
}

func (p *program) verifyCommand() *cobra.Command {
	o := verifyOptions{config: system.DefaultConfig(), format: "table"}
	c := &cobra.Command{
		Use:   "verify",
		Short: "Check that journal, checkpoints and topic agree",
		Long: "Check that journal, checkpoints, change records and topic agree: what is on its way, and\n" +
			"whether an event is lost or there twice. It looks at the node that runs on this machine, at\n" +
			"a stopped one with --offline, or at the clusters that --edge and --kafka name.\n\n" +
			"It claims, moves and removes nothing, and a node may run meanwhile. With --offline it opens\n" +
			"the embedded stores itself, which aborts the transactions that a killed node left open, as\n" +
			"the node's next start would.",
		Example: "  adpulse verify                            behind the checkpoints: takes a moment\n" +
			"  adpulse verify --all                      the whole topic, and all that the journal still holds\n" +
			"  adpulse verify --offline --data-dir /srv/adpulse\n" +
			"  adpulse verify --format json | jq .problems",
	}
	f := c.Flags()
	grouped(f, "Check", func(f *pflag.FlagSet) {
		f.BoolVar(&o.what.All, "all", false, "read the whole topic; about 150 MB of memory for each million messages")
		f.BoolVar(&o.what.Offline, "offline", false, "open the embedded stores in --data-dir, whose node must not run")
		choose(f, &o.format, "format", "`format` on stdout: table for people, json for scripts", "table", "json")
	})
	secrets := nodeFlags(f, &o.config)
	// What only a running node has would mislead here.
	f.VisitAll(func(flag *pflag.Flag) { flag.Hidden = !verifyFlags[flag.Name] })
	p.command(c, secrets, func(ctx context.Context) error { return p.verify(ctx, &o) })
	return c
}

// verifyFlags are the settings that verify uses; the others of a node may stand
// in the same file and environment.
var verifyFlags = map[string]bool{
	"all": true, "offline": true, "format": true, "data-dir": true, "config": true,
	"edge": true, "namespace": true, "edge-user": true, "edge-tls-ca": true, "edge-listen": true,
	"kafka": true, "kafka-user": true, "kafka-sasl": true, "kafka-tls": true, "kafka-tls-ca": true, "kafka-listen": true,
}

func (p *program) verify(ctx context.Context, o *verifyOptions) error {
	if err := o.config.Validate(); err != nil {
		return err
	}
	var bar *progressbar.ProgressBar
	if width(p.stderr) > 0 {
		o.what.Progress = func(done, total int64) {
			if bar == nil {
				bar = progressbar.NewOptions64(total, progressbar.OptionSetWriter(os.Stderr), progressbar.OptionClearOnFinish(),
					progressbar.OptionSetDescription("messages"), progressbar.OptionShowCount(), progressbar.OptionSetPredictTime(true))
			}
			// A bar that cannot be drawn is no reason to stop.
			_ = bar.Set64(done)
		}
	}
	found, err := p.check(ctx, o.config, o.what)
	if bar != nil {
		_ = bar.Finish() // nor is one that cannot be taken away
	}
	if err != nil {
		if ctx.Err() != nil {
			return &failure{exitRuntime, "interrupted", ""}
		}
		return err
	}
	if o.format == "json" {
		err = writeJSONLine(p.stdout, found)
	} else {
		err = writeVerification(p.stdout, found, time.Now())
	}
	if err == nil && !found.Agree() {
		err = &failure{exitDiffer, found.Summary(), "keep the data directory and the topic as they are, and look at the examples above"}
	}
	return err
}

// writeVerification shows a verification on one screen.
func writeVerification(w io.Writer, v *system.Verification, now time.Time) error {
	var text strings.Builder
	table := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "LANE\tOWNER\tLEASE\tEPOCH\tTRIMMED\tCHECKPOINT\tHEAD\tON ITS WAY")
	for _, l := range v.Lanes {
		owner, _, _ := strings.Cut(l.Owner, "@")
		fmt.Fprintf(table, "%s\t%s\t%s\t%d\t%d\t%d\t%d\t%d events\n", l.Lane, owner, leaseOf(l, now), l.Epoch, l.Trimmed, l.Checkpoint, l.Head, l.Pending)
	}
	if err := table.Flush(); err != nil {
		return fmt.Errorf("write the table: %w", err)
	}
	fmt.Fprintf(&text, "\n%s messages of the topic read, %s segments on their way\n", thousands(float64(v.Messages)), thousands(float64(v.PendingSegments)))
	for _, kind := range []struct {
		word  string
		found []system.Finding
	}{{"warning", v.Warnings}, {"wrong", v.Problems}} {
		for _, f := range kind.found {
			fmt.Fprintf(&text, "%s: %s (%d)\n", kind.word, f.What, f.Count)
			for _, example := range f.Examples {
				fmt.Fprintf(&text, "    %s\n", example)
			}
		}
	}
	if v.Agree() {
		fmt.Fprintln(&text, v.Summary())
	}
	if _, err := io.WriteString(w, text.String()); err != nil {
		return fmt.Errorf("write to stdout: %w", err)
	}
	return nil
}

func leaseOf(l system.LaneState, now time.Time) string {
	switch {
	case l.Retired:
		return "retired"
	case l.Owner == "":
		return "free"
	case now.After(l.Expires):
		return "run out " + now.Sub(l.Expires).Round(time.Second).String() + " ago"
	}
	return "held for " + l.Expires.Sub(now).Round(time.Second).String()
}
