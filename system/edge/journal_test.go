package edge_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	as "github.com/aerospike/aerospike-client-go/v7"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"adpulse/messages"
	"adpulse/system/edge"
	"adpulse/system/minispike"
)

func TestAppendThenRead(t *testing.T) {
	store, lane := newStore(t), newLane()
	want := segment(lane, 1, 7, 42, event(`{"a":1}`), event(`{"b":2}`))
	want.Base = 99
	require.NoError(t, store.Append(t.Context(), want))
	got, err := store.Read(t.Context(), lane, 1, 10, 1<<20)
	require.NoError(t, err)
	require.Equal(t, []*messages.Segment{want}, got)
}

func TestAppendWhereASegmentLies(t *testing.T) {
	store := newStore(t)
	for _, c := range []struct {
		name         string
		epoch, token uint64 // of the second append; the first has 5 and 1
		want         error
	}{
		{"the very same again", 5, 1, nil},
		{"another of this owner's", 5, 2, messages.ErrTaken},
		{"by a newer owner", 6, 1, messages.ErrTaken},
		{"by an older owner", 4, 1, messages.ErrFenced},
	} {
		t.Run(c.name, func(t *testing.T) {
			lane := newLane()
			first := segment(lane, 1, 5, 1, event(`{}`))
			require.NoError(t, store.Append(t.Context(), first))
			err := store.Append(t.Context(), segment(lane, 1, messages.Epoch(c.epoch), c.token, event(`{}`)))
			require.ErrorIs(t, err, c.want)
			got, err := store.Read(t.Context(), lane, 1, 1, 1<<20)
			require.NoError(t, err)
			require.Equal(t, []*messages.Segment{first}, got)
		})
	}
}

func TestAppendMakesUpForALostAnswer(t *testing.T) {
	faults := minispike.NewFaults(1)
	store := open(t, serve(t, faults), func(c *edge.Config) { c.ReadTimeout = 300 * time.Millisecond })
	drop := func(on minispike.Kind, do minispike.Action, count int) minispike.Fault {
		return minispike.Fault{On: on, Do: do, Count: count}
	}
	t.Run("written", func(t *testing.T) {
		faults.Set(drop(minispike.Write, minispike.DropAfter, 1))
		require.NoError(t, store.Append(t.Context(), segment(newLane(), 1, 1, 1)))
		require.Equal(t, 1, faults.Hits())
	})
	t.Run("not written", func(t *testing.T) {
		lane := newLane()
		faults.Set(drop(minispike.Write, minispike.DropBefore, 1))
		err := store.Append(t.Context(), segment(lane, 1, 1, 1))
		require.Error(t, err)
		for _, decisive := range []error{messages.ErrFenced, messages.ErrTaken, messages.ErrOutcomeUnknown} {
			require.NotErrorIs(t, err, decisive)
		}
		require.NoError(t, store.Append(t.Context(), segment(lane, 1, 1, 1)))
	})
	t.Run("nobody can tell", func(t *testing.T) {
		faults.Set(drop(minispike.Write, minispike.DropAfter, 0), drop(minispike.Read, minispike.DropBefore, 0))
		lane := newLane()
		require.ErrorIs(t, store.Append(t.Context(), segment(lane, 1, 1, 1)), messages.ErrOutcomeUnknown)
		faults.Set()
		require.NoError(t, store.Append(t.Context(), segment(lane, 1, 1, 1)))
	})
	t.Run("too slow", func(t *testing.T) {
		faults.Set(minispike.Fault{On: minispike.Write, Do: minispike.Delay, Delay: 600 * time.Millisecond, Count: 1})
		ctx, cancel := context.WithTimeout(t.Context(), 400*time.Millisecond)
		defer cancel()
		lane := newLane()
		require.Error(t, store.Append(ctx, segment(lane, 1, 1, 1)))
		require.Eventually(t, func() bool {
			head, err := store.Head(t.Context(), lane, 0)
			return err == nil && head == 1
		}, 5*time.Second, 20*time.Millisecond)
		require.NoError(t, store.Append(t.Context(), segment(lane, 1, 1, 1)))
	})
}

func TestAppendRefusesWhatIsTooLarge(t *testing.T) {
	store := newStore(t)
	large := event(`"` + strings.Repeat("x", messages.SegmentBytesMax) + `"`)
	require.ErrorContains(t, store.Append(t.Context(), segment(newLane(), 1, 1, 1, large)), "the most is")
}

// Two owners write the same sequences: each sequence has one winner, and both
// agree on whose it is.
func TestTwoOwnersNeverShareASequence(t *testing.T) {
	store, lane := newStore(t), newLane()
	const sequences = 200
	var won [2][sequences + 1]bool
	var group sync.WaitGroup
	for owner := range won {
		group.Go(func() {
			for seq := 1; seq <= sequences; seq++ {
				s := segment(lane, messages.Sequence(seq), messages.Epoch(owner+1), uint64(owner+1))
				won[owner][seq] = store.Append(t.Context(), s) == nil
			}
		})
	}
	group.Wait()
	for from := 1; from <= sequences; {
		read, err := store.Read(t.Context(), lane, messages.Sequence(from), sequences, 1<<20)
		require.NoError(t, err)
		require.NotEmpty(t, read)
		for _, s := range read {
			require.True(t, won[s.Epoch-1][s.Seq], "sequence %d", s.Seq)
			require.False(t, won[2-s.Epoch][s.Seq], "sequence %d", s.Seq)
		}
		from += len(read)
	}
}

func TestSealFencesAnOlderOwner(t *testing.T) {
	store, lane := newStore(t), newLane()
	kept := segment(lane, 2, 1, 1, event(`{}`))
	require.NoError(t, store.Append(t.Context(), kept))
	require.NoError(t, store.Seal(t.Context(), lane, 2, 1, 300))
	require.NoError(t, store.Seal(t.Context(), lane, 2, 1, 300), "again")
	for _, seq := range []messages.Sequence{1, 3, 129, 300} {
		require.ErrorIs(t, store.Append(t.Context(), segment(lane, seq, 1, 9)), messages.ErrFenced)
		require.ErrorIs(t, store.Append(t.Context(), segment(lane, seq, 3, 9)), messages.ErrTaken)
	}
	read, err := store.Read(t.Context(), lane, 1, 3, 1<<20)
	require.NoError(t, err)
	require.Len(t, read, 3)
	require.Empty(t, read[0].Events)
	require.Equal(t, kept, read[1])
	require.Equal(t, messages.Epoch(2), read[2].Epoch)
	head, err := store.Head(t.Context(), lane, 0)
	require.NoError(t, err)
	require.Equal(t, messages.Sequence(300), head)
	require.NoError(t, store.Seal(t.Context(), lane, 2, 400, 400), "one alone")
	require.NoError(t, store.Seal(t.Context(), lane, 2, 400, 400), "one alone, again")
}

func TestReadStops(t *testing.T) {
	address := serve(t, nil)
	store, lane := open(t, address, nil), newLane()
	body := `{"pad":"` + strings.Repeat("x", 1000) + `"}`
	for seq := messages.Sequence(1); seq <= 40; seq++ {
		if seq != 31 {
			require.NoError(t, store.Append(t.Context(), segment(lane, seq, 1, uint64(seq), event(body))))
		}
	}
	for _, c := range []struct {
		name                    string
		from                    messages.Sequence
		segments, bytes, expect int
	}{
		{"at the first that is missing", 1, 100, 1 << 20, 30},
		{"where there is none", 31, 100, 1 << 20, 0},
		{"behind the end", 41, 100, 1 << 20, 0},
		{"at the most segments", 3, 5, 1 << 20, 5},
		{"at the most bytes", 1, 100, 5000, 4},
		{"after one that is larger than that", 1, 100, 10, 1},
		{"when nothing is asked for", 1, 0, 1 << 20, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := store.Read(t.Context(), lane, c.from, c.segments, c.bytes)
			require.NoError(t, err)
			require.Len(t, got, c.expect)
			for i, s := range got {
				require.Equal(t, c.from+messages.Sequence(i), s.Seq)
			}
		})
	}
	t.Run("before one that is corrupt", func(t *testing.T) {
		key, err := as.NewKey("test", "journal", fmt.Sprintf("%s:%d", lane, 5))
		require.NoError(t, err)
		require.NoError(t, client(t, address).Put(nil, key, as.BinMap{"segment": []byte("noise that is long enough")}))
		got, readErr := store.Read(t.Context(), lane, 1, 100, 1<<20)
		require.NoError(t, readErr)
		require.Len(t, got, 4)
		_, readErr = store.Read(t.Context(), lane, 5, 100, 1<<20)
		require.ErrorIs(t, readErr, messages.ErrCorrupt)
	})
}

func TestHeadWithAnyGaps(t *testing.T) {
	store := newStore(t)
	rapid.Check(t, func(r *rapid.T) {
		lane := newLane()
		after := messages.Sequence(rapid.IntRange(0, 5).Draw(r, "after"))
		at := after
		for range rapid.IntRange(0, 8).Draw(r, "runs") {
			at += messages.Sequence(rapid.IntRange(0, messages.GapMax).Draw(r, "gap")) + 1
			to := at + messages.Sequence(rapid.IntRange(0, 150).Draw(r, "more"))
			require.NoError(r, store.Seal(t.Context(), lane, 1, at, to))
			at = to
		}
		head, err := store.Head(t.Context(), lane, after)
		require.NoError(r, err)
		require.Equal(r, at, head)
	})
}

func TestTrim(t *testing.T) {
	store, lane := newStore(t), newLane()
	require.NoError(t, store.Seal(t.Context(), lane, 1, 1, 600))
	require.NoError(t, store.Trim(t.Context(), lane, 1, 599))
	require.NoError(t, store.Trim(t.Context(), lane, 1, 599), "again")
	require.NoError(t, store.Trim(t.Context(), lane, 7, 7), "one that is not there")
	require.NoError(t, store.Trim(t.Context(), lane, 7, 6), "none")
	got, err := store.Read(t.Context(), lane, 1, 1, 1<<20)
	require.NoError(t, err)
	require.Empty(t, got)
	head, err := store.Head(t.Context(), lane, 599)
	require.NoError(t, err)
	require.Equal(t, messages.Sequence(600), head)
}
