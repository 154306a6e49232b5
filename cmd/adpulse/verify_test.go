package main

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"

	"adpulse/system"
)

func TestVerifyShowsOneScreenAndEndsWithACode(t *testing.T) {
	well := system.Verification{
		Messages: 1234, PendingSegments: 2, PendingEvents: 7,
		Lanes: []system.LaneState{
			{Lane: "edge-1/0", Owner: "edge-1@1", Epoch: 3, Expires: time.Now().Add(time.Minute), Checkpoint: 40, Head: 42, Pending: 7},
			{Lane: "edge-1/1", Retired: true},
		},
	}
	ill := well
	ill.Problems = []system.Finding{{What: "events in the topic twice", Count: 12, Examples: []string{"event x at 0/1 and 0/2"}}}
	for _, c := range []struct {
		name  string
		found *system.Verification
		code  int
		says  []string
	}{
		{"agree", &well, exitOK, []string{"edge-1/0", "held for", "retired", "7 events", "1,234 messages", "agree: 7 events are on their way"}},
		{"wrong", &ill, exitDiffer, []string{"wrong: events in the topic twice (12)", "event x at 0/1 and 0/2"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, format := range []string{"table", "json"} {
				w := newWorld()
				var got system.VerifyOptions
				w.check = func(_ context.Context, _ system.Config, o system.VerifyOptions) (*system.Verification, error) {
					got = o
					return c.found, nil
				}
				require.Equal(t, c.code, w.run([]string{"verify", "--all", "--offline", "--format", format}))
				require.True(t, got.All && got.Offline)
				if format == "json" {
					require.True(t, json.Valid(w.stdout.Bytes()))
					continue
				}
				for _, word := range c.says {
					require.Contains(t, w.stdout.String(), word)
				}
				if c.code != exitOK {
					require.Contains(t, w.stderr.String(), "wrong: 12 problems")
				}
			}
		})
	}
}

// FuzzSettings gives any bytes for a file of settings: what is refused is
// refused in one line.
func FuzzSettings(f *testing.F) {
	for _, text := range []string{"mailbox: 1000\n", "cors-origins: [a, b]\n", "a: &x [*x]\n", "- 1\n", "mailbox: {a: 1}", "\x00", "high-water:"} {
		f.Add([]byte(text))
	}
	path := filepath.Join(f.TempDir(), "adpulse.yaml")
	f.Fuzz(func(t *testing.T, text []byte) {
		require.NoError(t, os.WriteFile(path, text, 0o600))
		c := system.DefaultConfig()
		flags := pflag.NewFlagSet("run", pflag.ContinueOnError)
		flags.String("config", path, "")
		secrets := nodeFlags(flags, &c)
		if err := settle(flags, secrets, nil, map[string]bool{"mailbox": true, "cors-origins": true, "high-water": true}); err != nil {
			require.NotContains(t, strings.TrimSpace(oneLine(err.Error())), "\n")
			return
		}
		_ = c.Validate() // whatever it says, it says it
	})
}
