package main

import (
	"context"
	"errors"

	"go.uber.org/zap"

	"adpulse/system"
	"adpulse/system/telemetry"
)

// seeder fills the core store; progress hears of records done and in all.
type seeder func(ctx context.Context, c system.Config, log *zap.Logger, progress func(done, total int)) error

// follower hands the messages of a topic to visit until ctx ends or visit fails.
type follower func(ctx context.Context, o *tailOptions, visit func(tailed) error) error

// openNode starts everything of a node in this process.
func openNode(ctx context.Context, c system.Config, log *zap.Logger, metrics *telemetry.Metrics) (node, error) {
	return nil, errors.New("no node")
}

func seedCore(ctx context.Context, c system.Config, log *zap.Logger, progress func(done, total int)) error {
	return errors.New("no core")
}

func followTopic(ctx context.Context, o *tailOptions, visit func(tailed) error) error {
	return errors.New("no stream")
}
