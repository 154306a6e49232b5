package telemetry

import (
	"sort"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/prometheus/client_golang/prometheus"
)

// Bounds of what a latency holds: shorter counts as the lowest, longer as the
// highest.
const (
	latencyLow  = time.Microsecond
	latencyHigh = time.Minute
)

// ackBuckets are the upper bounds that are exported, in seconds.
var ackBuckets = []float64{
	.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30,
}

// latency is a histogram whose samples have a weight, so that a batch of events
// with one latency costs one record. It answers exact quantiles (three digits)
// and is exported with ackBuckets. It may be used concurrently.
type latency struct {
	desc *prometheus.Desc

	mu      sync.Mutex
	values  *hdrhistogram.Histogram // in units of latencyLow
	buckets []uint64                // by ackBuckets, not cumulative
	count   uint64
	sum     float64 // seconds
}

func newLatency(desc *prometheus.Desc) *latency {
	return &latency{
		desc:    desc,
		values:  hdrhistogram.New(1, int64(latencyHigh/latencyLow), 3),
		buckets: make([]uint64, len(ackBuckets)),
	}
}

func (l *latency) record(took time.Duration, events int) {
	if events <= 0 {
		return
	}
	units := int64(min(max(took, latencyLow), latencyHigh) / latencyLow)
	at := sort.SearchFloat64s(ackBuckets, took.Seconds())
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.values.RecordValues(units, int64(events)); err != nil {
		panic("telemetry: latency out of the histogram's range: " + err.Error()) // clamped above
	}
	if at < len(l.buckets) {
		l.buckets[at] += uint64(events)
	}
	l.count += uint64(events)
	l.sum += took.Seconds() * float64(events)
}

// quantile of all samples; 0 when there are none. q is 0 to 100.
func (l *latency) quantile(q float64) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return time.Duration(l.values.ValueAtQuantile(q)) * latencyLow
}

// Describe implements prometheus.Collector.
func (l *latency) Describe(out chan<- *prometheus.Desc) { out <- l.desc }

// Collect implements prometheus.Collector.
func (l *latency) Collect(out chan<- prometheus.Metric) {
	l.mu.Lock()
	cumulative := make(map[float64]uint64, len(ackBuckets))
	var below uint64
	for i, bound := range ackBuckets {
		below += l.buckets[i]
		cumulative[bound] = below
	}
	count, sum := l.count, l.sum
	l.mu.Unlock()
	out <- prometheus.MustNewConstHistogram(l.desc, count, sum, cumulative)
}
