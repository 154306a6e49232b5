package messages

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"strconv"
)

// Digest is the Aerospike digest of a record's key, 20 bytes.
type Digest [20]byte

// Outcome is what writing an event's change record found.
type Outcome uint8

// The outcomes of a change record.
const (
	// Fresh: the event was not known before.
	Fresh Outcome = iota + 1
	// Replay: the same event of the same origin is there; it was written by an
	// earlier try of this very export and is to be exported.
	Replay
	// Duplicate: an event with this id and another origin is there; a client
	// sent it twice and this one is dropped.
	Duplicate
)

// ChangeRecord is one event on its way out of the journal. Whoever writes it
// fills Digest and Outcome.
type ChangeRecord struct {
	Origin  Origin
	Event   *Event
	Digest  Digest
	Outcome Outcome
}

// Outbound is one Kafka record to produce: the exporter's side of the format.
// Key decides the partition.
type Outbound struct {
	Origin Origin
	Key    []byte
	Value  []byte
}

// Keyspace names a set of an Aerospike namespace.
type Keyspace struct {
	Namespace string
	Set       string
}

// AppendChangeRecord appends the JSON that goes to edge-to-core for e: the
// format of Aerospike's outbound Kafka connector, with the five bins of the
// reference. lut is the time of receipt in milliseconds since the epoch.
//
// Namespace and set must need no JSON escapes, which configuration checks.
func AppendChangeRecord(dst []byte, space Keyspace, digest Digest, e *Event) []byte {
	dst = append(dst, `{"msg":"write","key":["`...)
	dst = append(dst, space.Namespace...)
	dst = append(dst, `","`...)
	dst = append(dst, space.Set...)
	dst = append(dst, `","`...)
	dst = base64.StdEncoding.AppendEncode(dst, digest[:])
	dst = append(dst, `",null],"gen":1,"exp":0,"lut":`...)
	dst = strconv.AppendInt(dst, e.ReceivedAt, 10)
	dst = append(dst, `,"bins":[{"name":"event-id","type":"str","value":"`...)
	dst = e.ID.AppendText(dst)
	dst = append(dst, `"},{"name":"event-data","type":"map","value":`...)
	dst = append(dst, e.Body...)
	dst = append(dst, `},{"name":"event-tag-id","type":"str","value":"`...)
	dst = e.Tag.AppendText(dst)
	dst = append(dst, `"},{"name":"event-source","type":"str","value":`...)
	dst = AppendJSONString(dst, e.Source)
	dst = append(dst, `},{"name":"event-type","type":"str","value":"`...)
	dst = append(dst, e.Type.String()...)
	return append(dst, `"}]}`...)
}

// AppendJSONString appends s as a JSON string. s must be valid UTF-8.
func AppendJSONString(dst []byte, s string) []byte {
	const hexDigits = "0123456789abcdef"
	dst = append(dst, '"')
	start := 0
	for i := range len(s) {
		c := s[i]
		if c >= 0x20 && c != '"' && c != '\\' {
			continue
		}
		dst = append(dst, s[start:i]...)
		start = i + 1
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
	}
	dst = append(dst, s[start:]...)
	return append(dst, '"')
}

// changeRecordID is what stands in front of the event id in a message.
var changeRecordID = []byte(`"bins":[{"name":"event-id","type":"str","value":"`)

// ChangeRecordID reads the event id out of a message that AppendChangeRecord
// made. The id's bin is the first one, before anything that a client has sent.
func ChangeRecordID(message []byte) (EventID, error) {
	_, rest, found := bytes.Cut(message, changeRecordID)
	if !found || len(rest) < uuidText {
		return EventID{}, fmt.Errorf("%w: no change record: %.100q", ErrCorrupt, message)
	}
	id, err := ParseEventID(rest[:uuidText])
	if err != nil {
		return EventID{}, fmt.Errorf("%w: change record: %w", ErrCorrupt, err)
	}
	return id, nil
}
