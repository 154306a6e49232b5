package messages

import (
	"encoding/binary"
	"math/rand/v2"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
)

// derivedIDs is the UUID namespace of derived event ids.
var derivedIDs = uuid.UUID{
	0x5b, 0x0e, 0x8a, 0x3c, 0x6f, 0x1d, 0x4e, 0x52, 0x9b, 0x77, 0x3a, 0xd4, 0x10, 0x6c, 0xe8, 0x2f,
}

// DeriveEventID is the id of the event at a place, counted from 0, of the
// request with this idempotency key: the same for every retry of the request.
//
// It is the UUID of version 5 of "<key>/<place>" in the namespace
// 5b0e8a3c-6f1d-4e52-9b77-3ad4106ce82f, so a client can compute it too. That
// derivation never changes: ids of requests in doubt are kept by clients.
func DeriveEventID(key string, place int) EventID {
	name := make([]byte, 0, 96)
	name = append(name, key...)
	name = append(name, '/')
	name = strconv.AppendInt(name, int64(place), 10)
	return EventID(uuid.NewSHA1(derivedIDs, name))
}

// lastEventID is the time part of the newest id, in units of 2^-12 ms since
// the epoch: what makes ids of one process ascend.
var lastEventID atomic.Uint64

// NewEventID makes a UUID of version 7. Those of one process ascend, also when
// the clock stands still or goes back; those of different processes differ by
// 62 random bits. It may be called concurrently.
func NewEventID() EventID {
	now := time.Now().UnixNano()
	millis, nanos := uint64(now/int64(time.Millisecond)), uint64(now%int64(time.Millisecond))
	tick := millis<<12 | nanos<<12/uint64(time.Millisecond)
	for {
		last := lastEventID.Load()
		if tick <= last {
			tick = last + 1
		}
		if lastEventID.CompareAndSwap(last, tick) {
			break
		}
	}
	var id EventID
	binary.BigEndian.PutUint64(id[0:8], tick>>12<<16|7<<12|tick&0xfff)
	// The runtime's ChaCha8 stream, seeded by the system: not to be guessed, and
	// ten times cheaper than asking the system for each id.
	random := rand.Uint64() //nolint:gosec // see above
	binary.BigEndian.PutUint64(id[8:16], random>>2|1<<63)
	return id
}
