package system

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"adpulse/actors/exporter"
	"adpulse/messages"
	"adpulse/system/edge"
)

// modelledStore is all that a node asks of the edge store.
type modelledStore interface {
	laneStore
	exporter.Journal
	Append(ctx context.Context, segment *messages.Segment) error
	Checkpoint(ctx context.Context, lane messages.LaneID) (messages.Checkpoint, bool, error)
	Read(ctx context.Context, lane messages.LaneID, from messages.Sequence, segmentsMax, bytesMax int) ([]*messages.Segment, error)
	Trim(ctx context.Context, lane messages.LaneID, from, to messages.Sequence) error
}

var (
	_ modelledStore = (*edge.Store)(nil)
	_ modelledStore = edgeView{}
)

// TestModelOfTheEdgeStoreAnswersAsTheStore asks both the same, in any order,
// and wants the same answers.
func TestModelOfTheEdgeStoreAnswersAsTheStore(t *testing.T) {
	setRapid(t, "checks", "50")
	var now time.Time
	store, stage := edgeInMemory(t, func() time.Time { return now }), newStage(t)
	histories := 0
	rapid.Check(t, func(t *rapid.T) {
		histories++
		w := newWorld(t, stage, none)
		defer w.close()
		c := contract{
			w: w, p: &process{w: w, node: "model"}, store: store,
			lane: messages.LaneID(fmt.Sprintf("contract/%d", histories)), number: histories,
		}
		w.processes = append(w.processes, c.p)
		t.Repeat(map[string]func(*rapid.T){
			"time": func(t *rapid.T) {
				w.now = w.now.Add(rapid.SampledFrom([]time.Duration{time.Millisecond, modelLease}).Draw(t, "time"))
			},
			"append": c.append, "seal": c.seal, "trim": c.trim, "read": c.read,
			"claim": c.claim, "keep": c.keep, "move": c.move, "records": c.records,
			"": func(*rapid.T) { now = w.now },
		})
	})
}

// contract is one history of both stores.
type contract struct {
	w      *world
	p      *process
	store  *edge.Store
	lane   messages.LaneID
	number int
	leases []messages.Lease
}

// both asks the store and its model, and compares what ask returns.
func (c *contract) both(t *rapid.T, ask func(s modelledStore) (any, error)) (answer any, err error) {
	var modelled any
	var modelErr error
	c.w.begin(c.p, func() { modelled, modelErr = ask(edgeView{c.w, c.p}) })
	c.w.settle()
	c.w.open(c.p)
	answer, err = ask(c.store)
	require.Equal(t, kind(err), kind(modelErr), "store: %v, model: %v", err, modelErr)
	if err == nil {
		require.Equal(t, answer, modelled)
	}
	return answer, err
}

// kind is the part of an error that decides what an actor does.
func kind(err error) error {
	for _, k := range []error{messages.ErrFenced, messages.ErrTaken, messages.ErrHeld, messages.ErrOutcomeUnknown} {
		if errors.Is(err, k) {
			return k
		}
	}
	return err
}

func drawSeq(t *rapid.T, what string) messages.Sequence {
	return messages.Sequence(rapid.IntRange(1, 5).Draw(t, what))
}

func drawEpoch(t *rapid.T) messages.Epoch {
	return messages.Epoch(rapid.IntRange(0, 3).Draw(t, "epoch"))
}

func (c *contract) append(t *rapid.T) {
	s := messages.Segment{Lane: c.lane, Seq: drawSeq(t, "seq"), Epoch: drawEpoch(t), Token: rapid.Uint64Range(0, 2).Draw(t, "token")}
	_, _ = c.both(t, func(store modelledStore) (any, error) { return nil, store.Append(t.Context(), &s) })
}

func (c *contract) seal(t *rapid.T) {
	from, to, epoch := drawSeq(t, "from"), drawSeq(t, "to"), drawEpoch(t)
	_, _ = c.both(t, func(s modelledStore) (any, error) { return nil, s.Seal(t.Context(), c.lane, epoch, from, to) })
}

func (c *contract) trim(t *rapid.T) {
	from, to := drawSeq(t, "from"), drawSeq(t, "to")
	_, _ = c.both(t, func(s modelledStore) (any, error) { return nil, s.Trim(t.Context(), c.lane, from, to) })
}

func (c *contract) read(t *rapid.T) {
	from, most := drawSeq(t, "from"), rapid.IntRange(1, 4).Draw(t, "segments")
	_, _ = c.both(t, func(s modelledStore) (any, error) {
		head, err := s.Head(t.Context(), c.lane, from)
		if err != nil {
			return nil, err
		}
		segments, err := s.Read(t.Context(), c.lane, from, most, messages.SegmentBytesMax)
		found := []string{fmt.Sprint("head ", head)}
		for _, s := range segments {
			found = append(found, fmt.Sprint(s.Seq, s.Epoch, s.Token, len(s.Events)))
		}
		return found, err
	})
}

func (c *contract) claim(t *rapid.T) {
	owner := rapid.SampledFrom([]string{"a", "b"}).Draw(t, "owner")
	lease, err := c.both(t, func(s modelledStore) (any, error) { return s.Claim(t.Context(), c.lane, owner, modelLease) })
	if err == nil {
		c.leases = append(c.leases, lease.(messages.Lease))
	}
}

// keep does with a lease, of today or of once, what its owner may.
func (c *contract) keep(t *rapid.T) {
	lease, found := pick(t, "lease", c.leases)
	if !found {
		return
	}
	what := rapid.SampledFrom([]string{"renew", "producer", "release", "retire"}).Draw(t, "what")
	_, _ = c.both(t, func(s modelledStore) (any, error) {
		switch what {
		case "renew":
			return s.Renew(t.Context(), lease, modelLease)
		case "producer":
			return nil, s.SetTransactionalID(t.Context(), lease, "producer")
		case "release":
			return nil, s.Release(t.Context(), lease)
		default:
			return nil, s.Retire(t.Context(), lease)
		}
	})
}

func (c *contract) move(t *rapid.T) {
	lease, found := pick(t, "lease", c.leases)
	if !found {
		lease = messages.Lease{Lane: c.lane, Epoch: 1}
	}
	next := messages.Checkpoint{
		Seq: drawSeq(t, "seq"), Events: rapid.Uint64Range(0, 9).Draw(t, "events"), Trimmed: drawSeq(t, "trimmed"),
		Offsets: messages.Offsets{0: rapid.Int64Range(0, 9).Draw(t, "offset")},
	}
	_, _ = c.both(t, func(s modelledStore) (any, error) { return nil, s.MoveCheckpoint(t.Context(), lease, next) })
	_, _ = c.both(t, func(s modelledStore) (any, error) {
		stored, found, err := s.Checkpoint(t.Context(), c.lane)
		if !found {
			return nil, err
		}
		return stored, err
	})
}

func (c *contract) records(t *rapid.T) {
	drawn := make([]messages.ChangeRecord, rapid.IntRange(1, 4).Draw(t, "records"))
	for i := range drawn {
		id := messages.EventID{0: byte(c.number >> 8), 1: byte(c.number), 15: byte(rapid.IntRange(1, 3).Draw(t, "id"))}
		drawn[i] = messages.ChangeRecord{
			Origin: messages.Origin{Lane: c.lane, Seq: drawSeq(t, "seq"), Index: uint32(i)},
			Event:  &messages.Event{ID: id, Type: messages.Click, Body: []byte("{}")},
		}
	}
	_, _ = c.both(t, func(s modelledStore) (any, error) {
		records := append([]messages.ChangeRecord(nil), drawn...)
		err := s.WriteChangeRecords(t.Context(), records)
		outcomes := make([]messages.Outcome, len(records))
		for i := range records {
			outcomes[i] = records[i].Outcome
		}
		return outcomes, err
	})
}
