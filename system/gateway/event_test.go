package gateway_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image/gif"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"adpulse/messages"
	"adpulse/system/gateway"
)

func TestAnEventIsAnsweredWithItsIDOnceItIsStored(t *testing.T) {
	t.Parallel()
	now := time.UnixMilli(1760695200123)
	f := open(t, func(c *gateway.Config, _ *gateway.Parts) { c.Now = func() time.Time { return now } })
	for _, want := range messages.EventTypes {
		r := f.post("/event/"+want.String(), jsonType+"; charset=UTF-8", `{"tag":"`+tagText+`","publisher":"P","userAgent":"another"}`)
		require.Equal(t, http.StatusAccepted, r.code, r.body)
		require.Equal(t, jsonType, r.header.Get("Content-Type"))
		var got receipt
		require.NoError(t, json.Unmarshal([]byte(r.body), &got))
		require.Equal(t, "accepted", got.Status)

		stored := f.journal.stored()
		e := stored[len(stored)-1]
		require.Equal(t, e.ID.String(), got.ID)
		require.Equal(t, uuid.Version(7), uuid.UUID(e.ID).Version())
		require.Equal(t, want, e.Type)
		require.Equal(t, now.UnixMilli(), e.ReceivedAt)
		require.JSONEq(t, `{"tag":"`+tagText+`","publisher":"P","event":"`+want.String()+`","userAgent":"test/1"}`, string(e.Body))
	}
	require.Len(t, f.journal.stored(), len(messages.EventTypes))
	require.Equal(t, observed{"/event/{type}", http.StatusAccepted}, f.seen[0])
}

func TestAFormIsAnEventToo(t *testing.T) {
	t.Parallel()
	f := open(t, nil)
	values := url.Values{"event": {"click"}, "tag": {tagText}, "geo": {"52.3,4.9"}, "publisher": {"Stäck"}}
	r := f.post("/event/click", urlType, values.Encode())
	require.Equal(t, http.StatusAccepted, r.code, r.body)
	require.JSONEq(t, `{"geo":[52.3,4.9],"tag":"`+tagText+`","publisher":"Stäck","event":"click","userAgent":"test/1"}`,
		string(f.journal.stored()[0].Body))
}

func TestARetryCarriesTheSameIDs(t *testing.T) {
	t.Parallel()
	f := open(t, nil)
	own := strings.TrimSuffix(click, "}") + `,"event_id":"` + strings.ToUpper(idText) + `"}`
	for range 2 {
		require.Contains(t, f.post("/event/click", jsonType, own, "Idempotency-Key", "ignored-then").body, idText)
		require.Contains(t, f.post("/event/click", jsonType, click, "Idempotency-Key", "order-17").body, "887e49d6-37e8-5e31-8cef-ab5fec45ce82")
		list := f.post("/events", linesType, "\n"+click+"\n\n"+own+"\r\n"+click, "Idempotency-Key", "order-17").receipts(t)
		require.Equal(t, messages.DeriveEventID("order-17", 0).String(), list[0].ID)
		require.Equal(t, idText, list[1].ID)
		require.Equal(t, messages.DeriveEventID("order-17", 2).String(), list[2].ID)
		require.Equal(t, http.StatusOK, f.get("/pixel.gif?event=click&tag="+tagText+"&event_id="+idText).code)
	}
	stored := f.journal.stored()
	for i, e := range stored[:len(stored)/2] {
		require.Equal(t, e.ID, stored[len(stored)/2+i].ID)
	}
}

func TestThePixelIsAnImageOnlyWhenTheEventIsStored(t *testing.T) {
	t.Parallel()
	f := open(t, nil)
	path := "/pixel.gif?event=impression&tag=" + tagText + "&publisher=P%20%C3%A9"
	r := f.get(path, "Accept", "image/avif,image/webp,image/*,*/*;q=0.8")
	require.Equal(t, http.StatusOK, r.code)
	require.Equal(t, "image/gif", r.header.Get("Content-Type"))
	require.Equal(t, "no-store", r.header.Get("Cache-Control"))
	image, err := gif.DecodeAll(strings.NewReader(r.body))
	require.NoError(t, err)
	require.Equal(t, 1, image.Config.Width*image.Config.Height)
	require.Equal(t, "P é", f.journal.stored()[0].Source)

	f.journal.do = func(context.Context, []messages.Event) error {
		return &messages.NotCollected{Reason: messages.ReasonHighWater, Retryable: true}
	}
	r = f.get(path)
	require.Equal(t, http.StatusServiceUnavailable, r.code)
	r.failure(t)
	for query, field := range map[string]string{
		"tag=" + tagText: "event", "event=impression": "tag", "event=x&tag=" + tagText: "event", "%zz": "body", "": "tag",
		"event=click&tag=" + tagText + "&tag=" + tagText: "tag",
	} {
		r = f.get("/pixel.gif?" + query)
		require.Equal(t, http.StatusBadRequest, r.code, query)
		require.Equal(t, field, r.failure(t).Field, query)
	}
	require.Equal(t, http.StatusMethodNotAllowed, f.do(http.MethodHead, path, "", "").code, "a look at a link is no impression")
	require.Len(t, f.journal.stored(), 1)
}

func TestBadInputIsRefusedAndNotStored(t *testing.T) {
	t.Parallel()
	f := open(t, nil)
	with := func(field string) string { return strings.TrimSuffix(click, "}") + "," + field + "}" }
	deep := with(`"a":` + strings.Repeat("[", messages.DepthMax) + strings.Repeat("]", messages.DepthMax))
	for name, c := range map[string]struct {
		method, path, contentType, body string
		headers                         []string
		code                            int
		field                           string
	}{
		"unknown type in the path":    {path: "/event/purchase", body: click, code: 400, field: "event"},
		"no type in the path":         {path: "/event/", body: click, code: 400, field: "event"},
		"unknown type in the body":    {body: `{"event":"purchase","tag":"` + tagText + `"}`, code: 400, field: "event"},
		"a type against the path":     {path: "/event/conversion", body: click, code: 400, field: "event"},
		"no tag":                      {body: `{"event":"click"}`, code: 400, field: "tag"},
		"a malformed tag":             {body: `{"event":"click","tag":"7"}`, code: 400, field: "tag"},
		"not UTF-8":                   {body: with("\"a\":\"\xff\""), code: 400, field: "body"},
		"a number for the publisher":  {body: `{"tag":"` + tagText + `","publisher":7}`, code: 400, field: "publisher"},
		"geo of one":                  {body: with(`"geo":[1]`), code: 400, field: "geo"},
		"geo of three":                {body: with(`"geo":[1,2,3]`), code: 400, field: "geo"},
		"geo out of range":            {body: with(`"geo":[1,200]`), code: 400, field: "geo[1]"},
		"a body too large":            {body: with(`"a":"` + strings.Repeat("x", messages.EventBytesMax) + `"`), code: 413, field: "body"},
		"a form too large":            {contentType: urlType, body: "tag=" + tagText + "&x=" + strings.Repeat("x", messages.EventBytesMax), code: 413, field: "body"},
		"a form much too large":       {contentType: urlType, body: strings.Repeat("x", 4*messages.EventBytesMax), code: 413, field: "body"},
		"a form wrongly encoded":      {contentType: urlType, body: "tag=%zz", code: 400, field: "body"},
		"over-deep":                   {body: deep, code: 400, field: "a"},
		"no JSON":                     {body: `{"event"`, code: 400, field: "body"},
		"no body":                     {body: ``, code: 400, field: "body"},
		"an array of one":             {body: "[" + click + "]", code: 400, field: "body"},
		"a wrong content type":        {contentType: "text/plain", body: click, code: 415, field: "Content-Type"},
		"a broken content type":       {contentType: "application/json; charset", body: click, code: 415, field: "Content-Type"},
		"another charset":             {contentType: "application/json; charset=latin1", body: click, code: 415, field: "Content-Type"},
		"no content type":             {contentType: "-", body: click, code: 415, field: "Content-Type"},
		"lines to one event's path":   {contentType: linesType, body: click, code: 415, field: "Content-Type"},
		"a compressed body":           {body: click, headers: []string{"Content-Encoding", "gzip"}, code: 415, field: "Content-Encoding"},
		"an answer nobody has":        {body: click, headers: []string{"Accept", "text/html, application/json;q=0"}, code: 406, field: "Accept"},
		"a malformed id":              {body: with(`"event_id":"7"`), code: 400, field: "event_id"},
		"an empty key":                {body: click, headers: []string{"Idempotency-Key", ""}, code: 400, field: "Idempotency-Key"},
		"a long key":                  {body: click, headers: []string{"Idempotency-Key", strings.Repeat("k", 256)}, code: 400, field: "Idempotency-Key"},
		"a key not ASCII":             {body: click, headers: []string{"Idempotency-Key", "é"}, code: 400, field: "Idempotency-Key"},
		"two keys":                    {body: click, headers: []string{"Idempotency-Key", "a", "Idempotency-Key", "b"}, code: 400, field: "Idempotency-Key"},
		"another method":              {method: http.MethodPut, body: click, code: 405},
		"reading an event":            {method: http.MethodGet, contentType: "-", code: 405},
		"another path":                {path: "/event", body: click, code: 404},
		"a path behind events":        {path: "/events/", body: click, code: 404},
		"events: form":                {path: "/events", contentType: urlType, body: "tag=" + tagText, code: 415, field: "Content-Type"},
		"events: a pixel":             {path: "/pixel.gif", body: click, code: 405},
		"events: nothing":             {path: "/events", body: "", code: 400, field: "body"},
		"events: blank lines":         {path: "/events", contentType: linesType, body: "\n \r\n", code: 400, field: "body"},
		"events: an empty array":      {path: "/events", body: " [ ] ", code: 400, field: "body"},
		"events: an array cut short":  {path: "/events", body: "[" + click + ",", code: 400, field: "body"},
		"events: an array cut inside": {path: "/events", body: "[" + click + "," + click[:20], code: 400, field: "body"},
		"events: a comma too many":    {path: "/events", body: "[" + click + ",]", code: 400, field: "body"},
		"events: more behind":         {path: "/events", body: "[" + click + "]" + click, code: 400, field: "body"},
		"events: too many":            {path: "/events", body: "[" + strings.Repeat("1,", 10_000) + click + "]", code: 413, field: "body"},
		"events: a body too large":    {path: "/events", body: strings.Repeat(" ", 1<<20) + click, code: 413, field: "body"},
		"events: all refused":         {path: "/events", contentType: linesType, body: "1\n{}\n", code: 400, field: "body"},
		"events: the only one, deep":  {path: "/events", body: "[" + deep + "]", code: 400, field: "a"},
		"events: of no type":          {path: "/events", body: `[{"tag":"` + tagText + `"}]`, code: 400, field: "event"},
	} {
		t.Run(name, func(t *testing.T) {
			if c.method == "" {
				c.method = http.MethodPost
			}
			if c.path == "" {
				c.path = "/event/click"
			}
			switch c.contentType {
			case "":
				c.contentType = jsonType
			case "-":
				c.contentType = ""
			}
			r := f.do(c.method, c.path, c.contentType, c.body, c.headers...)
			require.Equal(t, c.code, r.code, r.body)
			failed := r.failure(t)
			require.Equal(t, c.field, failed.Field, failed.Error)
			if c.code == http.StatusMethodNotAllowed {
				require.NotEmpty(t, r.header.Get("Allow"))
			}
		})
	}
	require.Empty(t, f.journal.stored())
	for _, entry := range f.logs.All() {
		require.NotContains(t, fmt.Sprint(entry), tagText)
	}
}

func TestWhatIsNotStoredIsNotAcknowledged(t *testing.T) {
	t.Parallel()
	f := open(t, func(c *gateway.Config, _ *gateway.Parts) {
		c.SubmitTimeout, c.RetryAfter = 50*time.Millisecond, 1500*time.Millisecond
	})
	for name, c := range map[string]struct {
		outcome func(context.Context) error
		code    int
		retry   string
	}{
		"for now": {func(context.Context) error {
			return &messages.NotCollected{Reason: messages.ReasonCredit, Retryable: true}
		}, 503, "2"},
		"for ever": {func(context.Context) error { return &messages.NotCollected{Reason: messages.ReasonFault} }, 500, ""},
		"in time": {func(ctx context.Context) error {
			<-ctx.Done()
			return ctx.Err()
		}, 503, "2"},
		"wrapped":   {func(context.Context) error { return fmt.Errorf("x: %w", context.DeadlineExceeded) }, 503, "2"},
		"strangely": {func(context.Context) error { return errors.New("secret") }, 500, ""},
		"by panic":  {func(context.Context) error { panic("secret") }, 500, ""},
	} {
		t.Run(name, func(t *testing.T) {
			f.journal.do = func(ctx context.Context, _ []messages.Event) error { return c.outcome(ctx) }
			for _, r := range []reply{
				f.post("/event/click", jsonType, click), f.post("/events", jsonType, "["+click+"]"),
				f.get("/pixel.gif?event=click&tag=" + tagText),
			} {
				require.Equal(t, c.code, r.code, r.body)
				require.Equal(t, c.retry, r.header.Get("Retry-After"))
				require.NotContains(t, r.failure(t).Error, "secret")
			}
		})
	}
	f.journal.do = nil
	require.Equal(t, http.StatusAccepted, f.post("/event/click", jsonType, click).code, "the process lives")
	require.NotZero(t, f.logs.FilterMessage("panic in a request").Len())
	for _, entry := range f.logs.All() {
		require.NotContains(t, fmt.Sprint(entry), "secret")
	}
}
