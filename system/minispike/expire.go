package minispike

import (
	"errors"
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"go.uber.org/zap"
)

// expire removes the records whose time has come, every period. Readers do
// not see them as it is; this gives their space back.
func (s *Server) expire() {
	ticker := time.NewTicker(s.config.SweepEvery)
	defer ticker.Stop()
	for {
		select {
		case <-s.stopping:
			return
		case <-ticker.C:
			if err := s.store.expire(s.stopped); err != nil {
				s.log.Error("remove expired records", zap.Error(err))
			}
			s.learn()
		}
	}
}

// expire goes through the expiry entries that are due. An entry names records
// that were to die then; those that have been given more time since have
// another entry.
func (st *store) expire(stopped func() bool) error {
	lower, upper := []byte{prefixExpiry}, expiryKey(st.now().seconds+1, 0)
	iterator, err := st.db.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper[:]})
	if err != nil {
		return fmt.Errorf("read the expiry entries: %w", err)
	}
	for iterator.First(); iterator.Valid() && err == nil && !stopped(); iterator.Next() {
		digests := iterator.Value()
		due := make([][digestBytes]byte, 0, len(digests)/digestBytes)
		for ; len(digests) >= digestBytes; digests = digests[digestBytes:] {
			due = append(due, [digestBytes]byte(digests))
		}
		if err = st.sweep(due); err == nil {
			err = st.db.Delete(iterator.Key(), pebble.NoSync)
		}
	}
	return errors.Join(err, iterator.Error(), iterator.Close())
}

// sweep removes those of the records that nobody may see any more.
func (st *store) sweep(digests [][digestBytes]byte) error {
	for i := range digests {
		if err := st.sweepOne(&digests[i]); err != nil {
			return err
		}
	}
	return nil
}

// sweepOne removes one record if it is dead. It need not settle: a record
// that comes back after a crash is as dead as before.
func (st *store) sweepOne(digest *[digestBytes]byte) error {
	stripe := &st.stripes[stripeOf(digest)]
	stripe.Lock()
	defer stripe.Unlock()
	key := recordKey(digest)
	stored, closer, err := st.db.Get(key[:])
	if errors.Is(err, pebble.ErrNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read record %x: %w", *digest, err)
	}
	r, err := parseRecord(stored)
	if err == nil && !st.alive(&r, st.now()) {
		c := change{batch: st.db.NewBatch()}
		if err = st.remove(&c, digest, &r); err == nil {
			err = st.db.Apply(c.batch, pebble.NoSync)
		}
		err = errors.Join(err, c.batch.Close())
	}
	return errors.Join(err, closer.Close())
}
