package e2e_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestInitFillsOnceAndRunGoesOn(t *testing.T) {
	p := newPlace(t)
	for range 2 {
		run := start(t, "init", "--data-dir", p.dir, "--core-listen", p.core, "--campaigns", "3", "--tags", "10")
		require.Zero(t, run.exitCode(t))
	}
	p.run(t, "--simulators", "0").stop(t)
}

func TestSimulateAndTail(t *testing.T) {
	const events = 1500
	p := newPlace(t)
	node := p.run(t, "--simulators", "0")
	load := start(t, "simulate", "--target", "http://"+p.http, "--events", "1500", "--rate", "0", "--summary", "json")
	require.Zero(t, load.exitCode(t))
	f := struct{ Acknowledged uint64 }{}
	lines := strings.Split(strings.TrimSpace(load.stdout.String()), "\n")
	require.NoError(t, json.Unmarshal([]byte(lines[len(lines)-1]), &f))
	require.EqualValues(t, events, f.Acknowledged)
	p.drained(t, events)

	tail := start(t, "tail", "--kafka", p.kafka, "--from", "earliest", "-n", "100", "--format", "json")
	require.Zero(t, tail.exitCode(t))
	printed := strings.Split(strings.TrimSpace(tail.stdout.String()), "\n")
	require.Len(t, printed, 100)
	for _, line := range printed {
		require.True(t, json.Valid([]byte(line)), line)
	}
	require.Equal(t, events, once(t, p.messages(t)))

	verify := start(t, "verify", "--all", "--edge-listen", p.edge, "--kafka-listen", p.kafka, "--format", "json")
	require.Zero(t, verify.exitCode(t))
	found := struct {
		Messages int `json:"messages_read"`
	}{}
	require.NoError(t, json.Unmarshal([]byte(verify.stdout.String()), &found))
	require.Equal(t, events, found.Messages)
	node.stop(t)
	require.Zero(t, start(t, "verify", "--offline", "--data-dir", p.dir, "--edge-listen", p.edge, "--kafka-listen", p.kafka).exitCode(t))
}

func TestHelpAndVersion(t *testing.T) {
	for _, command := range []string{"", "run", "init", "simulate", "tail", "verify", "version"} {
		args := append(strings.Fields(command), "--help")
		help := start(t, args...)
		require.Zero(t, help.exitCode(t))
		require.Contains(t, help.stdout.String(), "Examples:")
	}
	version := start(t, "version", "--format", "json")
	require.Zero(t, version.exitCode(t))
	require.True(t, json.Valid([]byte(version.stdout.String())))
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		require.Zero(t, start(t, "completion", shell).exitCode(t))
	}
}
