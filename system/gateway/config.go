package gateway

import (
	"errors"
	"fmt"
	"time"

	"adpulse/messages"
)

// Config is a gateway's limits and times. What exceeds a limit is refused as a
// whole, with the status named here, and nothing of it is stored.
type Config struct {
	// Origins may send from a browser: "*" is every one, else scheme://host[:port].
	// A page of another origin gets 403. Requests without an Origin header are
	// no browser's and are not concerned.
	Origins []string
	// TLSCert and TLSKey are PEM files; with both, Serve speaks TLS only.
	TLSCert, TLSKey string

	// BodyBytesMax bounds the body of a request to /events: 413. That of one
	// event is bounded by messages.EventBytesMax.
	BodyBytesMax int
	// HeaderBytesMax bounds a request's line and headers: 431.
	HeaderBytesMax int
	// EventsMax bounds the events of one request to /events: 413.
	EventsMax int
	// ConnectionsMax bounds the connections. What comes past it is closed at
	// once, so that its client can go elsewhere instead of waiting for nothing.
	ConnectionsMax int
	// RequestsMax bounds the requests whose events wait to become durable: 503.
	// Slow senders and slow readers have no part in it.
	RequestsMax int
	// HeldBytesMax bounds what all requests under way hold together, from the
	// first byte of a body to the last of its answer: 503. Memory is up to twice
	// that, for buffers have room to grow.
	HeldBytesMax int

	// BatchEvents bounds the events of one Submit; BatchesAtOnce how many such
	// calls one request has under way.
	BatchEvents, BatchesAtOnce int

	// ClientRate bounds one client's requests a second, 0 is no bound: 429. A
	// client is an IPv4 address or an IPv6 /64. ClientBurst is how many it may
	// send at once after a pause.
	ClientRate  float64
	ClientBurst int
	// ClientsMax bounds how many clients are remembered; the one longest silent
	// is forgotten first, and starts anew with a full burst.
	ClientsMax int

	// SubmitTimeout is how long events may take to become durable: 503.
	SubmitTimeout time.Duration
	// ReadyTimeout bounds the check behind /readyz: 503.
	ReadyTimeout time.Duration
	// RetryAfter is what a 503 asks its client to wait.
	RetryAfter time.Duration
	// RefusalDelay is how long a request that Parts.Refuses speaks against waits
	// for its 503, at most RequestsMax of them at a time, the rest is answered
	// at once: clients that come again without waiting would take the processor
	// from those who are served. 0 is not at all.
	RefusalDelay time.Duration
	// HeaderTimeout and ReadTimeout bound how slowly a client may send its
	// headers and its body, StallTimeout how long no byte of a body may come:
	// 408. WriteTimeout bounds the time from the headers to the end of the
	// answer, and so how slowly a client may read; IdleTimeout a connection
	// between two requests.
	HeaderTimeout, ReadTimeout, StallTimeout, WriteTimeout, IdleTimeout time.Duration

	// Now is the clock; tests replace it.
	Now func() time.Time
}

// DefaultConfig suits a publisher's traffic on a small machine.
func DefaultConfig() Config {
	return Config{
		Origins:      []string{"*"},
		BodyBytesMax: 1 << 20, HeaderBytesMax: 32 << 10, EventsMax: 10_000,
		ConnectionsMax: 10_000, RequestsMax: 1024, HeldBytesMax: 128 << 20,
		BatchEvents: 500, BatchesAtOnce: 4,
		ClientBurst: 100, ClientsMax: 10_000,
		SubmitTimeout: 10 * time.Second, ReadyTimeout: 2 * time.Second, RetryAfter: time.Second, RefusalDelay: 250 * time.Millisecond,
		HeaderTimeout: 5 * time.Second, ReadTimeout: 15 * time.Second, StallTimeout: 5 * time.Second,
		WriteTimeout: 30 * time.Second, IdleTimeout: 60 * time.Second,
		Now: time.Now,
	}
}

// Validate names the first field that cannot be.
func (c *Config) Validate() error {
	for _, size := range []struct {
		field            string
		value, low, high int
	}{
		{"BodyBytesMax", c.BodyBytesMax, messages.EventBytesMax, 1 << 30},
		{"HeaderBytesMax", c.HeaderBytesMax, 1 << 10, 1 << 20},
		{"EventsMax", c.EventsMax, 1, 1 << 20},
		{"ConnectionsMax", c.ConnectionsMax, 1, 1 << 20},
		{"RequestsMax", c.RequestsMax, 1, 1 << 20},
		{"HeldBytesMax", c.HeldBytesMax, c.BodyBytesMax, 1 << 40},
		{"BatchEvents", c.BatchEvents, 1, messages.SegmentEventsMax},
		{"BatchesAtOnce", c.BatchesAtOnce, 1, 1024},
	} {
		if size.value < size.low || size.value > size.high {
			return fmt.Errorf("gateway: %s is %d, use %d to %d", size.field, size.value, size.low, size.high)
		}
	}
	switch {
	case c.ClientRate < 0 || c.ClientRate != c.ClientRate: // NaN differs from itself
		return errors.New("gateway: ClientRate is negative, use requests a second, or 0 for no bound")
	case c.ClientRate > 0 && (c.ClientBurst < 1 || c.ClientsMax < 1):
		return errors.New("gateway: ClientRate needs a ClientBurst and a ClientsMax of at least 1")
	case (c.TLSCert == "") != (c.TLSKey == ""):
		return errors.New("gateway: TLSCert and TLSKey belong together")
	case c.RefusalDelay < 0 || c.RefusalDelay > time.Minute:
		return fmt.Errorf("gateway: RefusalDelay is %s, use 0 to 1m", c.RefusalDelay)
	case c.Now == nil:
		return errors.New("gateway: without Now")
	}
	for _, wait := range []struct {
		field string
		value time.Duration
	}{
		{"SubmitTimeout", c.SubmitTimeout},
		{"ReadyTimeout", c.ReadyTimeout},
		{"RetryAfter", c.RetryAfter},
		{"HeaderTimeout", c.HeaderTimeout},
		{"ReadTimeout", c.ReadTimeout},
		{"StallTimeout", c.StallTimeout},
		{"WriteTimeout", c.WriteTimeout},
		{"IdleTimeout", c.IdleTimeout},
	} {
		if wait.value <= 0 || wait.value > time.Hour {
			return fmt.Errorf("gateway: %s is %s, use more than 0 and at most 1h", wait.field, wait.value)
		}
	}
	if c.WriteTimeout < c.ReadTimeout+c.SubmitTimeout {
		return fmt.Errorf("gateway: WriteTimeout %s is shorter than ReadTimeout and SubmitTimeout together, %s: answers would be cut off",
			c.WriteTimeout, c.ReadTimeout+c.SubmitTimeout)
	}
	return nil
}
