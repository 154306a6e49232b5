package gateway

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"

	"adpulse/messages"
)

// events answers POST /events: a JSON array, or a line an event.
func (s *Server) events(a *answer, r *http.Request) *failure {
	if failed := accepts(r.Header, typeJSON); failed != nil {
		return failed
	}
	key, failed := idempotencyKey(r.Header)
	if failed != nil {
		return failed
	}
	if written := formOf(r.Header); written != formJSON && written != formLines {
		return unsupported("application/json or application/x-ndjson")
	}
	b := takeBatch()
	defer b.release()
	if failed := s.decodeAll(b, a, r, key); failed != nil {
		return failed
	}
	if len(b.events) == 0 {
		first := b.outcomes[0].refusal
		return &failure{
			code: http.StatusBadRequest, field: first.Field, problem: first.Problem + " (no event of the request was accepted)",
			receipts: b.appendReceipts(nil),
		}
	}
	if failed := s.waiting(func(ctx context.Context) error { return s.submitAll(ctx, b) }); failed != nil {
		failed.receipts = b.appendReceipts(nil)
		return failed
	}
	buffer := takeBuffer()
	defer buffer.release()
	buffer.bytes = append(b.appendReceipts(buffer.bytes), '\n')
	a.send(http.StatusAccepted, typeJSON, buffer.bytes)
	return nil
}

// decodeAll fills b. It fails where the request as a whole is at fault.
func (s *Server) decodeAll(b *batch, a *answer, r *http.Request, key string) *failure {
	body, failed := s.read(a, r, s.config.BodyBytesMax)
	if failed != nil {
		return failed
	}
	defer body.release()
	receivedAt, userAgent := s.config.Now().UnixMilli(), r.UserAgent()
	split := newSplitter(body.bytes)
	for place := 0; ; place++ {
		element, more := split.next()
		if !more {
			break
		}
		if place == s.config.EventsMax {
			return &failure{
				code: http.StatusRequestEntityTooLarge, field: "body",
				problem: "holds more than " + strconv.Itoa(s.config.EventsMax) + " events",
			}
		}
		if place == 0 {
			b.events = make([]messages.Event, 0, min(s.config.EventsMax, len(body.bytes)/max(len(element), 1)+1))
		}
		e, err := messages.DecodeEvent(element, 0, userAgent)
		if !s.hold(a, e.Size()+receiptBytes) {
			return s.tooMuch()
		}
		if err != nil {
			b.refuse(err)
			continue
		}
		own := e.ID != messages.EventID{} || key != ""
		name(&e, key, place, receivedAt)
		b.take(&e, own)
	}
	if split.problem != "" {
		return &failure{code: http.StatusBadRequest, field: "body", problem: split.problem}
	}
	if len(b.outcomes) == 0 {
		return &failure{code: http.StatusBadRequest, field: "body", problem: "holds no event"}
	}
	return nil
}

// submitAll makes b's events durable, so many at a time, and waits for all that
// it began. After a failure it begins no more. b learns which were not.
func (s *Server) submitAll(ctx context.Context, b *batch) error {
	size := s.config.BatchEvents
	if len(b.events) <= size {
		err := s.submit(ctx, b.events)
		b.fail(0, len(b.events), err)
		return err
	}
	pieces := (len(b.events) + size - 1) / size
	errs := make([]error, pieces)
	var (
		next    atomic.Int64
		failed  atomic.Bool
		workers sync.WaitGroup
	)
	for range min(s.config.BatchesAtOnce, pieces) {
		workers.Go(func() {
			for i := int(next.Add(1)) - 1; i < pieces; i = int(next.Add(1)) - 1 {
				if failed.Load() {
					errs[i] = errNotBegun
					continue
				}
				from, to := i*size, min((i+1)*size, len(b.events))
				if errs[i] = s.submit(ctx, b.events[from:to:to]); errs[i] != nil {
					failed.Store(true)
				}
			}
		})
	}
	workers.Wait()
	var first error
	for i, err := range errs {
		b.fail(i*size, min((i+1)*size, len(b.events)), err)
		if first == nil && !errors.Is(err, errNotBegun) {
			first = err
		}
	}
	return first
}

// errNotBegun marks events that were not submitted because others had failed.
var errNotBegun = errors.New("not begun")

// errPanicked is the outcome of a Submit that panicked.
var errPanicked = errors.New("submit panicked")

// submit is Submit, which may panic on any goroutine without harm to others.
func (s *Server) submit(ctx context.Context, events []messages.Event) (err error) {
	defer func() {
		if thrown := recover(); thrown != nil {
			s.logPanic("submit", thrown)
			err = errPanicked
		}
	}()
	return s.parts.Events.Submit(ctx, events)
}
