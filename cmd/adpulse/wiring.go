package main

import (
	"context"

	"go.uber.org/zap"

	"adpulse/system"
	"adpulse/system/telemetry"
)

// seeder fills the core store; progress hears of records done and in all.
type seeder func(ctx context.Context, c system.Config, log *zap.Logger, progress func(done, total int)) error

// follower hands the messages of a topic to visit until ctx ends or visit fails.
type follower func(ctx context.Context, o *tailOptions, visit func(tailed) error) error

// checker holds journal, checkpoints and topic against each other.
type checker func(ctx context.Context, c system.Config, o system.VerifyOptions) (*system.Verification, error)

// openNode is system.Open as the program sees it.
func openNode(ctx context.Context, c system.Config, log *zap.Logger, metrics *telemetry.Metrics) (node, error) {
	n, err := system.Open(ctx, c, log, metrics)
	if err != nil {
		return nil, err
	}
	return n, nil
}

func followTopic(ctx context.Context, o *tailOptions, visit func(tailed) error) error {
	return system.Follow(ctx, o.config, o.topic, o.earliest, visit)
}
