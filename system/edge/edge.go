// Package edge keeps the journal, the lanes, their checkpoints and the change
// records in an Aerospike cluster.
//
// A record of the journal is created and never overwritten: that, and not the
// lease, is what keeps two owners of a lane apart. Everything that is changed
// in place is changed by compare-and-set on the record's generation, and an
// answer that was lost is made up for by reading back.
//
// What is stored stands in docs/FORMATS.md.
package edge

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"sync"
	"time"

	as "github.com/aerospike/aerospike-client-go/v7"
	"go.uber.org/zap"

	"adpulse/messages"
	"adpulse/system/internal/aero"
)

// Config says where the edge store is and how it is used.
type Config struct {
	// Hosts are host:port of some of the cluster's servers.
	Hosts []string
	// Namespace holds all sets; Set is the one of the change records.
	Namespace, Set string
	// User and Password log in; without a user nobody does.
	User, Password string
	// TLS, where set, encrypts every connection.
	TLS *tls.Config
	// EventTTL is how long change records live, and with them the memory of an
	// event's id: a client's retry after that counts again. 0 is for ever.
	EventTTL time.Duration
	// Connections bounds the connections to each server. Requests beyond it
	// wait for one until they time out.
	Connections int
	// ConnectTimeout bounds Open.
	ConnectTimeout time.Duration
	// WriteTimeout and ReadTimeout bound one request; a context's deadline
	// shortens them.
	WriteTimeout, ReadTimeout time.Duration
	// BatchRecords is how many change records go into one request, BatchesAtOnce
	// how many such requests one WriteChangeRecords has under way.
	BatchRecords, BatchesAtOnce int
	// Now is the clock that leases run by.
	Now func() time.Time
	// Observe, where set, hears of every operation: its name, how it ended
	// ("ok", "fenced", "taken", "held", "unknown", "corrupt" or "error"), and
	// how long it took. It may be called concurrently.
	Observe func(op, outcome string, took time.Duration)
	// Log hears of what was made up for; nothing is logged without one.
	Log *zap.Logger
}

// DefaultConfig suits a store that answers within milliseconds.
func DefaultConfig() Config {
	return Config{
		Namespace: "test", Set: "events", Connections: 64,
		ConnectTimeout: 5 * time.Second, WriteTimeout: 2 * time.Second, ReadTimeout: 2 * time.Second,
		BatchRecords: 500, BatchesAtOnce: 2,
		Now: time.Now,
	}
}

// Validate checks the names, sizes and times.
func (c Config) Validate() error {
	switch {
	case len(c.Namespace) == 0 || len(c.Namespace) > 31:
		return fmt.Errorf("edge namespace %q: use 1 to 31 bytes", c.Namespace)
	case len(c.Set) == 0 || len(c.Set) > 63:
		return fmt.Errorf("edge set %q: use 1 to 63 bytes", c.Set)
	case c.Set == journalSet || c.Set == laneSet || c.Set == checkpointSet || c.Set == pingSet || c.Set == directorySet:
		return fmt.Errorf("edge set %q is taken; name another for the change records", c.Set)
	case c.Connections < 1 || c.BatchRecords < 1 || c.BatchesAtOnce < 1:
		return errors.New("edge connections, batch records and batches at once must be positive")
	case c.ConnectTimeout <= 0 || c.WriteTimeout <= 0 || c.ReadTimeout <= 0:
		return errors.New("edge connect, write and read timeouts must be positive")
	case c.EventTTL < 0 || c.EventTTL > 0 && c.EventTTL < time.Second || c.EventTTL > eventTTLMax:
		return fmt.Errorf("edge event ttl %s: use 0 for ever, or 1s to %s", c.EventTTL, eventTTLMax)
	}
	return nil
}

// eventTTLMax is the longest time to live that Aerospike takes: ten years.
const eventTTLMax = 10 * 365 * 24 * time.Hour

// The sets beside Config.Set.
const (
	journalSet    = "journal"
	laneSet       = "lanes"
	checkpointSet = "checkpoints"
	pingSet       = "ping"
)

// Store is an open edge store. Its methods may be called concurrently.
type Store struct {
	config  Config
	client  *as.Client
	log     *zap.Logger
	writers sync.Pool // of *changeWriter
	blobs   sync.Pool // of *[]byte
}

// Open connects. It fails within the context's deadline, with one error that
// names the hosts, when no server can be reached. Close the store after use.
func Open(ctx context.Context, c Config) (*Store, error) {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = zap.NewNop()
	}
	if err := c.Validate(); err != nil {
		return nil, err
	}
	client, err := aero.Connect(ctx, aero.Cluster{
		Hosts: c.Hosts, User: c.User, Password: c.Password, TLS: c.TLS,
		Connections: c.Connections, ConnectTimeout: c.ConnectTimeout,
	})
	if err != nil {
		return nil, fmt.Errorf("open edge store: %w", err)
	}
	return &Store{config: c, client: client, log: c.Log}, nil
}

// Close ends the connections. Whatever is under way fails.
func (s *Store) Close() { s.client.Close() }

// Ping tells whether a change record could be written now. It writes a record
// with the events' time to live, so that a namespace that is full, or refuses
// a time to live, is noticed.
func (s *Store) Ping(ctx context.Context) (err error) {
	defer s.observe("ping", s.config.Now(), &err)
	key, err := s.key(pingSet, "ping")
	if err != nil {
		return err
	}
	policy, err := s.writePolicy(ctx, as.REPLACE)
	if err != nil {
		return fmt.Errorf("ping edge store: %w", err)
	}
	policy.Expiration = s.expiration()
	if err := s.client.PutBins(policy, key, as.NewBin("at", s.config.Now().UnixMilli())); err != nil {
		return fmt.Errorf("ping edge store: %w", aero.Explain(err))
	}
	return nil
}

// expiration is EventTTL as the client wants it.
func (s *Store) expiration() uint32 {
	if s.config.EventTTL == 0 {
		return as.TTLDontExpire
	}
	return uint32(s.config.EventTTL / time.Second)
}

func (s *Store) key(set, name string) (*as.Key, error) {
	key, err := as.NewKey(s.config.Namespace, set, name)
	if err != nil {
		return nil, fmt.Errorf("key %s/%s: %w", set, name, aero.Explain(err))
	}
	return key, nil
}

// writePolicy is for one write of a record that never expires. The client does
// not retry it: a write that was done and then tried again would be told that
// the record exists, or that its generation is wrong.
func (s *Store) writePolicy(ctx context.Context, exists as.RecordExistsAction) (*as.WritePolicy, error) {
	timeout, err := aero.Within(ctx, s.config.WriteTimeout)
	if err != nil {
		return nil, err
	}
	policy := as.NewWritePolicy(0, as.TTLDontExpire)
	policy.RecordExistsAction = exists
	policy.TotalTimeout, policy.SocketTimeout, policy.MaxRetries = timeout, timeout, 0
	return policy, nil
}

func (s *Store) readPolicy(ctx context.Context) (*as.BasePolicy, error) {
	timeout, err := aero.Within(ctx, s.config.ReadTimeout)
	if err != nil {
		return nil, err
	}
	policy := as.NewPolicy()
	policy.TotalTimeout, policy.SocketTimeout = timeout, timeout
	policy.MaxRetries, policy.SleepBetweenRetries = readTries, readPause
	return policy, nil
}

// Reads may be tried again without a thought.
const (
	readTries = 5
	readPause = 5 * time.Millisecond
)

// batchPolicy is for a batch that may be tried again as a whole: of reads, of
// deletes, or of writes whose caller does not mind.
func (s *Store) batchPolicy(ctx context.Context, most time.Duration, tries int) (*as.BatchPolicy, error) {
	timeout, err := aero.Within(ctx, most)
	if err != nil {
		return nil, err
	}
	policy := as.NewBatchPolicy()
	policy.TotalTimeout, policy.SocketTimeout = timeout, timeout
	policy.MaxRetries, policy.SleepBetweenRetries = tries, readPause
	policy.ConcurrentNodes = 0
	policy.AllowInlineSSD = true
	return policy, nil
}

func (s *Store) observe(op string, start time.Time, err *error) {
	if s.config.Observe != nil {
		s.config.Observe(op, outcome(*err), s.config.Now().Sub(start))
	}
}

func outcome(err error) string {
	switch {
	case err == nil:
		return "ok"
	case errors.Is(err, messages.ErrFenced):
		return "fenced"
	case errors.Is(err, messages.ErrTaken):
		return "taken"
	case errors.Is(err, messages.ErrHeld):
		return "held"
	case errors.Is(err, messages.ErrOutcomeUnknown):
		return "unknown"
	case errors.Is(err, messages.ErrCorrupt):
		return "corrupt"
	}
	return "error"
}
