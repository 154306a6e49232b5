package system_test

import (
	"context"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"adpulse/actors/supervision"
	"adpulse/messages"
	"adpulse/system"
)

// failing opens a node without simulators whose actors fail as the seams say.
func failing(t *testing.T, seams system.Seams) (*system.Node, system.Config) {
	t.Helper()
	c := small(filepath.Join(t.TempDir(), "data"))
	c.Simulators, c.Collectors = 0, 1
	n, err := system.OpenWithSeams(t.Context(), c, seams)
	require.NoError(t, err)
	return n, c
}

// TestAPanicRejectsItsSenderAlone sends a poisonous event among others that the
// same collector gathers, perhaps into the same segment.
func TestAPanicRejectsItsSenderAlone(t *testing.T) {
	t.Parallel()
	n, _ := failing(t, system.Seams{Inspect: func(m *messages.Collect) {
		for i := range m.Events {
			if m.Events[i].Source == "poison" {
				panic("poisoned")
			}
		}
	}})
	normal := newCrowd(t, n)
	var poisoned sync.WaitGroup
	var refused atomic.Int64
	for range 4 {
		poisoned.Go(func() {
			for range 10 {
				answer, err := normal.client.Post(normal.url+"/event/click", "application/json", strings.NewReader(strings.Replace(clickBody, `"p"`, `"poison"`, 1)))
				if err != nil {
					t.Error(err)
					return
				}
				_ = answer.Body.Close()
				if answer.StatusCode == http.StatusInternalServerError {
					refused.Add(1)
				}
			}
		})
	}
	normal.send(200, 20, 4)
	poisoned.Wait()
	require.EqualValues(t, 40, refused.Load())
	require.Equal(t, 200, normal.answered(http.StatusAccepted))
	_, page := normal.page("/metrics")
	require.NotContains(t, page, "adpulse_restarts_total{", "the actor need not be restarted for that")
	s := stopNode(t, n)
	require.EqualValues(t, 200*20, s.Exported)
}

// TestACollectorThatFailsIsRestartedAndGoesOn makes it fail between the journal
// and the acknowledgement: nobody was promised anything, and the lane goes on.
func TestACollectorThatFailsIsRestartedAndGoesOn(t *testing.T) {
	t.Parallel()
	var failures atomic.Int64
	n, _ := failing(t, system.Seams{
		Journaled: func(int, int) {
			if failures.Add(1) <= 2 {
				panic("no acknowledgement")
			}
		},
		Supervised: func(c *supervision.Config) { c.Backoff = time.Millisecond },
	})
	senders := newCrowd(t, n)
	senders.until(http.StatusAccepted)
	senders.send(50, 20, 4)
	require.Greater(t, failures.Load(), int64(2))
	_, page := senders.page("/metrics")
	require.Contains(t, page, `adpulse_restarts_total{actor="collector-0"} 2`)
	require.Zero(t, stopNode(t, n).Backlog)
}

// TestARestartBudgetThatIsUsedUpEndsTheNodeWithItsReason: it does not limp.
func TestARestartBudgetThatIsUsedUpEndsTheNodeWithItsReason(t *testing.T) {
	t.Parallel()
	n, _ := failing(t, system.Seams{
		Journaled:  func(int, int) { panic("out of luck") },
		Supervised: func(c *supervision.Config) { c.Backoff, c.Restarts = time.Millisecond, 2 },
	})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var sender sync.WaitGroup
	sender.Go(func() {
		for ctx.Err() == nil {
			request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+n.HTTPAddr()+"/event/click", strings.NewReader(clickBody))
			if err != nil {
				t.Error(err)
				return
			}
			request.Header.Set("Content-Type", "application/json")
			if answer, err := http.DefaultClient.Do(request); err == nil {
				_ = answer.Body.Close()
			}
		}
	})
	require.NoError(t, n.Err())
	select {
	case <-n.Done():
	case <-ctx.Done():
		t.Error("the node goes on")
	}
	cancel()
	sender.Wait()
	require.ErrorContains(t, n.Err(), "collector-0 fails again and again")
	require.ErrorContains(t, n.Err(), "out of luck")
	cut, stop := context.WithCancel(context.Background())
	stop()
	require.Error(t, n.Stop(cut), "what a failed collector holds cannot be drained")
}
