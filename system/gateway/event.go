package gateway

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"adpulse/messages"
)

// formBytesMax bounds the body of a form: percent-encoding takes three bytes
// for one, and what is encoded is bounded by messages.EventBytesMax.
const formBytesMax = 3 * messages.EventBytesMax

// event answers POST /event/{type}.
func (s *Server) event(a *answer, r *http.Request) *failure {
	kind, known := messages.ParseEventType(strings.TrimPrefix(r.URL.Path, eventPrefix))
	if !known {
		return &failure{
			code: http.StatusBadRequest, field: "event",
			problem: "in the path must be one of impression, click, visit and conversion",
		}
	}
	if failed := accepts(r.Header, typeJSON); failed != nil {
		return failed
	}
	key, failed := idempotencyKey(r.Header)
	if failed != nil {
		return failed
	}
	e, failed := s.decodeOne(a, r, kind)
	if failed != nil {
		return failed
	}
	if failed := s.takeOne(&e, key); failed != nil {
		return failed
	}
	buffer := takeBuffer()
	defer buffer.release()
	buffer.bytes = append(appendReceipt(buffer.bytes, e.ID, statusAccepted), '\n')
	a.send(http.StatusAccepted, typeJSON, buffer.bytes)
	return nil
}

func (s *Server) decodeOne(a *answer, r *http.Request, kind messages.EventType) (e messages.Event, failed *failure) {
	written, bytesMax := formOf(r.Header), messages.EventBytesMax
	switch written {
	case formJSON:
	case formURL:
		bytesMax = formBytesMax
	default:
		return e, unsupported("application/json or application/x-www-form-urlencoded")
	}
	body, failed := s.read(a, r, bytesMax)
	if failed != nil {
		return e, failed
	}
	defer body.release()
	var err error
	if written == formJSON {
		e, err = messages.DecodeEvent(body.bytes, kind, r.UserAgent())
	} else {
		e, err = decodeQuery(string(body.bytes), kind, r.UserAgent())
	}
	if err != nil {
		return e, refused(err)
	}
	return e, nil
}

// decodeQuery reads an event from a URL's query or a form's body.
func decodeQuery(query string, kind messages.EventType, userAgent string) (messages.Event, error) {
	values, err := url.ParseQuery(query)
	if err != nil {
		return messages.Event{}, &messages.Refusal{Field: "body", Problem: "is not URL-encoded"}
	}
	return messages.DecodeForm(values, kind, userAgent)
}

// takeOne names an event and makes it durable.
func (s *Server) takeOne(e *messages.Event, key string) *failure {
	name(e, key, 0, s.config.Now().UnixMilli())
	return s.waiting(func(ctx context.Context) error { return s.submit(ctx, []messages.Event{*e}) })
}

// transparent is a GIF of one transparent pixel.
const transparent = "GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff" +
	"\x21\xf9\x04\x01\x00\x00\x00\x00\x2c\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02\x44\x01\x00\x3b"

// pixel answers GET /pixel.gif. Its image says by its very appearance that the
// event is durable; what fails is no image, so that a page's onerror can tell.
func (s *Server) pixel(a *answer, r *http.Request) *failure {
	if failed := accepts(r.Header, typeGIF); failed != nil {
		return failed
	}
	key, failed := idempotencyKey(r.Header)
	if failed != nil {
		return failed
	}
	e, err := decodeQuery(r.URL.RawQuery, 0, r.UserAgent())
	if err != nil {
		return refused(err)
	}
	if failed := s.takeOne(&e, key); failed != nil {
		return failed
	}
	a.Header().Set("Cross-Origin-Resource-Policy", "cross-origin") // pages that isolate themselves may show it
	a.send(http.StatusOK, typeGIF, []byte(transparent))
	return nil
}
