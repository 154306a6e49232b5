package minispike

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
	"go.uber.org/zap"
)

// createIndex defines an index and starts to build it. Writers maintain it
// from now on; queries may use it once it is built.
func (s *Server) createIndex(x *index) byte {
	s.defining.Lock()
	defer s.defining.Unlock()
	set := s.store.indexes.Load()
	switch {
	case set.named(x.Name) != nil, set.defined(x.Set, x.Bin, x.Kind) != nil:
		return codeIndexExists
	case len(set.all) >= maxIndex:
		return codeIndexMax
	}
	for _, other := range set.all {
		x.Number = max(x.Number, other.Number+1)
	}
	stored, err := json.Marshal(x)
	if err == nil {
		// What an index of the same number left behind goes first.
		lower, upper := indexBounds(x.Number)
		err = errors.Join(
			s.store.db.DeleteRange(lower, upper, pebble.NoSync),
			s.store.db.Set(metaKey(metaIndex+x.Name), stored, pebble.Sync))
	}
	if err != nil {
		s.log.Error("define an index", zap.String("index", x.Name), zap.Error(err))
		return codeUnknown
	}
	s.store.indexes.Store(newIndexSet(append(append([]*index(nil), set.all...), x)))
	if !s.spawn(func() { s.buildIndex(x) }) {
		return codeUnknown
	}
	return codeOK
}

// dropIndex forgets an index and its entries.
func (s *Server) dropIndex(name string) byte {
	s.defining.Lock()
	defer s.defining.Unlock()
	set := s.store.indexes.Load()
	x := set.named(name)
	if x == nil {
		return codeIndexNotFound
	}
	var rest []*index
	for _, other := range set.all {
		if other != x {
			rest = append(rest, other)
		}
	}
	s.store.indexes.Store(newIndexSet(rest))
	lower, upper := indexBounds(x.Number)
	err := errors.Join(
		s.store.db.DeleteRange(lower, upper, pebble.NoSync),
		s.store.db.Delete(metaKey(metaIndex+name), pebble.Sync))
	if err != nil {
		s.log.Error("drop an index", zap.String("index", name), zap.Error(err))
		return codeUnknown
	}
	return codeOK
}

// buildIndex files the records that were there before the index was.
func (s *Server) buildIndex(x *index) {
	for partition := range partitions {
		if s.stopped() {
			return
		}
		if err := s.store.buildPartition(x, partition); err != nil {
			s.log.Error("build an index", zap.String("index", x.Name), zap.Error(err))
			return
		}
		x.built.Store(int32(min(99, (partition+1)*100/partitions)))
	}
	x.built.Store(100)
}

func (st *store) buildPartition(x *index, partition int) error {
	lower, upper := partitionBounds(partition)
	iterator, err := st.db.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return fmt.Errorf("read partition %d: %w", partition, err)
	}
	for iterator.First(); iterator.Valid() && err == nil; iterator.Next() {
		if len(iterator.Key()) == recordKeyBytes {
			digest := [digestBytes]byte(iterator.Key()[3:])
			err = st.buildEntry(x, &digest)
		}
	}
	return errors.Join(err, iterator.Error(), iterator.Close())
}

// buildEntry files one record, as it is now, under its stripe: whoever
// changes it later sees the entry.
func (st *store) buildEntry(x *index, digest *[digestBytes]byte) error {
	stripe := &st.stripes[stripeOf(digest)]
	stripe.Lock()
	defer stripe.Unlock()
	r, found, closer, err := st.get(digest, st.now())
	if err != nil || !found {
		return err
	}
	if x.Set == "" || string(r.set) == x.Set {
		if o, ok := r.bin([]byte(x.Bin)); ok {
			if v, ok := x.entry(value{o.kind(), o.value()}); ok {
				key := indexKey(x.Number, partitionOf(digest), v, digest)
				err = st.db.Set(key[:], nil, pebble.NoSync)
			}
		}
	}
	return errors.Join(err, closer.Close())
}
