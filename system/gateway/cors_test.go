package gateway_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"adpulse/system/gateway"
)

// newRecorder calls the handler without a server.
func newRecorder(t *testing.T, f *fixture) func(method, path string) (int, http.Header) {
	t.Helper()
	handler := f.Handler()
	return func(method, path string) (int, http.Header) {
		recorder := httptest.NewRecorder()
		request := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(click))
		request.Header.Set("Content-Type", jsonType)
		handler.ServeHTTP(recorder, request)
		return recorder.Code, recorder.Header()
	}
}

func TestPagesOfAnyOriginMaySend(t *testing.T) {
	t.Parallel()
	f := open(t, nil)
	for path, method := range map[string]string{"/event/click": "POST", "/events": "POST", "/pixel.gif": "GET"} {
		r := f.do(http.MethodOptions, path, "", "", "Origin", "https://pages.example",
			"Access-Control-Request-Method", method, "Access-Control-Request-Headers", "content-type,idempotency-key")
		require.Equal(t, http.StatusNoContent, r.code)
		require.Equal(t, "*", r.header.Get("Access-Control-Allow-Origin"))
		require.Equal(t, method, r.header.Get("Access-Control-Allow-Methods"))
		require.Equal(t, "Content-Type, Idempotency-Key", r.header.Get("Access-Control-Allow-Headers"))
	}
	r := f.post("/event/click", jsonType, click, "Origin", "null")
	require.Equal(t, http.StatusAccepted, r.code)
	require.Equal(t, "*", r.header.Get("Access-Control-Allow-Origin"))
	r = f.post("/event/click", jsonType, "{}", "Origin", "https://pages.example")
	require.Equal(t, http.StatusBadRequest, r.code)
	require.Equal(t, "*", r.header.Get("Access-Control-Allow-Origin"), "a page may read why")
	require.Empty(t, f.post("/event/click", jsonType, click).header.Get("Access-Control-Allow-Origin"))
	require.Len(t, f.journal.stored(), 2)
}

func TestPagesOfOtherOriginsMayNot(t *testing.T) {
	t.Parallel()
	f := open(t, func(c *gateway.Config, _ *gateway.Parts) { c.Origins = []string{"https://pages.example"} })
	for origin, allowed := range map[string]bool{
		"https://pages.example": true, "http://pages.example": false, "https://pages.example.evil": false, "null": false,
		f.url: true, // the gateway's own pages
	} {
		r := f.post("/event/click", jsonType, click, "Origin", origin)
		require.Equal(t, "Origin", r.header.Get("Vary"))
		preflight := f.do(http.MethodOptions, "/event/click", "", "", "Origin", origin, "Access-Control-Request-Method", "POST")
		if !allowed {
			require.Equal(t, http.StatusForbidden, r.code)
			require.Equal(t, "Origin", r.failure(t).Field)
			require.Empty(t, r.header.Get("Access-Control-Allow-Origin"))
			require.Equal(t, http.StatusForbidden, preflight.code)
			continue
		}
		require.Equal(t, http.StatusAccepted, r.code, origin)
		require.Equal(t, http.StatusNoContent, preflight.code)
	}
	require.Equal(t, http.StatusAccepted, f.post("/event/click", jsonType, click).code, "no browser")
	require.Len(t, f.journal.stored(), 3)
}
