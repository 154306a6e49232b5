// Package aero is what the Aerospike stores share: connecting within a
// deadline, bounding a request by its context, and saying in plain words what
// the client reports.
//
// The client's own logger is off unless a program turns it on, and is left so:
// everything it would say comes back as an error too.
package aero

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	as "github.com/aerospike/aerospike-client-go/v7"
)

// Cluster says which servers to use and how.
type Cluster struct {
	// Hosts are host:port of some of the servers; the others are found.
	Hosts []string
	// User and Password log in; without a user nobody does.
	User, Password string
	// TLS, where set, encrypts every connection.
	TLS *tls.Config
	// Connections bounds the connections to each server.
	Connections int
	// ConnectTimeout bounds Connect, as does its context.
	ConnectTimeout time.Duration
}

// Connect returns a client that has reached at least one server, or one error
// that names the hosts. It returns as soon as ctx is done.
func Connect(ctx context.Context, c Cluster) (*as.Client, error) {
	hosts, err := parseHosts(c.Hosts)
	if err != nil {
		return nil, err
	}
	timeout, err := Within(ctx, c.ConnectTimeout)
	if err != nil {
		return nil, fmt.Errorf("connect to Aerospike at %s: %w", strings.Join(c.Hosts, ","), err)
	}
	policy := as.NewClientPolicy()
	policy.User, policy.Password, policy.TlsConfig = c.User, c.Password, c.TLS
	policy.ConnectionQueueSize = c.Connections
	policy.Timeout, policy.LoginTimeout = timeout, timeout
	policy.FailIfNotConnected = true

	type connected struct {
		client *as.Client
		err    error
	}
	done := make(chan connected)
	gone := make(chan struct{})
	go func() { // ends within timeout, which the client keeps
		client, err := as.NewClientWithPolicyAndHost(policy, hosts...)
		result := connected{client: client}
		if err != nil {
			result = connected{err: err}
		}
		select {
		case done <- result:
		case <-gone:
			if result.client != nil {
				result.client.Close()
			}
		}
	}()
	var result connected
	select {
	case result = <-done:
	case <-ctx.Done():
		close(gone)
		result.err = ctx.Err()
	}
	if result.err != nil {
		return nil, fmt.Errorf("connect to Aerospike at %s: %w", strings.Join(c.Hosts, ","), Explain(result.err))
	}
	return result.client, nil
}

func parseHosts(addresses []string) ([]*as.Host, error) {
	if len(addresses) == 0 {
		return nil, errors.New("connect to Aerospike: no hosts")
	}
	hosts := make([]*as.Host, len(addresses))
	for i, address := range addresses {
		host, service, err := net.SplitHostPort(strings.TrimSpace(address))
		if err != nil {
			return nil, fmt.Errorf("connect to Aerospike: host %q: %w", address, err)
		}
		port, err := strconv.ParseUint(service, 10, 16)
		if err != nil || port == 0 || host == "" {
			return nil, fmt.Errorf("connect to Aerospike: host %q: use host:port", address)
		}
		hosts[i] = as.NewHost(host, int(port))
	}
	return hosts, nil
}

// Within is how long a request may take: most, or what ctx has left. The
// client knows no contexts, so this is how its deadline reaches the wire.
func Within(ctx context.Context, most time.Duration) (time.Duration, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	if deadline, ok := ctx.Deadline(); ok {
		left := time.Until(deadline)
		if left < time.Millisecond {
			return 0, context.DeadlineExceeded
		}
		return min(most, left), nil
	}
	return most, nil
}
