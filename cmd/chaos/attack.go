package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// options is what a run is asked for.
type options struct {
	Crashes        int
	Seed           uint64
	Arena          string
	Senders, Batch int
	Program        string
	Sabotage       string
	Dir            string
	Only           string
	Edge, Kafka    string
	Out            io.Writer
}

// choice is one of the things that a round may do.
type choice struct {
	name   string
	weight int
	do     func() error
}

// run is an arena that is being fought in.
type arena struct {
	options
	name   string
	dir    string
	chance *rand.Rand
	load   *load
	begun  time.Time

	crashes  int
	rounds   int
	counts   map[string]int // of attacks, by their kind
	timeline []string
	points   []string // failpoints still to be taken before all come again
}

// attack runs the arenas one after the other.
func attack(ctx context.Context, o options) (err error) {
	if o.Crashes < 1 || o.Senders < 1 || o.Batch < 1 {
		return errors.New("crashes, senders and batch must be positive")
	}
	if o.Dir == "" {
		if o.Dir, err = os.MkdirTemp("", "adpulse-chaos-"); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(o.Dir)) }()
	}
	if o.Program == "" {
		if o.Program, err = build(ctx, o.Dir); err != nil {
			return err
		}
	}
	fmt.Fprintf(o.Out, "seed %d, %d crashes\n", o.Seed, o.Crashes)
	fights := map[string]func(context.Context, *arena) (*ledger, error){"embedded": fightEmbedded, "shared": fightShared}
	names := []string{o.Arena}
	if o.Arena == "both" {
		names = []string{"embedded", "shared"}
	}
	for i, name := range names {
		fight, known := fights[name]
		if !known {
			return fmt.Errorf("there is no arena %q: use embedded, shared or both", name)
		}
		share := o
		share.Crashes = (o.Crashes + i) / len(names)
		if err := enter(ctx, share, name, fight); err != nil {
			return err
		}
	}
	return nil
}

func enter(ctx context.Context, o options, name string, fight func(context.Context, *arena) (*ledger, error)) error {
	a := &arena{
		options: o, name: name, dir: filepath.Join(o.Dir, name),
		chance: rand.New(rand.NewPCG(o.Seed, uint64(len(name)))), begun: time.Now(), counts: make(map[string]int),
	}
	books, err := fight(ctx, a)
	if err != nil {
		return fmt.Errorf("arena %s, seed %d: %w\ntimeline\n    %s", name, o.Seed, err, strings.Join(a.timeline, "\n    "))
	}
	a.report(books)
	if !books.equal() {
		return &differError{name, o.Seed, books, a.timeline}
	}
	return nil
}

// roundsPerCrash bounds a run of rounds that crash nothing.
const roundsPerCrash = 4

// goesOn counts rounds and tells whether there is one more.
func (a *arena) goesOn() bool {
	a.rounds++
	a.load.nextRound()
	return a.crashes < a.Crashes && a.rounds <= a.Crashes*roundsPerCrash
}

// draw does one of the choices, by weight, or of those that were asked for.
func (a *arena) draw(choices []choice) error {
	if a.Only != "" {
		only := strings.Split(a.Only, ",")
		choices = slices.DeleteFunc(choices, func(c choice) bool { return !slices.Contains(only, c.name) })
	}
	total := 0
	for _, c := range choices {
		total += c.weight
	}
	if total == 0 {
		return fmt.Errorf("there is no attack %q in this arena", a.Only)
	}
	at := a.chance.IntN(total)
	for _, c := range choices {
		if at -= c.weight; at < 0 {
			return c.do()
		}
	}
	panic("unreachable: the weights are fewer than their sum")
}

// say adds a line to the timeline and shows it.
func (a *arena) say(format string, args ...any) {
	line := fmt.Sprintf("%7.2fs  %s", time.Since(a.begun).Seconds(), fmt.Sprintf(format, args...))
	a.timeline = append(a.timeline, line)
	fmt.Fprintf(a.Out, "%s  %4d/%d %s\n", a.name, a.crashes, a.Crashes, line)
}

// count takes note of an attack.
func (a *arena) count(kind string) { a.counts[kind]++ }

func (a *arena) report(books *ledger) {
	fmt.Fprintf(a.Out, "\narena %s: %d crashes in %s\n", a.name, a.crashes, time.Since(a.begun).Round(time.Second))
	for _, kind := range slices.Sorted(mapKeys(a.counts)) {
		fmt.Fprintf(a.Out, "  %5d  %s\n", a.counts[kind], kind)
	}
	fmt.Fprintf(a.Out, "  ledger: %d ids acknowledged of %d sent, %d in the topic (%s, read_committed), %d change records at the edge; %d lost, %d twice\n\n",
		books.acknowledged, books.sent, books.inTopic, books.reader, books.atEdge, len(books.lost), len(books.twice))
}

func mapKeys(m map[string]int) func(func(string) bool) {
	return func(yield func(string) bool) {
		for key := range m {
			if !yield(key) {
				return
			}
		}
	}
}

// failpoints are the program's, each with the visits that are worth choosing.
var failpoints = []struct {
	name   string
	visits int
}{
	{"segment-written", 150},
	{"answer", 150},
	{"records-written", 30},
	{"before-commit", 30},
	{"produced", 60},
	{"commit-sent", 30},
	{"commit-answered", 30},
	{"after-commit", 30},
	{"checkpointed", 12},
	{"trimming", 1},
	{"lane-claimed", 1},
	{"lane-sealed", 1},
	{"predecessor-fenced", 1},
	{"tail-read", 1},
}

// point draws a failpoint, each as often as the others, and says how to set it.
func (a *arena) point(action string) (name, setting string) {
	if len(a.points) == 0 {
		for _, p := range failpoints {
			a.points = append(a.points, p.name)
		}
		a.chance.Shuffle(len(a.points), func(i, j int) { a.points[i], a.points[j] = a.points[j], a.points[i] })
	}
	name, a.points = a.points[0], a.points[1:]
	i := slices.IndexFunc(failpoints, func(p struct {
		name   string
		visits int
	},
	) bool {
		return p.name == name
	})
	setting = fmt.Sprintf("%s=%s@%d", name, action, 1+a.chance.IntN(failpoints[i].visits))
	if name == "commit-sent" || name == "produced" {
		setting += "+2ms" // the broker is in the middle of it then
	}
	return name, "ADPULSE_FAILPOINTS=" + setting
}

// environment is what a node is told beside its flags.
func (a *arena) environment(more ...string) []string {
	if a.Sabotage != "" {
		more = append(more, "ADPULSE_SABOTAGE="+a.Sabotage)
	}
	return more
}

// pick draws one of the values.
func pick[T any](a *arena, values ...T) T { return values[a.chance.IntN(len(values))] }
