package minispike

import (
	"fmt"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
)

// stored counts the keys of a store that start with a prefix.
func stored(t *testing.T, st *store, prefix byte) int {
	t.Helper()
	iterator, err := st.db.NewIter(&pebble.IterOptions{LowerBound: []byte{prefix}, UpperBound: []byte{prefix + 1}})
	require.NoError(t, err)
	count := 0
	for iterator.First(); iterator.Valid(); iterator.Next() {
		count++
	}
	require.NoError(t, iterator.Close())
	return count
}

// put stores a record of one integer bin.
func put(t *testing.T, st *store, name string, n byte, ttl uint32) {
	t.Helper()
	c := command{
		namespace: []byte("test"), set: []byte("set"), hasDigest: true, ttl: ttl, opCount: 1,
		ops: appendOp(nil, opWrite, kindInteger, []byte("n"), []byte{0, 0, 0, 0, 0, 0, 0, n}),
	}
	copy(c.digest[:], name)
	s := &session{store: st, log: zap.NewNop(), now: st.now()}
	st.lock(&s.change, &c.digest)
	s.write(&c, 0)
	require.NoError(t, st.commit(&s.change))
	require.Equal(t, codeOK, s.out[5])
}

func TestSweepRemovesTheDeadAndTheirIndexEntries(t *testing.T) {
	config, err := Config{MemoryBytes: 16 << 20}.withDefaults()
	require.NoError(t, err)
	st, err := openStore(config, func(error) {}, func(error) {})
	require.NoError(t, err)
	defer func() { require.NoError(t, st.close()) }()
	st.indexes.Store(newIndexSet([]*index{{Name: "by_n", Set: "set", Bin: "n", Kind: kindInteger}}))
	now := time.Unix(2_000_000_000, 0)
	st.clock = func() time.Time { return now }

	for i := range 50 {
		put(t, st, fmt.Sprintf("brief %d", i), 1, 10)
	}
	put(t, st, "given more time", 1, 10)
	put(t, st, "given more time", 2, 100)
	put(t, st, "for ever", 1, ttlNever)
	require.Equal(t, 52, stored(t, st, prefixRecord))
	require.Equal(t, 52, stored(t, st, prefixIndex))

	never := func() bool { return false }
	now = now.Add(9 * time.Second)
	require.NoError(t, st.expire(never))
	require.Equal(t, 52, stored(t, st, prefixRecord))

	now = now.Add(time.Second)
	require.NoError(t, st.expire(never))
	require.Equal(t, 2, stored(t, st, prefixRecord))
	require.Equal(t, 2, stored(t, st, prefixIndex))
	require.Equal(t, 1, stored(t, st, prefixExpiry))

	now = now.Add(90 * time.Second)
	require.NoError(t, st.expire(never))
	require.Equal(t, 1, stored(t, st, prefixRecord))
	require.Zero(t, stored(t, st, prefixExpiry))
}

func TestPresenceNeverDeniesWhatIsThere(t *testing.T) {
	p := newPresence(4<<20, true)
	digest := func(i int) *[digestBytes]byte {
		var d [digestBytes]byte
		seed := uint64(i)
		for at := range d { // splitmix, a digest's stand-in
			seed += 0x9E3779B97F4A7C15
			z := (seed ^ seed>>30) * 0xBF58476D1CE4E5B9
			d[at] = byte((z ^ z>>27) * 0x94D049BB133111EB >> 56)
		}
		return &d
	}
	const there = 300_000 // several layers
	for i := range there {
		p.add(digest(i))
	}
	for i := range there {
		require.False(t, p.absent(digest(i)))
	}
	wrong := 0
	for i := there; i < there+100_000; i++ {
		if !p.absent(digest(i)) {
			wrong++
		}
	}
	require.Less(t, wrong, 1000, "of 100,000 that are not there")
}
