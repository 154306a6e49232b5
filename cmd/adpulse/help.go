package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// helpColumns is how wide help is where it goes to no terminal.
const helpColumns = 110

// sources is what --help says about where settings come from.
const sources = `Settings:
  Every flag may also stand in the environment (--data-dir is ADPULSE_DATA_DIR; an empty variable
  counts as unset) or in the YAML file of --config (data-dir: /srv/adpulse). A flag wins over the
  environment, the environment over the file, the file over the default. Passwords come from the
  environment or the file only: edge-password, kafka-password.`

// showHelp writes a command's help: what it is for, examples, its flags by
// heading with their units and defaults, and how to set them.
func showHelp(c *cobra.Command, _ []string) {
	columns := width(c.OutOrStdout())
	if columns == 0 || columns > helpColumns {
		columns = helpColumns
	}
	var text strings.Builder
	purpose := c.Long
	if purpose == "" {
		purpose = c.Short
	}
	fmt.Fprintf(&text, "%s\n\nUsage:\n  %s\n", strings.TrimSpace(purpose), c.UseLine())
	if c.Example != "" {
		fmt.Fprintf(&text, "\nExamples:\n%s\n", strings.TrimRight(c.Example, "\n"))
	}
	if c.HasAvailableSubCommands() {
		text.WriteString("\nCommands:\n")
		for _, sub := range c.Commands() {
			if sub.IsAvailableCommand() {
				fmt.Fprintf(&text, "  %-11s %s\n", sub.Name(), sub.Short)
			}
		}
		fmt.Fprintf(&text, "\n`%s COMMAND --help` tells more about one of them.\n", c.CommandPath())
	}
	for _, g := range groups(c) {
		fmt.Fprintf(&text, "\n%s:\n%s", g.Name(), g.FlagUsagesWrapped(columns))
	}
	if c.Flags().Lookup("config") != nil {
		fmt.Fprintf(&text, "\n%s\n", sources)
	}
	if !c.HasParent() || c.Flags().Lookup("config") != nil {
		fmt.Fprintf(&text, "\n%s\n", exitCodes)
	}
	if _, err := io.WriteString(c.OutOrStdout(), text.String()); err != nil {
		c.PrintErrln("adpulse: cannot write help:", err)
	}
}

// groups are c's flags by heading, in the order in which they were added.
func groups(c *cobra.Command) []*pflag.FlagSet {
	var found []*pflag.FlagSet
	c.LocalFlags().SortFlags = false
	c.Flags().VisitAll(func(f *pflag.Flag) {
		if f.Hidden {
			return
		}
		heading := "Other"
		if named := f.Annotations[groupKey]; len(named) > 0 {
			heading = named[0]
		}
		at := slices.IndexFunc(found, func(g *pflag.FlagSet) bool { return g.Name() == heading })
		if at < 0 {
			at = len(found)
			found = append(found, pflag.NewFlagSet(heading, pflag.ContinueOnError))
			found[at].SortFlags = false
		}
		found[at].AddFlag(f)
	})
	return found
}
