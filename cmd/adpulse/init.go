package main

import (
	"context"
	"fmt"
	"os"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"go.uber.org/zap"

	"adpulse/system"
)

// initOptions is what init takes.
type initOptions struct {
	config              system.Config
	logLevel, logFormat string
}

func (p *program) initCommand() *cobra.Command {
	o := initOptions{config: system.DefaultConfig(), logLevel: "info", logFormat: "console"}
	c := &cobra.Command{
		Use:   "init",
		Short: "Fill the core store with campaigns and their tags",
		Long: "Fill the core store with campaigns and their tags: the one that --core names, or the\n" +
			"embedded one in --data-dir. A run that was cut short is completed by the next; where all is\n" +
			"there, nothing is done. `adpulse run` does this by itself when core is empty.",
		Example: "  adpulse init                                     100 campaigns of 1000 tags\n" +
			"  adpulse init --campaigns 10 --tags 50\n" +
			"  adpulse init --core as1:3000,as2:3000",
	}
	f := c.Flags()
	grouped(f, "What", func(f *pflag.FlagSet) {
		f.IntVar(&o.config.Campaigns, "campaigns", o.config.Campaigns, "`campaigns` to make")
		f.IntVar(&o.config.TagsPerCampaign, "tags", o.config.TagsPerCampaign, "`tags` of each")
	})
	grouped(f, "Where", func(f *pflag.FlagSet) {
		f.StringVar(&o.config.Core, "core", o.config.Core, "Aerospike `addresses` of the core store; empty is the embedded one")
		f.StringVar(&o.config.Namespace, "namespace", o.config.Namespace, "Aerospike namespace `name`")
		f.StringVar(&o.config.EdgeUser, "edge-user", o.config.EdgeUser, "Aerospike `login`; its password is "+variable("edge-password"))
		f.StringVar(&o.config.EdgeTLSCA, "edge-tls-ca", o.config.EdgeTLSCA, "PEM `file` of authorities; set, the client speaks TLS")
		f.StringVar(&o.config.DataDir, "data-dir", o.config.DataDir, "`directory` of the embedded servers, one process at a time")
		f.StringVar(&o.config.CoreListen, "core-listen", o.config.CoreListen, "`address` of the embedded core store")
		f.BoolVar(&o.config.Fsync, "fsync", o.config.Fsync, "write through to the disk")
	})
	secrets := pflag.NewFlagSet("secrets", pflag.ContinueOnError)
	secrets.StringVar(&o.config.EdgePassword, "edge-password", "", "password of --edge-user")
	logFlags(f, &o.logLevel, &o.logFormat)
	p.command(c, secrets, func(ctx context.Context) error { return p.initialize(ctx, &o) })
	completeValues(c, nil)
	return c
}

func (p *program) initialize(ctx context.Context, o *initOptions) error {
	if err := o.config.Validate(); err != nil {
		return err
	}
	log, _, err := p.logger(o.logLevel, o.logFormat)
	if err != nil {
		return err
	}
	wrote := 0
	var bar *progressbar.ProgressBar
	err = p.seed(ctx, o.config, log, func(done, total int) {
		wrote = done
		if width(p.stderr) == 0 || done == 0 {
			return
		}
		if bar == nil {
			bar = progressbar.NewOptions(total, progressbar.OptionSetWriter(os.Stderr), progressbar.OptionClearOnFinish(),
				progressbar.OptionSetDescription("campaigns and tags"), progressbar.OptionShowCount(), progressbar.OptionSetPredictTime(true))
		}
		// A bar that cannot be drawn is no reason to stop.
		_ = bar.Set(done)
	})
	if err != nil {
		if ctx.Err() != nil {
			return &failure{exitRuntime, "interrupted", "run it again: it goes on where it was"}
		}
		return err
	}
	if wrote == 0 {
		log.Info("core is filled already")
		return nil
	}
	log.Info(fmt.Sprintf("core has %d campaigns of %d tags", o.config.Campaigns, o.config.TagsPerCampaign), zap.Int("records", wrote))
	return nil
}
