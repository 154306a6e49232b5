package gateway_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"go.uber.org/zap"

	"adpulse/messages"
	"adpulse/system/gateway"
)

// taken accepts events and forgets them.
type taken struct{}

func (taken) Submit(context.Context, []messages.Event) error { return nil }

// reported is an event like the reference's simulator sends it.
const reported = `{"event":"impression","tag":"` + tagText + `","geo":[52.366521,4.894981],"publisher":"Stack Underflow"}`

const browser = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36"

// sink is a ResponseWriter that costs as little as possible.
type sink struct {
	header http.Header
	code   int
}

func (s *sink) Header() http.Header         { return s.header }
func (s *sink) Write(b []byte) (int, error) { return len(b), nil }
func (s *sink) WriteHeader(code int)        { s.code = code }

// body is a request's body that can be read again.
type body struct{ strings.Reader }

func (*body) Close() error { return nil }

// benchHandler measures the gateway without sockets: decoding, naming,
// submitting, receipts.
func benchHandler(b *testing.B, path, contentType, content string, events int, headers ...string) {
	b.Helper()
	server, err := gateway.New(gateway.DefaultConfig(), gateway.Parts{Events: taken{}, Log: zap.NewNop()})
	if err != nil {
		b.Fatal(err)
	}
	handler, again := server.Handler(), &body{}
	request := httptest.NewRequestWithContext(b.Context(), http.MethodPost, path, nil)
	request.Header.Set("Content-Type", contentType)
	request.Header.Set("User-Agent", browser)
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	request.ContentLength = int64(len(content))
	b.SetBytes(int64(len(content)))
	b.ReportAllocs()
	for b.Loop() {
		again.Reset(content)
		request.Body = again
		w := &sink{header: make(http.Header, 4)}
		if handler.ServeHTTP(w, request); w.code != http.StatusAccepted {
			b.Fatal(w.code)
		}
	}
	b.ReportMetric(float64(b.N*events)/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric(b.Elapsed().Seconds()*1e9/float64(b.N*events), "ns/event")
}

func BenchmarkEvent(b *testing.B) {
	b.Run("JSON", func(b *testing.B) { benchHandler(b, "/event/impression", jsonType, reported, 1) })
	b.Run("form", func(b *testing.B) {
		benchHandler(b, "/event/impression", urlType, "event=impression&tag="+tagText+"&geo=52.366521,4.894981&publisher=Stack+Underflow", 1)
	})
}

func BenchmarkEvents(b *testing.B) {
	const events = 500
	lines := strings.Repeat(reported+"\n", events)
	array := "[" + strings.Repeat(reported+",", events-1) + reported + "]"
	b.Run("lines", func(b *testing.B) { benchHandler(b, "/events", linesType, lines, events) })
	b.Run("array", func(b *testing.B) { benchHandler(b, "/events", jsonType, array, events) })
	b.Run("lines with a key", func(b *testing.B) {
		benchHandler(b, "/events", linesType, lines, events, "Idempotency-Key", "order-17")
	})
}

// BenchmarkServed goes over loopback sockets, many connections at once; client
// and server share the cores.
func BenchmarkServed(b *testing.B) {
	const events = 100
	for name, c := range map[string]struct {
		path, contentType, content string
		events                     int
	}{
		"event":         {"/event/impression", jsonType, reported, 1},
		"events of 100": {"/events", linesType, strings.Repeat(reported+"\n", events), events},
	} {
		b.Run(name, func(b *testing.B) {
			server, err := gateway.New(gateway.DefaultConfig(), gateway.Parts{Events: taken{}, Log: zap.NewNop()})
			if err != nil {
				b.Fatal(err)
			}
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				b.Fatal(err)
			}
			served := make(chan error, 1)
			go func() { served <- server.Serve(listener) }()
			transport := &http.Transport{MaxIdleConnsPerHost: 64}
			client, url := &http.Client{Transport: transport}, "http://"+listener.Addr().String()+c.path
			b.SetParallelism(32)
			b.ReportAllocs()
			b.ResetTimer()
			b.RunParallel(func(p *testing.PB) {
				for p.Next() {
					response, err := client.Post(url, c.contentType, strings.NewReader(c.content))
					if err != nil {
						b.Error(err)
						return
					}
					_, _ = io.Copy(io.Discard, response.Body)
					_ = response.Body.Close()
					if response.StatusCode != http.StatusAccepted {
						b.Error(response.Status)
					}
				}
			})
			b.ReportMetric(float64(b.N*c.events)/b.Elapsed().Seconds(), "events/s")
			transport.CloseIdleConnections()
			if err := server.Shutdown(context.Background()); err != nil {
				b.Error(err)
			}
			if err := <-served; err != nil {
				b.Error(err)
			}
		})
	}
}
