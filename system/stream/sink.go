package stream

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"adpulse/messages"
)

// abortedError is a transaction of which nothing is or will be visible.
type abortedError struct{ cause error }

func (e *abortedError) Error() string { return fmt.Sprintf("transaction aborted: %v", e.cause) }
func (e *abortedError) Unwrap() error { return e.cause }

// Aborted tells whether an error of Commit means that nothing of the
// transaction will ever be visible and the same sink may try again.
func (s *Stream) Aborted(err error) bool {
	var aborted *abortedError
	return errors.As(err, &aborted)
}

// Sink is one transactional producer. One goroutine at a time uses it.
type Sink struct {
	stream  *Stream
	client  *kgo.Client
	records []kgo.Record // reused between commits
	headers []kgo.RecordHeader
	origins []byte
}

// OpenSink makes a producer and fences its predecessor of the same id: when it
// returns, whatever that one had open is aborted or committed.
func (s *Stream) OpenSink(ctx context.Context, transactionalID string) (*Sink, error) {
	client, err := s.connect(
		kgo.TransactionalID(transactionalID), kgo.TransactionTimeout(s.config.TransactionTimeout),
		kgo.DefaultProduceTopic(s.config.Topic), kgo.ProducerLinger(0),
		kgo.MaxBufferedRecords(s.config.BufferedRecords), kgo.MaxBufferedBytes(s.config.BufferedBytes),
		kgo.ProducerBatchMaxBytes(int32(s.config.BatchBytes)), kgo.UnknownTopicRetries(-1),
	)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, s.config.RequestTimeout)
	defer cancel()
	if _, _, err := client.ProducerID(ctx); err != nil {
		client.Close()
		return nil, s.failed("open", fmt.Errorf("begin as transactional id %s: %w", transactionalID, err))
	}
	return &Sink{stream: s, client: client}, nil
}

// Close gives the producer up without waiting for what is in flight.
func (k *Sink) Close() { k.client.Close() }

// Commit produces the records in one transaction and returns, for each
// partition that got any, the offset after the last.
//
// When Stream.Aborted(err) is true nothing of it is or will be visible. An
// error with messages.ErrFenced in its chain: somebody else uses the
// transactional id. After these and all other errors the sink is to be closed,
// and only the topic's tail tells what happened.
func (k *Sink) Commit(ctx context.Context, outbound []messages.Outbound) (messages.Offsets, error) {
	if err := k.client.BeginTransaction(); err != nil {
		return nil, k.stream.failed("transaction", fmt.Errorf("begin transaction: %w", fenced(err)))
	}
	records := k.recordsOf(outbound)
	var produced kgo.FirstErrPromise
	for i := range records {
		// The context is for the wait for room only. What is sent is waited for
		// below: a record's own context would fail its whole partition.
		k.client.Produce(ctx, &records[i], produced.Promise())
	}
	err := k.client.Flush(ctx)
	if err == nil {
		err = produced.Err()
	}
	if err != nil {
		return nil, k.stream.failed("produce", k.abort(ctx, fmt.Errorf("produce: %w", err)))
	}
	// A cancelled commit is one whose outcome nobody knows; the client bounds
	// it by its own request timeouts.
	err = k.client.EndTransaction(context.WithoutCancel(ctx), kgo.TryCommit)
	switch {
	case err == nil:
		return endsOf(records), nil
	case errors.Is(err, kerr.OperationNotAttempted), errors.Is(err, kerr.TransactionAbortable):
		return nil, k.stream.failed("transaction", k.abort(ctx, fmt.Errorf("commit: %w", err)))
	default:
		return nil, k.stream.failed("transaction", fmt.Errorf("commit: %w", errors.Join(messages.ErrOutcomeUnknown, fenced(err))))
	}
}

// abort takes the transaction back; only when the broker has confirmed that is
// the error one after which the same sink may go on.
func (k *Sink) abort(ctx context.Context, cause error) error {
	if ctx.Err() != nil {
		return cause // no time left: the sink is given up with the transaction
	}
	if err := k.client.AbortBufferedRecords(ctx); err != nil {
		return errors.Join(cause, fmt.Errorf("abort what is buffered: %w", err))
	}
	if err := k.client.EndTransaction(context.WithoutCancel(ctx), kgo.TryAbort); err != nil {
		return errors.Join(fenced(cause), fmt.Errorf("abort transaction: %w", fenced(err)))
	}
	return &abortedError{cause}
}

// fenced marks the errors that say that somebody else has the transactional id.
func fenced(err error) error {
	if errors.Is(err, kerr.ProducerFenced) || errors.Is(err, kerr.InvalidProducerEpoch) {
		return errors.Join(messages.ErrFenced, err)
	}
	return err
}

// recordsOf fills the reused records. Their origins stand in one buffer.
func (k *Sink) recordsOf(outbound []messages.Outbound) []kgo.Record {
	if cap(k.records) < len(outbound) {
		k.records = make([]kgo.Record, len(outbound))
		k.headers = make([]kgo.RecordHeader, len(outbound))
	}
	records := k.records[:len(outbound)]
	// The client may still read an earlier transaction's buffer while it gives
	// that one up: origins are not reused.
	k.origins = make([]byte, 0, len(outbound)*originBytes)
	for i := range outbound {
		start := len(k.origins)
		k.origins = outbound[i].Origin.AppendText(k.origins)
		k.headers[i] = kgo.RecordHeader{Key: OriginHeader, Value: k.origins[start:len(k.origins):len(k.origins)]}
		records[i] = kgo.Record{Key: outbound[i].Key, Value: outbound[i].Value, Headers: k.headers[i : i+1 : i+1]}
	}
	return records
}

// originBytes is a usual origin's length; longer ones let the buffer grow.
const originBytes = 32

func endsOf(records []kgo.Record) messages.Offsets {
	ends := messages.Offsets{}
	for i := range records {
		r := &records[i]
		ends[r.Partition] = max(ends[r.Partition], r.Offset+1)
	}
	return ends
}
