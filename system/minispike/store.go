package minispike

import (
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"
	"go.uber.org/zap"
)

// store keeps the records. Whoever changes one holds its stripe from reading
// it until the change is applied, and answers after the change has settled.
type store struct {
	db      *pebble.DB
	cache   *pebble.Cache
	stripes *stripes
	known   *presence
	indexes atomic.Pointer[indexSet]
	cutoffs atomic.Pointer[cutoffs]
	writes  atomic.Uint64 // numbers the expiry entries; starts at the time of opening
	clock   func() time.Time
	ttl     uint32 // the namespace's default, seconds; 0 never
	// broken is told when the log could not be written, before anybody else is;
	// seized that Pebble is beyond closing, too.
	broken, seized func(error)
}

const (
	memTableBytesMax  = 64 << 20
	memTableBytesMin  = 1 << 20
	memTablesInMemory = 3
	// Records of this size and more are kept beside the tables, so that
	// compactions move their keys only, and a segment that is deleted minutes
	// after it was written is never copied.
	separatedBytes = 128
	// Reads that would suffer from many tables in the first level are rare:
	// the presence filter answers for what is not there.
	l0Compaction = 12
)

func openStore(config Config, broken, seized func(error)) (*store, error) {
	dir, fs := config.Dir, vfs.Default
	switch {
	case dir == "":
		dir, fs = "minispike", vfs.NewMem()
	case !config.Sync:
		fs = pageCache{fs}
	}
	cache := pebble.NewCache(config.MemoryBytes)
	options := &pebble.Options{
		FS:                          fs,
		Cache:                       cache,
		FormatMajorVersion:          pebble.FormatNewest,
		MemTableSize:                uint64(min(max(config.MemoryBytes/4, memTableBytesMin), memTableBytesMax)),
		MemTableStopWritesThreshold: memTablesInMemory,
		L0CompactionThreshold:       l0Compaction,
		L0StopWritesThreshold:       64,
		LBaseMaxBytes:               256 << 20,
		MaxOpenFiles:                1000,
		Logger:                      pebbleLog{config.Log.Named("pebble").Sugar(), seized},
		CompactionConcurrencyRange:  func() (int, int) { return 1, 2 },
	}
	for i := range options.Levels {
		options.Levels[i] = pebble.LevelOptions{
			BlockSize:    16 << 10,
			FilterPolicy: bloom.FilterPolicy(10),
		}
	}
	options.Experimental.ValueSeparationPolicy = func() pebble.ValueSeparationPolicy {
		return pebble.ValueSeparationPolicy{
			Enabled: true, MinimumSize: separatedBytes, MaxBlobReferenceDepth: 10,
			RewriteMinimumAge: time.Minute, TargetGarbageRatio: 0.3,
		}
	}
	options.ApplyCompressionSettings(func() pebble.DBCompressionSettings { return pebble.DBCompressionFastest })
	db, err := pebble.Open(dir, options)
	if err != nil {
		cache.Unref()
		return nil, fmt.Errorf("open the store in %q: %w", config.Dir, err)
	}
	s := &store{
		db: db, cache: cache, stripes: new(stripes), clock: time.Now,
		ttl: uint32(config.DefaultTTL / time.Second), broken: broken, seized: seized,
	}
	s.writes.Store(uint64(time.Now().UnixNano()))
	s.indexes.Store(&indexSet{})
	s.cutoffs.Store(&cutoffs{})
	empty, err := s.empty()
	s.known = newPresence(config.MemoryBytes/8, empty)
	if err := errors.Join(err, s.loadIndexes(), s.loadCutoffs()); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

func (st *store) close() error {
	err := st.db.Close()
	st.cache.Unref()
	if err != nil {
		return fmt.Errorf("close the store: %w", err)
	}
	return nil
}

// empty says whether there is no record.
func (st *store) empty() (bool, error) {
	iterator, err := st.db.NewIter(&pebble.IterOptions{LowerBound: []byte{prefixRecord}, UpperBound: []byte{prefixRecord + 1}})
	if err != nil {
		return false, fmt.Errorf("look for a record: %w", err)
	}
	found := iterator.First()
	return !found, errors.Join(iterator.Error(), iterator.Close())
}

// now is one reading of the clock, for all the records of a request.
func (st *store) now() instant {
	now := st.clock()
	return instant{nanos: now.UnixNano(), seconds: protocolSeconds(now)}
}

type instant struct {
	nanos   int64
	seconds uint32 // of the protocol's epoch
}

// nothing is what get answers with for a record that there is none of.
type nothing struct{}

func (nothing) Close() error { return nil }

// get reads a record that is alive; found is false when there is none. The
// record's slices are good until the closer is closed.
func (st *store) get(digest *[digestBytes]byte, now instant) (r record, found bool, closer io.Closer, err error) {
	if st.known.absent(digest) {
		return record{}, false, nothing{}, nil
	}
	key := recordKey(digest)
	stored, closer, err := st.db.Get(key[:])
	if errors.Is(err, pebble.ErrNotFound) {
		return record{}, false, nothing{}, nil
	}
	if err != nil {
		return record{}, false, nothing{}, fmt.Errorf("read record %x: %w", *digest, err)
	}
	if r, err = parseRecord(stored); err != nil {
		return record{}, false, nothing{}, errors.Join(fmt.Errorf("record %x: %w", *digest, err), closer.Close())
	}
	if !st.alive(&r, now) {
		return record{}, false, nothing{}, closer.Close()
	}
	return r, true, closer, nil
}

// alive says whether readers may see the record: it has neither expired nor
// been truncated.
func (st *store) alive(r *record, now instant) bool {
	if r.void != 0 && r.void <= now.seconds {
		return false
	}
	return !st.cutoffs.Load().covers(r)
}

// change gathers what one request, or a part of it, does to the store.
type change struct {
	batch  *pebble.Batch
	voids  map[uint32][]byte // digests by when they may die
	locked []int             // stripes held, ascending
}

func (st *store) begin(c *change) {
	if c.batch == nil {
		c.batch = st.db.NewBatch()
	}
}

// lock takes the digest's stripe unless the change has it; stripes must come
// in ascending order.
func (st *store) lock(c *change, digest *[digestBytes]byte) {
	stripe := stripeOf(digest)
	if n := len(c.locked); n > 0 && c.locked[n-1] == stripe {
		return
	}
	st.stripes[stripe].Lock()
	c.locked = append(c.locked, stripe)
}

// put adds a record to the change and returns where to write its bytes.
// fresh says that there was none.
func (st *store) put(c *change, digest *[digestBytes]byte, size int, fresh bool) []byte {
	if fresh {
		st.known.add(digest)
	}
	deferred := c.batch.SetDeferred(recordKeyBytes, size)
	putRecordKey(deferred.Key, digest)
	return deferred.Value
}

// drop adds a record's removal to the change.
func (c *change) drop(digest *[digestBytes]byte, stored int) error {
	key := recordKey(digest)
	return c.batch.DeleteSized(key[:], uint32(stored), nil)
}

// dies notes when the record may have to be swept.
func (c *change) dies(digest *[digestBytes]byte, void uint32) {
	if void == 0 {
		return
	}
	if c.voids == nil {
		c.voids = make(map[uint32][]byte, 1)
	}
	c.voids[void] = append(c.voids[void], digest[:]...)
}

// commit applies the change, gives its stripes back, and returns when the
// change has settled: when a crash of the process cannot take it back.
func (st *store) commit(c *change) error {
	if c.batch == nil || c.batch.Empty() {
		return st.abandon(c)
	}
	for void, digests := range c.voids {
		key := expiryKey(void, st.writes.Add(1))
		if err := c.batch.Set(key[:], digests, nil); err != nil {
			return errors.Join(fmt.Errorf("note an expiry: %w", err), st.abandon(c))
		}
	}
	clear(c.voids)
	for _, stripe := range c.locked {
		st.stripes[stripe].pending.Add(1)
	}
	err := st.guarded(func() error { return st.db.ApplyNoSyncWait(c.batch, pebble.Sync) })
	locked := c.locked
	c.locked = c.locked[:0] // from here on nobody else may unlock them
	for _, stripe := range locked {
		st.stripes[stripe].Unlock()
	}
	if err == nil {
		err = c.batch.SyncWait()
	}
	for _, stripe := range locked {
		st.stripes[stripe].pending.Add(-1)
	}
	if err != nil {
		err = fmt.Errorf("write records: %w", err)
		st.broken(err)
	}
	err = errors.Join(err, c.batch.Close())
	c.batch = nil
	return err
}

// guarded runs what writes to the log. Pebble panics where its log's file fails it
// at a bad moment, and keeps its locks: who waits for them waits for ever, and
// who goes on from here would be one of them.
func (st *store) guarded(do func() error) error {
	defer func() {
		if cause := recover(); cause != nil {
			st.seized(fmt.Errorf("write the log: %v", cause))
			select {}
		}
	}()
	return do()
}

// abandon gives the stripes back and forgets the change.
func (st *store) abandon(c *change) error {
	for _, stripe := range c.locked {
		st.stripes[stripe].Unlock()
	}
	c.locked = c.locked[:0]
	clear(c.voids)
	if c.batch == nil {
		return nil
	}
	err := c.batch.Close()
	c.batch = nil
	return err
}

// unsettled says whether a reader of the record may have seen a write that a
// crash could still take back. To be asked after reading.
func (st *store) unsettled(digest *[digestBytes]byte) bool {
	return st.stripes[stripeOf(digest)].pending.Load() != 0
}

// settle waits until everything applied so far survives a crash, so that no
// answer tells of a write that is lost afterwards.
func (st *store) settle() error {
	if err := st.guarded(func() error { return st.db.LogData(nil, pebble.Sync) }); err != nil {
		err = fmt.Errorf("settle the log: %w", err)
		st.broken(err)
		return err
	}
	return nil
}

// pebbleLog sends Pebble's own log to zap; its chatter goes to debug.
type pebbleLog struct {
	log *zap.SugaredLogger
	// seized is told that the store is gone: whoever uses it waits for ever.
	seized func(error)
}

func (p pebbleLog) Infof(format string, args ...any)  { p.log.Debugf(format, args...) }
func (p pebbleLog) Errorf(format string, args ...any) { p.log.Errorf(format, args...) }

// Fatalf reports a state in which Pebble cannot go on. Pebble expects that it
// does not return, and its caller holds locks: unwinding it would let others
// wait for those inside Close too.
func (p pebbleLog) Fatalf(format string, args ...any) {
	p.seized(fmt.Errorf(format, args...))
	select {}
}
