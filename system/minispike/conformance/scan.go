package conformance

import (
	"fmt"
	"sync"
	"testing"

	as "github.com/aerospike/aerospike-client-go/v7"
	"github.com/stretchr/testify/require"
)

// scan is every record of a set that passes the filter, with the bins named.
func (c *caller) scan(t *testing.T, set string, filter *as.Expression, bins ...string) []*as.Record {
	t.Helper()
	policy := as.NewScanPolicy()
	policy.TotalTimeout = patience
	policy.FilterExpression = filter
	return c.scanWith(t, policy, as.NewPartitionFilterAll(), set, bins...)
}

func (c *caller) scanWith(t *testing.T, policy *as.ScanPolicy, partitions *as.PartitionFilter, set string, bins ...string) []*as.Record {
	t.Helper()
	records, err := c.ScanPartitions(policy, partitions, namespace, set, bins...)
	require.NoError(t, err)
	return drain(t, records)
}

// drain is what a stream holds; it must end well.
func drain(t *testing.T, stream *as.Recordset) []*as.Record {
	t.Helper()
	var all []*as.Record
	for result := range stream.Results() {
		require.NoError(t, result.Err)
		all = append(all, result.Record)
	}
	return all
}

// fill writes records with bin i from 0 to n-1 into a set of their own.
func (c *caller) fill(t *testing.T, n int, more ...func(i int, bins as.BinMap)) string {
	t.Helper()
	set := ownSet()
	for i := range n {
		bins := as.BinMap{"i": i}
		for _, add := range more {
			add(i, bins)
		}
		c.put(t, c.keyIn(t, set, i), bins)
	}
	return set
}

// numbers are the values of bin i, each of which must be there once.
func numbers(t *testing.T, records []*as.Record) map[int]bool {
	t.Helper()
	seen := make(map[int]bool, len(records))
	for _, record := range records {
		i, ok := record.Bins["i"].(int)
		require.True(t, ok, "bins %v", record.Bins)
		require.False(t, seen[i], "record %d twice", i)
		seen[i] = true
	}
	return seen
}

var scanCases = []contract{
	{"every record of the set once, and no other", func(t *testing.T, c *caller) {
		set, other := c.fill(t, 100), c.fill(t, 3)
		require.Len(t, numbers(t, c.scan(t, set, nil)), 100)
		require.Len(t, numbers(t, c.scan(t, other, nil)), 3)
	}},
	{"an absent set holds nothing", func(t *testing.T, c *caller) {
		require.Empty(t, c.scan(t, ownSet(), nil))
	}},
	{"no set means all of them", func(t *testing.T, c *caller) {
		set := c.fill(t, 5)
		seen := 0
		for _, record := range c.scan(t, "", nil) {
			if record.Key.SetName() == set {
				seen++
			}
		}
		require.Equal(t, 5, seen)
	}},
	{"some bins only", func(t *testing.T, c *caller) {
		set := c.fill(t, 4, func(i int, bins as.BinMap) { bins["s"] = fmt.Sprint(i) })
		for _, record := range c.scan(t, set, nil, "s") {
			require.Len(t, record.Bins, 1)
			require.IsType(t, "", record.Bins["s"])
		}
	}},
	{"headers only", func(t *testing.T, c *caller) {
		set := c.fill(t, 4)
		policy := as.NewScanPolicy()
		policy.IncludeBinData = false
		records := c.scanWith(t, policy, as.NewPartitionFilterAll(), set)
		require.Len(t, records, 4)
		for _, record := range records {
			require.Empty(t, record.Bins)
			require.EqualValues(t, 1, record.Generation)
			require.Len(t, record.Key.Digest(), 20)
		}
	}},
	{"the digest of a scanned record finds it", func(t *testing.T, c *caller) {
		set := c.fill(t, 3)
		for _, record := range c.scan(t, set, nil) {
			require.Equal(t, record.Bins, c.bins(t, record.Key))
		}
	}},
	{"one partition", func(t *testing.T, c *caller) {
		set := ownSet()
		here := c.keyIn(t, set, 0)
		c.put(t, here, as.BinMap{"i": 0})
		for i := 1; i < 50; i++ {
			c.put(t, c.keyIn(t, set, i), as.BinMap{"i": i})
		}
		expected := 0
		for i := range 50 {
			key, err := as.NewKey(namespace, set, i)
			require.NoError(t, err)
			if key.PartitionId() == here.PartitionId() {
				expected++
			}
		}
		records := c.scanWith(t, as.NewScanPolicy(), as.NewPartitionFilterById(here.PartitionId()), set)
		require.Len(t, numbers(t, records), expected)
		require.True(t, numbers(t, records)[0])
	}},
	{"ranges of partitions make up the whole", func(t *testing.T, c *caller) {
		set := c.fill(t, 60)
		var all []*as.Record
		for begin := 0; begin < partitions; begin += partitions / 4 {
			all = append(all, c.scanWith(t, as.NewScanPolicy(), as.NewPartitionFilterByRange(begin, partitions/4), set)...)
		}
		require.Len(t, numbers(t, all), 60)
	}},
	{"at most so many records", func(t *testing.T, c *caller) {
		set := c.fill(t, 40)
		policy := as.NewScanPolicy()
		policy.MaxRecords = 10
		records := c.scanWith(t, policy, as.NewPartitionFilterAll(), set)
		require.Len(t, numbers(t, records), 10)
	}},
	{"page by page", func(t *testing.T, c *caller) {
		const total, page = 95, 10
		set := c.fill(t, total)
		policy := as.NewScanPolicy()
		policy.MaxRecords = page
		cursor := as.NewPartitionFilterAll()
		var all []*as.Record
		for pages := 0; !cursor.IsDone(); pages++ {
			require.LessOrEqual(t, pages, 2*total/page, "pages without an end")
			records := c.scanWith(t, policy, cursor, set)
			require.LessOrEqual(t, len(records), page)
			all = append(all, records...)
		}
		require.Len(t, numbers(t, all), total)
	}},
	{"page by page with a cursor that was stored", func(t *testing.T, c *caller) {
		const total, page = 45, 7
		set := c.fill(t, total)
		policy := as.NewScanPolicy()
		policy.MaxRecords = page
		var all []*as.Record
		var stored []byte
		for pages := 0; ; pages++ {
			require.LessOrEqual(t, pages, 2*total/page+1, "pages without an end")
			cursor := as.NewPartitionFilterAll()
			if stored != nil {
				require.NoError(t, cursor.DecodeCursor(stored))
			}
			all = append(all, c.scanWith(t, policy, cursor, set)...)
			if cursor.IsDone() {
				break
			}
			var err error
			stored, err = cursor.EncodeCursor()
			require.NoError(t, err)
		}
		require.Len(t, numbers(t, all), total)
	}},
	{"several scans at once", func(t *testing.T, c *caller) {
		const scans = 4
		set := c.fill(t, 30)
		counts := make([]int, scans)
		var all sync.WaitGroup
		for n := range scans {
			all.Add(1)
			go func() {
				defer all.Done()
				stream, err := c.ScanAll(nil, namespace, set)
				if err != nil {
					return
				}
				for result := range stream.Results() {
					if result.Err == nil {
						counts[n]++
					}
				}
			}()
		}
		all.Wait()
		require.Equal(t, []int{30, 30, 30, 30}, counts)
	}},
	{"with a filter", func(t *testing.T, c *caller) {
		set := c.fill(t, 20)
		low := as.ExpLess(as.ExpIntBin("i"), as.ExpIntVal(5))
		require.Len(t, numbers(t, c.scan(t, set, low)), 5)
		none := as.ExpLess(as.ExpIntBin("i"), as.ExpIntVal(0))
		require.Empty(t, c.scan(t, set, none))
	}},
	{"a scan that is broken off leaves the client whole", func(t *testing.T, c *caller) {
		set := c.fill(t, 50)
		stream, err := c.ScanAll(nil, namespace, set)
		require.NoError(t, err)
		<-stream.Results()
		require.NoError(t, stream.Close())
		require.Len(t, numbers(t, c.scan(t, set, nil)), 50)
	}},
	{"truncate empties the set and no other", func(t *testing.T, c *caller) {
		set, other := c.fill(t, 10), c.fill(t, 2)
		require.Eventually(t, func() bool {
			// A truncation spares what was written in its own millisecond.
			return c.Truncate(nil, namespace, set, nil) == nil && len(c.scan(t, set, nil)) == 0
		}, patience, glance)
		require.Len(t, c.scan(t, other, nil), 2)
		require.Eventually(t, func() bool {
			c.put(t, c.keyIn(t, set, "after"), as.BinMap{"i": 0})
			return len(c.scan(t, set, nil)) == 1
		}, patience, glance)
	}},
}
