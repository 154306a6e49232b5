package core

import (
	"context"
	"fmt"
	"strconv"
	"time"

	as "github.com/aerospike/aerospike-client-go/v7"
	"github.com/aerospike/aerospike-client-go/v7/types"
	"github.com/google/uuid"

	"adpulse/messages"
	"adpulse/system/internal/aero"
)

// batchRecords is how many records go into one request.
const batchRecords = 500

// SizeError: the store holds campaigns and tags already, and not as many as
// were asked for. They are not resized, because a tag's index says which
// campaign's it is.
type SizeError struct {
	// Tags is how many there are, 0 where they are not complete.
	Tags int
	// Campaigns and TagsEach is what was asked for.
	Campaigns, TagsEach int
}

func (e *SizeError) Error() string {
	return fmt.Sprintf("core store holds other campaigns: %d tags there, %d campaigns of %d tags asked for; "+
		"ask for what is there, or use an empty namespace", e.Tags, e.Campaigns, e.TagsEach)
}

// tagIDs is the UUID namespace of the tags' ids.
var tagIDs = uuid.UUID{
	0x2d, 0x6a, 0x91, 0x0e, 0x48, 0xc7, 0x43, 0x1b, 0xa5, 0x5d, 0x07, 0xf3, 0x9c, 0xb2, 0x64, 0x8a,
}

// TagID is the id of a campaign's tag, both counted from 1: the UUID of
// version 5 of "campaign/tag". That it can be computed lets an interrupted
// Seed go on where it was.
func TagID(campaign, tag int) messages.TagID {
	return messages.TagID(uuid.NewSHA1(tagIDs, []byte(strconv.Itoa(campaign)+"/"+strconv.Itoa(tag))))
}

// Seed writes campaigns with their tags and the index on their dates. It does
// nothing when they are there, completes what an interrupted call began, and
// refuses with a *SizeError when others are there. progress, where set, hears
// of the records done so far and in all.
//
// The number of tags is written last: TagCount is 0 until all is there.
func (s *Store) Seed(ctx context.Context, campaigns, tagsEach int, progress func(done, total int)) error {
	if campaigns < 1 || tagsEach < 1 {
		return fmt.Errorf("seed core store: %d campaigns of %d tags: use at least one of each", campaigns, tagsEach)
	}
	count, err := s.TagCount(ctx)
	if err != nil {
		return fmt.Errorf("seed core store: %w", err)
	}
	if err := s.sameSize(ctx, count, campaigns, tagsEach); err != nil {
		return fmt.Errorf("seed core store: %w", err)
	}
	if progress == nil {
		progress = func(int, int) {}
	}
	total := campaigns + 2*campaigns*tagsEach + 1 // and the count
	if count != 0 {
		progress(total, total)
		return nil
	}
	if err := s.createIndex(); err != nil {
		return fmt.Errorf("seed core store: %w", err)
	}
	w := seeder{store: s, progress: progress, total: total}
	if err := w.write(ctx, campaigns, tagsEach); err != nil {
		return fmt.Errorf("seed core store: %w", err)
	}
	return nil
}

// sameSize compares what is there with what is asked for.
func (s *Store) sameSize(ctx context.Context, count, campaigns, tagsEach int) error {
	last, err := s.key(campaignSet, campaigns)
	if err != nil {
		return err
	}
	beyond, err := s.key(campaignSet, campaigns+1)
	if err != nil {
		return err
	}
	records, err := s.batchGet(ctx, []*as.Key{last, beyond}, campaignIDBin)
	if err != nil {
		return err
	}
	complete := count == campaigns*tagsEach && records[0] != nil
	if records[1] != nil || count != 0 && !complete {
		return &SizeError{Tags: count, Campaigns: campaigns, TagsEach: tagsEach}
	}
	return nil
}

func (s *Store) createIndex() error {
	policy := as.NewWritePolicy(0, 0)
	policy.TotalTimeout, policy.SocketTimeout = s.config.RequestTimeout, s.config.RequestTimeout
	_, failure := s.client.CreateIndex(policy, s.config.Namespace, campaignSet, dateIndex, campaignDateBin, as.NUMERIC)
	if failure != nil && !failure.Matches(types.INDEX_FOUND) {
		return fmt.Errorf("create index %s: %w", dateIndex, aero.Explain(failure))
	}
	return nil
}

// seeder gathers records into requests.
type seeder struct {
	store       *Store
	progress    func(done, total int)
	writes      []as.BatchRecordIfc
	done, total int
}

// write goes from what nobody finds to what makes it found: campaigns and
// tags, the tags' indexes, the count.
func (w *seeder) write(ctx context.Context, campaigns, tagsEach int) error {
	create, replace := as.NewBatchWritePolicy(), as.NewBatchWritePolicy()
	create.RecordExistsAction, create.Expiration = as.CREATE_ONLY, as.TTLDontExpire
	// An index may be left over from an interrupted call of another size.
	replace.RecordExistsAction, replace.Expiration = as.REPLACE, as.TTLDontExpire
	today := w.store.config.Now().UTC().Truncate(24 * time.Hour)
	for c := 1; c <= campaigns; c++ {
		// stats starts at 0 and is never set again: the counts are money.
		stats := map[any]any{"clicks": 0, "impressions": 0, "visits": 0, "conversions": 0}
		if err := w.put(
			ctx, create, campaignSet, c,
			as.NewBin(campaignIDBin, c), as.NewBin(campaignNameBin, "Acme campaign "+strconv.Itoa(c)),
			as.NewBin(campaignDateBin, today.AddDate(0, 0, c-campaigns).UnixMilli()), as.NewBin(statsBin, as.NewMapValue(stats)),
		); err != nil {
			return err
		}
		for t := 1; t <= tagsEach; t++ {
			id := TagID(c, t).String()
			if err := w.put(ctx, create, tagSet, id, as.NewBin(tagIDBin, id), as.NewBin(campaignIDBin, c)); err != nil {
				return err
			}
		}
	}
	for index := range campaigns * tagsEach {
		id := TagID(index/tagsEach+1, index%tagsEach+1).String()
		if err := w.put(ctx, replace, tagSet, index+1, as.NewBin(tagIDBin, id)); err != nil {
			return err
		}
	}
	if err := w.flush(ctx); err != nil {
		return err
	}
	if err := w.put(ctx, replace, tagSet, tagCount, as.NewBin(tagCount, campaigns*tagsEach)); err != nil {
		return err
	}
	return w.flush(ctx)
}

func (w *seeder) put(ctx context.Context, policy *as.BatchWritePolicy, set string, name any, bins ...*as.Bin) error {
	key, err := w.store.key(set, name)
	if err != nil {
		return err
	}
	ops := make([]*as.Operation, len(bins))
	for i, bin := range bins {
		ops[i] = as.PutOp(bin)
	}
	w.writes = append(w.writes, as.NewBatchWrite(policy, key, ops...))
	if len(w.writes) < batchRecords {
		return nil
	}
	return w.flush(ctx)
}

// flush writes what is gathered. Records that exist are as they should be.
func (w *seeder) flush(ctx context.Context) error {
	if len(w.writes) == 0 {
		return nil
	}
	policy, err := w.store.batchPolicy(ctx)
	if err != nil {
		return err
	}
	failure := w.store.client.BatchOperate(policy, w.writes)
	for _, write := range w.writes {
		record := write.BatchRec()
		switch {
		case record.ResultCode == types.OK || record.ResultCode == types.KEY_EXISTS_ERROR:
		case failure != nil:
			return fmt.Errorf("write %d records: %w", len(w.writes), aero.Explain(failure))
		default:
			return fmt.Errorf("write %s: %w", record.Key, aero.Reason(record.ResultCode))
		}
	}
	w.done += len(w.writes)
	w.writes = w.writes[:0]
	w.progress(min(w.done, w.total), w.total)
	return nil
}
