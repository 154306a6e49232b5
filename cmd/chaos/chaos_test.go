package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

// program is a build of adpulse with the tag chaos.
var program string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "adpulse-chaos-test-")
	if err == nil {
		program, err = build(context.Background(), dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		if err := os.RemoveAll(dir); err != nil {
			fmt.Fprintln(os.Stderr, "chaos:", err)
		}
		os.Exit(code)
	}))
}

// fight runs the harness, and shows what it said when the test fails.
func fight(t *testing.T, o options) error {
	t.Helper()
	var said strings.Builder
	o.Program, o.Dir, o.Out = program, t.TempDir(), &said
	if o.Senders == 0 {
		o.Senders, o.Batch = 4, 50
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(said.String())
		}
	})
	return attack(t.Context(), o)
}

func TestLedgersOfAWorkingBuildAreEqual(t *testing.T) {
	require.NoError(t, fight(t, options{Crashes: 12, Arena: "both", Seed: 11}))
}

// A harness that never finds anything proves nothing: each of these builds
// breaks the promise in one way, and is caught.
func TestBrokenBuildsAreCaught(t *testing.T) {
	for _, broken := range []struct {
		sabotage, arena, only string
		lost, twice           bool
	}{
		{sabotage: "ack-before-write", arena: "embedded", only: "kill", lost: true},
		{sabotage: "ignore-tail", arena: "embedded", only: "failpoint", twice: true},
		{sabotage: "checkpoint-before-commit", arena: "embedded", only: "failpoint", lost: true},
		{sabotage: "no-fencing", arena: "shared", only: "freeze", twice: true},
	} {
		t.Run(broken.sabotage, func(t *testing.T) {
			// One schedule in a few misses the instant; several do not.
			var differ *differError
			for seed := uint64(1); seed <= 5 && differ == nil; seed++ {
				o := options{Crashes: 14, Arena: broken.arena, Only: broken.only, Sabotage: broken.sabotage, Seed: seed}
				if broken.only == "freeze" {
					o.Crashes = 1
				}
				err := fight(t, o)
				if !errors.As(err, &differ) {
					require.NoError(t, err)
				}
			}
			require.NotNil(t, differ, "the harness has not noticed")
			require.Equal(t, broken.lost, len(differ.ledger.lost) > 0, "lost: %v", differ)
			require.Equal(t, broken.twice, len(differ.ledger.twice) > 0, "twice: %v", differ)
		})
	}
}

func TestMissingAttackAndArenaAreRefused(t *testing.T) {
	require.ErrorContains(t, fight(t, options{Crashes: 1, Arena: "moon", Seed: 1}), `no arena "moon"`)
	require.ErrorContains(t, fight(t, options{Crashes: 1, Arena: "shared", Only: "rain", Seed: 1}), `no attack "rain"`)
	require.Error(t, fight(t, options{Arena: "shared", Seed: 1}))
}
