package gateway

import (
	"net/http"
	"net/url"
	"slices"
)

// preflightSeconds is how long a browser may remember a preflight's answer.
const preflightSeconds = "7200"

// originSet returns nil when every origin may send.
func originSet(origins []string) map[string]bool {
	if slices.Contains(origins, "*") {
		return nil
	}
	set := make(map[string]bool, len(origins))
	for _, origin := range origins {
		set[origin] = true
	}
	return set
}

// cross says to a browser whether the page may send here, and answers its
// preflight. Requests of no page pass.
func (s *Server) cross(a *answer, r *http.Request, method string) *failure {
	header := a.Header()
	origin := r.Header.Get("Origin")
	if origin != "" {
		switch {
		case s.origins == nil:
			header.Set("Access-Control-Allow-Origin", "*")
		case s.origins[origin]:
			header.Set("Access-Control-Allow-Origin", origin)
		case !sameHost(origin, r.Host):
			header.Set("Vary", "Origin")
			return &failure{code: http.StatusForbidden, field: "Origin", problem: "may not send events here"}
		}
		header.Set("Access-Control-Expose-Headers", "Retry-After")
	}
	if s.origins != nil {
		header.Set("Vary", "Origin")
	}
	if r.Method != http.MethodOptions {
		return nil
	}
	header.Set("Allow", method+", OPTIONS")
	if origin != "" {
		header.Set("Access-Control-Allow-Methods", method)
		header.Set("Access-Control-Allow-Headers", "Content-Type, Idempotency-Key")
		header.Set("Access-Control-Max-Age", preflightSeconds)
	}
	a.WriteHeader(http.StatusNoContent)
	return nil
}

// sameHost tells whether the page comes from the gateway's own host.
func sameHost(origin, host string) bool {
	page, err := url.Parse(origin)
	return err == nil && page.Host != "" && page.Host == host
}
