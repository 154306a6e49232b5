package minispike

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
)

// presence answers, from memory, that there is certainly no record of a
// digest. Records that must not exist before they are written are the common
// case, and asking Pebble for what is not there costs more than writing it.
//
// It is a split-block Bloom filter over the digests, which are as good as
// hashes. Removed records stay in it until it is built anew.
//
// A digest is added by whoever writes its record, before the write is
// applied, under the record's stripe.
type presence struct {
	layersMax int
	current   atomic.Pointer[sieve] // nil until the first is built
	mu        sync.Mutex            // building
	next      atomic.Pointer[sieve] // being built
}

const (
	sieveKeyBits   = 16
	sieveFirstKeys = 1 << 16
	sieveGrowth    = 4
	blockWords     = 8
)

// newPresence takes at most about this many bytes. A store that is known to
// be empty needs no building.
func newPresence(bytes int64, empty bool) *presence {
	p := &presence{layersMax: 1}
	for total, layer := int64(0), int64(sieveFirstKeys*sieveKeyBits/8); total+layer <= bytes; layer *= sieveGrowth {
		total += layer
		p.layersMax++
	}
	p.layersMax = max(1, p.layersMax-1)
	if empty {
		p.current.Store(newSieve(p.layersMax))
	}
	return p
}

// absent says that there is certainly no record of the digest.
func (p *presence) absent(digest *[digestBytes]byte) bool {
	current := p.current.Load()
	return current != nil && !current.has(digest)
}

// add notes that there will be a record of the digest.
func (p *presence) add(digest *[digestBytes]byte) {
	if current := p.current.Load(); current != nil {
		current.add(digest)
	}
	if next := p.next.Load(); next != nil {
		next.add(digest)
	}
}

// stale says that so much has been added that building anew, without what
// has been removed since, may pay.
func (p *presence) stale() bool {
	current := p.current.Load()
	return current == nil || current.added.Load() > 2*max(current.capacity(), current.base)
}

// build reads every record's key of the store.
func (p *presence) build(db *pebble.DB, stopped func() bool) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	next := newSieve(p.layersMax)
	p.next.Store(next)
	defer p.next.Store(nil)
	iterator, err := db.NewIter(&pebble.IterOptions{LowerBound: []byte{prefixRecord}, UpperBound: []byte{prefixRecord + 1}})
	if err != nil {
		return fmt.Errorf("read the record keys: %w", err)
	}
	for n := 0; n == 0 && iterator.First() || n > 0 && iterator.Next(); n++ {
		if key := iterator.Key(); len(key) == recordKeyBytes {
			next.add((*[digestBytes]byte)(key[3:]))
		}
		if n&0xFFF == 0xFFF && stopped() {
			return iterator.Close()
		}
	}
	if err := errors.Join(iterator.Error(), iterator.Close()); err != nil {
		return fmt.Errorf("read the record keys: %w", err)
	}
	next.base = next.added.Load()
	p.current.Store(next)
	return nil
}

// sieve is a filter that grows by layers, each larger than the one before.
type sieve struct {
	layersMax int
	base      int64 // digests that it was built with
	added     atomic.Int64
	mu        sync.Mutex // growing
	layers    atomic.Pointer[[][]uint64]
}

func newSieve(layersMax int) *sieve {
	s := &sieve{layersMax: layersMax}
	s.layers.Store(&[][]uint64{newLayer(sieveFirstKeys)})
	return s
}

func newLayer(keys int64) []uint64 { return make([]uint64, keys*sieveKeyBits/64) }

// capacity is how many digests it may take before it errs too often.
func (s *sieve) capacity() int64 {
	keys := int64(0)
	for _, layer := range *s.layers.Load() {
		keys += int64(len(layer)) * 64 / sieveKeyBits
	}
	return keys
}

// slot is where a digest's block of a layer starts, and its bits: one of each
// of the block's words.
func slot(layer []uint64, digest *[digestBytes]byte) (block []uint64, bits uint64) {
	at := binary.BigEndian.Uint64(digest[2:]) % uint64(len(layer)/blockWords) * blockWords
	return layer[at : at+blockWords : at+blockWords], binary.BigEndian.Uint64(digest[10:])
}

func (s *sieve) has(digest *[digestBytes]byte) bool {
	layers := *s.layers.Load()
	for i := len(layers) - 1; i >= 0; i-- {
		if hasIn(layers[i], digest) {
			return true
		}
	}
	return false
}

func hasIn(layer []uint64, digest *[digestBytes]byte) bool {
	block, bits := slot(layer, digest)
	for i := range block {
		if atomic.LoadUint64(&block[i])&(1<<(bits&63)) == 0 {
			return false
		}
		bits >>= 6
	}
	return true
}

// add puts the digest in the last layer, and makes a further one when the
// layers are full.
func (s *sieve) add(digest *[digestBytes]byte) {
	layers := *s.layers.Load()
	block, bits := slot(layers[len(layers)-1], digest)
	for i := range block {
		atomic.OrUint64(&block[i], 1<<(bits&63))
		bits >>= 6
	}
	if added := s.added.Add(1); added%1024 == 0 && len(layers) < s.layersMax && added >= s.capacity() {
		s.grow()
	}
}

func (s *sieve) grow() {
	s.mu.Lock()
	defer s.mu.Unlock()
	layers := *s.layers.Load()
	if len(layers) == s.layersMax || s.added.Load() < s.capacity() {
		return
	}
	last := int64(len(layers[len(layers)-1])) * 64 / sieveKeyBits
	grown := append(append([][]uint64(nil), layers...), newLayer(last*sieveGrowth))
	s.layers.Store(&grown)
}
