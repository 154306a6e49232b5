package gateway

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"sync"
	"time"

	"adpulse/messages"
)

// Content types of answers.
const (
	typeJSON = "application/json"
	typeGIF  = "image/gif"
)

// answer remembers the status that was sent, 0 before there is one, and the
// room that its request takes until then.
type answer struct {
	http.ResponseWriter
	code int
	held int64
}

// Unwrap lets http.ResponseController find what it controls.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// WriteHeader implements http.ResponseWriter.
func (a *answer) WriteHeader(code int) {
	if a.code == 0 {
		a.code = code
	}
	a.ResponseWriter.WriteHeader(code)
}

// Write implements http.ResponseWriter.
func (a *answer) Write(content []byte) (int, error) {
	if a.code == 0 {
		a.code = http.StatusOK
	}
	return a.ResponseWriter.Write(content)
}

// send is the whole answer. A client that went away is no concern of ours any
// more, so an error in writing to it is not reported.
func (a *answer) send(code int, contentType string, content []byte) {
	header := a.Header()
	header.Set("Content-Type", contentType)
	header.Set("Content-Length", strconv.Itoa(len(content)))
	header.Set("Cache-Control", "no-store")
	a.WriteHeader(code)
	_, _ = a.Write(content)
}

// failure is an answer other than 2xx.
type failure struct {
	code           int
	field, problem string
	retryAfter     time.Duration
	allow          string
	// receipts, where there are any, are a JSON array.
	receipts []byte
}

// fail sends the failure as {"error":…,"field":…}.
func (a *answer) fail(f *failure) {
	if f.retryAfter > 0 {
		seconds := int64((f.retryAfter + time.Second - 1) / time.Second)
		a.Header().Set("Retry-After", strconv.FormatInt(seconds, 10))
	}
	if f.allow != "" {
		a.Header().Set("Allow", f.allow)
	}
	buffer := takeBuffer()
	defer buffer.release()
	text := append(buffer.bytes, `{"error":`...)
	if f.field != "" {
		text = messages.AppendJSONString(text, f.field+" "+f.problem)
	} else {
		text = messages.AppendJSONString(text, f.problem)
	}
	if f.field != "" {
		text = append(text, `,"field":`...)
		text = messages.AppendJSONString(text, f.field)
	}
	if f.receipts != nil {
		text = append(text, `,"receipts":`...)
		text = append(text, f.receipts...)
	}
	buffer.bytes = append(text, '}', '\n')
	a.send(f.code, typeJSON, buffer.bytes)
}

// refused is the failure for bad input.
func refused(err error) *failure {
	var refusal *messages.Refusal
	if !errors.As(err, &refusal) {
		return &failure{code: http.StatusBadRequest, field: "body", problem: "cannot be read"}
	}
	code := http.StatusBadRequest
	if errors.Is(err, messages.ErrEventTooLarge) {
		code = http.StatusRequestEntityTooLarge
	}
	return &failure{code: code, field: refusal.Field, problem: refusal.Problem}
}

func methodNotAllowed(allow string) *failure {
	return &failure{code: http.StatusMethodNotAllowed, problem: "the method is not allowed here; use " + allow, allow: allow}
}

// comeAgain is the failure of a request of which nothing was done.
func (s *Server) comeAgain(problem string) *failure {
	return &failure{code: http.StatusServiceUnavailable, problem: problem, retryAfter: s.config.RetryAfter}
}

// unacknowledged is the failure of events that were submitted.
func (s *Server) unacknowledged(err error) *failure {
	var not *messages.NotCollected
	switch {
	case errors.As(err, &not) && not.Retryable:
		return s.comeAgain("not stored: " + string(not.Reason))
	case errors.As(err, &not):
		return &failure{code: http.StatusInternalServerError, problem: "not stored: " + string(not.Reason)}
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return s.comeAgain("not stored: " + string(messages.ReasonUnanswered))
	}
	return &failure{code: http.StatusInternalServerError, problem: "not stored: " + string(messages.ReasonFault)}
}

// buffer is memory for one body or one answer.
type buffer struct{ bytes []byte }

// buffersKeptBytes bounds a buffer that waits for its next use.
const buffersKeptBytes = 2 << 20

var buffers = sync.Pool{New: func() any { return &buffer{bytes: make([]byte, 0, 4<<10)} }}

// takeBuffer returns an empty buffer, to be released by its taker.
func takeBuffer() *buffer {
	b := buffers.Get().(*buffer) //nolint:forcetypeassert // the pool holds nothing else
	b.bytes = b.bytes[:0]
	return b
}

func (b *buffer) release() {
	if cap(b.bytes) <= buffersKeptBytes {
		buffers.Put(b)
	}
}
