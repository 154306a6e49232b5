package main

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"adpulse/system/telemetry"
)

func (p *program) versionCommand() *cobra.Command {
	format := "text"
	c := &cobra.Command{
		Use:     "version",
		Short:   "Tell which build this is, and of which libraries",
		Example: "  adpulse version\n  adpulse version --format json",
	}
	choose(c.Flags(), &format, "format", "`format` of the answer: text or json", "text", "json")
	p.command(c, nil, func(context.Context) error {
		b := telemetry.ReadBuild()
		if format == "json" {
			return writeJSONLine(p.stdout, b)
		}
		fmt.Fprintf(p.stdout, "adpulse %s\ncommit  %s\ngo      %s %s\n\n", b.Version, b.Commit, b.Go, b.Platform)
		for _, path := range slices.Sorted(maps.Keys(b.Dependencies)) {
			fmt.Fprintf(p.stdout, "%s %s\n", path, b.Dependencies[path])
		}
		return nil
	})
	completeValues(c, nil)
	return c
}
