package gateway

import (
	"context"
	"net/http"
	"strings"
	"unicode/utf8"

	"adpulse/messages"
)

// health answers GET /healthz: the process lives.
func (*Server) health(a *answer, _ *http.Request) {
	a.send(http.StatusOK, typeJSON, []byte(`{"status":"alive"}`+"\n"))
}

// ready answers GET /readyz: an event can be made durable now.
func (s *Server) ready(a *answer, r *http.Request) {
	var reasons []string
	if s.stopping.Load() {
		reasons = append(reasons, string(messages.ReasonStopping))
	}
	if s.parts.Ready != nil {
		ctx, cancel := context.WithTimeout(r.Context(), s.config.ReadyTimeout)
		defer cancel()
		reasons = append(reasons, reasonsOf(s.parts.Ready(ctx))...)
	}
	if len(reasons) == 0 {
		a.send(http.StatusOK, typeJSON, []byte(`{"status":"ready"}`+"\n"))
		return
	}
	text := []byte(`{"status":"not ready","reasons":[`)
	for i, reason := range reasons {
		if i > 0 {
			text = append(text, ',')
		}
		if !utf8.ValidString(reason) {
			reason = strings.ToValidUTF8(reason, "?")
		}
		text = messages.AppendJSONString(text, reason)
	}
	a.Header().Set("Retry-After", "1")
	a.send(http.StatusServiceUnavailable, typeJSON, append(text, "]}\n"...))
}

// reasonsOf takes joined errors apart.
func reasonsOf(err error) []string {
	if err == nil {
		return nil
	}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []string{err.Error()}
	}
	var reasons []string
	for _, one := range joined.Unwrap() {
		reasons = append(reasons, reasonsOf(one)...)
	}
	if strings.Join(reasons, "\n") != err.Error() {
		return []string{err.Error()} // it says more than its parts
	}
	return reasons
}
