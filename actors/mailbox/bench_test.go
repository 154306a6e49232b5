package mailbox_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"adpulse/actors/mailbox"
)

// BenchmarkSend is the way of one message, sender to actor, for 1 and 4
// senders: ours against Proto.Actor's own mailboxes.
func BenchmarkSend(b *testing.B) {
	for _, kind := range []struct {
		name   string
		option func() actor.PropsOption
	}{
		{"ours", func() actor.PropsOption {
			return mailbox.New(mailbox.Config{Events: 1024, MaxWait: time.Minute}).Option()
		}},
		{"unbounded", func() actor.PropsOption { return actor.WithMailbox(actor.Unbounded()) }},
		{"bounded", func() actor.PropsOption { return actor.WithMailbox(actor.Bounded(1024)) }},
	} {
		for _, senders := range []int{1, 4} {
			b.Run(fmt.Sprintf("%s/senders=%d", kind.name, senders), func(b *testing.B) {
				benchmarkSend(b, kind.option(), senders)
			})
		}
	}
}

func benchmarkSend(b *testing.B, option actor.PropsOption, senders int) {
	b.Helper()
	system := newSystem(b)
	var got atomic.Int64
	done := make(chan struct{})
	total := int64(b.N / senders * senders)
	pid := system.Root.Spawn(actor.PropsFromFunc(func(ctx actor.Context) {
		if _, ok := ctx.Message().(*data); ok && got.Add(1) == total {
			close(done)
		}
	}, option))
	m := &data{weight: 1}
	b.ReportAllocs()
	b.ResetTimer()
	var all sync.WaitGroup
	for range senders {
		all.Add(1)
		go func() {
			defer all.Done()
			for range b.N / senders {
				system.Root.Send(pid, m)
			}
		}()
	}
	all.Wait()
	if total > 0 {
		<-done
	}
	b.ReportMetric(float64(total)/b.Elapsed().Seconds(), "messages/s")
	b.StopTimer()
	if err := system.Root.StopFuture(pid).Wait(); err != nil {
		b.Fatal(err)
	}
}
