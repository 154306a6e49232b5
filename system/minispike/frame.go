package minispike

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Every frame starts with eight bytes: version, kind, and a length of six
// bytes, big endian, of what follows.
const (
	frameHeaderBytes      = 8
	frameVersion     byte = 2

	frameInfo       byte = 1
	frameSecurity   byte = 2
	frameMessage    byte = 3
	frameCompressed byte = 4
)

var errFrame = errors.New("malformed frame")

// frameHeader reads a frame's first eight bytes.
func frameHeader(head []byte, maxFrame int) (kind byte, size int, err error) {
	word := binary.BigEndian.Uint64(head)
	kind, length := byte(word>>48), word&(1<<48-1)
	switch {
	case byte(word>>56) != frameVersion:
		return 0, 0, fmt.Errorf("%w: version %d", errFrame, word>>56)
	case kind < frameInfo || kind > frameCompressed:
		return 0, 0, fmt.Errorf("%w: kind %d", errFrame, kind)
	case length > uint64(maxFrame):
		return 0, 0, fmt.Errorf("%w: %d bytes, at most %d are taken", errFrame, length, maxFrame)
	}
	return kind, int(length), nil
}

// appendFrameHeader starts a frame; closeFrame completes it.
func appendFrameHeader(out []byte, kind byte) []byte {
	return append(out, frameVersion, kind, 0, 0, 0, 0, 0, 0)
}

// closeFrame writes the length of the frame that starts at the offset.
func closeFrame(out []byte, start int) {
	length := uint64(len(out) - start - frameHeaderBytes)
	head := uint64(out[start])<<56 | uint64(out[start+1])<<48 | length
	binary.BigEndian.PutUint64(out[start:], head)
}

// inflate opens a compressed frame: the inner frame's size, then zlib.
func inflate(body []byte, maxFrame int) (kind byte, inner []byte, err error) {
	if len(body) < 8 {
		return 0, nil, fmt.Errorf("%w: compressed, %d bytes", errFrame, len(body))
	}
	size := binary.BigEndian.Uint64(body)
	if size < frameHeaderBytes || size > uint64(maxFrame) {
		return 0, nil, fmt.Errorf("%w: compressed %d bytes", errFrame, size)
	}
	reader, err := zlib.NewReader(bytes.NewReader(body[8:]))
	if err != nil {
		return 0, nil, fmt.Errorf("%w: %w", errFrame, err)
	}
	plain := make([]byte, 0, min(size, 1<<20))
	buffer := bytes.NewBuffer(plain)
	n, err := io.Copy(buffer, io.LimitReader(reader, int64(size)))
	if err = errors.Join(err, reader.Close()); err != nil {
		return 0, nil, fmt.Errorf("%w: %w", errFrame, err)
	}
	if uint64(n) != size {
		return 0, nil, fmt.Errorf("%w: %d of %d compressed bytes", errFrame, n, size)
	}
	plain = buffer.Bytes()
	kind, length, err := frameHeader(plain, maxFrame)
	if err != nil {
		return 0, nil, err
	}
	if kind != frameMessage || length != len(plain)-frameHeaderBytes {
		return 0, nil, fmt.Errorf("%w: kind %d of %d bytes in a compressed frame", errFrame, kind, length)
	}
	return kind, plain[frameHeaderBytes:], nil
}
