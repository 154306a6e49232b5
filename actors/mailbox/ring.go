package mailbox

// ring is a first-in-first-out queue that grows as needed and lets a large
// buffer go when it runs empty. The zero value is empty.
type ring[T any] struct {
	slots []T // a power of two
	head  int
	count int
}

// Slots of the first buffer, and of the largest that an empty ring keeps.
const (
	ringFirst = 16
	ringKept  = 4096
)

func (r *ring[T]) push(v T) {
	if r.count == len(r.slots) {
		r.grow()
	}
	r.slots[(r.head+r.count)&(len(r.slots)-1)] = v
	r.count++
}

// pop takes the oldest out; there must be one.
func (r *ring[T]) pop() T {
	var none T
	v := r.slots[r.head]
	r.slots[r.head] = none
	r.head = (r.head + 1) & (len(r.slots) - 1)
	r.count--
	if r.count == 0 && len(r.slots) > ringKept {
		r.slots, r.head = nil, 0
	}
	return v
}

func (r *ring[T]) grow() {
	slots := make([]T, max(ringFirst, 2*len(r.slots)))
	n := copy(slots, r.slots[r.head:])
	copy(slots[n:], r.slots[:r.head])
	r.slots, r.head = slots, 0
}
