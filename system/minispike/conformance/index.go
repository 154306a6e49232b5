package conformance

import (
	"fmt"
	"testing"

	as "github.com/aerospike/aerospike-client-go/v7"
	"github.com/aerospike/aerospike-client-go/v7/types"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

// indexed makes a numeric index and waits until it can be read. It is
// dropped when the test ends.
func (c *caller) indexed(t *testing.T, set, bin string) string {
	t.Helper()
	name := "cf_" + uuid.NewString()[:13]
	task, err := c.CreateIndex(nil, namespace, set, name, bin, as.NUMERIC)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.DropIndex(nil, namespace, set, name)) })
	require.Eventually(t, func() bool {
		done, err := task.IsDone()
		return err == nil && done
	}, patience, glance, "index %s is not ready", name)
	return name
}

// query is every record that the filter finds.
func (c *caller) query(t *testing.T, set string, filter *as.Filter, bins ...string) []*as.Record {
	t.Helper()
	statement := as.NewStatement(namespace, set, bins...)
	if filter != nil {
		require.NoError(t, statement.SetFilter(filter))
	}
	stream, err := c.Query(nil, statement)
	require.NoError(t, err)
	return drain(t, stream)
}

var indexCases = []contract{
	{"a range, its ends included", func(t *testing.T, c *caller) {
		set := c.fill(t, 50)
		c.indexed(t, set, "i")
		seen := numbers(t, c.query(t, set, as.NewRangeFilter("i", 10, 19)))
		require.Len(t, seen, 10)
		require.True(t, seen[10] && seen[19])
		require.Len(t, c.query(t, set, as.NewRangeFilter("i", -1000, 1000)), 50)
		require.Empty(t, c.query(t, set, as.NewRangeFilter("i", 50, 1000)))
	}},
	{"equal", func(t *testing.T, c *caller) {
		set := c.fill(t, 10, func(i int, bins as.BinMap) { bins["third"] = i / 3 })
		c.indexed(t, set, "third")
		require.Equal(t, map[int]bool{3: true, 4: true, 5: true}, numbers(t, c.query(t, set, as.NewEqualFilter("third", 1))))
	}},
	{"what is written after the index is found", func(t *testing.T, c *caller) {
		set := ownSet()
		c.indexed(t, set, "date")
		key := c.keyIn(t, set, 1)
		c.put(t, key, as.BinMap{"date": 1_700_000_000_000, "i": 1})
		around := as.NewRangeFilter("date", 1_699_999_999_999, 1_700_000_000_001)
		require.Len(t, c.query(t, set, around), 1)
		c.put(t, key, as.BinMap{"date": 5})
		require.Empty(t, c.query(t, set, around))
		require.Len(t, c.query(t, set, as.NewEqualFilter("date", 5)), 1)
		c.put(t, key, as.BinMap{"date": "not a number"})
		require.Empty(t, c.query(t, set, as.NewEqualFilter("date", 5)))
		c.put(t, key, as.BinMap{"date": 5})
		_, err := c.Delete(nil, key)
		require.NoError(t, err)
		require.Empty(t, c.query(t, set, as.NewEqualFilter("date", 5)))
	}},
	{"negative numbers and the ends of the range", func(t *testing.T, c *caller) {
		set := ownSet()
		c.indexed(t, set, "n")
		for i, n := range []int64{-1 << 63, -5, 0, 5, 1<<63 - 1} {
			c.put(t, c.keyIn(t, set, i), as.BinMap{"n": n, "i": i})
		}
		require.Len(t, c.query(t, set, as.NewRangeFilter("n", -1<<63, 1<<63-1)), 5)
		require.Equal(t, map[int]bool{1: true, 2: true}, numbers(t, c.query(t, set, as.NewRangeFilter("n", -5, 4))))
	}},
	{"only the set of the index", func(t *testing.T, c *caller) {
		set, other := c.fill(t, 5), c.fill(t, 5)
		c.indexed(t, set, "i")
		require.Len(t, c.query(t, set, as.NewRangeFilter("i", 0, 100)), 5)
		statement := as.NewStatement(namespace, other)
		require.NoError(t, statement.SetFilter(as.NewRangeFilter("i", 0, 100)))
		stream, err := c.Query(nil, statement)
		require.NoError(t, err)
		failed := false
		for result := range stream.Results() {
			require.NotNil(t, result.Err)
			refused(t, types.INDEX_NOTFOUND, result.Err)
			failed = true
		}
		require.True(t, failed)
	}},
	{"some bins only", func(t *testing.T, c *caller) {
		set := c.fill(t, 3, func(i int, bins as.BinMap) { bins["s"] = fmt.Sprint(i) })
		c.indexed(t, set, "i")
		for _, record := range c.query(t, set, as.NewRangeFilter("i", 0, 10), "s") {
			require.Len(t, record.Bins, 1)
		}
	}},
	{"a range and a filter", func(t *testing.T, c *caller) {
		set := c.fill(t, 30)
		c.indexed(t, set, "i")
		statement := as.NewStatement(namespace, set)
		require.NoError(t, statement.SetFilter(as.NewRangeFilter("i", 10, 29)))
		policy := as.NewQueryPolicy()
		policy.FilterExpression = as.ExpEq(as.ExpNumMod(as.ExpIntBin("i"), as.ExpIntVal(2)), as.ExpIntVal(0))
		stream, err := c.Query(policy, statement)
		require.NoError(t, err)
		require.Len(t, numbers(t, drain(t, stream)), 10)
	}},
	{"page by page", func(t *testing.T, c *caller) {
		const total, page = 35, 8
		set := c.fill(t, total)
		c.indexed(t, set, "i")
		policy := as.NewQueryPolicy()
		policy.MaxRecords = page
		cursor := as.NewPartitionFilterAll()
		var all []*as.Record
		for pages := 0; !cursor.IsDone(); pages++ {
			require.LessOrEqual(t, pages, total, "pages without an end")
			statement := as.NewStatement(namespace, set)
			require.NoError(t, statement.SetFilter(as.NewRangeFilter("i", 0, total)))
			stream, err := c.QueryPartitions(policy, statement, cursor)
			require.NoError(t, err)
			records := drain(t, stream)
			require.LessOrEqual(t, len(records), page)
			all = append(all, records...)
		}
		require.Len(t, numbers(t, all), total)
	}},
	{"a query without a filter is a scan", func(t *testing.T, c *caller) {
		require.Len(t, numbers(t, c.query(t, c.fill(t, 12), nil)), 12)
	}},
	{"the same index twice is no harm", func(t *testing.T, c *caller) {
		set := c.fill(t, 3)
		name := c.indexed(t, set, "i")
		_, err := c.CreateIndex(nil, namespace, set, name, "i", as.NUMERIC)
		if err != nil {
			refused(t, types.INDEX_FOUND, err)
		}
		require.Len(t, c.query(t, set, as.NewRangeFilter("i", 0, 10)), 3)
	}},
	{"the name of another index is taken", func(t *testing.T, c *caller) {
		set := ownSet()
		name := c.indexed(t, set, "i")
		_, err := c.CreateIndex(nil, namespace, set, name, "j", as.NUMERIC)
		refused(t, types.INDEX_FOUND, err)
	}},
	{"a dropped index is gone", func(t *testing.T, c *caller) {
		set := c.fill(t, 3)
		name := c.indexed(t, set, "i")
		require.NoError(t, c.DropIndex(nil, namespace, set, name))
		require.Eventually(t, func() bool {
			statement := as.NewStatement(namespace, set)
			require.NoError(t, statement.SetFilter(as.NewRangeFilter("i", 0, 10)))
			stream, err := c.Query(nil, statement)
			require.NoError(t, err)
			for result := range stream.Results() {
				if result.Err != nil {
					return result.Err.Matches(types.INDEX_NOTFOUND)
				}
			}
			return false
		}, patience, glance)
		require.NoError(t, c.DropIndex(nil, namespace, set, name), "dropping what is not there")
	}},
}
