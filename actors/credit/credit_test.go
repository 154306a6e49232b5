package credit_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"adpulse/actors/credit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestShare(t *testing.T) {
	for _, c := range []struct{ mailbox, senders, want int }{
		{8192, 3, 2730}, {8192, 1, 8192}, {8192, 0, 8192}, {2, 5, 1},
	} {
		require.Equal(t, c.want, credit.Share(c.mailbox, c.senders))
	}
}

// The pool never grants past the window, and what is returned can be taken.
func TestPoolKeepsToTheWindow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		collectors := rapid.IntRange(1, 4).Draw(t, "collectors")
		window := rapid.IntRange(1, 50).Draw(t, "window")
		pool := credit.NewPool(collectors, window)
		type taken struct{ collector, events int }
		var out []taken
		model := make([]int, collectors)
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			if len(out) > 0 && rapid.Bool().Draw(t, "return") {
				at := rapid.IntRange(0, len(out)-1).Draw(t, "which")
				pool.Return(out[at].collector, out[at].events)
				model[out[at].collector] -= out[at].events
				out = append(out[:at], out[at+1:]...)
				continue
			}
			events := rapid.IntRange(1, window).Draw(t, "events")
			room := false
			for _, n := range model {
				room = room || n+events <= window
			}
			collector, ok := pool.TryTake(events)
			require.Equal(t, room, ok)
			if ok {
				model[collector] += events
				out = append(out, taken{collector, events})
			}
			for i, n := range model {
				require.LessOrEqual(t, n, window)
				require.Equal(t, n, pool.Outstanding(i))
			}
		}
	})
}

func TestPoolSpreadsALightLoad(t *testing.T) {
	pool := credit.NewPool(3, 10)
	seen := map[int]bool{}
	for range 3 {
		collector, ok := pool.TryTake(1)
		require.True(t, ok)
		pool.Return(collector, 1)
		seen[collector] = true
	}
	require.Len(t, seen, 3)
}

func TestTakeRefusesMoreThanTheWindowAndEndsWithItsContext(t *testing.T) {
	pool := credit.NewPool(1, 4)
	_, err := pool.Take(context.Background(), 5)
	require.ErrorContains(t, err, "window is 4")

	_, err = pool.Take(context.Background(), 4)
	require.NoError(t, err)
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	_, err = pool.Take(ended, 1)
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, 4, pool.Outstanding(0))
	pool.Return(0, 4)
	_, ok := pool.TryTake(4)
	require.True(t, ok, "whoever gave up waiting holds nothing")
}

func TestReturningWhatWasNotTakenIsAFault(t *testing.T) {
	pool := credit.NewPool(1, 4)
	require.Panics(t, func() { pool.Return(0, 1) })
}

// Many goroutines take and return; at no moment more than the window is out,
// and everybody is served.
func TestTakeServesEverybody(t *testing.T) {
	const goroutines, rounds, window = 16, 300, 7
	pool := credit.NewPool(2, window)
	var out [2]atomic.Int64
	var all sync.WaitGroup
	for g := range goroutines {
		all.Add(1)
		go func() {
			defer all.Done()
			for r := range rounds {
				events := 1 + (g+r)%window
				collector, err := pool.Take(context.Background(), events)
				if err != nil {
					t.Error(err)
					return
				}
				if n := out[collector].Add(int64(events)); n > window {
					t.Errorf("%d events out of a window of %d", n, window)
				}
				out[collector].Add(int64(-events))
				pool.Return(collector, events)
			}
		}()
	}
	all.Wait()
	require.Zero(t, pool.Outstanding(0)+pool.Outstanding(1))
}

func BenchmarkTakeReturn(b *testing.B) {
	pool := credit.NewPool(4, 1<<20)
	b.ReportAllocs()
	for b.Loop() {
		collector, ok := pool.TryTake(100)
		if !ok {
			b.Fatal("no credit")
		}
		pool.Return(collector, 100)
	}
}
