package e2e_test

import (
	"context"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// ledger is what a publisher knows about its events: which were acknowledged,
// and which it has to send again because nobody answered.
type ledger struct {
	mu           sync.Mutex
	acknowledged map[string]bool
	doubtful     [][]map[string]any
	enough       chan struct{} // closed when a round has seen target acknowledgements
	left         int
}

func (l *ledger) record(events []map[string]any, acknowledged bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !acknowledged {
		l.doubtful = append(l.doubtful, events)
		return
	}
	for _, e := range events {
		id, _ := e["event_id"].(string)
		l.acknowledged[id] = true
	}
	if l.left > 0 && l.left <= len(events) {
		close(l.enough)
	}
	l.left -= len(events)
}

// next is a batch to send: one in doubt, or a new one.
func (l *ledger) next(n int) []map[string]any {
	l.mu.Lock()
	defer l.mu.Unlock()
	if last := len(l.doubtful) - 1; last >= 0 {
		events := l.doubtful[last]
		l.doubtful = l.doubtful[:last]
		return events
	}
	events := make([]map[string]any, n)
	for i := range events {
		events[i] = newEvent(i)
	}
	return events
}

// TestKilledUnderLoad kills a loaded node with kill -9, again and again, and
// takes the ledger at the end: every acknowledged id is in the topic exactly
// once. Batches in doubt are sent again with the same ids, as a client does.
// ADPULSE_KILLS sets the number of kills.
func TestKilledUnderLoad(t *testing.T) {
	kills := 5
	if text := os.Getenv("ADPULSE_KILLS"); text != "" {
		var err error
		kills, err = strconv.Atoi(text)
		require.NoError(t, err, "ADPULSE_KILLS")
	}
	p := newPlace(t)
	seed := rand.Uint64()
	chance := rand.New(rand.NewPCG(seed, 0))
	t.Logf("seed %d", seed)
	books := &ledger{acknowledged: map[string]bool{}}
	// Simulators of the node's own make a second stream whose ids nobody knows:
	// for those, too, each is in the topic at most once. Small segments and
	// transactions make many instants worth dying at.
	load := []string{"--simulators", "1", "--rate", "2000", "--segment-events", "100", "--export-events", "300"}
	for round := range kills {
		node := p.run(t, load...)
		books.mu.Lock()
		books.left, books.enough = 500+chance.IntN(8000), make(chan struct{})
		books.mu.Unlock()
		ctx, cancel := context.WithCancel(t.Context())
		var senders sync.WaitGroup
		for range 4 {
			sender := p.publisher(t)
			senders.Go(func() {
				for ctx.Err() == nil {
					events := books.next(50)
					code, _, err := sender.postLines(ctx, events)
					books.record(events, err == nil && code >= 200 && code < 300)
				}
			})
		}
		select {
		case <-books.enough:
		case <-node.ended:
			t.Errorf("round %d: the node ended by itself", round)
		}
		node.kill()
		cancel()
		senders.Wait()
		require.False(t, t.Failed())
	}
	node := p.run(t, "--simulators", "0")
	sender := p.publisher(t)
	for _, events := range books.doubtful {
		require.NoError(t, ok(sender.postLines(t.Context(), events)))
		books.record(events, true)
	}
	p.drained(t, 0)
	// drained compares this process's own counts; what earlier ones left in the
	// journal is out when the node has stopped with a drain.
	node.stop(t)
	node = p.run(t, "--simulators", "0")
	found := p.messages(t)
	total := once(t, found)
	missing := 0
	for id := range books.acknowledged {
		if len(found[id]) == 0 {
			missing++
		}
	}
	t.Logf("%d kills: %d acknowledged by id, %d events in the topic, %d missing", kills, len(books.acknowledged), total, missing)
	require.Zero(t, missing, "acknowledged events that are not in the topic")
	node.stop(t)
}
