package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"
)

// program is one invocation: everything of the outside world that a command may
// touch, so that a test can be the world.
type program struct {
	env            []string
	stdin          io.Reader
	stdout, stderr io.Writer
	// signals ask to stop: the first gracefully, the second at once, by exit.
	signals <-chan os.Signal
	exit    func(code int)
	open    opener
	seed    seeder
	follow  follower
	check   checker
}

// run does what args say and returns the exit code.
func (p *program) run(args []string) int {
	ctx, release := p.interruptible()
	defer release()
	root := p.root()
	root.SetArgs(args)
	root.SetIn(p.stdin)
	root.SetOut(p.stdout)
	root.SetErr(p.stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	return p.report(err)
}

// interruptible returns a context that the first signal ends. The second one
// ends the process. release stops listening and waits until that is so.
func (p *program) interruptible() (ctx context.Context, release func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done, listening := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(listening)
		for asked := false; ; asked = true {
			select {
			case <-done:
				return
			case s := <-p.signals:
				if asked {
					fmt.Fprintf(p.stderr, "\nadpulse: second %s: stopped at once\n         what was acknowledged is in the journal and is exported by the next run\n", s)
					p.exit(exitRuntime)
					return
				}
				cancel()
			}
		}
	}()
	return ctx, func() {
		close(done)
		<-listening
		cancel()
	}
}

// root is the tree of commands.
func (p *program) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "adpulse",
		Short: "Collect ad events at the edge and ship each to Kafka exactly once",
		Long: "adpulse collects ad events at the edge, keeps every one that it acknowledged, and\n" +
			"ships each to Kafka exactly once. With no flags everything it needs runs inside it.",
		Example: "  adpulse run                                      a whole system on this machine\n" +
			"  adpulse run --rate 0 --for 30s --summary json    how much can it take?\n" +
			"  adpulse tail                                     what arrives in Kafka\n" +
			"  adpulse simulate --target http://127.0.0.1:4000  load over HTTP, from another terminal",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return unknownCommand(c, args[0])
		},
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error { return badFlag(c, err) })
	root.SetHelpFunc(showHelp)
	root.AddCommand(p.runCommand(), p.initCommand(), p.simulateCommand(), p.tailCommand(), p.verifyCommand(), p.versionCommand())
	root.InitDefaultCompletionCmd("completion")
	return root
}

// command finishes a subcommand: it takes no arguments, and its flags are
// settled from environment and file before it does anything. secrets may be nil.
func (p *program) command(c *cobra.Command, secrets *pflag.FlagSet, do func(context.Context) error) *cobra.Command {
	c.Flags().SortFlags = false
	c.Args = func(_ *cobra.Command, args []string) error {
		if len(args) > 0 {
			return usage(fmt.Sprintf("%s takes no argument, and got %q", c.CommandPath(), args[0]),
				fmt.Sprintf("settings are flags; `%s --help` lists them", c.CommandPath()))
		}
		return nil
	}
	grouped(c.Flags(), "Settings", func(f *pflag.FlagSet) {
		f.String("config", "", "YAML `file` of settings: flag names without dashes in front, one a line")
	})
	c.RunE = func(c *cobra.Command, _ []string) error {
		if err := settle(c.Flags(), secrets, p.env, knownSettings(c.Root())); err != nil {
			return err
		}
		return do(c.Context())
	}
	return c
}

// width is the columns of w where it is a terminal, and 0 where it is not.
func width(w any) int {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return 0
	}
	columns, _, err := term.GetSize(int(f.Fd()))
	if err != nil || columns <= 0 {
		return 80
	}
	return columns
}

func unknownCommand(c *cobra.Command, name string) error {
	c.SuggestionsMinimumDistance = 2
	hint := "`adpulse --help` lists the commands"
	if meant := c.SuggestionsFor(name); len(meant) > 0 {
		hint = "did you mean " + strings.Join(meant, " or ") + "?"
	}
	return usage(fmt.Sprintf("there is no command %q", name), hint)
}
