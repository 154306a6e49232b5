package stream

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"

	"adpulse/messages"
)

// ReadTail visits the origin of each committed record from the given offsets to
// the end that the topic had when it was called, for the wanted lanes, and
// returns those ends. Partitions that from does not name are read from their
// beginning. visit is called on the caller's goroutine.
//
// It waits for transactions of others that are open below the end.
func (s *Stream) ReadTail(
	ctx context.Context, from messages.Offsets, wanted func(messages.LaneID) bool, visit func(messages.Origin),
) (messages.Offsets, error) {
	ends, err := s.EndOffsets(ctx)
	if err != nil {
		return nil, err
	}
	err = s.readBetween(ctx, from, ends, func(r *kgo.Record) {
		if origin, ok := originOf(r); ok && wanted(origin.Lane) {
			visit(origin)
		}
	})
	if err != nil {
		return nil, err
	}
	return ends, nil
}

// Scan visits each committed record between the offsets, in the order of each
// partition. Partitions that from does not name are read from their beginning.
// The message's bytes are visit's until it returns. It waits for transactions
// that are open below the ends: CommittedOffsets are ends without any.
func (s *Stream) Scan(ctx context.Context, from, to messages.Offsets, visit func(Message)) error {
	return s.readBetween(ctx, from, to, func(r *kgo.Record) { visit(messageOf(r)) })
}

// StartOffsets returns the first offset that each partition still holds.
func (s *Stream) StartOffsets(ctx context.Context) (messages.Offsets, error) {
	return s.offsets(ctx, "start", s.admin.ListStartOffsets)
}

// CommittedOffsets returns each partition's end for those who read committed
// messages only: below it no transaction is open.
func (s *Stream) CommittedOffsets(ctx context.Context) (messages.Offsets, error) {
	return s.offsets(ctx, "last stable offset", s.admin.ListCommittedOffsets)
}

// readBetween visits every committed record between the offsets.
func (s *Stream) readBetween(ctx context.Context, from, ends messages.Offsets, visit func(*kgo.Record)) error {
	starts, err := s.StartOffsets(ctx)
	if err != nil {
		return err
	}
	left := map[int32]int64{} // partitions that are not read to their end
	begin := map[int32]kgo.Offset{}
	for partition, end := range ends {
		at := from[partition]
		if start := starts[partition]; at < start {
			if at > 0 {
				s.config.Log.Error("the topic no longer holds everything behind the checkpoint: what was exported there may be exported again",
					zap.Int32("partition", partition), zap.Int64("checkpoint", at), zap.Int64("first offset kept", start))
			}
			at = start
		}
		if at < end {
			left[partition] = end
			begin[partition] = kgo.NewOffset().At(at)
		}
	}
	if len(left) == 0 {
		return nil
	}
	// Control records are kept: an aborted transaction at a partition's end
	// leaves nothing else to see, and the read would wait for ever.
	client, err := s.connect(
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{s.config.Topic: begin}),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()), kgo.FetchMaxWait(500*time.Millisecond),
	)
	if err != nil {
		return err
	}
	defer client.Close()
	for len(left) > 0 {
		fetches := client.PollFetches(ctx)
		if err := firstError(ctx, fetches); err != nil {
			return s.failed("read", fmt.Errorf("read %s: %w", s.config.Topic, err))
		}
		fetches.EachRecord(func(r *kgo.Record) {
			end, unread := left[r.Partition]
			if !unread {
				return
			}
			if r.Offset < end && !r.Attrs.IsControl() {
				visit(r)
			}
			if r.Offset+1 >= end {
				delete(left, r.Partition)
			}
		})
	}
	return nil
}

func firstError(ctx context.Context, fetches kgo.Fetches) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	for _, err := range fetches.Errors() {
		return fmt.Errorf("partition %d: %w", err.Partition, err.Err)
	}
	return nil
}

// originOf reads a record's origin. Records of other producers have none.
func originOf(r *kgo.Record) (messages.Origin, bool) {
	for i := range r.Headers {
		if r.Headers[i].Key == OriginHeader {
			origin, err := messages.ParseOrigin(r.Headers[i].Value)
			return origin, err == nil
		}
	}
	return messages.Origin{}, false
}

// Message is one message of a topic.
type Message struct {
	Partition int32
	Offset    int64
	Time      time.Time
	Key       []byte
	Headers   map[string]string
	Value     []byte
}

func messageOf(r *kgo.Record) Message {
	m := Message{Partition: r.Partition, Offset: r.Offset, Time: r.Timestamp, Key: r.Key, Value: r.Value}
	for _, h := range r.Headers {
		if m.Headers == nil {
			m.Headers = make(map[string]string, len(r.Headers))
		}
		m.Headers[h.Key] = string(h.Value)
	}
	return m
}

// Follow visits a topic's committed messages, from its beginning or from now
// on, until ctx ends or visit fails, and returns why.
func (s *Stream) Follow(ctx context.Context, topic string, earliest bool, visit func(Message) error) error {
	at := kgo.NewOffset().AtEnd()
	if earliest {
		at = kgo.NewOffset().AtStart()
	}
	client, err := s.connect(
		kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(at), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
	)
	if err != nil {
		return err
	}
	defer client.Close()
	for {
		fetches := client.PollFetches(ctx)
		if err := firstError(ctx, fetches); err != nil {
			return fmt.Errorf("read %s: %w", topic, err)
		}
		for records := fetches.RecordIter(); !records.Done(); {
			r := records.Next()
			if err := visit(messageOf(r)); err != nil {
				return err
			}
		}
	}
}
