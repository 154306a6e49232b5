// Package gateway takes ad events over HTTP and answers when they are durable.
//
// A 2xx means that every event it speaks of is in the edge journal. A 4xx means
// that nothing of the request was stored and that a repetition would fare no
// better. A 5xx or 429 asks to come again; a client that names its events, by
// event_id or Idempotency-Key, can do so without being counted twice. What is
// in docs/HTTP.md is a promise to those who send.
//
// The gateway holds no event after its answer and starts no work that it does
// not wait for. Everything that a client can make it hold is bounded by Config.
package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"adpulse/messages"
)

// Submitter makes events durable.
type Submitter interface {
	// Submit returns nil once every event is in the journal, a
	// *messages.NotCollected where it will not be or nobody knows, and ctx's
	// error when ctx ended first. events belong to it from then on. It may be
	// called concurrently.
	Submit(ctx context.Context, events []messages.Event) error
}

// Parts is what a gateway works with. Events and Log must be set.
type Parts struct {
	Events Submitter
	// Ready returns nil when an event can be made durable now, else why not;
	// joined errors become one reason each. Without it the gateway is ready
	// until it stops.
	Ready func(ctx context.Context) error
	// Metrics serves /metrics; without it there is no such page.
	Metrics http.Handler
	// Log never gets a request's content.
	Log *zap.Logger
	// Refuses, where set, is asked before a request's body is read: the
	// *messages.NotCollected that Submit would return now, or nil. It makes
	// sending away cheap, which is what a load too high calls for.
	Refuses func() error
	// Connections, where set, is told how many are open whenever that changes,
	// and Turned of each that was closed because ConnectionsMax were.
	Connections func(open int)
	Turned      func()
	// Observe, where set, hears of every request that was answered: its route
	// (one of a fixed few), the status code, and the time from its headers to
	// the end of its answer. It may be called concurrently.
	Observe func(route string, code int, took time.Duration)
}

// Server is the gateway. Its methods may be called concurrently.
type Server struct {
	config   Config
	parts    Parts
	http     *http.Server
	clients  *clients        // nil without a rate
	origins  map[string]bool // nil when every origin may send
	stopping atomic.Bool
	requests atomic.Int64 // whose events wait to become durable
	delayed  atomic.Int64 // refusals that wait
	held     atomic.Int64 // bytes, see Config.HeldBytesMax
	open     connections
	// life ends when Shutdown cuts requests off.
	life    context.Context
	end     context.CancelFunc
	address atomic.Pointer[net.Addr]
}

// New checks the configuration, reads the certificate if there is one, and
// returns a gateway that does not listen yet.
func New(config Config, parts Parts) (*Server, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	if parts.Events == nil || parts.Log == nil {
		return nil, errors.New("gateway: without Events or Log")
	}
	s := &Server{config: config, parts: parts, origins: originSet(config.Origins)}
	s.life, s.end = context.WithCancel(context.Background())
	s.open.server = s
	if config.ClientRate > 0 {
		s.clients = newClients(config.ClientRate, config.ClientBurst, config.ClientsMax)
	}
	quiet, err := zap.NewStdLogAt(parts.Log.Named("http"), zap.DebugLevel)
	if err != nil {
		return nil, fmt.Errorf("gateway: bridge the log: %w", err)
	}
	s.http = &http.Server{
		Handler:           s.Handler(),
		ReadHeaderTimeout: config.HeaderTimeout,
		ReadTimeout:       config.ReadTimeout,
		WriteTimeout:      config.WriteTimeout,
		IdleTimeout:       config.IdleTimeout,
		MaxHeaderBytes:    config.HeaderBytesMax,
		ConnState:         s.open.changed,
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: streamsMax},
		ErrorLog:          quiet, // what clients do wrong on the wire
	}
	if config.TLSCert != "" {
		pair, err := tls.LoadX509KeyPair(config.TLSCert, config.TLSKey)
		if err != nil {
			return nil, fmt.Errorf("gateway: certificate %s with key %s: %w", config.TLSCert, config.TLSKey, err)
		}
		s.http.TLSConfig = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	}
	return s, nil
}

// streamsMax bounds the requests that one HTTP/2 connection has under way.
const streamsMax = 100

// Handler is the gateway for a server of somebody else's, without the limits
// on headers, connections and times that only a server can set.
func (s *Server) Handler() http.Handler { return http.HandlerFunc(s.serve) }

// Serve answers requests from the listener until Shutdown, and returns nil
// then. It closes the listener. It is called once.
func (s *Server) Serve(listener net.Listener) error {
	address := listener.Addr()
	s.address.Store(&address)
	var err error
	if s.http.TLSConfig != nil {
		err = s.http.ServeTLS(listener, "", "")
	} else {
		err = s.http.Serve(listener)
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("serve HTTP on %s: %w", address, err)
}

// Addr is where Serve listens, nil before it does.
func (s *Server) Addr() net.Addr {
	if address := s.address.Load(); address != nil {
		return *address
	}
	return nil
}

// Shutdown refuses what comes from now on with 503, waits until the requests
// under way are answered, and returns. When ctx ends first it closes their
// connections and returns ctx's error.
func (s *Server) Shutdown(ctx context.Context) error {
	s.stopping.Store(true)
	defer s.end()
	if err := s.http.Shutdown(ctx); err != nil {
		return errors.Join(fmt.Errorf("drain the gateway: %w", err), s.http.Close())
	}
	return nil
}

// The routes, as Observe hears them.
const (
	routeEvent   = "/event/{type}"
	routeEvents  = "/events"
	routePixel   = "/pixel.gif"
	routeHealth  = "/healthz"
	routeReady   = "/readyz"
	routeMetrics = "/metrics"
	routeNone    = "none"
)

const eventPrefix = "/event/"

func routeOf(path string) string {
	switch path {
	case routeEvents, routePixel, routeHealth, routeReady, routeMetrics:
		return path
	}
	if strings.HasPrefix(path, eventPrefix) {
		return routeEvent
	}
	return routeNone
}

// serve answers one request, whatever happens in it.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	started := s.config.Now()
	a := &answer{ResponseWriter: w}
	route := routeOf(r.URL.Path)
	defer func() {
		defer func() { s.held.Add(-a.held) }()
		thrown := recover()
		if thrown != nil {
			s.logPanic(route, thrown)
			if a.code == 0 {
				a.fail(&failure{code: http.StatusInternalServerError, problem: "internal fault"})
				thrown = nil
			}
		}
		if s.parts.Observe != nil {
			s.parts.Observe(route, a.code, s.config.Now().Sub(started))
		}
		if thrown != nil {
			panic(http.ErrAbortHandler) // half an answer is cut off, not completed
		}
	}()
	if failed := s.dispatch(a, r, route); failed != nil {
		a.fail(failed)
	}
}

// logPanic says where, and what where that cannot be a client's words.
func (s *Server) logPanic(route string, thrown any) {
	what := fmt.Sprintf("%T", thrown)
	if err, ok := thrown.(runtime.Error); ok {
		what = err.Error()
	}
	s.parts.Log.Error("panic in a request", zap.String("route", route), zap.String("panic", what), zap.StackSkip("stack", 2))
}

// dispatch answers, or returns why it did not.
func (s *Server) dispatch(a *answer, r *http.Request, route string) *failure {
	switch route {
	case routeHealth:
		return s.reading(a, r, s.health)
	case routeReady:
		return s.reading(a, r, s.ready)
	case routeMetrics:
		if s.parts.Metrics != nil {
			return s.reading(a, r, func(a *answer, r *http.Request) { s.parts.Metrics.ServeHTTP(a, r) })
		}
	case routeEvent:
		return s.taking(a, r, http.MethodPost, s.event)
	case routeEvents:
		return s.taking(a, r, http.MethodPost, s.events)
	case routePixel:
		return s.taking(a, r, http.MethodGet, s.pixel)
	}
	return &failure{code: http.StatusNotFound, problem: "there is nothing at this path"}
}

// reading guards what only reads.
func (*Server) reading(a *answer, r *http.Request, next func(*answer, *http.Request)) *failure {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return methodNotAllowed("GET, HEAD")
	}
	next(a, r)
	return nil
}

// taking guards what takes events: who may, how, and how much at once.
func (s *Server) taking(a *answer, r *http.Request, method string, next func(*answer, *http.Request) *failure) *failure {
	if failed := s.cross(a, r, method); failed != nil || a.code != 0 {
		return failed
	}
	if r.Method != method {
		return methodNotAllowed(method + ", OPTIONS")
	}
	if s.stopping.Load() {
		a.Header().Set("Connection", "close")
		return s.comeAgain(string(messages.ReasonStopping))
	}
	if s.requests.Load() >= int64(s.config.RequestsMax) {
		return s.tooMany()
	}
	if s.clients != nil {
		if wait := s.clients.take(clientOf(r.RemoteAddr), s.config.Now()); wait > 0 {
			return &failure{code: http.StatusTooManyRequests, problem: "more requests than one client may send", retryAfter: wait}
		}
	}
	if s.parts.Refuses != nil {
		if err := s.parts.Refuses(); err != nil {
			s.delay(r.Context())
			return s.unacknowledged(err)
		}
	}
	return next(a, r)
}

// delay makes a refusal wait. Its request's body is not read and takes no room.
func (s *Server) delay(ctx context.Context) {
	defer s.delayed.Add(-1)
	if s.delayed.Add(1) > int64(s.config.RequestsMax) || s.config.RefusalDelay == 0 {
		return
	}
	timer := time.NewTimer(s.config.RefusalDelay)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	case <-s.life.Done():
	}
}

// waiting waits, as one of RequestsMax, until submit is through. That does not
// end with the client's connection: one that has closed its sending side may
// still be reading, and what was handed over is stored either way.
func (s *Server) waiting(submit func(context.Context) error) *failure {
	defer s.requests.Add(-1)
	if s.requests.Add(1) > int64(s.config.RequestsMax) {
		return s.tooMany()
	}
	ctx, cancel := context.WithTimeout(s.life, s.config.SubmitTimeout)
	defer cancel()
	if err := submit(ctx); err != nil {
		return s.unacknowledged(err)
	}
	return nil
}

func (s *Server) tooMany() *failure { return s.comeAgain("too many requests at once") }

func (s *Server) tooMuch() *failure { return s.comeAgain("too much at once") }
