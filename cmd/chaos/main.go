// Command chaos attacks adpulse and takes the ledger: it runs the built program
// as child processes under load from clients that retry with the same ids,
// crashes and hinders it on a seeded schedule, and compares at the end what was
// acknowledged, what the topic holds and what the edge store remembers.
package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

// Exit codes.
const (
	exitEqual  = 0
	exitFailed = 1 // the harness could not do its work
	exitUsage  = 2
	exitDiffer = 3 // an event is missing, or there twice
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:])
	stop()
	os.Exit(code)
}

func run(ctx context.Context, args []string) int {
	o := options{Crashes: 30, Arena: "both", Senders: 4, Batch: 50, Out: os.Stdout}
	var seed uint64
	root := &cobra.Command{
		Use:   "chaos",
		Short: "Attack adpulse under load and compare the ledgers",
		Long: "Attack adpulse under load and compare the ledgers.\n\n" +
			"In the arena `embedded` one node runs with everything inside and is killed at random, at named\n" +
			"points of the program, while it starts and while it drains. In the arena `shared` two nodes share\n" +
			"an edge store and a Kafka, which fail in all their ways, while the nodes are killed, frozen and\n" +
			"given wrong clocks. At the end three ledgers must be equal: the ids that clients saw acknowledged,\n" +
			"those in the topic (read_committed, read with kcat where it is installed), and the change records\n" +
			"at the edge.\n\n" +
			"Exit codes: 0 equal, 1 the run failed, 2 bad usage, 3 something is missing or there twice.",
		Example: "  chaos                                   30 crashes, about two minutes\n" +
			"  chaos --crashes 500 --seed 7            the long run, with the schedule of seed 7\n" +
			"  chaos --sabotage ignore-tail            show that a broken build is caught",
		SilenceErrors: true, SilenceUsage: true, Args: cobra.NoArgs,
	}
	f := root.Flags()
	f.SortFlags = false
	f.IntVar(&o.Crashes, "crashes", o.Crashes, "how often a node is killed")
	f.Uint64Var(&seed, "seed", 0, "seed of the schedule; 0 draws one and says which")
	f.StringVar(&o.Arena, "arena", o.Arena, "embedded, shared or both")
	f.IntVar(&o.Senders, "senders", o.Senders, "clients that send at the same time")
	f.IntVar(&o.Batch, "batch", o.Batch, "events of one request")
	f.StringVar(&o.Program, "program", "", "a build of adpulse with the tag chaos; empty builds one")
	f.StringVar(&o.Sabotage, "sabotage", "", "break the promise on purpose: ack-before-write, ignore-tail, checkpoint-before-commit or no-fencing")
	f.StringVar(&o.Only, "only", "", "these kinds of attack only, separated by commas: failpoint, kill, freeze, clock, kafka, edge and others")
	f.StringVar(&o.Edge, "edge", "", "a real Aerospike for the arena shared, with an empty namespace test; it is not made ill")
	f.StringVar(&o.Kafka, "kafka", "", "a real Kafka for the arena shared, without a topic edge-to-core; it is not made ill")
	f.StringVar(&o.Dir, "dir", "", "keep everything in this directory; empty is a temporary one, removed at the end")
	started := false
	root.RunE = func(c *cobra.Command, _ []string) error {
		started = true
		if o.Seed = seed; o.Seed == 0 {
			o.Seed = rand.Uint64()
		}
		return attack(c.Context(), o)
	}
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	var differ *differError
	switch {
	case err == nil:
		return exitEqual
	case errors.As(err, &differ):
		fmt.Fprintln(os.Stderr, "chaos:", err)
		return exitDiffer
	case !started:
		fmt.Fprintf(os.Stderr, "chaos: %v\n       `chaos --help` lists the flags\n", err)
		return exitUsage
	}
	fmt.Fprintln(os.Stderr, "chaos:", err)
	return exitFailed
}
