// Package core keeps the campaigns and their tags in an Aerospike cluster, in
// the reference system's sets, keys and bins.
package core

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"time"

	as "github.com/aerospike/aerospike-client-go/v7"
	"github.com/aerospike/aerospike-client-go/v7/types"

	"adpulse/messages"
	"adpulse/system/internal/aero"
)

// Config says where the core store is and how it is used.
type Config struct {
	// Hosts are host:port of some of the cluster's servers.
	Hosts []string
	// Namespace holds all sets.
	Namespace string
	// User and Password log in; without a user nobody does.
	User, Password string
	// TLS, where set, encrypts every connection.
	TLS *tls.Config
	// Connections bounds the connections to each server.
	Connections int
	// ConnectTimeout bounds Open, RequestTimeout one request; a context's
	// deadline shortens them.
	ConnectTimeout, RequestTimeout time.Duration
	// Now is the clock that new campaigns are dated by.
	Now func() time.Time
}

// DefaultConfig suits a store that answers within milliseconds.
func DefaultConfig() Config {
	return Config{
		Namespace: "test", Connections: 32,
		ConnectTimeout: 5 * time.Second, RequestTimeout: 5 * time.Second, Now: time.Now,
	}
}

// Validate checks the names, sizes and times.
func (c Config) Validate() error {
	switch {
	case len(c.Namespace) == 0 || len(c.Namespace) > 31:
		return fmt.Errorf("core namespace %q: use 1 to 31 bytes", c.Namespace)
	case c.Connections < 1:
		return errors.New("core connections must be positive")
	case c.ConnectTimeout <= 0 || c.RequestTimeout <= 0:
		return errors.New("core connect and request timeouts must be positive")
	}
	return nil
}

// The sets, the reference system's.
const (
	campaignSet = "campaigns"
	tagSet      = "tags"
)

// Bins of the two sets.
const (
	campaignIDBin   = "c-id"
	campaignNameBin = "c-name"
	campaignDateBin = "c-date"
	statsBin        = "stats"
	tagIDBin        = "t-id"
	// tagCount is both the key and the bin of the record that is written when
	// everything else is.
	tagCount = "tag-count"
)

// dateIndex is the secondary index on campaignDateBin.
const dateIndex = "campaign_date"

// Store is an open core store. Its methods may be called concurrently.
type Store struct {
	config Config
	client *as.Client
}

// Open connects. It fails within the context's deadline, with one error that
// names the hosts, when no server can be reached. Close the store after use.
func Open(ctx context.Context, c Config) (*Store, error) {
	if c.Now == nil {
		c.Now = time.Now
	}
	if err := c.Validate(); err != nil {
		return nil, err
	}
	client, err := aero.Connect(ctx, aero.Cluster{
		Hosts: c.Hosts, User: c.User, Password: c.Password, TLS: c.TLS,
		Connections: c.Connections, ConnectTimeout: c.ConnectTimeout,
	})
	if err != nil {
		return nil, fmt.Errorf("open core store: %w", err)
	}
	return &Store{config: c, client: client}, nil
}

// Close ends the connections. Whatever is under way fails.
func (s *Store) Close() { s.client.Close() }

// TagCount is how many tags there are: 0 until Seed has finished.
func (s *Store) TagCount(ctx context.Context) (int, error) {
	key, err := s.key(tagSet, tagCount)
	if err != nil {
		return 0, err
	}
	timeout, err := aero.Within(ctx, s.config.RequestTimeout)
	if err != nil {
		return 0, fmt.Errorf("read tag count: %w", err)
	}
	policy := as.NewPolicy()
	policy.TotalTimeout, policy.SocketTimeout = timeout, timeout
	record, failure := s.client.Get(policy, key, tagCount)
	switch {
	case failure != nil && failure.Matches(types.KEY_NOT_FOUND_ERROR):
		return 0, nil
	case failure != nil:
		return 0, fmt.Errorf("read tag count: %w", aero.Explain(failure))
	}
	count, ok := record.Bins[tagCount].(int)
	if !ok || count < 0 {
		return 0, fmt.Errorf("read tag count: bin %q is %v", tagCount, record.Bins[tagCount])
	}
	return count, nil
}

// Tags returns the ids of the first max tags, or of all where there are fewer,
// in the order of their index.
func (s *Store) Tags(ctx context.Context, max int) ([]messages.TagID, error) {
	count, err := s.TagCount(ctx)
	if err != nil {
		return nil, err
	}
	count = min(count, max)
	tags := make([]messages.TagID, 0, count)
	for len(tags) < count {
		from, upTo := len(tags)+1, min(len(tags)+batchRecords, count)
		keys := make([]*as.Key, 0, batchRecords)
		for index := from; index <= upTo; index++ {
			key, err := s.key(tagSet, index)
			if err != nil {
				return nil, err
			}
			keys = append(keys, key)
		}
		records, err := s.batchGet(ctx, keys, tagIDBin)
		if err != nil {
			return nil, fmt.Errorf("read tags %d to %d: %w", from, upTo, err)
		}
		for i, record := range records {
			if record == nil {
				return nil, fmt.Errorf("read tag %d: there is none, though there are %d tags", from+i, count)
			}
			text, _ := record.Bins[tagIDBin].(string)
			tag, err := messages.ParseTagID(text)
			if err != nil {
				return nil, fmt.Errorf("read tag %d: bin %q is %v: %w", from+i, tagIDBin, record.Bins[tagIDBin], err)
			}
			tags = append(tags, tag)
		}
	}
	return tags, nil
}

func (s *Store) key(set string, name any) (*as.Key, error) {
	key, err := as.NewKey(s.config.Namespace, set, name)
	if err != nil {
		return nil, fmt.Errorf("key %s/%v: %w", set, name, aero.Explain(err))
	}
	return key, nil
}

func (s *Store) batchGet(ctx context.Context, keys []*as.Key, bins ...string) ([]*as.Record, error) {
	policy, err := s.batchPolicy(ctx)
	if err != nil {
		return nil, err
	}
	records, failure := s.client.BatchGet(policy, keys, bins...)
	if failure != nil {
		return nil, aero.Explain(failure)
	}
	return records, nil
}

func (s *Store) batchPolicy(ctx context.Context) (*as.BatchPolicy, error) {
	timeout, err := aero.Within(ctx, s.config.RequestTimeout)
	if err != nil {
		return nil, err
	}
	policy := as.NewBatchPolicy()
	policy.TotalTimeout, policy.SocketTimeout = timeout, timeout
	policy.ConcurrentNodes = 0
	policy.AllowInlineSSD = true
	return policy, nil
}
