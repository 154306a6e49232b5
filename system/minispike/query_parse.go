package minispike

import (
	"encoding/binary"
)

// parseQuery reads a message as a scan or query.
func parseQuery(m *message) (*query, byte, error) {
	q := &query{command: command{info1: m.info1, info2: m.info2, info3: m.info3, opCount: m.opCount}}
	q.background = m.isWrite()
	var pids, digests, values, condition []byte
	var collection byte
	rest := m.body
	for range m.fieldCount {
		kind, value, after, err := field(rest)
		if err != nil {
			return nil, 0, err
		}
		rest = after
		switch kind {
		case fieldNamespace:
			q.namespace = value
		case fieldSet:
			q.set = value
		case fieldFilter:
			q.filter = value
		case fieldPartitions:
			pids, q.partly = value, true
		case fieldDigests:
			digests, q.partly = value, true
		case fieldIndexValues:
			values = value
		case fieldMaxRecords:
			if len(value) != 8 {
				return nil, codeParameter, nil
			}
			q.maxRecords = binary.BigEndian.Uint64(value)
		case fieldIndexRange:
			condition = value
		case fieldIndexType:
			if len(value) != 1 {
				return nil, codeParameter, nil
			}
			collection = value[0]
		case fieldIndexContext, fieldIndexExp, fieldIndexName, fieldBinList,
			fieldUDFPackage, fieldUDFFunction, fieldUDFOp, fieldTransaction:
			return nil, codeUnsupported, nil
		}
	}
	var err error
	if q.ops, _, err = parseOps(rest, m.opCount); err != nil {
		return nil, 0, err
	}
	if len(q.set) > maxSetName || m.info4 != 0 {
		return nil, codeParameter, nil
	}
	if condition != nil {
		var code byte
		if q.where, code = parseWhere(condition); code != codeOK {
			return nil, code, nil
		}
		q.where.collection = collection
	}
	code := q.readPartitions(pids, digests, values)
	return q, code, nil
}

// readPartitions lists the partitions to read; without any named, all.
func (q *query) readPartitions(pids, digests, values []byte) byte {
	if !q.partly {
		for partition := range partitions {
			q.partitions = append(q.partitions, resume{partition: partition})
		}
		return codeOK
	}
	if len(pids)%2 != 0 || len(digests)%digestBytes != 0 ||
		len(digests) > 0 && q.where != nil && len(values) != len(digests)/digestBytes*8 {
		return codeParameter
	}
	asked := make(map[int]bool, len(pids)/2)
	for ; len(pids) > 0; pids = pids[2:] {
		partition := int(binary.LittleEndian.Uint16(pids))
		if partition >= partitions || asked[partition] {
			return codeParameter
		}
		asked[partition] = true
		q.partitions = append(q.partitions, resume{partition: partition})
	}
	for ; len(digests) > 0; digests = digests[digestBytes:] {
		digest := [digestBytes]byte(digests)
		from := resume{partition: partitionOf(&digest), after: &digest}
		if asked[from.partition] {
			return codeParameter
		}
		asked[from.partition] = true
		if q.where != nil {
			from.value, values = int64(binary.LittleEndian.Uint64(values)), values[8:]
		}
		q.partitions = append(q.partitions, from)
	}
	return codeOK
}

// parseWhere reads the condition: count 1, the bin's name, the kind, and the
// two ends, each with its length.
func parseWhere(data []byte) (*where, byte) {
	if len(data) < 2 || data[0] != 1 {
		return nil, codeParameter
	}
	name := int(data[1])
	data = data[2:]
	if name == 0 || name > maxBinName || len(data) < name+1 {
		return nil, codeParameter
	}
	w := &where{bin: string(data[:name]), kind: data[name]}
	from, data, ok := lengthed(data[name+1:])
	if !ok {
		return nil, codeParameter
	}
	switch w.kind {
	case kindInteger:
		to, _, ok := lengthed(data)
		if !ok || len(from) != 8 || len(to) != 8 {
			return nil, codeParameter
		}
		w.from, w.to = int64(binary.BigEndian.Uint64(from)), int64(binary.BigEndian.Uint64(to))
		if w.from > w.to {
			return nil, codeParameter
		}
	case kindString:
		w.text = append([]byte{}, from...)
		w.from, _ = indexValue(value{kindString, from})
		w.to = w.from
	default:
		return nil, codeUnsupported
	}
	return w, codeOK
}

func lengthed(data []byte) (value, rest []byte, ok bool) {
	if len(data) < 4 {
		return nil, nil, false
	}
	size := binary.BigEndian.Uint32(data)
	if uint64(size) > uint64(len(data)-4) {
		return nil, nil, false
	}
	return data[4 : 4+size], data[4+size:], true
}
