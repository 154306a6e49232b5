package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"github.com/google/uuid"
)

// batch is one request's events.
type batch struct {
	ids  []uuid.UUID
	body []byte
}

var kinds = [...]struct{ name, source string }{
	{"impression", "publisher"}, {"click", "publisher"}, {"visit", "advertiser"}, {"conversion", "vendor"},
}

func newBatch(events int) *batch {
	b := &batch{ids: make([]uuid.UUID, events)}
	var body bytes.Buffer
	for i := range b.ids {
		b.ids[i] = uuid.New()
		kind := kinds[rand.IntN(len(kinds))]
		fmt.Fprintf(&body, `{"event":%q,"event_id":%q,"tag":%q,%q:"chaos"}`+"\n", kind.name, b.ids[i], uuid.New(), kind.source)
	}
	b.body = body.Bytes()
	return b
}

// ack is when an id was acknowledged first.
type ack struct {
	round int
	after time.Duration
}

// load is the clients and what they know: which ids were sent, which of them
// were acknowledged, and which batches have to be sent again because nobody
// answered, or somebody said to come back.
type load struct {
	events  int
	targets []string
	started time.Time

	mu       sync.Mutex
	round    int
	sent     map[uuid.UUID]struct{}
	acks     map[uuid.UUID]ack
	doubtful []*batch
	ending   bool
	refused  error // a client's own fault: the harness is wrong
	waiters  []waiter

	working sync.WaitGroup
	cancel  context.CancelFunc
}

// waiter is told when as many ids are acknowledged.
type waiter struct {
	acks int
	told chan struct{}
}

func startLoad(ctx context.Context, senders, events int, targets ...string) *load {
	l := &load{
		events: events, targets: targets, started: time.Now(),
		sent: make(map[uuid.UUID]struct{}), acks: make(map[uuid.UUID]ack),
	}
	ctx, l.cancel = context.WithCancel(ctx)
	for i := range senders {
		l.working.Go(func() { l.send(ctx, i) })
	}
	return l
}

const (
	// timeoutOf a request: a frozen node does not answer.
	timeoutOf = 5 * time.Second
	// paceOf is the mean time between a client's requests. The crashes are what
	// is tried here, not the rate.
	paceOf = 8 * time.Millisecond
)

func (l *load) send(ctx context.Context, number int) {
	transport := &http.Transport{MaxIdleConnsPerHost: 1}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: timeoutOf}
	for ; ctx.Err() == nil; number++ {
		b := l.next()
		if b == nil {
			return
		}
		pause := rand.N(2 * paceOf)
		if !l.post(ctx, client, l.targets[number%len(l.targets)], b) {
			l.again(b)
			pause = 10*time.Millisecond + rand.N(40*time.Millisecond)
		}
		wait(ctx, pause)
	}
}

// next is a batch to send: one in doubt, or a new one; nil when the load ends
// and nothing is in doubt.
func (l *load) next() *batch {
	l.mu.Lock()
	defer l.mu.Unlock()
	if last := len(l.doubtful) - 1; last >= 0 {
		b := l.doubtful[last]
		l.doubtful = l.doubtful[:last]
		return b
	}
	if l.ending {
		return nil
	}
	b := newBatch(l.events)
	for _, id := range b.ids {
		l.sent[id] = struct{}{}
	}
	return b
}

func (l *load) again(b *batch) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.doubtful = append(l.doubtful, b)
}

// repeated is the share of acknowledged batches that are sent once more, as a
// client does that never heard the answer.
const repeated = 0.03

func (l *load) post(ctx context.Context, client *http.Client, target string, b *batch) bool {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+target+"/events", bytes.NewReader(b.body))
	if err != nil {
		l.giveUp(err)
		return false
	}
	request.Header.Set("Content-Type", "application/x-ndjson")
	answer, err := client.Do(request)
	if err != nil {
		return false
	}
	said, err := io.ReadAll(io.LimitReader(answer.Body, 4<<10))
	_ = answer.Body.Close() // it was read, or the connection is broken
	switch {
	case answer.StatusCode >= 200 && answer.StatusCode < 300:
		// The status is the acknowledgement, whether its body came or not.
		l.acknowledge(b)
		return true
	case err == nil && answer.StatusCode >= 400 && answer.StatusCode < 500:
		l.giveUp(fmt.Errorf("a request was refused with %d: %s", answer.StatusCode, said))
	}
	return false
}

func (l *load) acknowledge(b *batch) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, id := range b.ids {
		if _, known := l.acks[id]; !known {
			l.acks[id] = ack{l.round, time.Since(l.started)}
		}
	}
	if !l.ending && rand.Float64() < repeated {
		l.doubtful = append(l.doubtful, b)
	}
	kept := l.waiters[:0]
	for _, w := range l.waiters {
		if len(l.acks) >= w.acks {
			close(w.told)
		} else {
			kept = append(kept, w)
		}
	}
	l.waiters = kept
}

func (l *load) giveUp(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.refused == nil {
		l.refused = err
	}
}

func (l *load) err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.refused
}

// more returns what is closed when so many more ids are acknowledged.
func (l *load) more(acks int) <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	w := waiter{len(l.acks) + acks, make(chan struct{})}
	l.waiters = append(l.waiters, w)
	return w.told
}

func (l *load) acknowledged() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.acks)
}

func (l *load) nextRound() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.round++
}

// end sends nothing new, and what is in doubt until it is acknowledged.
func (l *load) end(ctx context.Context, within time.Duration) error {
	l.mu.Lock()
	l.ending = true
	l.mu.Unlock()
	done := make(chan struct{})
	go func() {
		l.working.Wait()
		close(done)
	}()
	timer := time.NewTimer(within)
	defer timer.Stop()
	defer l.abandon()
	select {
	case <-done:
	case <-timer.C:
		return fmt.Errorf("after %s of a system that is well there are still requests that it does not take", within)
	case <-ctx.Done():
		return ctx.Err()
	}
	// A sender that ended while another held the last batch in doubt has left
	// none behind: whoever holds one sends it.
	return l.err()
}

// abandon ends the clients, whatever they are doing.
func (l *load) abandon() {
	l.cancel()
	l.working.Wait()
}

// wait waits, unless ctx ends before.
func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
