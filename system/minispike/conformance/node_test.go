package conformance_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// nodeCases are the cases of node/client.mjs, so that none is lost unseen.
var nodeCases = []string{
	"connect", "put and get", "put policies and time to live", "operate with map increments",
	"batch read", "batch write", "query by numeric range", "scan of a set", "filter expression",
	"expiry", "truncate",
}

func TestNodeClientAgainstMinispike(t *testing.T) {
	node, modules := nodeTools(t)
	host, port := start(t)
	runNode(t, node, modules, host, port)
}

func TestNodeClientAgainstServerNamedByEnvironment(t *testing.T) {
	address := os.Getenv("ADPULSE_EDGE")
	if address == "" {
		t.Skip("ADPULSE_EDGE names no server")
	}
	node, modules := nodeTools(t)
	host, port := split(t, address)
	runNode(t, node, modules, host, port)
}

func runNode(t *testing.T, node, modules, host string, port int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, node, filepath.Join("node", "client.mjs"), host, fmt.Sprint(port))
	command.Env = append(os.Environ(), "ADPULSE_NODE_MODULES="+modules)
	var told, complaint strings.Builder
	command.Stdout, command.Stderr = &told, &complaint
	require.NoError(t, command.Run(), "%s%s", &told, &complaint)
	var want strings.Builder
	for _, name := range nodeCases {
		fmt.Fprintf(&want, "ok %s\n", name)
	}
	require.Equal(t, want.String(), told.String())
}

// nodeTools finds node and the directory with its modules. Without them the
// test is skipped, or fails where the tools are required.
func nodeTools(t *testing.T) (node, modules string) {
	t.Helper()
	node, err := exec.LookPath("node")
	if err != nil {
		missing(t, "node is not installed: %v", err)
	}
	modules = os.Getenv("ADPULSE_NODE_MODULES")
	if modules == "" {
		missing(t, "ADPULSE_NODE_MODULES names no directory with the aerospike package; see the package's documentation")
	}
	if !filepath.IsAbs(modules) {
		modules = filepath.Join(moduleRoot(t), modules)
	}
	if _, err := os.Stat(filepath.Join(modules, "node_modules", "aerospike", "package.json")); err != nil {
		missing(t, "ADPULSE_NODE_MODULES holds no aerospike package: %v", err)
	}
	return node, modules
}

func missing(t *testing.T, format string, operands ...any) {
	t.Helper()
	if os.Getenv("ADPULSE_REQUIRE_TOOLS") == "1" {
		t.Fatalf(format, operands...)
	}
	t.Skipf(format, operands...)
}

// moduleRoot is the directory of go.mod, at or above this one.
func moduleRoot(t *testing.T) string {
	t.Helper()
	directory, err := os.Getwd()
	require.NoError(t, err)
	for {
		if _, err := os.Stat(filepath.Join(directory, "go.mod")); err == nil {
			return directory
		}
		parent := filepath.Dir(directory)
		require.NotEqual(t, parent, directory, "no go.mod above")
		directory = parent
	}
}
