package minispike

import (
	"encoding/binary"
	"fmt"
)

const messageHeaderBytes = 22

// message is a request's header with its fields and operations, not yet taken
// apart. Its slices are the frame's own bytes.
type message struct {
	info1, info2, info3, info4 byte
	generation, ttl, timeout   uint32
	fieldCount, opCount        int
	body                       []byte // fields, then operations
}

func parseMessage(frame []byte) (message, error) {
	if len(frame) < messageHeaderBytes || frame[0] != messageHeaderBytes {
		return message{}, fmt.Errorf("%w: message of %d bytes", errFrame, len(frame))
	}
	return message{
		info1:      frame[1],
		info2:      frame[2],
		info3:      frame[3],
		info4:      frame[4],
		generation: binary.BigEndian.Uint32(frame[6:]),
		ttl:        binary.BigEndian.Uint32(frame[10:]),
		timeout:    binary.BigEndian.Uint32(frame[14:]),
		fieldCount: int(binary.BigEndian.Uint16(frame[18:])),
		opCount:    int(binary.BigEndian.Uint16(frame[20:])),
		body:       frame[messageHeaderBytes:],
	}, nil
}

// field takes the next field off rest.
func field(rest []byte) (kind byte, value, after []byte, err error) {
	if len(rest) < 5 {
		return 0, nil, nil, fmt.Errorf("%w: field header of %d bytes", errFrame, len(rest))
	}
	size := binary.BigEndian.Uint32(rest)
	if size < 1 || uint64(size) > uint64(len(rest)-4) {
		return 0, nil, nil, fmt.Errorf("%w: field of %d bytes, %d are left", errFrame, size, len(rest)-4)
	}
	return rest[4], rest[5 : 4+size], rest[4+size:], nil
}

// op is one operation as it stands on the wire: size, code, particle kind,
// flags, name length, name, value. parseOps has checked its lengths.
type op []byte

const opHeaderBytes = 8

func (o op) code() byte    { return o[4] }
func (o op) kind() byte    { return o[5] }
func (o op) name() []byte  { return o[opHeaderBytes : opHeaderBytes+int(o[7])] }
func (o op) value() []byte { return o[opHeaderBytes+int(o[7]):] }

// ops is a run of operations.
type ops []byte

// next takes the first operation off the run.
func (o ops) next() (op, ops) {
	size := 4 + int(binary.BigEndian.Uint32(o))
	return op(o[:size]), o[size:]
}

// parseOps measures count operations at the start of rest.
func parseOps(rest []byte, count int) (run ops, after []byte, err error) {
	at := 0
	for range count {
		if len(rest)-at < opHeaderBytes {
			return nil, nil, fmt.Errorf("%w: operation header of %d bytes", errFrame, len(rest)-at)
		}
		size := binary.BigEndian.Uint32(rest[at:])
		if uint64(size) > uint64(len(rest)-at-4) || size < 4+uint32(rest[at+7]) {
			return nil, nil, fmt.Errorf("%w: operation of %d bytes, %d are left", errFrame, size, len(rest)-at-4)
		}
		if rest[at+6]&1 != 0 { // a last-update time of its own: cross-datacentre writes only
			return nil, nil, fmt.Errorf("%w: operation with its own update time", errFrame)
		}
		at += 4 + int(size)
	}
	return ops(rest[:at]), rest[at:], nil
}

// command is what a message asks of one record. Its slices are the frame's.
type command struct {
	info1, info2, info3 byte
	refused             byte // a feature it asks for that there is none of: the result code
	hasDigest           bool
	generation, ttl     uint32
	namespace, set, key []byte
	filter              []byte
	digest              [digestBytes]byte
	opCount             int
	ops                 ops
}

func (c *command) writes() bool  { return c.info2&info2Write != 0 }
func (c *command) deletes() bool { return c.info2&info2Delete != 0 }

// replaces says that the record's former bins do not matter.
func (c *command) replaces() bool {
	return c.info3&(info3CreateOrReplace|info3ReplaceOnly) != 0
}

// readFields takes count fields off rest into the command.
func (c *command) readFields(rest []byte, count int) (after []byte, err error) {
	for range count {
		var kind byte
		var value []byte
		if kind, value, rest, err = field(rest); err != nil {
			return nil, err
		}
		switch kind {
		case fieldNamespace:
			c.namespace = value
		case fieldSet:
			c.set = value
		case fieldKey:
			c.key = value
		case fieldDigest:
			if len(value) != digestBytes {
				return nil, fmt.Errorf("%w: digest of %d bytes", errFrame, len(value))
			}
			c.digest, c.hasDigest = [digestBytes]byte(value), true
		case fieldFilter:
			c.filter = value
		case fieldTransaction, fieldUDFPackage, fieldUDFFunction, fieldUDFOp:
			c.refused = codeUnsupported
		}
	}
	return rest, nil
}

// command reads the message as one about a single record.
func (m *message) command(c *command) error {
	*c = command{
		info1: m.info1, info2: m.info2, info3: m.info3,
		generation: m.generation, ttl: m.ttl, opCount: m.opCount,
	}
	if m.info4 != 0 {
		c.refused = codeUnsupported // multi-record transactions
	}
	rest, err := c.readFields(m.body, m.fieldCount)
	if err != nil {
		return err
	}
	c.ops, _, err = parseOps(rest, m.opCount)
	return err
}
