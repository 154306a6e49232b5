package edge

import (
	"context"
	"fmt"

	as "github.com/aerospike/aerospike-client-go/v7"
	"github.com/aerospike/aerospike-client-go/v7/pkg/ripemd160"
	"github.com/aerospike/aerospike-client-go/v7/types"
	particletype "github.com/aerospike/aerospike-client-go/v7/types/particle_type"
	"golang.org/x/sync/errgroup"

	"adpulse/messages"
	"adpulse/system/internal/aero"
)

// Bins of a change record. The first five are the reference system's.
const (
	eventIDBin     = "event-id"
	eventDataBin   = "event-data"
	eventTagBin    = "event-tag-id"
	eventSourceBin = "event-source"
	eventTypeBin   = "event-type"
	originBin      = "origin"
)

// changeTries bounds how often one request of change records is made before
// its caller is told; each makes up for what the one before left open.
const changeTries = 3

// WriteChangeRecords stores each event's change record under the event's id
// and fills in its digest and outcome.
//
// A record is created and never overwritten, and names the origin of its
// event. So where one exists, its origin tells a replay from a client's
// duplicate, and a call that failed, or whose answer was lost, may be repeated
// as a whole. Of several events with one id in one call at most one is not a
// Duplicate: the one whose origin is stored, or else the first.
//
// On an error no outcome means anything. An error with ErrCorrupt in its chain
// is for an event whose body is no JSON object.
func (s *Store) WriteChangeRecords(ctx context.Context, records []messages.ChangeRecord) (err error) {
	defer s.observe("change-records", s.config.Now(), &err)
	first := make(map[messages.EventID]int32, len(records))
	var again []int32 // indexes of events whose id came before in this call
	for i := range records {
		records[i].Outcome = 0
		if _, seen := first[records[i].Event.ID]; seen {
			again = append(again, int32(i))
			continue
		}
		first[records[i].Event.ID] = int32(i)
	}
	if err := s.writeInParts(ctx, records, again); err != nil {
		return fmt.Errorf("write %d change records: %w", len(records), err)
	}
	if err := s.settleRepeats(ctx, records, first, again); err != nil {
		return fmt.Errorf("write %d change records: %w", len(records), err)
	}
	return nil
}

// writeInParts writes all records but those in without, which ascend.
func (s *Store) writeInParts(ctx context.Context, records []messages.ChangeRecord, without []int32) error {
	group, together := errgroup.WithContext(ctx)
	group.SetLimit(s.config.BatchesAtOnce)
	for from := 0; from < len(records) && together.Err() == nil; from += s.config.BatchRecords {
		to := min(from+s.config.BatchRecords, len(records))
		skip := without
		for len(skip) > 0 && int(skip[0]) < from {
			skip = skip[1:]
		}
		group.Go(func() error {
			w, _ := s.writers.Get().(*changeWriter)
			if w == nil {
				w = newChangeWriter(s)
			}
			defer s.writers.Put(w)
			return w.write(together, records[from:to], skip, int32(from))
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return ctx.Err()
}

// settleRepeats decides the events whose id came before in the same call. The
// stored origin may be theirs, when an earlier call held them without the one
// that now comes first.
func (s *Store) settleRepeats(
	ctx context.Context, records []messages.ChangeRecord, first map[messages.EventID]int32, again []int32,
) error {
	var ask []*messages.ChangeRecord
	for _, i := range again {
		r := &records[i]
		leader := &records[first[r.Event.ID]]
		r.Digest, r.Outcome = leader.Digest, messages.Duplicate
		if leader.Outcome == messages.Duplicate {
			ask = append(ask, r)
		}
	}
	for len(ask) > 0 {
		part := ask[:min(len(ask), s.config.BatchRecords)]
		ask = ask[len(part):]
		keys := make([]*as.Key, len(part))
		for i, r := range part {
			key, err := as.NewKeyWithDigest(s.config.Namespace, s.config.Set, nil, r.Digest[:])
			if err != nil {
				return aero.Explain(err)
			}
			keys[i] = key
		}
		stored, err := s.origins(ctx, keys)
		if err != nil {
			return err
		}
		for i, r := range part {
			leader := &records[first[r.Event.ID]]
			if stored[i] == r.Origin.String() && r.Origin != leader.Origin && !replayed(records, again, r) {
				r.Outcome = messages.Replay
			}
		}
	}
	return nil
}

// replayed tells whether another event of the same id and origin as r's is a
// Replay already.
func replayed(records []messages.ChangeRecord, again []int32, r *messages.ChangeRecord) bool {
	for _, i := range again {
		if o := &records[i]; o != r && o.Outcome == messages.Replay && o.Event.ID == r.Event.ID && o.Origin == r.Origin {
			return true
		}
	}
	return false
}

// Origins returns, for each event id, the origin that its change record names;
// "" where there is no change record.
func (s *Store) Origins(ctx context.Context, ids []messages.EventID) (origins []string, err error) {
	defer s.observe("origins", s.config.Now(), &err)
	for len(ids) > 0 {
		part := ids[:min(len(ids), s.config.BatchRecords)]
		ids = ids[len(part):]
		keys := make([]*as.Key, len(part))
		for i, id := range part {
			if keys[i], err = s.key(s.config.Set, id.String()); err != nil {
				return nil, err
			}
		}
		stored, err := s.origins(ctx, keys)
		if err != nil {
			return nil, fmt.Errorf("read the origins of %d change records: %w", len(part), err)
		}
		origins = append(origins, stored...)
	}
	return origins, nil
}

// origins reads the origin of each record; "" where there is no record.
func (s *Store) origins(ctx context.Context, keys []*as.Key) ([]string, error) {
	policy, err := s.batchPolicy(ctx, s.config.ReadTimeout, readTries)
	if err != nil {
		return nil, err
	}
	stored, failure := s.client.BatchGet(policy, keys, originBin)
	if failure != nil {
		return nil, aero.Explain(failure)
	}
	origins := make([]string, len(keys))
	for i, record := range stored {
		if record == nil {
			continue
		}
		origin, ok := record.Bins[originBin].(string)
		if !ok {
			origin = "?" // somebody else's record: there, and not ours
		}
		origins[i] = origin
	}
	return origins, nil
}

// changeWriter is what one request of change records is built in. It is used
// again and again, and refers to the caller's records only while it writes.
type changeWriter struct {
	store  *Store
	create *as.BatchWritePolicy
	hash   ripemd160.Digest
	slots  []*changeSlot
	// writes, keys and at describe the request being made: at holds the
	// place of each write's record among the caller's.
	writes []as.BatchRecordIfc
	keys   []*as.Key
	at     []int32
	arena  []byte // what the values point into
	ends   []int  // where each value ends
}

// changeSlot is one record of a request. Its operations point to its values,
// whose bytes are exchanged.
type changeSlot struct {
	write  *as.BatchWrite
	values [changeBins]as.RawBlobValue
}

const changeBins = 6

func newChangeWriter(s *Store) *changeWriter {
	w := &changeWriter{store: s, create: as.NewBatchWritePolicy()}
	w.create.RecordExistsAction, w.create.Expiration = as.CREATE_ONLY, s.expiration()
	return w
}

func (w *changeWriter) slot(i int) (*changeSlot, error) {
	for i >= len(w.slots) {
		key, err := as.NewKey(w.store.config.Namespace, w.store.config.Set, "")
		if err != nil {
			return nil, aero.Explain(err)
		}
		slot := &changeSlot{}
		ops := make([]*as.Operation, changeBins)
		for bin, name := range [changeBins]string{eventIDBin, eventDataBin, eventTagBin, eventSourceBin, eventTypeBin, originBin} {
			slot.values[bin].ParticleType = particletype.STRING
			ops[bin] = as.PutOp(&as.Bin{Name: name, Value: &slot.values[bin]})
		}
		slot.values[1].ParticleType = particletype.MAP
		slot.write = as.NewBatchWrite(w.create, key, ops...)
		w.slots = append(w.slots, slot)
	}
	return w.slots[i], nil
}

// write writes the records but those in skip, which are places counted from
// before records[0], that being at base.
func (w *changeWriter) write(ctx context.Context, records []messages.ChangeRecord, skip []int32, base int32) error {
	if err := w.build(records, skip, base); err != nil {
		return err
	}
	defer w.release()
	for try := 1; len(w.writes) > 0; try++ {
		err := w.once(ctx, records)
		if err != nil && (try == changeTries || ctx.Err() != nil) {
			return err
		}
		if err == nil && try == 2*changeTries && len(w.writes) > 0 {
			return fmt.Errorf("%d records neither exist nor can be created", len(w.writes))
		}
	}
	return nil
}

// build puts the records' values into the slots.
func (w *changeWriter) build(records []messages.ChangeRecord, skip []int32, base int32) error {
	w.writes, w.keys, w.at = w.writes[:0], w.keys[:0], w.at[:0]
	w.arena, w.ends = w.arena[:0], w.ends[:0]
	for i := range records {
		if len(skip) > 0 && skip[0] == base+int32(i) {
			skip = skip[1:]
			continue
		}
		if err := w.add(&records[i]); err != nil {
			return fmt.Errorf("event %s: %w", records[i].Origin, err)
		}
		w.at = append(w.at, int32(i))
	}
	from := 0 // the arena no longer moves
	for n := range w.at {
		slot := w.slots[n]
		for bin := range slot.values {
			end := w.ends[n*changeBins+bin]
			slot.values[bin].Data = w.arena[from:end:end]
			from = end
		}
		w.writes, w.keys = append(w.writes, slot.write), append(w.keys, slot.write.Key)
	}
	return nil
}

// add appends a record's values to the arena, in the order of the slot's bins.
func (w *changeWriter) add(r *messages.ChangeRecord) error {
	slot, err := w.slot(len(w.at))
	if err != nil {
		return err
	}
	begin := len(w.arena)
	w.arena = r.Event.ID.AppendText(w.arena)
	w.digest(w.arena[begin:], &r.Digest)
	if err := slot.write.Key.SetDigest(r.Digest[:]); err != nil {
		return aero.Explain(err)
	}
	w.ends = append(w.ends, len(w.arena))
	if w.arena, err = appendMap(w.arena, r.Event.Body); err != nil {
		return fmt.Errorf("%w: body: %w", messages.ErrCorrupt, err)
	}
	w.ends = append(w.ends, len(w.arena))
	w.arena = r.Event.Tag.AppendText(w.arena)
	w.ends = append(w.ends, len(w.arena))
	w.arena = append(w.arena, r.Event.Source...)
	w.ends = append(w.ends, len(w.arena))
	w.arena = append(w.arena, r.Event.Type.String()...)
	w.ends = append(w.ends, len(w.arena))
	w.arena = r.Origin.AppendText(w.arena)
	w.ends = append(w.ends, len(w.arena))
	return nil
}

// digest computes what the client would: RIPEMD-160 of set, type and key.
func (w *changeWriter) digest(key []byte, digest *messages.Digest) {
	w.hash.Reset()
	// A hash's Write does not fail.
	_, _ = w.hash.Write([]byte(w.store.config.Set))
	_, _ = w.hash.Write([]byte{particletype.STRING})
	_, _ = w.hash.Write(key)
	w.hash.Sum(digest[:])
}

// once makes one request and settles what it can. What is left in writes is to
// be tried again; an error says why.
func (w *changeWriter) once(ctx context.Context, records []messages.ChangeRecord) error {
	policy, err := w.store.batchPolicy(ctx, w.store.config.WriteTimeout, 0)
	if err != nil {
		return err
	}
	var failed error
	if failure := w.store.client.BatchOperate(policy, w.writes); failure != nil {
		failed = aero.Explain(failure)
	}
	// Those that exist go to the front, those to be tried again behind them.
	exist, left := 0, 0
	for n, write := range w.writes {
		switch code := write.BatchRec().ResultCode; code {
		case types.OK:
			records[w.at[n]].Outcome = messages.Fresh
			continue
		case types.KEY_EXISTS_ERROR:
			w.swap(left, n)
			w.swap(exist, left)
			exist++
			left++
		default:
			if failed == nil {
				failed = aero.Reason(code)
			}
			w.swap(left, n)
			left++
		}
	}
	w.keep(0, left)
	if exist == 0 {
		return w.whyLeft(failed)
	}
	stored, err := w.store.origins(ctx, w.keys[:exist])
	if err != nil {
		return err
	}
	var origin [messages.LaneNameMax + 32]byte
	gone := 0 // expired since: to be tried again
	for n := range exist {
		r := &records[w.at[n]]
		switch stored[n] {
		case "":
			w.swap(gone, n)
			gone++
		case string(r.Origin.AppendText(origin[:0])):
			r.Outcome = messages.Replay
		default:
			r.Outcome = messages.Duplicate
		}
	}
	for n := exist; n < left; n++ {
		w.swap(gone, n)
		gone++
	}
	w.keep(0, gone)
	if gone == 0 {
		return nil
	}
	return w.whyLeft(failed)
}

// whyLeft is the error of a request that left something to do. One that left
// nothing has none: a batch of one fails with its record.
func (w *changeWriter) whyLeft(failed error) error {
	if len(w.writes) == 0 {
		return nil
	}
	return failed
}

func (w *changeWriter) swap(a, b int) {
	w.writes[a], w.writes[b] = w.writes[b], w.writes[a]
	w.keys[a], w.keys[b] = w.keys[b], w.keys[a]
	w.at[a], w.at[b] = w.at[b], w.at[a]
}

func (w *changeWriter) keep(from, to int) {
	w.writes, w.keys, w.at = w.writes[from:to], w.keys[from:to], w.at[from:to]
}

// arenaMost is the largest arena that a writer keeps for the next request.
const arenaMost = 2 << 20

// release lets go of what should not stay while the writer waits for work.
func (w *changeWriter) release() {
	for _, slot := range w.slots {
		slot.write.Record, slot.write.Err = nil, nil
		for bin := range slot.values {
			slot.values[bin].Data = nil
		}
	}
	if cap(w.arena) > arenaMost {
		w.arena = nil
	}
}
