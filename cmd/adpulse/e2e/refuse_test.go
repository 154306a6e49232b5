package e2e_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// refused runs the program, which must end with exit code 1 or 2 and say why in
// one line that names the flag.
func refused(t *testing.T, flag string, args ...string) {
	t.Helper()
	p := start(t, args...)
	code := p.exitCode(t)
	said := p.stderr.String()
	require.Contains(t, []int{1, 2}, code, said)
	require.NotContains(t, said, "goroutine ", "a stack trace")
	require.NotContains(t, said, "panic")
	var complaints []string
	for line := range strings.Lines(said) {
		if strings.HasPrefix(line, "adpulse: ") {
			complaints = append(complaints, line)
		}
	}
	require.Len(t, complaints, 1, said)
	require.Contains(t, complaints[0], flag)
	require.Empty(t, p.stdout.String())
}

func TestImpossibleSettingsAreRefusedByName(t *testing.T) {
	for _, c := range [][]string{
		{"mailbox", "run", "--mailbox", "0"},
		{"mailbox", "run", "--mailbox", "many"},
		{"segment-events", "run", "--segment-events", "100000000"},
		{"rate", "run", "--rate", "-1"},
		{"collectors", "run", "--collectors", "0"},
		{"exporters", "run", "--exporters", "-3"},
		{"http", "run", "--http", "nowhere"},
		{"edge", "run", "--edge", "nowhere"},
		{"for", "run", "--for", "soon"},
		{"mix", "run", "--mix", "1:2"},
		{"bogus", "run", "--bogus"},
		{"config", "run", "--config", "/nonexistent/adpulse.yaml"},
		{"rum", "rum"},
		{"extra", "run", "extra"},
		{"target", "simulate", "--target", "nowhere"},
		{"from", "tail", "--from", "yesterday"},
	} {
		t.Run(strings.Join(c[1:], " "), func(t *testing.T) {
			args := c[1:]
			if args[0] == "run" {
				args = append(args, "--data-dir", t.TempDir())
			}
			refused(t, c[0], args...)
		})
	}
}

func TestSecondProcessOnADataDirectoryIsRefused(t *testing.T) {
	p := newPlace(t)
	node := p.run(t, "--simulators", "0")
	other := newPlace(t)
	other.dir = p.dir
	refused(t, "data-dir", other.args("run")...)
	node.stop(t)
}

func TestPortInUseIsRefusedByFlag(t *testing.T) {
	p := newPlace(t)
	node := p.run(t, "--simulators", "0")
	for _, c := range []struct {
		flag string
		at   func(*place)
	}{
		{"--http", func(other *place) { other.http = p.http }},
		{"--edge-listen", func(other *place) { other.edge = p.edge }},
		{"--core-listen", func(other *place) { other.core = p.core }},
		{"--kafka-listen", func(other *place) { other.kafka = p.kafka }},
	} {
		other := newPlace(t)
		c.at(&other)
		refused(t, c.flag, other.args("run")...)
	}
	node.stop(t)
}

func TestForeignOrUnwritableDataDirectoryIsRefused(t *testing.T) {
	p := newPlace(t)
	p.dir = t.TempDir()
	stranger := filepath.Join(p.dir, "thesis.txt")
	require.NoError(t, os.WriteFile(stranger, []byte("do not touch"), 0o600))
	refused(t, "data-dir", p.args("run")...)
	entries, err := os.ReadDir(p.dir)
	require.NoError(t, err)
	require.Len(t, entries, 1, "a foreign directory is left alone")

	p.dir = filepath.Join(stranger, "below-a-file")
	refused(t, "data-dir", p.args("run")...)
}

func TestUnreachableClustersAreRefusedByFlag(t *testing.T) {
	nobody := freePort(t)
	for _, flag := range []string{"--edge", "--core", "--kafka"} {
		t.Run(flag, func(t *testing.T) {
			p := newPlace(t)
			refused(t, flag, p.args("run", flag, nobody)...)
		})
	}
	refused(t, "--target", "simulate", "--target", "http://"+nobody, "--events", "1")
	refused(t, "--kafka", "tail", "--kafka", nobody, "-n", "1")
}
