package gateway

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"adpulse/messages"
)

// form is how a body is written.
type form uint8

const (
	formOther form = iota
	formJSON
	formLines
	formURL
)

// formOf reads Content-Type. Only UTF-8 is taken.
func formOf(header http.Header) form {
	value := header.Get("Content-Type")
	switch value {
	case "application/json":
		return formJSON
	case "application/x-ndjson":
		return formLines
	case "application/x-www-form-urlencoded":
		return formURL
	}
	kind, parameters, err := mime.ParseMediaType(value)
	if err != nil {
		return formOther
	}
	if charset, given := parameters["charset"]; given && !strings.EqualFold(charset, "utf-8") {
		return formOther
	}
	switch kind {
	case "application/json":
		return formJSON
	case "application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines":
		return formLines
	case "application/x-www-form-urlencoded":
		return formURL
	}
	return formOther
}

// unsupported refuses a body that is written otherwise than use says.
func unsupported(use string) *failure {
	return &failure{code: http.StatusUnsupportedMediaType, field: "Content-Type", problem: "is not taken here; use " + use + ", in UTF-8"}
}

// accepts refuses a request whose Accept admits no answer of this type.
func accepts(header http.Header, contentType string) *failure {
	for _, line := range header["Accept"] {
		for part := range strings.SplitSeq(line, ",") {
			if admits(part, contentType) {
				return nil
			}
		}
	}
	if len(header["Accept"]) == 0 {
		return nil
	}
	return &failure{code: http.StatusNotAcceptable, field: "Accept", problem: "does not admit " + contentType + ", and there is no other answer"}
}

// admits tells whether one part of an Accept header, "type/subtype;q=…", is for
// this type.
func admits(part, contentType string) bool {
	kind, parameters, _ := strings.Cut(part, ";")
	kind = strings.ToLower(strings.TrimSpace(kind))
	if kind != "*/*" && kind != contentType {
		family, all := strings.CutSuffix(kind, "/*")
		if !all || !strings.HasPrefix(contentType, family+"/") {
			return false
		}
	}
	for parameter := range strings.SplitSeq(parameters, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(parameter), "=")
		if strings.EqualFold(name, "q") {
			quality, err := strconv.ParseFloat(value, 64)
			return err == nil && quality > 0
		}
	}
	return true
}

// IdempotencyKeyBytesMax bounds the Idempotency-Key header: 400.
const IdempotencyKeyBytesMax = 255

// idempotencyKey returns the header's value, "" without one.
func idempotencyKey(header http.Header) (string, *failure) {
	values := header["Idempotency-Key"]
	switch {
	case len(values) == 0:
		return "", nil
	case len(values) > 1:
		return "", &failure{code: http.StatusBadRequest, field: "Idempotency-Key", problem: "appears twice"}
	case values[0] == "":
		return "", &failure{code: http.StatusBadRequest, field: "Idempotency-Key", problem: "is empty"}
	case len(values[0]) > IdempotencyKeyBytesMax:
		return "", &failure{
			code: http.StatusBadRequest, field: "Idempotency-Key",
			problem: "is longer than " + strconv.Itoa(IdempotencyKeyBytesMax) + " bytes",
		}
	}
	for i := range len(values[0]) {
		if c := values[0][i]; c < ' ' || c > '~' {
			return "", &failure{code: http.StatusBadRequest, field: "Idempotency-Key", problem: "must be of printable ASCII characters"}
		}
	}
	return values[0], nil
}

// name gives an event its id, unless its client did, and its time of receipt.
func name(e *messages.Event, key string, place int, receivedAt int64) {
	e.ReceivedAt = receivedAt
	switch {
	case e.ID != messages.EventID{}:
	case key != "":
		e.ID = messages.DeriveEventID(key, place)
	default:
		e.ID = messages.NewEventID()
	}
}

// firstRead is how much room a body gets before any of it has come, whatever
// its header claims.
const firstRead = 16 << 10

// read reads a body of at most bytesMax bytes. Its taker releases it.
func (s *Server) read(a *answer, r *http.Request, bytesMax int) (*buffer, *failure) {
	b := takeBuffer()
	if failed := s.fill(b, a, r, bytesMax); failed != nil {
		b.release()
		return nil, failed
	}
	return b, nil
}

// hold counts bytes that a request makes the gateway keep until its answer is
// written, or tells that there is no room for them.
func (s *Server) hold(a *answer, size int) bool {
	a.held += int64(size)
	return s.held.Add(int64(size)) <= int64(s.config.HeldBytesMax)
}

func (s *Server) fill(b *buffer, a *answer, r *http.Request, bytesMax int) *failure {
	if encoding := r.Header.Get("Content-Encoding"); encoding != "" && !strings.EqualFold(encoding, "identity") {
		return &failure{code: http.StatusUnsupportedMediaType, field: "Content-Encoding", problem: "is not taken; send the body as it is"}
	}
	tooLarge := func() *failure {
		a.Header().Set("Connection", "close") // the rest is not worth reading
		return &failure{
			code: http.StatusRequestEntityTooLarge, field: "body", problem: "is larger than " + strconv.Itoa(bytesMax) + " bytes",
		}
	}
	if r.ContentLength > int64(bytesMax) {
		return tooLarge()
	}
	pace := s.paceOf(a)
	for {
		if len(b.bytes) == cap(b.bytes) {
			grown := make([]byte, len(b.bytes), max(2*cap(b.bytes), firstRead))
			copy(grown, b.bytes)
			b.bytes = grown
		}
		pace.next()
		n, err := r.Body.Read(b.bytes[len(b.bytes):cap(b.bytes)])
		b.bytes = b.bytes[:len(b.bytes)+n]
		if !s.hold(a, n) {
			return s.tooMuch()
		}
		switch {
		case len(b.bytes) > bytesMax:
			return tooLarge()
		case errors.Is(err, io.EOF):
			pace.over()
			return nil
		case errors.Is(err, os.ErrDeadlineExceeded):
			a.Header().Set("Connection", "close")
			return &failure{code: http.StatusRequestTimeout, field: "body", problem: "came too slowly"}
		case err != nil:
			return &failure{code: http.StatusBadRequest, field: "body", problem: "ends before its end"}
		}
	}
}

// pace is how slowly a body may come: not at all for StallTimeout, and in all
// within ReadTimeout. These are the connection's times, not Config.Now's.
type pace struct {
	connection *http.ResponseController
	stall      time.Duration
	end        time.Time
}

func (s *Server) paceOf(a *answer) pace {
	return pace{http.NewResponseController(a), s.config.StallTimeout, time.Now().Add(s.config.ReadTimeout)}
}

// next gives the next piece its time.
func (p *pace) next() {
	p.until(earlier(time.Now().Add(p.stall), p.end))
}

// over lets the connection wait: while a request is answered, net/http reads on
// to see whether its client leaves.
func (p *pace) over() { p.until(time.Time{}) }

func (p *pace) until(deadline time.Time) {
	// What is no connection has no deadlines, and a broken one fails its reads.
	_ = p.connection.SetReadDeadline(deadline)
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
