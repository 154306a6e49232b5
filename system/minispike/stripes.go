package minispike

import (
	"sync"
	"sync/atomic"
)

const (
	stripeBits  = 14
	stripeCount = 1 << stripeBits
)

// stripes are the record locks. A digest's stripe is the top of its sort key,
// so whoever takes several in the order of the keys takes the stripes in order
// too, and never deadlocks.
//
// pending counts the writes of a stripe that readers can see but that a crash
// could still take back; see store.settle.
type stripes [stripeCount]struct {
	sync.Mutex
	pending atomic.Int32
}

func stripeOf(digest *[digestBytes]byte) int {
	return int(sortKey(digest) >> (64 - stripeBits))
}
