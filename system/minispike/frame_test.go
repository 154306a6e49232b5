package minispike_test

import (
	"bytes"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"net"
	"testing"
	"time"

	as "github.com/aerospike/aerospike-client-go/v7"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"adpulse/system/minispike"
)

// send writes bytes on a fresh connection and reads until the server closes
// it or answers no more.
func send(tb testing.TB, addr net.Addr, frame []byte) []byte {
	tb.Helper()
	conn, err := net.DialTimeout("tcp", addr.String(), 5*time.Second)
	require.NoError(tb, err)
	defer conn.Close()
	require.NoError(tb, conn.SetDeadline(time.Now().Add(5*time.Second)))
	_, _ = conn.Write(frame)             // the server may close first
	_ = conn.(*net.TCPConn).CloseWrite() // the server may have closed first
	answer, _ := io.ReadAll(conn)        // reset, perhaps
	return answer
}

func frame(kind byte, body ...[]byte) []byte {
	joined := bytes.Join(body, nil)
	head := binary.BigEndian.AppendUint64(nil, uint64(2)<<56|uint64(kind)<<48|uint64(len(joined)))
	return append(head, joined...)
}

func header(info1, info2, info3 byte, fields, ops uint16) []byte {
	h := make([]byte, 22)
	h[0], h[1], h[2], h[3] = 22, info1, info2, info3
	binary.BigEndian.PutUint16(h[18:], fields)
	binary.BigEndian.PutUint16(h[20:], ops)
	return h
}

func field(kind byte, value []byte) []byte {
	return append(append(binary.BigEndian.AppendUint32(nil, uint32(len(value)+1)), kind), value...)
}

func operation(code, kind byte, name string, value []byte) []byte {
	o := binary.BigEndian.AppendUint32(nil, uint32(4+len(name)+len(value)))
	return append(append(append(o, code, kind, 0, byte(len(name))), name...), value...)
}

// seeds are frames from which malformed ones are made.
func seeds() [][]byte {
	digest := bytes.Repeat([]byte{7}, 20)
	namespace, set := field(0, []byte("test")), field(1, []byte("set"))
	entry := bytes.Join([][]byte{
		{0, 0, 0, 0},
		digest,
		{0x0E},
		{0, 0x81, 0},
		{0, 0},
		{0, 0, 0, 0},
		{0, 2, 0, 1},
		namespace, set,
		operation(2, 1, "n", make([]byte, 8)),
		{0, 0, 0, 1},
		digest,
		{1},
	}, nil)
	return [][]byte{
		frame(1, []byte("node\nbuild\n")),
		frame(3, header(0, 1, 0, 3, 1), namespace, set, field(4, digest), operation(2, 3, "bin", []byte("text"))),
		frame(3, header(3, 0, 0, 3, 0), namespace, set, field(4, digest)),
		frame(3, header(0, 3, 0, 3, 0), namespace, set, field(4, digest)),
		frame(3, header(1, 1, 0, 2, 2), namespace, field(4, digest), operation(5, 1, "n", make([]byte, 8)), operation(1, 0, "n", nil)),
		frame(3, header(8, 0, 0, 1, 0), field(41, append([]byte{0, 0, 0, 2, 5}, entry...))),
		frame(3, header(1, 0, 4, 4, 0), namespace, set, field(11, []byte{1, 0, 2, 0}), field(13, make([]byte, 8))),
		frame(3, header(1, 0, 4, 3, 0), namespace, set, field(22, bytes.Join([][]byte{
			{1, 1, 'n', 1}, {0, 0, 0, 8}, make([]byte, 8), {0, 0, 0, 8}, make([]byte, 8),
		}, nil))),
		frame(2, make([]byte, 16)),
		frame(4, make([]byte, 20)),
	}
}

func TestMalformedFramesEndTheirConnectionOnly(t *testing.T) {
	server, client := start(t, minispike.Config{Log: zap.NewNop()})
	for _, bad := range [][]byte{
		{},
		[]byte("GET / HTTP/1.1\r\n\r\n"),
		{2, 3},
		{9, 3, 0, 0, 0, 0, 0, 0},
		{2, 9, 0, 0, 0, 0, 0, 0},
		{2, 3, 255, 255, 255, 255, 255, 255},
		frame(3, []byte{22}),
		frame(3, header(1, 0, 0, 65535, 65535)),
		frame(3, header(8, 0, 0, 1, 0), field(41, []byte{255, 255, 255, 255, 0, 1})),
		frame(3, header(0, 1, 0, 1, 1), field(4, make([]byte, 20)), []byte{255, 255, 255, 255, 2, 1, 0, 200}),
		frame(4, []byte{0, 0, 0, 0, 255, 255, 255, 255, 1, 2, 3}),
	} {
		send(t, server.Addr(), bad)
	}
	random := rand.New(rand.NewPCG(3, 4))
	for _, seed := range seeds() {
		for range 40 {
			bad := bytes.Clone(seed)
			for range 1 + random.IntN(4) {
				bad[random.IntN(len(bad))] = byte(random.Uint32())
			}
			send(t, server.Addr(), bad[:1+random.IntN(len(bad))])
		}
	}
	require.NoError(t, client.Put(nil, key(t, "alive", 1), as.BinMap{"n": 1}))
}

func TestWellFormedSeedsAreAnswered(t *testing.T) {
	server, _ := start(t, minispike.Config{Log: zap.NewNop()})
	for i, seed := range seeds()[:9] {
		require.NotEmpty(t, send(t, server.Addr(), seed), "seed %d", i)
	}
}

func TestTooManyConnectionsAreClosed(t *testing.T) {
	server, err := minispike.Start(minispike.Config{MaxConnections: 2, MemoryBytes: 16 << 20})
	require.NoError(t, err)
	defer func() { require.NoError(t, server.Close()) }()
	for range 2 {
		conn, err := net.Dial("tcp", server.Addr().String())
		require.NoError(t, err)
		defer conn.Close()
		_, err = conn.Write(frame(1, []byte("node\n")))
		require.NoError(t, err)
		_, err = io.ReadFull(conn, make([]byte, 8))
		require.NoError(t, err)
	}
	require.Empty(t, send(t, server.Addr(), frame(1, []byte("node\n"))))
}

func TestASlowFrameEndsItsConnection(t *testing.T) {
	server, err := minispike.Start(minispike.Config{ReadTimeout: 50 * time.Millisecond, MemoryBytes: 16 << 20})
	require.NoError(t, err)
	defer func() { require.NoError(t, server.Close()) }()
	conn, err := net.Dial("tcp", server.Addr().String())
	require.NoError(t, err)
	defer conn.Close()
	_, err = conn.Write([]byte{2, 3, 0})
	require.NoError(t, err)
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(10*time.Second)))
	_, err = conn.Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF)
}
