package gateway_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"adpulse/messages"
	"adpulse/system/gateway"
)

// numbered is a click with its number as publisher.
func numbered(n int) string {
	return fmt.Sprintf(`{"event":"click","tag":"%s","publisher":"%d"}`, tagText, n)
}

func manyLines(events int) string {
	var body strings.Builder
	for n := range events {
		body.WriteString(numbered(n))
		body.WriteByte('\n')
	}
	return body.String()
}

func TestEveryEventOfARequestGetsItsReceipt(t *testing.T) {
	t.Parallel()
	own := `{"event":"visit","tag":"` + tagText + `","event_id":"` + idText + `"}`
	elements := []string{
		numbered(0), `{"event":"click"}`, own, `7`, numbered(1), own, `{"event":"click","tag":"` + tagText + `","a":"` + strings.Repeat("x", messages.EventBytesMax) + `"}`,
		`{"event":"click","tag":"` + tagText + `","a":"],[}{\"\\"}`, `{]`, numbered(2),
	}
	for name, c := range map[string]struct{ contentType, body string }{
		"array":             {jsonType, "[" + strings.Join(elements, " ,\n") + " ] \n"},
		"lines":             {linesType, strings.Join(elements, "\r\n\n")},
		"lines by any name": {"application/ndjson; charset=utf-8", strings.Join(elements, "\n") + "\n"},
		"lines called JSON": {jsonType, strings.Join(elements, "\n") + "\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := open(t, nil)
			list := f.post("/events", c.contentType, c.body).receipts(t)
			require.Equal(t, "araradrara", statuses(list))
			require.Equal(t, []string{"tag", "body", "body", "body"}, []string{list[1].Field, list[3].Field, list[6].Field, list[8].Field})
			require.Equal(t, idText, list[2].ID)
			require.Equal(t, idText, list[5].ID)
			for _, r := range list {
				require.Equal(t, r.Status == "refused", r.Error != "")
				require.Equal(t, r.Status == "refused", r.ID == "")
			}
			stored := f.journal.stored()
			require.Len(t, stored, 5)
			for i, place := range []int{0, 2, 4, 7, 9} {
				require.Equal(t, list[place].ID, stored[i].ID.String())
			}
		})
	}
}

func TestNothingOfOneRequestShowsInTheNext(t *testing.T) {
	t.Parallel()
	f := open(t, nil)
	own := `{"event":"visit","tag":"` + tagText + `","event_id":"` + idText + `"}`
	require.Equal(t, "adr", statuses(f.post("/events", linesType, own+"\n"+own+"\n7").receipts(t)))
	require.Equal(t, "a", statuses(f.post("/events", linesType, own).receipts(t)), "a duplicate is one within a request")
	first := f.journal.stored()[0]
	f.post("/events", linesType, strings.ReplaceAll(own, "visit", "click"))
	require.Contains(t, string(first.Body), "visit")
}

func TestLargeRequestsAreSubmittedInBoundedPieces(t *testing.T) {
	t.Parallel()
	var at, most atomic.Int64
	release := make(chan struct{})
	all := sync.OnceFunc(func() { close(release) })
	f := open(t, func(c *gateway.Config, _ *gateway.Parts) { c.BatchEvents, c.BatchesAtOnce = 10, 3 })
	f.journal.do = func(context.Context, []messages.Event) error {
		if at.Add(1) == 3 {
			all() // three are under way; a fourth would be seen
		}
		<-release
		for n := at.Load(); n > most.Load(); n = at.Load() {
			most.Store(n)
		}
		at.Add(-1)
		return nil
	}
	list := f.post("/events", linesType, manyLines(95)).receipts(t)
	require.Len(t, list, 95)
	require.LessOrEqual(t, most.Load(), int64(3))
	require.Len(t, f.journal.calls, 10)
	ids := map[string]bool{}
	for _, e := range f.journal.stored() {
		ids[e.ID.String()] = true
	}
	for _, r := range list {
		require.True(t, ids[r.ID])
	}
}

func TestAPartlyStoredRequestSaysWhatToSendAgain(t *testing.T) {
	t.Parallel()
	f := open(t, func(c *gateway.Config, _ *gateway.Parts) { c.BatchEvents, c.BatchesAtOnce = 10, 1 })
	f.journal.do = func(_ context.Context, events []messages.Event) error {
		switch events[0].Source {
		case "10":
			panic("no")
		case "0":
			return nil
		}
		return &messages.NotCollected{Reason: messages.ReasonEdge, Retryable: true}
	}
	r := f.post("/events", linesType, manyLines(30)+"7")
	require.Equal(t, http.StatusInternalServerError, r.code)
	require.Equal(t, strings.Repeat("a", 10)+strings.Repeat("f", 20)+"r", statuses(r.failure(t).Receipts))

	f.journal.do = func(_ context.Context, events []messages.Event) error {
		if events[0].Source == "0" {
			return nil
		}
		return &messages.NotCollected{Reason: messages.ReasonEdge, Retryable: true}
	}
	r = f.post("/events", linesType, manyLines(30))
	require.Equal(t, http.StatusServiceUnavailable, r.code)
	require.NotEmpty(t, r.header.Get("Retry-After"))
	list := r.failure(t).Receipts
	require.Equal(t, strings.Repeat("a", 10)+strings.Repeat("f", 20), statuses(list))
	for _, r := range list {
		require.NotEmpty(t, r.ID)
	}
	require.Len(t, f.journal.stored(), 20)
}
