package messages

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// LaneID names a lane, an append-only journal with one writer at a time:
// "<node>/<n>".
type LaneID string

// Sequence is a segment's place in its lane. The first segment has sequence 1;
// 0 means none.
type Sequence uint64

// Epoch counts a lane's owners. A higher epoch fences every lower one.
type Epoch uint64

// GapMax is the most consecutive sequences that a lane's writer may leave
// unwritten behind one that it wrote: it bounds a writer's segments in flight,
// and lets a reader find a lane's head without reading the lane.
const GapMax = 64

// LaneNameMax bounds a lane's name in bytes.
const LaneNameMax = 120

// NewLaneID names lane n of a node.
func NewLaneID(node string, n int) LaneID { return LaneID(node + "/" + strconv.Itoa(n)) }

// Node is the name of the node that the lane was made for.
func (l LaneID) Node() string {
	if at := strings.LastIndexByte(string(l), '/'); at >= 0 {
		return string(l[:at])
	}
	return string(l)
}

// Index is the n of "<node>/<n>", and false where the name has no such end.
func (l LaneID) Index() (int, bool) {
	at := strings.LastIndexByte(string(l), '/')
	if at < 0 {
		return 0, false
	}
	n, err := strconv.Atoi(string(l[at+1:]))
	return n, err == nil && n >= 0
}

// Errors that decide what an actor does next. Adapters wrap them; whatever is
// neither may be tried again as it is.
var (
	// ErrFenced: somebody with a higher epoch owns this now. Whoever gets it
	// stops using the lane, the lease or the transactional id at once.
	ErrFenced = errors.New("fenced by a newer owner")
	// ErrOutcomeUnknown: it may have happened or not. Only reading back tells.
	ErrOutcomeUnknown = errors.New("outcome unknown")
	// ErrTaken: an older owner's segment lies at this sequence. It is valid and
	// stays; write at the next sequence.
	ErrTaken = errors.New("sequence taken by an older owner")
	// ErrHeld: another node holds the lane's lease and it has not run out. It is
	// in the chain of a *HeldError.
	ErrHeld = errors.New("held by another node")
)

// HeldError is ErrHeld with who holds the lane and until when.
type HeldError struct {
	Owner string
	Until time.Time
}

// Error implements error.
func (e *HeldError) Error() string {
	return fmt.Sprintf("%v: %s, until %s", ErrHeld, e.Owner, e.Until.UTC().Format(time.RFC3339Nano))
}

// Unwrap makes errors.Is(e, ErrHeld) true.
func (e *HeldError) Unwrap() error { return ErrHeld }

// Lease is the right to write and to export a lane.
type Lease struct {
	Lane  LaneID
	Owner string
	Epoch Epoch
	// Expires is when others may adopt the lane unless the owner renews.
	Expires time.Time
	// TransactionalID is the last exporter's: an adopter fences it before it
	// reads the topic's tail. Empty when nothing was ever exported.
	TransactionalID string
	// Retired lanes have no backlog and no owner, and take no more segments.
	Retired bool
}

// Offsets maps a Kafka partition to the offset below which everything of a
// lane (or of a whole exporter) is known.
type Offsets map[int32]int64

// Checkpoint is how far a lane is safely outside: every segment up to Seq is
// in Kafka, and whatever of the lane lies behind it in the topic has an offset
// of at least Offsets.
type Checkpoint struct {
	Seq     Sequence
	Offsets Offsets
	// Events counts the lane's events up to and including Seq.
	Events uint64
	// Trimmed is the highest sequence whose segment has been removed, with all
	// before it.
	Trimmed Sequence
}

// Origin is where an event lies in the journal. It travels with the event in a
// Kafka header and in its change record, and tells a replay from a duplicate.
type Origin struct {
	Lane  LaneID
	Seq   Sequence
	Index uint32
}

// OriginHeader is the Kafka header that carries an Origin's text.
const OriginHeader = "adpulse-origin"

// AppendText appends "lane:seq:index" to dst, for instance "edge-1/0:42:17".
func (o Origin) AppendText(dst []byte) []byte {
	dst = append(dst, o.Lane...)
	dst = append(dst, ':')
	dst = strconv.AppendUint(dst, uint64(o.Seq), 10)
	dst = append(dst, ':')
	return strconv.AppendUint(dst, uint64(o.Index), 10)
}

// String returns the text form.
func (o Origin) String() string { return string(o.AppendText(nil)) }

// ParseOrigin reads the text form.
func ParseOrigin[T string | []byte](text T) (Origin, error) {
	s := string(text)
	last := strings.LastIndexByte(s, ':')
	if last < 0 {
		return Origin{}, fmt.Errorf("origin %q: not lane:sequence:index", s)
	}
	middle := strings.LastIndexByte(s[:last], ':')
	if middle <= 0 || middle > LaneNameMax {
		return Origin{}, fmt.Errorf("origin %q: not lane:sequence:index", s)
	}
	seq, err := strconv.ParseUint(s[middle+1:last], 10, 64)
	if err != nil {
		return Origin{}, fmt.Errorf("origin %q: sequence: %w", s, err)
	}
	index, err := strconv.ParseUint(s[last+1:], 10, 32)
	if err != nil {
		return Origin{}, fmt.Errorf("origin %q: index: %w", s, err)
	}
	return Origin{Lane: LaneID(s[:middle]), Seq: Sequence(seq), Index: uint32(index)}, nil
}
