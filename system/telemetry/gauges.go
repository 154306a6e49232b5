package telemetry

import (
	"slices"
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// gauges are read when they are scraped: who has a figure registers a closure
// under its label values, and takes it away when it is gone. Registering again
// under the same values replaces the closure, as a restarted actor does.
type gauges struct {
	descs []*prometheus.Desc

	mu      sync.Mutex
	readers map[string]*reader
}

// reader is one registration: as many figures as there are descs.
type reader struct {
	labels []string
	read   func() []float64
}

func newGauges(descs ...*prometheus.Desc) *gauges {
	return &gauges{descs: descs, readers: map[string]*reader{}}
}

// add registers read and returns what takes it away again. Taking away does
// nothing when somebody has replaced it since.
func (g *gauges) add(read func() []float64, labels ...string) (forget func()) {
	key := strings.Join(labels, "\x00")
	r := &reader{labels: labels, read: read}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.readers[key] = r
	return func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		if g.readers[key] == r {
			delete(g.readers, key)
		}
	}
}

// Describe implements prometheus.Collector.
func (g *gauges) Describe(out chan<- *prometheus.Desc) {
	for _, d := range g.descs {
		out <- d
	}
}

// Collect implements prometheus.Collector. The closures run without the lock:
// one that is slow holds up the scrape and nobody else.
func (g *gauges) Collect(out chan<- prometheus.Metric) {
	g.mu.Lock()
	readers := make([]*reader, 0, len(g.readers))
	for _, r := range g.readers {
		readers = append(readers, r)
	}
	g.mu.Unlock()
	slices.SortFunc(readers, func(a, b *reader) int { return slices.Compare(a.labels, b.labels) })
	for _, r := range readers {
		for i, value := range r.read() {
			out <- prometheus.MustNewConstMetric(g.descs[i], prometheus.GaugeValue, value, r.labels...)
		}
	}
}
