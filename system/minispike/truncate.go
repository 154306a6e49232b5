package minispike

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"

	"github.com/cockroachdb/pebble/v2"
	"go.uber.org/zap"
)

// cutoffs hide the records of truncated sets that were last written before
// the truncation. The set "" stands for the whole namespace. They are
// replaced, never changed.
type cutoffs map[string]int64

func (c *cutoffs) covers(r *record) bool {
	if len(*c) == 0 {
		return false
	}
	return r.updated < (*c)[string(r.set)] || r.updated < (*c)[""]
}

func (st *store) loadCutoffs() error {
	loaded := cutoffs{}
	err := st.eachMeta(metaCut, func(set string, stored []byte) error {
		if len(stored) != 8 {
			return fmt.Errorf("truncation of set %q: %w", set, errRecord)
		}
		loaded[set] = int64(binary.BigEndian.Uint64(stored))
		return nil
	})
	st.cutoffs.Store(&loaded)
	return err
}

// truncate hides a set's records written before the time, in nanoseconds
// since 1970, and starts to remove them.
func (s *Server) truncate(set string, before int64) error {
	s.defining.Lock()
	defer s.defining.Unlock()
	next := maps.Clone(*s.store.cutoffs.Load())
	next[set] = max(next[set], before)
	if err := s.store.db.Set(metaKey(metaCut+set), binary.BigEndian.AppendUint64(nil, uint64(next[set])), pebble.Sync); err != nil {
		return fmt.Errorf("truncate set %q: %w", set, err)
	}
	s.store.cutoffs.Store(&next)
	s.spawn(func() {
		if err := s.store.purge(s.stopped); err != nil {
			s.log.Error("remove truncated records", zap.String("set", set), zap.Error(err))
		}
	})
	return nil
}

// purge removes the records that a truncation hides.
func (st *store) purge(stopped func() bool) error {
	for partition := range partitions {
		if stopped() {
			return nil
		}
		lower, upper := partitionBounds(partition)
		iterator, err := st.db.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
		if err != nil {
			return fmt.Errorf("read partition %d: %w", partition, err)
		}
		var doomed [][digestBytes]byte
		for iterator.First(); iterator.Valid() && err == nil; iterator.Next() {
			var r record
			if r, err = parseRecord(iterator.Value()); err == nil && st.cutoffs.Load().covers(&r) {
				doomed = append(doomed, [digestBytes]byte(iterator.Key()[3:]))
			}
		}
		if err = errors.Join(err, iterator.Error(), iterator.Close()); err == nil {
			err = st.sweep(doomed)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// infoTruncate answers "truncate:namespace=…;set=…;lut=…".
func (s *Server) infoTruncate(arguments string, whole bool) string {
	given := parseArguments(arguments)
	set := given["set"]
	before := s.store.now().nanos
	if lut, ok := given["lut"]; ok {
		asked, err := strconv.ParseInt(lut, 10, 64)
		if err != nil || asked <= 0 || asked > before {
			return infoError(codeParameter, "bad lut")
		}
		before = asked
	}
	switch {
	case given.namespace() != s.config.Namespace:
		return infoError(codeNamespace, "unknown namespace")
	case whole == (set != ""):
		return infoError(codeParameter, "set")
	}
	if err := s.truncate(set, before); err != nil {
		s.log.Error("truncate", zap.Error(err))
		return infoError(codeUnknown, "not stored")
	}
	return "ok"
}

// infoArguments are a command's "name=value;…".
type infoArguments map[string]string

func (a infoArguments) namespace() string {
	if name, ok := a["namespace"]; ok {
		return name
	}
	if name, ok := a["ns"]; ok {
		return name
	}
	return a["id"]
}

func parseArguments(text string) infoArguments {
	given := infoArguments{}
	for _, pair := range strings.Split(text, ";") {
		name, value, _ := strings.Cut(pair, "=")
		given[strings.TrimSpace(name)] = value
	}
	return given
}
