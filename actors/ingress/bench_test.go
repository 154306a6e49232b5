package ingress_test

import (
	"context"
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"go.uber.org/zap"

	"adpulse/actors/credit"
	"adpulse/actors/ingress"
	"adpulse/actors/mailbox"
	"adpulse/messages"
)

// BenchmarkSubmit is 64 callers with one event each, as the gateway's requests
// are, against a collector that acknowledges at once.
func BenchmarkSubmit(b *testing.B) {
	system := actor.NewActorSystem(actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger {
		return slog.New(slog.NewTextHandler(io.Discard, nil))
	}))
	defer system.Shutdown()
	box := mailbox.New(mailbox.Config{Events: 8192, MaxWait: time.Second})
	collector := system.Root.Spawn(actor.PropsFromFunc(func(ctx actor.Context) {
		if m, ok := ctx.Message().(*messages.Collect); ok {
			acknowledge(ctx, m)
		}
	}, box.Option()))
	opened, err := ingress.Open(system, "ingress", ingress.DefaultConfig(), ingress.Parts{
		Collectors: []*actor.PID{collector}, Credit: credit.NewPool(1, 8192), Log: zap.NewNop(),
	})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := opened.Submit(context.Background(), make([]messages.Event, 1)); err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
	b.StopTimer()
	if err := opened.Close(context.Background()); err != nil {
		b.Fatal(err)
	}
	if err := system.Root.StopFuture(collector).Wait(); err != nil {
		b.Fatal(err)
	}
}
