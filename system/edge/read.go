package edge

import (
	"context"
	"fmt"

	as "github.com/aerospike/aerospike-client-go/v7"
	"github.com/aerospike/aerospike-client-go/v7/types"

	"adpulse/messages"
	"adpulse/system/internal/aero"
)

// Sizes of the requests on the journal, in records.
const (
	// readFirst is the first request of a Read: an idle lane is looked at
	// often, and mostly has nothing.
	readFirst = 2
	// readMost bounds one request of a Read, whose answer may be 32 MiB.
	readMost = 32
	// probeSpan is what Head looks at in one request. More than GapMax, so that
	// a span without a segment has none behind it either.
	probeSpan = messages.GapMax + 1
	// sealMost and trimMost bound one request of Seal and Trim.
	sealMost = 128
	trimMost = 256
)

// Read returns the contiguous segments that start at from: none where from
// does not exist, at most segmentsMax, and as many as fit into bytesMax of
// their stored size but at least one. They own their memory.
//
// Errors for a record that is no segment have ErrCorrupt in their chain. What
// lies before such a record is returned first, without an error.
func (s *Store) Read(
	ctx context.Context, lane messages.LaneID, from messages.Sequence, segmentsMax, bytesMax int,
) (segments []*messages.Segment, err error) {
	defer s.observe("read", s.config.Now(), &err)
	bytes, chunk := 0, readFirst
	for len(segments) < segmentsMax {
		chunk = min(chunk, segmentsMax-len(segments), readMost)
		next := from + messages.Sequence(len(segments))
		records, err := s.getSegments(ctx, lane, next, chunk)
		if err != nil {
			return nil, fmt.Errorf("read journal %s:%d: %w", lane, next, err)
		}
		for i, record := range records {
			if record == nil {
				return segments, nil
			}
			stored, _ := record.Bins[segmentBin].([]byte)
			if bytes += len(stored); bytes > bytesMax && len(segments) > 0 {
				return segments, nil
			}
			segment, err := decode(lane, next+messages.Sequence(i), record)
			if err != nil && len(segments) > 0 {
				return segments, nil // whoever reads on from there is told
			}
			if err != nil {
				return nil, fmt.Errorf("read journal: %w", err)
			}
			segments = append(segments, segment)
		}
		// Twice as many, unless that is likely to be more than asked for.
		average := max(bytes/len(segments), 1)
		chunk = max(min(2*chunk, (bytesMax-bytes)/average), 1)
	}
	return segments, nil
}

func (s *Store) getSegments(ctx context.Context, lane messages.LaneID, from messages.Sequence, count int) ([]*as.Record, error) {
	keys, err := s.segmentKeys(lane, from, count)
	if err != nil {
		return nil, err
	}
	policy, err := s.batchPolicy(ctx, s.config.ReadTimeout, readTries)
	if err != nil {
		return nil, err
	}
	records, failure := s.client.BatchGet(policy, keys, segmentBin)
	if failure != nil {
		return nil, aero.Explain(failure)
	}
	return records, nil
}

func (s *Store) segmentKeys(lane messages.LaneID, from messages.Sequence, count int) ([]*as.Key, error) {
	keys := make([]*as.Key, count)
	for i := range keys {
		key, err := s.segmentKey(lane, from+messages.Sequence(i))
		if err != nil {
			return nil, err
		}
		keys[i] = key
	}
	return keys, nil
}

// Head finds the highest sequence of a lane that exists, or after where none
// behind it does. after must be settled: nothing behind it may have been
// trimmed. A lane's writer leaves no more than GapMax sequences unwritten in a
// row, which makes "nothing in this span" mean "nothing from here on", and a
// search by halves possible.
func (s *Store) Head(ctx context.Context, lane messages.LaneID, after messages.Sequence) (_ messages.Sequence, err error) {
	defer s.observe("head", s.config.Now(), &err)
	low := after                   // exists, or is where we began
	beyond := messages.Sequence(0) // nothing from here on; 0: not known
	step := messages.Sequence(0)   // how far ahead of low to look
	for beyond == 0 || beyond > low+1 {
		at := low + 1 + step
		if beyond != 0 {
			at = low + 1
			if beyond-low > probeSpan {
				at = low + (beyond-low)/2
			}
		}
		top, err := s.highest(ctx, lane, at)
		if err != nil {
			return 0, fmt.Errorf("find head of lane %s after %d: %w", lane, after, err)
		}
		switch {
		case top != 0:
			low, step = top, max(2*step, probeSpan)
		default:
			beyond = at
		}
	}
	return low, nil
}

// highest is the highest sequence of a span that exists, or 0.
func (s *Store) highest(ctx context.Context, lane messages.LaneID, from messages.Sequence) (messages.Sequence, error) {
	keys, err := s.segmentKeys(lane, from, probeSpan)
	if err != nil {
		return 0, err
	}
	policy, err := s.batchPolicy(ctx, s.config.ReadTimeout, readTries)
	if err != nil {
		return 0, err
	}
	there, failure := s.client.BatchExists(policy, keys)
	if failure != nil {
		return 0, aero.Explain(failure)
	}
	for i := len(there) - 1; i >= 0; i-- {
		if there[i] {
			return from + messages.Sequence(i), nil
		}
	}
	return 0, nil
}

// Seal writes empty segments where from..to have none, and leaves those that
// exist as they are: whoever writes there later with a lower epoch loses. It
// may be repeated.
func (s *Store) Seal(ctx context.Context, lane messages.LaneID, epoch messages.Epoch, from, to messages.Sequence) (err error) {
	defer s.observe("seal", s.config.Now(), &err)
	seal := as.PutOp(as.NewBin(segmentBin, messages.AppendSegment(nil, &messages.Segment{Epoch: epoch})))
	return inSpans(from, to, sealMost, func(from messages.Sequence, count int) error {
		if err := s.seal(ctx, lane, seal, from, count); err != nil {
			return fmt.Errorf("seal %s:%d, %d sequences: %w", lane, from, count, err)
		}
		return nil
	})
}

func (s *Store) seal(ctx context.Context, lane messages.LaneID, seal *as.Operation, from messages.Sequence, count int) error {
	keys, err := s.segmentKeys(lane, from, count)
	if err != nil {
		return err
	}
	create := as.NewBatchWritePolicy()
	create.RecordExistsAction, create.Expiration = as.CREATE_ONLY, as.TTLDontExpire
	writes := make([]as.BatchRecordIfc, count)
	for i, key := range keys {
		writes[i] = as.NewBatchWrite(create, key, seal)
	}
	policy, err := s.batchPolicy(ctx, s.config.WriteTimeout, 0)
	if err != nil {
		return err
	}
	failure := s.client.BatchOperate(policy, writes)
	return settled(writes, failure, types.KEY_EXISTS_ERROR)
}

// Trim removes the segments from..to; those that are not there are no error.
func (s *Store) Trim(ctx context.Context, lane messages.LaneID, from, to messages.Sequence) (err error) {
	defer s.observe("trim", s.config.Now(), &err)
	return inSpans(from, to, trimMost, func(from messages.Sequence, count int) error {
		if err := s.trim(ctx, lane, from, count); err != nil {
			return fmt.Errorf("trim %s:%d, %d sequences: %w", lane, from, count, err)
		}
		return nil
	})
}

func (s *Store) trim(ctx context.Context, lane messages.LaneID, from messages.Sequence, count int) error {
	keys, err := s.segmentKeys(lane, from, count)
	if err != nil {
		return err
	}
	remove := as.NewBatchDeletePolicy()
	deletes := make([]as.BatchRecordIfc, count)
	for i, key := range keys {
		deletes[i] = as.NewBatchDelete(remove, key)
	}
	policy, err := s.batchPolicy(ctx, s.config.WriteTimeout, 0)
	if err != nil {
		return err
	}
	failure := s.client.BatchOperate(policy, deletes)
	return settled(deletes, failure, types.KEY_NOT_FOUND_ERROR)
}

// settled tells whether each record of a batch is as it should be: done, or
// failed with the one code that means the same. It asks the records before
// the batch, because a batch of one fails with its record.
func settled(records []as.BatchRecordIfc, failure as.Error, done types.ResultCode) error {
	for _, r := range records {
		record := r.BatchRec()
		if record.ResultCode == types.OK || record.ResultCode == done {
			continue
		}
		if failure != nil {
			return aero.Explain(failure)
		}
		return aero.Reason(record.ResultCode)
	}
	return nil
}

// inSpans calls do for from..to in spans of at most a number of sequences.
func inSpans(from, to messages.Sequence, most int, do func(from messages.Sequence, count int) error) error {
	for from != 0 && from <= to {
		count := int(min(to-from+1, messages.Sequence(most)))
		if err := do(from, count); err != nil {
			return err
		}
		from += messages.Sequence(count)
	}
	return nil
}
