package system

import (
	"context"

	"go.uber.org/zap"

	"adpulse/actors/supervision"
	"adpulse/messages"
	"adpulse/system/telemetry"
)

// Seams are where tests reach into a node.
type Seams struct {
	Inspect    func(*messages.Collect)
	Journaled  func(events, bytes int)
	Supervised func(*supervision.Config)
}

// OpenWithSeams is Open for a test that makes actors fail.
func OpenWithSeams(ctx context.Context, config Config, s Seams) (*Node, error) {
	return open(ctx, config, zap.NewNop(), telemetry.New(), seams{s.Inspect, s.Journaled, s.Supervised})
}
