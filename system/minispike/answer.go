package minispike

import "encoding/binary"

// answer is the head of a message that the server sends.
type answer struct {
	info3      byte
	code       byte
	generation uint32
	void       uint32 // when the record dies, seconds of the protocol's epoch; 0 never
	index      uint32 // in a batch: the record's place in the request
	fields     int
	ops        int
}

// append writes the message's header.
func (a answer) append(out []byte) []byte {
	out = append(out, messageHeaderBytes, 0, 0, a.info3, 0, a.code)
	out = binary.BigEndian.AppendUint32(out, a.generation)
	out = binary.BigEndian.AppendUint32(out, a.void)
	out = binary.BigEndian.AppendUint32(out, a.index)
	out = binary.BigEndian.AppendUint16(out, uint16(a.fields))
	return binary.BigEndian.AppendUint16(out, uint16(a.ops))
}

// setOps corrects the number of operations of the header that starts at the
// offset, for answers whose operations are counted while they are written.
func setOps(out []byte, header, count int) {
	binary.BigEndian.PutUint16(out[header+20:], uint16(count))
}

// appendOp writes one operation with a value; a nil value of kind 0 says that
// there is none.
func appendOp(out []byte, code, kind byte, name, value []byte) []byte {
	out = binary.BigEndian.AppendUint32(out, uint32(4+len(name)+len(value)))
	out = append(out, code, kind, 0, byte(len(name)))
	out = append(out, name...)
	return append(out, value...)
}

func appendField(out []byte, kind byte, value []byte) []byte {
	out = binary.BigEndian.AppendUint32(out, uint32(1+len(value)))
	out = append(out, kind)
	return append(out, value...)
}

// appendRefusal writes a whole frame with nothing but a result code.
func appendRefusal(out []byte, code, info3 byte) []byte {
	start := len(out)
	out = appendFrameHeader(out, frameMessage)
	out = answer{code: code, info3: info3}.append(out)
	closeFrame(out, start)
	return out
}
