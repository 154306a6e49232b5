package conformance_test

import (
	"net"
	"os"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"adpulse/system/minispike"
	"adpulse/system/minispike/conformance"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestMinispike(t *testing.T) {
	host, port := start(t)
	conformance.Run(t, host, port)
}

func TestServerNamedByEnvironment(t *testing.T) {
	address := os.Getenv("ADPULSE_EDGE")
	if address == "" {
		t.Skip("ADPULSE_EDGE names no server")
	}
	host, port := split(t, address)
	conformance.Run(t, host, port)
}

// start runs minispike in memory until the test ends.
func start(t *testing.T) (string, int) {
	t.Helper()
	server, err := minispike.Start(minispike.Config{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Close()) })
	return split(t, server.Addr().String())
}

func split(t *testing.T, address string) (string, int) {
	t.Helper()
	host, text, err := net.SplitHostPort(address)
	require.NoError(t, err)
	port, err := strconv.Atoi(text)
	require.NoError(t, err)
	return host, port
}
