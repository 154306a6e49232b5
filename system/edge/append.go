package edge

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	as "github.com/aerospike/aerospike-client-go/v7"
	"github.com/aerospike/aerospike-client-go/v7/types"
	"go.uber.org/zap"

	"adpulse/messages"
	"adpulse/system/internal/aero"
)

// segmentBin is the one bin of a journal record.
const segmentBin = "segment"

// Append writes segment as one record and returns when the edge holds it.
//
// The record's key is lane:sequence and it must not exist. Where one exists,
// it is read back: this very segment, from a try whose answer was lost, is
// success; an older owner's, or another of this owner's, is ErrTaken; a newer
// owner's is ErrFenced. An answer that is lost is made up for the same way; an
// error with none of messages' in its chain means that the segment was not
// there when looked for, and that the same segment may be tried again at the
// same sequence. ErrOutcomeUnknown means that nobody could look.
//
// segment is not retained. Append may be called concurrently.
func (s *Store) Append(ctx context.Context, segment *messages.Segment) (err error) {
	defer s.observe("append", s.config.Now(), &err)
	if err := s.append(ctx, segment); err != nil {
		return fmt.Errorf("append segment %s:%d: %w", segment.Lane, segment.Seq, err)
	}
	return nil
}

func (s *Store) append(ctx context.Context, segment *messages.Segment) error {
	key, err := s.segmentKey(segment.Lane, segment.Seq)
	if err != nil {
		return err
	}
	policy, err := s.writePolicy(ctx, as.CREATE_ONLY)
	if err != nil {
		return err
	}
	// What is left of the deadline is for reading back.
	policy.TotalTimeout -= policy.TotalTimeout / 4
	policy.SocketTimeout = policy.TotalTimeout

	blob, _ := s.blobs.Get().(*[]byte)
	if blob == nil {
		blob = new([]byte)
	}
	defer s.blobs.Put(blob)
	*blob = messages.AppendSegment((*blob)[:0], segment)
	if len(*blob) > messages.SegmentBytesMax {
		return fmt.Errorf("%d bytes: the most is %d", len(*blob), messages.SegmentBytesMax)
	}

	failure := s.client.PutBins(policy, key, as.NewBin(segmentBin, *blob))
	if failure == nil {
		return nil
	}
	explained := aero.Explain(failure)
	existed := failure.Matches(types.KEY_EXISTS_ERROR)
	if !existed && !inDoubt(failure) {
		return explained
	}
	there, err := s.readBack(ctx, key, segment)
	switch {
	case err != nil:
		return fmt.Errorf("%w: %w; reading it back: %w", messages.ErrOutcomeUnknown, explained, err)
	case there == nil && existed:
		// It was there a moment ago: a segment is removed once it is exported,
		// and nobody can say any more whose it was.
		return fmt.Errorf("%w: it existed and is gone", messages.ErrOutcomeUnknown)
	case there == nil:
		return explained
	case there.Epoch > segment.Epoch:
		return fmt.Errorf("%w: epoch %d, ours is %d", messages.ErrFenced, there.Epoch, segment.Epoch)
	case there.Epoch == segment.Epoch && there.Token == segment.Token:
		s.log.Debug("segment was written although its answer was lost",
			zap.String("lane", string(segment.Lane)), zap.Uint64("sequence", uint64(segment.Seq)), zap.Error(explained))
		return nil
	default:
		return fmt.Errorf("%w: epoch %d, ours is %d", messages.ErrTaken, there.Epoch, segment.Epoch)
	}
}

// readBack returns the segment that lies at key, or nil where none does.
func (s *Store) readBack(ctx context.Context, key *as.Key, like *messages.Segment) (*messages.Segment, error) {
	policy, err := s.readPolicy(ctx)
	if err != nil {
		return nil, err
	}
	record, failure := s.client.Get(policy, key, segmentBin)
	if failure != nil {
		if failure.Matches(types.KEY_NOT_FOUND_ERROR) {
			return nil, nil
		}
		return nil, aero.Explain(failure)
	}
	return decode(like.Lane, like.Seq, record)
}

// decode reads a journal record. The segment aliases the record's bytes.
func decode(lane messages.LaneID, seq messages.Sequence, record *as.Record) (*messages.Segment, error) {
	stored, ok := record.Bins[segmentBin].([]byte)
	if !ok {
		return nil, fmt.Errorf("segment %s:%d: %w: bin %q is %T", lane, seq, messages.ErrCorrupt, segmentBin, record.Bins[segmentBin])
	}
	return messages.DecodeSegment(lane, seq, stored)
}

func (s *Store) segmentKey(lane messages.LaneID, seq messages.Sequence) (*as.Key, error) {
	name := make([]byte, 0, messages.LaneNameMax+21)
	name = append(name, lane...)
	name = append(name, ':')
	return s.key(journalSet, string(strconv.AppendUint(name, uint64(seq), 10)))
}

// inDoubt tells whether a write may have happened although it failed. A code
// of the server's other than its own timeout is a plain no.
func inDoubt(failure as.Error) bool {
	if failure.IsInDoubt() {
		return true
	}
	var e *as.AerospikeError
	for err := error(failure); errors.As(err, &e); err = errors.Unwrap(e) {
		if e.ResultCode == types.TIMEOUT || e.ResultCode == types.NETWORK_ERROR {
			return true
		}
	}
	return false
}
