package messages

import (
	"strconv"
	"sync"
	"time"
	"unicode/utf8"
)

// ErrEventTooLarge is the refusal of a body over EventBytesMax, so that a
// caller can tell it from the others with errors.Is.
var ErrEventTooLarge error = &Refusal{
	Field: "body", Problem: "is larger than " + strconv.Itoa(EventBytesMax) + " bytes",
}

// Bounds of a body's own "time".
var (
	timeMin = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli()
	timeMax = time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli()
)

// timeTextMax bounds the text form of "time": what RFC 3339 needs with room to
// spare, so that no long string is handed to the date parser.
const timeTextMax = 64

// DecodeEvent reads one event's JSON body and checks it. want is the type that
// the request's path names, 0 when the type stands in the body's "event".
// userAgent, unless empty, takes the place of the body's own.
//
// The event's Body is the canonical form: compact, the known fields first in
// the reference's order (geo, tag, publisher, advertiser, vendor, event,
// userAgent), the others behind them in the order they came, strings with as
// few escapes as JSON allows, numbers as they were written. The tag and
// "event_id" are written in lower case. ID is zero without an "event_id", and
// ReceivedAt is left to the caller.
//
// body is not retained. Source may share Body's memory, so neither may be
// changed. The error is a *Refusal that names the field at fault, in words that
// repeat no value of the body. DecodeEvent may be called concurrently.
func DecodeEvent(body []byte, want EventType, userAgent string) (Event, error) {
	if len(body) > EventBytesMax {
		return Event{}, ErrEventTooLarge
	}
	if !utf8.Valid(body) {
		return Event{}, &Refusal{Field: "body", Problem: "is not valid UTF-8"}
	}
	d := decoders.Get().(*decoder) //nolint:forcetypeassert // the pool holds nothing else
	defer d.release()
	d.in = body
	event, refusal := d.decode(want, userAgent)
	if refusal != nil {
		return Event{}, refusal
	}
	return event, nil
}

// field is a known field of a body, in the order of the canonical form.
type field uint8

const (
	fieldGeo field = iota
	fieldTag
	fieldPublisher
	fieldAdvertiser
	fieldVendor
	fieldEvent
	fieldUserAgent
	fieldOther // every other one, in the order they came
)

// prefixes are what stands in front of a known field's value.
var prefixes = [fieldOther]string{
	`"geo":`, `"tag":`, `"publisher":`, `"advertiser":`, `"vendor":`, `"event":`, `"userAgent":`,
}

// knownField tells which known field a key, without its quotes, names.
func knownField(key []byte) field {
	switch string(key) {
	case "geo":
		return fieldGeo
	case "tag":
		return fieldTag
	case "publisher":
		return fieldPublisher
	case "advertiser":
		return fieldAdvertiser
	case "vendor":
		return fieldVendor
	case "event":
		return fieldEvent
	case "userAgent":
		return fieldUserAgent
	}
	return fieldOther
}

// sourceOf is the field that names the source of an event of type t.
func sourceOf(t EventType) field {
	switch t {
	case Visit:
		return fieldAdvertiser
	case Conversion:
		return fieldVendor
	default:
		return fieldPublisher
	}
}

// decoder is one pass over one body. The canonical text of known fields' values
// gathers in head, that of the other fields, keys included, in rest; the last
// step puts both into one allocation.
type decoder struct {
	scanner
	head  []byte
	known [fieldOther]span // values in head; empty where the field is missing
	event Event
}

// span is a range of a buffer.
type span struct{ from, to int }

func (s span) empty() bool { return s.from == s.to }

// decoders are reused: their buffers are what a body would otherwise allocate.
var decoders = sync.Pool{New: func() any { return new(decoder) }}

// release forgets the body and returns d to the pool.
func (d *decoder) release() {
	d.scanner = scanner{out: d.out[:0], keys: d.keys[:0]}
	d.head = d.head[:0]
	d.known = [fieldOther]span{}
	d.event = Event{}
	decoders.Put(d)
}

func (d *decoder) decode(want EventType, userAgent string) (Event, *Refusal) {
	if refusal := d.body(); refusal != nil {
		return Event{}, refusal
	}
	if d.known[fieldTag].empty() {
		return Event{}, &Refusal{Field: "tag", Problem: "is missing"}
	}
	switch {
	case want == 0 && d.known[fieldEvent].empty():
		return Event{}, &Refusal{Field: "event", Problem: "is missing"}
	case d.known[fieldEvent].empty():
		d.event.Type = want
		d.setKnown(fieldEvent, want.String())
	case want != 0 && d.event.Type != want:
		return Event{}, &Refusal{
			Field: "event", Problem: "contradicts the path: it says " + d.event.Type.String() + ", the path " + want.String(),
		}
	}
	if userAgent != "" {
		if problem := checkText(userAgent, UserAgentBytesMax); problem != "" {
			return Event{}, &Refusal{Field: "userAgent", Problem: problem}
		}
		d.setKnown(fieldUserAgent, userAgent)
	}
	d.assemble()
	return d.event, nil
}

func (d *decoder) setKnown(f field, text string) {
	from := len(d.head)
	d.head = AppendJSONString(d.head, text)
	d.known[f] = span{from, len(d.head)}
}

// checkText says what is wrong with a text from outside the body, or "".
func checkText(text string, bytesMax int) string {
	if len(text) > bytesMax {
		return "is longer than " + strconv.Itoa(bytesMax) + " bytes"
	}
	if !utf8.ValidString(text) {
		return "is not valid UTF-8"
	}
	for i := range len(text) {
		if text[i] == 0 {
			return problemNUL
		}
	}
	return ""
}

// assemble writes Body and finds Source in it.
func (d *decoder) assemble() {
	size := 2 + len(d.out)
	for f, value := range d.known {
		if !value.empty() {
			size += len(prefixes[f]) + value.to - value.from + 1
		}
	}
	body := make([]byte, 0, size)
	body = append(body, '{')
	source := span{}
	for f, value := range d.known {
		if value.empty() {
			continue
		}
		body = append(body, prefixes[f]...)
		from := len(body)
		body = append(body, d.head[value.from:value.to]...)
		if field(f) == sourceOf(d.event.Type) {
			source = span{from, len(body)}
		}
		body = append(body, ',')
	}
	body = append(body, d.out...) // every field ends with a comma
	body[len(body)-1] = '}'
	d.event.Body = body
	if !source.empty() {
		d.event.Source = text(body[source.from:source.to])
	}
}

// body reads the whole body: one object and nothing behind it.
func (d *decoder) body() *Refusal {
	d.space()
	if !d.take('{') {
		if d.at == len(d.in) {
			return &Refusal{Field: "body", Problem: "is empty"}
		}
		return &Refusal{Field: "body", Problem: "is not a JSON object"}
	}
	d.space()
	if !d.take('}') {
		for {
			if refusal := d.member(); refusal != nil {
				return refusal
			}
			d.space()
			if d.take(',') {
				d.space()
				continue
			}
			if d.take('}') {
				break
			}
			return d.syntax("a comma or the end of the object")
		}
	}
	d.space()
	if d.at != len(d.in) {
		return &Refusal{Field: "body", Problem: "has more after its JSON object"}
	}
	return nil
}

// member reads one field of the body.
func (d *decoder) member() *Refusal {
	d.field = nil
	start := len(d.out)
	if refusal := d.key(); refusal != nil {
		return refusal
	}
	key := d.out[start+1 : len(d.out)-1]
	f := knownField(key)
	if f != fieldOther {
		d.field = append(d.name[:0], key...)
		d.out = d.out[:start] // assemble writes the key
		if !d.known[f].empty() {
			return d.refuse(problemTwice)
		}
		if refusal := d.colon(); refusal != nil {
			return refusal
		}
		return d.knownValue(f)
	}
	d.field = append(d.name[:0], key[:min(len(key), fieldNameMax)]...)
	if refusal := d.remember(0, span{start, len(d.out)}); refusal != nil {
		return refusal
	}
	if refusal := d.colon(); refusal != nil {
		return refusal
	}
	d.out = append(d.out, ':')
	var refusal *Refusal
	switch string(d.field) {
	case "event_id":
		refusal = d.eventID()
	case "time":
		refusal = d.time()
	default:
		refusal = d.value(1)
	}
	d.out = append(d.out, ',')
	return refusal
}

// knownValue reads the value of a known field into head.
func (d *decoder) knownValue(f field) *Refusal {
	// The scanner writes to out; for known fields, out is head for a moment.
	rest := d.out
	d.out = d.head
	from := len(d.out)
	var refusal *Refusal
	switch f {
	case fieldGeo:
		refusal = d.geo()
	case fieldTag:
		refusal = d.tag()
	case fieldEvent:
		refusal = d.eventType()
	case fieldUserAgent:
		refusal = d.boundedString(UserAgentBytesMax)
	default:
		refusal = d.boundedString(SourceBytesMax)
	}
	d.head, d.out = d.out, rest
	d.known[f] = span{from, len(d.head)}
	return refusal
}

// requiredString reads a string that may not be empty and returns its canonical
// text without the quotes, valid until the next append to out.
func (d *decoder) requiredString() ([]byte, *Refusal) {
	from := len(d.out)
	if refusal := d.stringValue(); refusal != nil {
		return nil, refusal
	}
	inner := d.out[from+1 : len(d.out)-1]
	if len(inner) == 0 {
		return nil, d.refuse("is empty")
	}
	return inner, nil
}

func (d *decoder) tag() *Refusal {
	from := len(d.out)
	inner, refusal := d.requiredString()
	if refusal != nil {
		return refusal
	}
	id, err := ParseTagID(inner)
	if err != nil {
		return d.refuse("is " + err.Error())
	}
	d.event.Tag = id
	d.out = id.AppendText(d.out[:from+1])
	d.out = append(d.out, '"')
	return nil
}

func (d *decoder) eventID() *Refusal {
	from := len(d.out)
	inner, refusal := d.requiredString()
	if refusal != nil {
		return refusal
	}
	id, err := ParseEventID(inner)
	if err != nil {
		return d.refuse("is " + err.Error())
	}
	if id == (EventID{}) {
		return d.refuse("is the nil UUID, which names no event")
	}
	d.event.ID = id
	d.out = id.AppendText(d.out[:from+1])
	d.out = append(d.out, '"')
	return nil
}

func (d *decoder) eventType() *Refusal {
	inner, refusal := d.requiredString()
	if refusal != nil {
		return refusal
	}
	t, ok := ParseEventType(inner)
	if !ok {
		return d.refuse("must be one of impression, click, visit and conversion")
	}
	d.event.Type = t
	return nil
}

// boundedString reads a string of at most bytesMax bytes; it may be empty.
func (d *decoder) boundedString(bytesMax int) *Refusal {
	from := len(d.out)
	if refusal := d.stringValue(); refusal != nil {
		return refusal
	}
	// The quotes aside, the canonical text is never shorter than the string.
	if len(d.out)-from-2 > bytesMax && len(text(d.out[from:])) > bytesMax {
		return d.refuse("is longer than " + strconv.Itoa(bytesMax) + " bytes")
	}
	return nil
}

// geo reads [latitude, longitude].
func (d *decoder) geo() *Refusal {
	if !d.take('[') {
		return d.wrongType("an array of two numbers, latitude and longitude")
	}
	d.out = append(d.out, '[')
	for i, bound := range [...]float64{90, 180} {
		d.space()
		from := len(d.out)
		switch c := d.peek(); {
		case c == ']':
			return d.refuse("must hold two numbers, latitude and longitude")
		case c != '-' && (c < '0' || c > '9'):
			return d.refuseAt(i, "must be a number")
		}
		if _, refusal := d.number(); refusal != nil {
			return refusal
		}
		// number has checked that it parses.
		if v, _ := strconv.ParseFloat(alias(d.out[from:]), 64); v < -bound || v > bound {
			limit := strconv.Itoa(int(bound))
			return d.refuseAt(i, "must lie between -"+limit+" and "+limit)
		}
		d.space()
		if i == 0 {
			if d.peek() == ']' {
				return d.refuse("must hold two numbers, latitude and longitude")
			}
			if !d.take(',') {
				return d.syntax("a comma")
			}
			d.out = append(d.out, ',')
		}
	}
	if d.peek() == ',' {
		return d.refuse("must hold two numbers, latitude and longitude")
	}
	if !d.take(']') {
		return d.syntax("the end of the array")
	}
	d.out = append(d.out, ']')
	return nil
}

// time checks the client's own time; it is kept as it was written.
func (d *decoder) time() *Refusal {
	const accepted = "an RFC 3339 string or whole milliseconds since 1970"
	from := len(d.out)
	var at int64
	switch c := d.peek(); {
	case c == '"':
		inner, refusal := d.requiredString()
		if refusal != nil {
			return refusal
		}
		if len(inner) > timeTextMax {
			return d.refuse("must be " + accepted)
		}
		parsed, err := time.Parse(time.RFC3339, alias(inner))
		if err != nil {
			return d.refuse("must be " + accepted)
		}
		at = parsed.UnixMilli()
	case c == '-' || c >= '0' && c <= '9':
		whole, refusal := d.number()
		if refusal != nil {
			return refusal
		}
		millis, err := strconv.ParseInt(alias(d.out[from:]), 10, 64)
		if !whole || err != nil {
			return d.refuse("must be " + accepted)
		}
		at = millis
	default:
		return d.wrongType(accepted)
	}
	if at < timeMin || at >= timeMax {
		return d.refuse("must lie in the years 2000 to 2099")
	}
	return nil
}
