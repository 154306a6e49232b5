package minispike

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
)

// index is a secondary index: over one bin of one set
// or of the whole namespace, of integers or strings.
//
// An entry is a hint. A query reads the record that it names and looks at the
// bin again, so an entry that is left over does no harm.
type index struct {
	Name   string `json:"name"`
	Set    string `json:"set"`
	Bin    string `json:"bin"`
	Kind   byte   `json:"kind"`
	Number uint32 `json:"number"`

	built atomic.Int32 // percent; queries wait for 100
}

// entry is the value under which the index files a bin, if it does.
func (x *index) entry(v value) (int64, bool) {
	if v.kind != x.Kind {
		return 0, false
	}
	return indexValue(v)
}

// indexValue orders integers as they are; strings it only tells apart.
func indexValue(v value) (int64, bool) {
	switch {
	case v.kind == kindInteger && len(v.value) == 8:
		return int64(binary.BigEndian.Uint64(v.value)), true
	case v.kind == kindString:
		hash := fnv.New64a()
		_, _ = hash.Write(v.value) // never fails
		return int64(hash.Sum64()), true
	}
	return 0, false
}

// indexSet is the indexes at one moment; it is replaced, never changed.
type indexSet struct {
	all    []*index
	bySet  map[string][]*index
	global []*index // those of the whole namespace
}

func (x *indexSet) none() bool { return len(x.all) == 0 }

// of lists the indexes that a set's records belong to.
func (x *indexSet) of(set []byte) []*index {
	if len(x.all) == 0 {
		return nil
	}
	if own, ok := x.bySet[string(set)]; ok {
		return own
	}
	return x.global
}

func (x *indexSet) named(name string) *index {
	for _, i := range x.all {
		if i.Name == name {
			return i
		}
	}
	return nil
}

// defined finds the index over exactly this set and bin.
func (x *indexSet) defined(set, bin string, kind byte) *index {
	for _, i := range x.all {
		if i.Set == set && i.Bin == bin && i.Kind == kind {
			return i
		}
	}
	return nil
}

func newIndexSet(all []*index) *indexSet {
	x := &indexSet{all: all, bySet: make(map[string][]*index)}
	for _, i := range all {
		if i.Set == "" {
			x.global = append(x.global, i)
		} else {
			x.bySet[i.Set] = append(x.bySet[i.Set], i)
		}
	}
	for set := range x.bySet {
		x.bySet[set] = append(x.bySet[set], x.global...)
	}
	return x
}

// reindex brings the indexes of a record from what it was to what it becomes.
func (st *store) reindex(c *change, cmd *command, now, old *record, found bool) error {
	covering := st.indexes.Load().of(now.set)
	if len(covering) == 0 {
		return nil
	}
	partition := partitionOf(&cmd.digest)
	var errs error
	for _, x := range covering {
		was, had := int64(0), false
		if found {
			if o, ok := old.bin([]byte(x.Bin)); ok {
				was, had = x.entry(value{o.kind(), o.value()})
			}
		}
		is, has := int64(0), false
		if o, ok := now.bin([]byte(x.Bin)); ok {
			is, has = x.entry(value{o.kind(), o.value()})
		}
		if had == has && was == is {
			continue
		}
		if had {
			key := indexKey(x.Number, partition, was, &cmd.digest)
			errs = errors.Join(errs, c.batch.Delete(key[:], nil))
		}
		if has {
			key := indexKey(x.Number, partition, is, &cmd.digest)
			errs = errors.Join(errs, c.batch.Set(key[:], nil, nil))
		}
	}
	return errs
}

// unindex removes a record's index entries.
func (st *store) unindex(c *change, digest *[digestBytes]byte, r *record) error {
	var errs error
	for _, x := range st.indexes.Load().of(r.set) {
		if o, ok := r.bin([]byte(x.Bin)); ok {
			if was, had := x.entry(value{o.kind(), o.value()}); had {
				key := indexKey(x.Number, partitionOf(digest), was, digest)
				errs = errors.Join(errs, c.batch.Delete(key[:], nil))
			}
		}
	}
	return errs
}

const (
	metaIndex = "index/"
	metaCut   = "truncate/"
	maxIndex  = 256
)

// loadIndexes reads the definitions. The indexes are built anew by the
// server: their entries may be from before a crash in the middle of building.
func (st *store) loadIndexes() error {
	var all []*index
	err := st.eachMeta(metaIndex, func(_ string, stored []byte) error {
		x := &index{}
		if err := json.Unmarshal(stored, x); err != nil {
			return fmt.Errorf("read an index definition: %w", err)
		}
		all = append(all, x)
		return nil
	})
	st.indexes.Store(newIndexSet(all))
	return err
}

// eachMeta calls visit for every setting whose name starts with the prefix.
func (st *store) eachMeta(prefix string, visit func(name string, stored []byte) error) error {
	lower := metaKey(prefix)
	upper := append([]byte(nil), lower...)
	upper[len(upper)-1]++
	iterator, err := st.db.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return fmt.Errorf("read settings: %w", err)
	}
	for iterator.First(); iterator.Valid() && err == nil; iterator.Next() {
		err = visit(string(iterator.Key()[len(lower):]), iterator.Value())
	}
	return errors.Join(err, iterator.Error(), iterator.Close())
}
