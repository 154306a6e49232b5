package minispike

import (
	"bytes"
	"encoding/binary"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// wire is a connection that a fuzz target plays: what it sent is read, what
// it is answered is kept.
type wire struct {
	net.Conn
	sent     *bytes.Reader
	answered bytes.Buffer
}

func (w *wire) Read(p []byte) (int, error)         { return w.sent.Read(p) }
func (w *wire) Write(p []byte) (int, error)        { return w.answered.Write(p) }
func (w *wire) SetReadDeadline(time.Time) error    { return nil }
func (w *wire) SetWriteDeadline(t time.Time) error { return nil }

// FuzzFrame sends bytes as a client might, none of which may end the process;
// answers are whole frames, and a session that survives holds no record lock.
func FuzzFrame(f *testing.F) {
	digest := bytes.Repeat([]byte{7}, digestBytes)
	message := func(info1, info2, info3 byte, fields, operations int, parts ...[]byte) []byte {
		out := appendFrameHeader(nil, frameMessage)
		out = append(out, messageHeaderBytes, info1, info2, info3)
		out = append(out, make([]byte, messageHeaderBytes-8)...)
		out = binary.BigEndian.AppendUint16(out, uint16(fields))
		out = binary.BigEndian.AppendUint16(out, uint16(operations))
		out = append(out, bytes.Join(parts, nil)...)
		closeFrame(out, 0)
		return out
	}
	keyed := bytes.Join([][]byte{
		appendField(nil, fieldNamespace, []byte("test")), appendField(nil, fieldSet, []byte("set")),
		appendField(nil, fieldDigest, digest),
	}, nil)
	number := make([]byte, 8)
	f.Add(message(0, info2Write, 0, 3, 1, keyed, appendOp(nil, opWrite, kindInteger, []byte("n"), number)))
	f.Add(message(0, info2Write, 0, 3, 1, keyed, appendOp(nil, opIncrement, kindInteger, []byte("n"), number)))
	f.Add(message(0, info2Write, 0, 3, 1, keyed, appendOp(nil, opCDTModify, kindBlob, []byte("l"), []byte{0x92, 1, 1})))
	f.Add(message(info1Read, 0, 0, 3, 1, keyed, appendOp(nil, opCDTRead, kindBlob, []byte("l"), []byte{0x91, 16})))
	f.Add(message(info1Read|info1GetAll, 0, 0, 3, 0, keyed))
	f.Add(message(info1Read, 0, 0, 4, 0, keyed, appendField(nil, fieldFilter, []byte{0x93, 1, 0x93, 81, 1, 0xa1, 'n', 0})))
	f.Add(message(0, info2Write|info2Delete, 0, 3, 0, keyed))
	entry := bytes.Join([][]byte{
		{0, 0, 0, 0},
		digest,
		{0x0E},
		{0, 0x81, 0},
		{0, 0},
		{0, 0, 0, 0},
		{0, 2, 0, 1},
		keyed[:len(keyed)-digestBytes-5], appendOp(nil, opWrite, kindString, []byte("s"), []byte("text")),
		{0, 0, 0, 1},
		digest,
		{1},
	}, nil)
	f.Add(message(info1Batch, 0, 0, 1, 0, appendField(nil, fieldBatch, append([]byte{0, 0, 0, 2, 5}, entry...))))
	set := keyed[:len(keyed)-digestBytes-5]
	f.Add(message(info1Read, 0, 4, 4, 0, set, appendField(nil, fieldPartitions, []byte{1, 0, 7, 7}), appendField(nil, fieldMaxRecords, number)))
	f.Add(message(info1Read, 0, 4, 3, 0, set, appendField(nil, fieldIndexRange, bytes.Join([][]byte{
		{1, 1, 'n', 1}, {0, 0, 0, 8}, number, {0, 0, 0, 8}, number,
	}, nil))))
	f.Add([]byte("\x02\x01\x00\x00\x00\x00\x00\x05node\n"))

	server, err := Start(Config{MemoryBytes: 16 << 20, MaxFrameBytes: 1 << 20})
	require.NoError(f, err)
	f.Cleanup(func() { require.NoError(f, server.Close()) })
	require.Equal(f, codeOK, server.createIndex(&index{Name: "by_n", Set: "set", Bin: "n", Kind: kindInteger}))
	f.Fuzz(func(t *testing.T, sent []byte) {
		conn := &wire{sent: bytes.NewReader(sent)}
		session := newSession(server, conn)
		require.Error(t, session.serve(), "the session ends with its connection")
		require.Empty(t, session.change.locked)
		for answered := conn.answered.Bytes(); len(answered) > 0; {
			require.GreaterOrEqual(t, len(answered), frameHeaderBytes)
			_, size, err := frameHeader(answered, 1<<30)
			require.NoError(t, err)
			require.LessOrEqual(t, size, len(answered)-frameHeaderBytes)
			answered = answered[frameHeaderBytes+size:]
		}
	})
}
