package system

import (
	"context"
	"errors"
	"fmt"

	"adpulse/actors/exporter"
	"adpulse/messages"
)

// kafkaModel is a topic with transactions: producers with epochs, open
// transactions that hold back whoever reads committed records, and markers.
type kafkaModel struct {
	w         *world
	topic     [modelPartitions][]entry
	producers map[string]*producer
	ids       []string // of producers, in the order of their first start
	// committed counts, by event, what is or will be visible.
	committed map[messages.EventID]int
}

const modelPartitions = 2

// entry is a record, or, without an event, a marker.
type entry struct {
	txn    *transaction
	origin messages.Origin
}

// producer is a transactional id.
type producer struct {
	epoch int
	txn   *transaction // open, or decided and not yet marked
}

type transaction struct {
	records []messages.Outbound
	in      [modelPartitions]bool
	state   txnState
}

type txnState uint8

const (
	txnOpen    txnState = iota
	txnDecided          // committed, and the partitions do not know it yet
	txnVisible          // committed and marked
	txnAborted          // aborted and marked
)

var (
	errProducerFenced = fmt.Errorf("%w: producer epoch", messages.ErrFenced)
	errAborted        = errors.New("transaction aborted")
)

func newKafkaModel(w *world) *kafkaModel {
	return &kafkaModel{w: w, producers: map[string]*producer{}, committed: map[messages.EventID]int{}}
}

// start makes a producer of a transactional id and fences the one before.
func (k *kafkaModel) start(id string) int {
	p := k.producers[id]
	if p == nil {
		p = new(producer)
		k.producers[id] = p
		k.ids = append(k.ids, id)
	}
	if k.w.mistake == fencesNobody {
		return p.epoch
	}
	k.finish(p, txnAborted)
	p.epoch++
	return p.epoch
}

// produce appends records to the producer's open transaction.
func (k *kafkaModel) produce(id string, epoch int, records []messages.Outbound) (messages.Offsets, error) {
	p := k.producers[id]
	if p.epoch != epoch {
		return nil, errProducerFenced
	}
	k.finish(p, txnVisible)
	if p.txn == nil {
		p.txn = new(transaction)
	}
	ends := messages.Offsets{}
	for _, r := range records {
		partition := int32(r.Key[len(r.Key)-1]) % modelPartitions
		k.topic[partition] = append(k.topic[partition], entry{p.txn, r.Origin})
		p.txn.in[partition] = true
		ends[partition] = int64(len(k.topic[partition]))
	}
	p.txn.records = append(p.txn.records, records...)
	return ends, nil
}

// decide commits the producer's transaction.
func (k *kafkaModel) decide(id string, epoch int) error {
	p := k.producers[id]
	if p.epoch != epoch || p.txn == nil {
		k.w.seen["commit fenced"]++
		return errProducerFenced
	}
	if p.txn.state != txnOpen {
		return nil // once more
	}
	p.txn.state = txnDecided
	for _, r := range p.txn.records {
		id, landed := k.w.edge.landed[r.Origin]
		if !landed {
			k.w.violate("%s is committed and never was in the journal", r.Origin)
		}
		if k.committed[id]++; k.committed[id] > 1 {
			k.w.violate("event %s is committed twice, now as %s", name(id), r.Origin)
		}
	}
	return nil
}

// abort takes the producer's open transaction back.
func (k *kafkaModel) abort(id string, epoch int) error {
	p := k.producers[id]
	if p.epoch != epoch {
		return errProducerFenced
	}
	k.finish(p, txnAborted)
	return nil
}

// finish marks a decided transaction, and an open one where open says how.
func (k *kafkaModel) finish(p *producer, open txnState) {
	switch {
	case p.txn == nil:
		return
	case p.txn.state == txnDecided:
		p.txn.state = txnVisible
	case open == txnAborted:
		p.txn.state = txnAborted
	default:
		return
	}
	for partition, in := range p.txn.in {
		if in {
			k.topic[partition] = append(k.topic[partition], entry{txn: p.txn})
		}
	}
	p.txn = nil
}

// unfinished lists the transactional ids that have a transaction.
func (k *kafkaModel) unfinished() []string {
	var ids []string
	for _, id := range k.ids {
		if k.producers[id].txn != nil {
			ids = append(ids, id)
		}
	}
	return ids
}

// settle does what the broker does in time: it marks what is decided and
// aborts what is not, whose producer it fences.
func (k *kafkaModel) settle(id string) {
	p := k.producers[id]
	if p.txn.state == txnOpen {
		k.w.seen["transaction timed out"]++
		p.epoch++
	}
	k.finish(p, txnAborted)
}

func (k *kafkaModel) ends() messages.Offsets {
	ends := messages.Offsets{}
	for partition := range k.topic {
		ends[int32(partition)] = int64(len(k.topic[partition]))
	}
	return ends
}

// stable tells whether nothing is undecided between two offsets.
func (k *kafkaModel) stable(from, to messages.Offsets) bool {
	for partition := range k.topic {
		for _, e := range k.topic[partition][from[int32(partition)]:max(from[int32(partition)], to[int32(partition)])] {
			if e.txn.state == txnOpen || e.txn.state == txnDecided {
				return false
			}
		}
	}
	return true
}

// kafkaView is Kafka as one process reaches it: what stream.Stream does,
// request by request.
type kafkaView struct {
	w *world
	p *process
}

// OpenSink implements exporter.Stream.
func (v kafkaView) OpenSink(ctx context.Context, id string) (exporter.Sink, error) {
	s := &sinkView{view: v, id: id}
	err := v.w.write(ctx, func() string { return "start producer " + id },
		func() error { s.epoch = v.w.kafka.start(id); return nil }, nil)
	if err != nil {
		return nil, err
	}
	return s, nil
}

// Fence implements exporter.Stream.
func (v kafkaView) Fence(ctx context.Context, id string) error {
	return v.w.write(ctx, func() string { return "fence producer " + id },
		func() error { v.w.kafka.start(id); return nil }, nil)
}

// EndOffsets implements exporter.Stream.
func (v kafkaView) EndOffsets(ctx context.Context) (messages.Offsets, error) {
	if err := v.w.read(ctx, func() string { return "ask for the topic's end" }, nil); err != nil {
		return nil, err
	}
	return v.w.kafka.ends(), nil
}

// ReadTail implements exporter.Stream.
func (v kafkaView) ReadTail(
	ctx context.Context, from messages.Offsets, wanted func(messages.LaneID) bool, visit func(messages.Origin),
) (messages.Offsets, error) {
	k := v.w.kafka
	ends, err := v.EndOffsets(ctx)
	if err != nil {
		return nil, err
	}
	switch v.w.mistake {
	case resumesWithoutTheTail:
		return ends, nil
	case believesInTheEnd:
		from = ends
	case readsUncommitted:
		err = v.w.read(ctx, func() string { return "read the tail" }, nil)
	default:
		err = v.w.read(ctx, func() string { return "read the tail" }, func() bool { return k.stable(from, ends) })
	}
	if err != nil {
		return nil, err
	}
	for partition := range k.topic {
		start := from[int32(partition)]
		for _, e := range k.topic[partition][start:max(start, ends[int32(partition)])] {
			visible := e.txn.state == txnVisible || v.w.mistake == readsUncommitted
			if visible && e.origin.Seq > 0 && wanted(e.origin.Lane) {
				v.w.seen["event found in the tail"]++
				visit(e.origin)
			}
		}
	}
	return ends, nil
}

// Aborted implements exporter.Stream.
func (v kafkaView) Aborted(err error) bool { return errors.Is(err, errAborted) }

// sinkView is one transactional producer.
type sinkView struct {
	view  kafkaView
	id    string
	epoch int
}

// Close implements exporter.Sink.
func (s *sinkView) Close() {}

// Commit implements exporter.Sink.
func (s *sinkView) Commit(ctx context.Context, records []messages.Outbound) (messages.Offsets, error) {
	w := s.view.w
	if w.mistake == movesTheCheckpointFirst {
		s.view.p.foresay(records)
	}
	records = append([]messages.Outbound(nil), records...)
	var ends messages.Offsets
	o, err := w.decide(ctx, func() string { return s.id + " produces" + keys(records) },
		func() (err error) { ends, err = w.kafka.produce(s.id, s.epoch, records); return err },
		func() { _, _ = w.kafka.produce(s.id, s.epoch, records[:len(records)/2]) })
	if o == delayed {
		// Not here: the client ends a transaction behind what it sent for it.
		w.late = w.late[:len(w.late)-1]
	}
	if err != nil {
		return nil, s.abort(ctx, err)
	}
	o, err = w.decide(ctx, func() string { return s.id + " commits" },
		func() error { return w.kafka.decide(s.id, s.epoch) }, nil)
	if (o == done || o == lost) && w.kafka.producers[s.id].epoch == s.epoch {
		w.kafka.finish(w.kafka.producers[s.id], txnVisible)
	}
	if err != nil {
		return nil, errors.Join(messages.ErrOutcomeUnknown, err)
	}
	return ends, nil
}

func (s *sinkView) abort(ctx context.Context, cause error) error {
	if ctx.Err() != nil {
		return cause
	}
	err := s.view.w.write(ctx, func() string { return s.id + " aborts" },
		func() error { return s.view.w.kafka.abort(s.id, s.epoch) }, nil)
	if err != nil {
		return errors.Join(cause, err)
	}
	return errors.Join(errAborted, cause)
}

func keys(records []messages.Outbound) string {
	var s string
	for i := range records {
		s += " " + records[i].Origin.String()
	}
	return s
}
