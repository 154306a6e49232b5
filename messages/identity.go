package messages

import (
	"encoding/hex"
	"errors"
	"fmt"
)

// EventID names one event for ever: the user key of its change record and the
// reason why a repeated request counts once. It is a UUID of any version.
type EventID [16]byte

// TagID names the ad tag that reported an event. It is a UUID.
type TagID [16]byte

// errNotUUID is the cause in every refusal of an id.
var errNotUUID = errors.New("not a UUID of the form xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx")

// ParseEventID reads the 36-character text form, in either case.
func ParseEventID[T string | []byte](s T) (EventID, error) {
	id, err := parseUUID(s)
	return EventID(id), err
}

// ParseTagID reads the 36-character text form, in either case.
func ParseTagID[T string | []byte](s T) (TagID, error) {
	id, err := parseUUID(s)
	return TagID(id), err
}

// String returns the lower-case text form, the one in keys and messages.
func (id EventID) String() string { return string(id.AppendText(make([]byte, 0, uuidText))) }

// AppendText appends the lower-case text form to dst.
func (id EventID) AppendText(dst []byte) []byte { return appendUUID(dst, id) }

// String returns the lower-case text form, the one in keys and messages.
func (id TagID) String() string { return string(id.AppendText(make([]byte, 0, uuidText))) }

// AppendText appends the lower-case text form to dst.
func (id TagID) AppendText(dst []byte) []byte { return appendUUID(dst, id) }

// uuidText is the length of a UUID's text form in bytes.
const uuidText = 36

func appendUUID(dst []byte, id [16]byte) []byte {
	dst = hex.AppendEncode(dst, id[0:4])
	for _, part := range [...][2]int{{4, 6}, {6, 8}, {8, 10}, {10, 16}} {
		dst = append(dst, '-')
		dst = hex.AppendEncode(dst, id[part[0]:part[1]])
	}
	return dst
}

func parseUUID[T string | []byte](s T) ([16]byte, error) {
	var id [16]byte
	if len(s) != uuidText || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return id, errNotUUID
	}
	at := 0
	for i := range id {
		if at == 8 || at == 13 || at == 18 || at == 23 {
			at++
		}
		high, low := nibble(s[at]), nibble(s[at+1])
		if high > 15 || low > 15 {
			return [16]byte{}, fmt.Errorf("%w: character %d", errNotUUID, at+1)
		}
		id[i] = high<<4 | low
		at += 2
	}
	return id, nil
}

// nibble returns the value of a hexadecimal digit, or 255.
func nibble(c byte) byte {
	switch {
	case c >= '0' && c <= '9':
		return c - '0'
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10
	}
	return 255
}
