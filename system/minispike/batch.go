package minispike

import (
	"encoding/binary"
	"fmt"
	"slices"
)

const (
	batchChunk   = 512 // records that are locked and written together
	batchRecords = 1 << 17

	batchRepeat     byte = 0x01
	batchInfo       byte = 0x02
	batchGeneration byte = 0x04
	batchTTL        byte = 0x08
	batchInfo4      byte = 0x10

	batchReportAll byte = 0x04
)

// batchItem is one record's command in a batch.
type batchItem struct {
	command
	index uint32 // its place in the client's request
	key   uint64 // sorts as the store does
	start int    // of its answer
}

// serveBatch answers a batch: records in the order of the request, then an
// end mark. Reads and writes mix; each record stands for itself.
func (s *session) serveBatch(m *message) error {
	listed, filter, code, err := batchFields(m)
	if err != nil {
		return err
	}
	if code == codeOK {
		code, err = s.readBatch(m, listed, filter)
		if err != nil {
			return err
		}
	}
	if code != codeOK {
		s.out = appendRefusal(s.out, code, info3Last)
		return nil
	}
	reportAll := listed[4]&batchReportAll != 0
	start := len(s.out)
	s.out = appendFrameHeader(s.out, frameMessage)
	for items := s.items; len(items) > 0; {
		n := s.serveChunk(items[:min(len(items), batchChunk)])
		if code = s.firstFailure(items[:n], reportAll); code != codeOK {
			break
		}
		items = items[n:]
		if len(s.out) > writeChunkBytes {
			if err := s.flush(start); err != nil {
				return err
			}
			start = 0
			s.out = appendFrameHeader(s.out, frameMessage)
		}
	}
	if len(s.out)-start > frameHeaderBytes {
		closeFrame(s.out, start)
	} else {
		s.out = s.out[:start]
	}
	s.out = appendRefusal(s.out, code, info3Last)
	clear(s.items)
	return s.settle()
}

// flush sends a part of a stream.
func (s *session) flush(start int) error {
	closeFrame(s.out, start)
	if err := s.settle(); err != nil {
		return err
	}
	s.unsettled = false
	return s.send()
}

// batchFields finds the list of records and the filter for all of them.
func batchFields(m *message) (listed, filter []byte, code byte, err error) {
	rest := m.body
	for range m.fieldCount {
		if len(rest) > 4 && (rest[4] == fieldBatch || rest[4] == fieldBatchSet) {
			// The last field. Clients that put a filter in front of it count
			// the filter's bytes into its length, too.
			listed = rest[5:]
			break
		}
		var kind byte
		var value []byte
		if kind, value, rest, err = field(rest); err != nil {
			return nil, nil, 0, err
		}
		switch kind {
		case fieldFilter:
			filter = value
		case fieldTransaction:
			return nil, nil, codeUnsupported, nil
		}
	}
	if len(listed) < 5 || binary.BigEndian.Uint32(listed) == 0 {
		return nil, nil, codeParameter, nil
	}
	return listed, filter, codeOK, nil
}

// readBatch takes the list of records apart into the session's items.
func (s *session) readBatch(m *message, listed, filter []byte) (byte, error) {
	count := binary.BigEndian.Uint32(listed)
	if count > batchRecords {
		return codeBatchMax, nil
	}
	s.items = slices.Grow(s.items[:0], min(int(count), len(listed)/(digestBytes+5)+1))
	rest := listed[5:]
	for n := range count {
		if len(rest) < 4+digestBytes+1 {
			return 0, fmt.Errorf("%w: batch of %d records ends at %d", errFrame, count, n)
		}
		s.items = append(s.items, batchItem{index: binary.BigEndian.Uint32(rest)})
		item := &s.items[len(s.items)-1]
		digest, flags := [digestBytes]byte(rest[4:]), rest[4+digestBytes]
		rest = rest[4+digestBytes+1:]
		if flags&batchRepeat != 0 {
			if n == 0 {
				return 0, fmt.Errorf("%w: batch repeats before its first record", errFrame)
			}
			item.command = s.items[n-1].command
			if len(item.command.key) > 0 {
				return codeParameter, nil
			}
		} else {
			var err error
			if rest, err = item.read(m, flags, rest); err != nil {
				return 0, err
			}
			if item.filter == nil {
				item.filter = filter
			}
			if string(item.namespace) != s.server.config.Namespace {
				item.refused = codeNamespace
			}
		}
		item.digest, item.hasDigest = digest, true
		item.key = sortKey(&digest)
	}
	return codeOK, nil
}

// read takes one full entry of a batch apart.
func (b *batchItem) read(m *message, flags byte, rest []byte) ([]byte, error) {
	need := 1 + 4
	for _, part := range [...]struct {
		flag byte
		size int
	}{{batchInfo, 2}, {batchInfo4, 1}, {batchGeneration, 2}, {batchTTL, 4}} {
		if flags&part.flag != 0 {
			need += part.size
		}
	}
	if len(rest) < need {
		return nil, fmt.Errorf("%w: batch entry of %d bytes", errFrame, len(rest))
	}
	b.info1, rest = rest[0], rest[1:]
	if flags&batchInfo != 0 {
		b.info2, b.info3, rest = rest[0], rest[1], rest[2:]
	}
	if flags&batchInfo4 != 0 {
		if rest[0] != 0 {
			b.refused = codeUnsupported
		}
		rest = rest[1:]
	}
	if flags&batchGeneration != 0 {
		b.generation, rest = uint32(binary.BigEndian.Uint16(rest)), rest[2:]
	}
	if flags&batchTTL != 0 {
		b.ttl, rest = binary.BigEndian.Uint32(rest), rest[4:]
	}
	fields := int(binary.BigEndian.Uint16(rest))
	b.opCount = int(binary.BigEndian.Uint16(rest[2:]))
	rest, err := b.readFields(rest[4:], fields)
	if err != nil {
		return nil, err
	}
	b.ops, rest, err = parseOps(rest, b.opCount)
	return rest, err
}

// serveChunk carries out some records of a batch, as one change when they
// write. They run in the order of the store, which is kind to it; answers
// carry their place. Two commands for one record keep their order.
//
// It returns how many it carried out: reads stop when there is enough to send.
func (s *session) serveChunk(items []batchItem) int {
	writes := false
	s.order = s.order[:0]
	for i := range items {
		writes = writes || items[i].writes()
		s.order = append(s.order, int32(i))
	}
	if writes {
		slices.SortFunc(s.order, func(a, b int32) int {
			if items[a].key != items[b].key {
				if items[a].key < items[b].key {
					return -1
				}
				return 1
			}
			return int(a - b)
		})
	}
	answers := len(s.out)
	first := 0
	for at, i := range s.order {
		item := &items[i]
		if at > first && item.key == items[s.order[at-1]].key {
			// The same record again, perhaps: it must see the one before.
			s.commitBatch(items, s.order[first:at], answers)
			answers, first = len(s.out), at
		}
		item.start = len(s.out)
		switch {
		case item.refused != codeOK:
			s.refuse(item.refused, item.index)
		case item.writes() && s.entryRefused(item):
		case item.writes():
			s.store.lock(&s.change, &item.digest)
			s.alter(&item.command, item.index)
		default:
			s.read(&item.command, item.index)
			if !writes && len(s.out) > writeChunkBytes {
				return at + 1
			}
		}
	}
	s.commitBatch(items, s.order[first:], answers)
	return len(items)
}

// entryRefused refuses one record of a batch where a fault says so.
func (s *session) entryRefused(item *batchItem) bool {
	fault, hit := s.server.config.Faults.strike(Entry)
	if hit {
		s.refuse(fault.Code, item.index)
	}
	return hit
}

// commitBatch makes what the records did certain; when that fails, each is
// answered with the failure.
func (s *session) commitBatch(items []batchItem, order []int32, answers int) {
	err := s.store.commit(&s.change)
	if err == nil {
		return
	}
	s.out = s.out[:answers]
	for _, i := range order {
		items[i].start = len(s.out)
		s.fail(err, items[i].index)
	}
}

// firstFailure is the result that ends a batch whose client does not want to
// hear about every record. Absent and filtered records are no failures.
func (s *session) firstFailure(items []batchItem, reportAll bool) byte {
	if reportAll {
		return codeOK
	}
	for i := range items {
		switch code := s.out[items[i].start+5]; code {
		case codeOK, codeNotFound, codeFilteredOut:
		default:
			return code
		}
	}
	return codeOK
}
