package messages

import (
	"maps"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"
)

// DecodeForm reads an event from form or query parameters, by the rules of
// DecodeEvent and with its result. geo is "lat,long" or two values, under the
// name geo or geo[]; time may be milliseconds. Every other parameter is a
// string, appears once, and is kept, in the order of the names. geo, time and
// event_id without a value count as missing, as forms send what was not filled
// in.
func DecodeForm(values url.Values, want EventType, userAgent string) (Event, error) {
	if len(values) > FieldsMax {
		return Event{}, &Refusal{Field: "body", Problem: "has too many parameters"}
	}
	body := make([]byte, 0, 512)
	body = append(body, '{')
	for _, name := range slices.Sorted(maps.Keys(values)) {
		given := values[name]
		if len(given) == 0 || formOptional(name) && len(given) == 1 && given[0] == "" {
			continue
		}
		if !utf8.ValidString(name) {
			return Event{}, &Refusal{Field: "body", Problem: "has a parameter whose name is not valid UTF-8"}
		}
		blamed := fieldName([]byte(name[:min(len(name), fieldNameMax)]))
		for _, value := range given {
			if !utf8.ValidString(value) {
				return Event{}, &Refusal{Field: blamed, Problem: "is not valid UTF-8"}
			}
		}
		if name == "geo[]" && len(values["geo"]) > 0 {
			return Event{}, &Refusal{Field: "geo", Problem: problemTwice}
		}
		if len(body) > 1 {
			body = append(body, ',')
		}
		switch {
		case name == "geo" || name == "geo[]":
			geo, refusal := formGeo(given)
			if refusal != nil {
				return Event{}, refusal
			}
			body = append(body, `"geo":[`...)
			body = append(body, geo[0]...)
			body = append(body, ',')
			body = append(body, geo[1]...)
			body = append(body, ']')
		case len(given) > 1:
			return Event{}, &Refusal{Field: blamed, Problem: problemTwice}
		case name == "time" && allDigits(given[0]):
			body = append(body, `"time":`...)
			body = append(body, given[0]...)
		default:
			body = AppendJSONString(body, name)
			body = append(body, ':')
			body = AppendJSONString(body, given[0])
		}
		if len(body) > EventBytesMax {
			return Event{}, ErrEventTooLarge
		}
	}
	return DecodeEvent(append(body, '}'), want, userAgent)
}

// formOptional tells the parameters that count as missing when they are empty.
func formOptional(name string) bool {
	switch name {
	case "geo", "geo[]", "time", "event_id":
		return true
	}
	return false
}

// formGeo finds the two numbers of a geo parameter; DecodeEvent checks their
// ranges.
func formGeo(given []string) ([2]string, *Refusal) {
	if len(given) == 1 {
		given = strings.Split(given[0], ",")
	}
	if len(given) != 2 {
		return [2]string{}, &Refusal{Field: "geo", Problem: "must hold two numbers, latitude and longitude"}
	}
	var geo [2]string
	for i, part := range given {
		geo[i] = strings.TrimSpace(part)
		s := scanner{in: []byte(geo[i]), field: []byte("geo")}
		if _, refusal := s.number(); refusal != nil || s.at != len(s.in) {
			return geo, s.refuseAt(i, "must be a number")
		}
	}
	return geo, nil
}

func allDigits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}
