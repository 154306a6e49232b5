//go:build chaos

package system

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/zap"

	"adpulse/actors/exporter"
	"adpulse/messages"
	"adpulse/system/edge"
	"adpulse/system/failpoint"
	"adpulse/system/gateway"
	"adpulse/system/stream"
)

// interference puts failpoints between the parts, bends the clock that leases
// run by, and breaks the promise on purpose. The chaos harness tells it what to
// do in the environment:
//
//	ADPULSE_FAILPOINTS  what to do where, see failpoint.Parse; the names are below
//	ADPULSE_CLOCK       how far the clock is off, for instance 1h, or since when: -30s@2s
//	ADPULSE_SABOTAGE    a promise to break: one of the sabotages below
//
// It exists in builds with the tag chaos only.
type interference struct {
	points   *failpoint.Set
	offset   time.Duration
	jumps    time.Time
	sabotage string

	mu     sync.Mutex
	leases map[messages.LaneID]messages.Lease // as sabotage needs them
	edge   *edge.Store
}

// The failpoints, in the order in which an event meets them.
const (
	pointSegmentWritten    = "segment-written"    // a segment is in the journal, its collector does not know
	pointAnswer            = "answer"             // a request's events are durable, it is not answered
	pointRecordsWritten    = "records-written"    // change records are written, the transaction is not begun
	pointBeforeCommit      = "before-commit"      // all is prepared, nothing is produced
	pointProduced          = "produced"           // a batch is on its way to Kafka
	pointCommitSent        = "commit-sent"        // the commit is on its way to Kafka
	pointCommitAnswered    = "commit-answered"    // its answer has come, nobody has read it
	pointAfterCommit       = "after-commit"       // committed, the checkpoint does not say so
	pointCheckpointed      = "checkpointed"       // the checkpoint says so
	pointTrimming          = "trimming"           // half of what is to be trimmed is gone
	pointLaneClaimed       = "lane-claimed"       // a lane is claimed, its backlog is not looked at
	pointLaneSealed        = "lane-sealed"        // its holes are filled
	pointPredecessorFenced = "predecessor-fenced" // its last exporter is fenced
	pointTailRead          = "tail-read"          // the topic's tail is read, nothing is exported
)

// The promises that can be broken on purpose, so that the harness can show that
// it notices.
const (
	ackBeforeWrite         = "ack-before-write"         // acknowledge before the segment is written
	ignoreTail             = "ignore-tail"              // resume from the checkpoint without reading the tail
	checkpointBeforeCommit = "checkpoint-before-commit" // move the checkpoint before the transaction commits
	noFencing              = "no-fencing"               // do not fence a predecessor
)

func interfere(log *zap.Logger) (*interference, error) {
	i := &interference{sabotage: os.Getenv("ADPULSE_SABOTAGE"), leases: make(map[messages.LaneID]messages.Lease)}
	switch i.sabotage {
	case "", ackBeforeWrite, ignoreTail, checkpointBeforeCommit, noFencing:
	default:
		return nil, fmt.Errorf("ADPULSE_SABOTAGE: there is no %q", i.sabotage)
	}
	var err error
	if i.points, err = failpoint.Parse(os.Getenv("ADPULSE_FAILPOINTS"), os.Stderr); err != nil {
		return nil, fmt.Errorf("ADPULSE_FAILPOINTS: %w", err)
	}
	if text := os.Getenv("ADPULSE_CLOCK"); text != "" {
		off, after, later := strings.Cut(text, "@")
		if i.offset, err = time.ParseDuration(off); err != nil {
			return nil, fmt.Errorf("ADPULSE_CLOCK: %w", err)
		}
		i.jumps = time.Now()
		if later {
			wait, err := time.ParseDuration(after)
			if err != nil {
				return nil, fmt.Errorf("ADPULSE_CLOCK: %w", err)
			}
			i.jumps = i.jumps.Add(wait)
		}
	}
	log.Warn("this build is for chaos tests: it can be told to crash and to break its promise",
		zap.Stringer("failpoints", i.points), zap.Duration("clock", i.offset), zap.String("sabotage", i.sabotage))
	return i, nil
}

func (i *interference) clock() func() time.Time {
	return func() time.Time {
		now := time.Now()
		if i.offset == 0 || now.Before(i.jumps) {
			return now
		}
		return now.Add(i.offset).Round(0)
	}
}

func (i *interference) store(s *edge.Store) edgeStore {
	i.edge = s
	return &interferedStore{s, i}
}

func (i *interference) stream(s *stream.Stream) exporter.Stream {
	return &interferedStream{exporterStream{s}, i}
}

func (i *interference) hooks() []kgo.Hook { return []kgo.Hook{wireHook{i.points}} }

func (i *interference) submitter(s gateway.Submitter) gateway.Submitter {
	return &interferedSubmitter{s, i.points}
}

// interferedSubmitter is between the gateway and the collectors.
type interferedSubmitter struct {
	gateway.Submitter
	points *failpoint.Set
}

func (s *interferedSubmitter) Submit(ctx context.Context, events []messages.Event) error {
	err := s.Submitter.Submit(ctx, events)
	s.points.Reach(pointAnswer)
	return err
}

// interferedStore is between everything and the edge store.
type interferedStore struct {
	*edge.Store
	*interference
}

func (s *interferedStore) Append(ctx context.Context, segment *messages.Segment) error {
	if s.sabotage == ackBeforeWrite {
		late := *segment
		go func() {
			<-time.After(time.Duration(20+rand.IntN(60)) * time.Millisecond)
			// What becomes of it nobody asks: that is what is wrong with it.
			_ = s.Store.Append(context.WithoutCancel(ctx), &late)
		}()
		return nil
	}
	err := s.Store.Append(ctx, segment)
	s.points.Reach(pointSegmentWritten)
	return err
}

func (s *interferedStore) WriteChangeRecords(ctx context.Context, records []messages.ChangeRecord) error {
	err := s.Store.WriteChangeRecords(ctx, records)
	s.points.Reach(pointRecordsWritten)
	return err
}

func (s *interferedStore) MoveCheckpoint(ctx context.Context, lease messages.Lease, checkpoint messages.Checkpoint) error {
	s.note(lease)
	err := s.Store.MoveCheckpoint(ctx, lease, checkpoint)
	s.points.Reach(pointCheckpointed)
	return err
}

func (s *interferedStore) SetTransactionalID(ctx context.Context, lease messages.Lease, id string) error {
	s.note(lease)
	return s.Store.SetTransactionalID(ctx, lease, id)
}

func (s *interferedStore) Trim(ctx context.Context, lane messages.LaneID, from, to messages.Sequence) error {
	middle := from + (to-from)/2
	if err := s.Store.Trim(ctx, lane, from, middle); err != nil {
		return err
	}
	s.points.Reach(pointTrimming)
	return s.Store.Trim(ctx, lane, middle+1, to)
}

func (s *interferedStore) Claim(ctx context.Context, lane messages.LaneID, owner string, leaseFor time.Duration) (messages.Lease, error) {
	lease, err := s.Store.Claim(ctx, lane, owner, leaseFor)
	s.points.Reach(pointLaneClaimed)
	return lease, err
}

func (s *interferedStore) Seal(ctx context.Context, lane messages.LaneID, epoch messages.Epoch, from, to messages.Sequence) error {
	err := s.Store.Seal(ctx, lane, epoch, from, to)
	s.points.Reach(pointLaneSealed)
	return err
}

func (i *interference) note(lease messages.Lease) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.leases[lease.Lane] = lease
}

// interferedStream is between the exporters and Kafka.
type interferedStream struct {
	exporterStream
	*interference
}

func (s *interferedStream) OpenSink(ctx context.Context, id string) (exporter.Sink, error) {
	if s.sabotage == noFencing {
		id = fmt.Sprintf("%s-%d", id, rand.Uint64())
	}
	sink, err := s.exporterStream.OpenSink(ctx, id)
	if err != nil {
		return nil, err
	}
	return &interferedSink{sink, s}, nil
}

func (s *interferedStream) Fence(ctx context.Context, id string) error {
	if s.sabotage == noFencing {
		return nil
	}
	err := s.exporterStream.Fence(ctx, id)
	s.points.Reach(pointPredecessorFenced)
	return err
}

func (s *interferedStream) ReadTail(
	ctx context.Context, from messages.Offsets, wanted func(messages.LaneID) bool, visit func(messages.Origin),
) (messages.Offsets, error) {
	if s.sabotage == ignoreTail {
		visit = func(messages.Origin) {}
	}
	ends, err := s.exporterStream.ReadTail(ctx, from, wanted, visit)
	s.points.Reach(pointTailRead)
	return ends, err
}

type interferedSink struct {
	exporter.Sink
	stream *interferedStream
}

func (k *interferedSink) Commit(ctx context.Context, records []messages.Outbound) (messages.Offsets, error) {
	points := k.stream.points
	points.Reach(pointBeforeCommit)
	if k.stream.sabotage == checkpointBeforeCommit {
		if err := k.stream.checkpointTooEarly(ctx, records); err != nil {
			return nil, err
		}
	}
	ends, err := k.Sink.Commit(ctx, records)
	points.Reach(pointAfterCommit)
	return ends, err
}

func (s *interferedStream) checkpointTooEarly(ctx context.Context, records []messages.Outbound) error {
	last := make(map[messages.LaneID]messages.Sequence)
	for i := range records {
		last[records[i].Origin.Lane] = max(last[records[i].Origin.Lane], records[i].Origin.Seq)
	}
	ends, err := s.EndOffsets(ctx)
	if err != nil {
		return err
	}
	for lane, seq := range last {
		s.mu.Lock()
		lease := s.leases[lane]
		s.mu.Unlock()
		if err := s.edge.MoveCheckpoint(ctx, lease, messages.Checkpoint{Seq: seq, Offsets: ends}); err != nil {
			return err
		}
	}
	return nil
}

// wireHook hears of every request to Kafka and every answer.
type wireHook struct{ points *failpoint.Set }

// OnBrokerWrite implements kgo.HookBrokerWrite.
func (h wireHook) OnBrokerWrite(_ kgo.BrokerMetadata, key int16, _ int, _, _ time.Duration, err error) {
	switch {
	case err != nil:
	case key == int16(kmsg.Produce):
		h.points.Reach(pointProduced)
	case key == int16(kmsg.EndTxn):
		h.points.Reach(pointCommitSent)
	}
}

// OnBrokerRead implements kgo.HookBrokerRead.
func (h wireHook) OnBrokerRead(_ kgo.BrokerMetadata, key int16, _ int, _, _ time.Duration, err error) {
	if err == nil && key == int16(kmsg.EndTxn) {
		h.points.Reach(pointCommitAnswered)
	}
}

var (
	_ kgo.HookBrokerWrite = wireHook{}
	_ kgo.HookBrokerRead  = wireHook{}
)
