package main

import (
	"context"
	"time"

	"github.com/aerospike/aerospike-client-go/v7/types"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"adpulse/system/broker"
	"adpulse/system/minispike"
)

// ill is something wrong with a store, for a while.
type ill struct {
	name  string
	kafka []broker.Fault
	edge  []minispike.Fault
}

// kafkaIlls are what a Kafka does to its clients.
var kafkaIlls = []ill{
	{name: "Kafka: slow", kafka: []broker.Fault{{On: broker.Any, Do: broker.Delay, Delay: 150 * time.Millisecond, Chance: 0.5}}},
	{name: "Kafka: connections cut before a request is served", kafka: []broker.Fault{{On: broker.Any, Do: broker.DropBefore, Chance: 0.1}}},
	{name: "Kafka: answers lost", kafka: []broker.Fault{{On: broker.Any, Do: broker.DropAfter, Chance: 0.1}}},
	{name: "Kafka: answers to commits lost", kafka: []broker.Fault{{On: kmsg.EndTxn, Do: broker.DropAfter, Chance: 0.5}}},
	{name: "Kafka: answers to produce lost", kafka: []broker.Fault{{On: kmsg.Produce, Do: broker.DropAfter, Chance: 0.3}}},
	{name: "Kafka: connections cut before a commit", kafka: []broker.Fault{{On: kmsg.EndTxn, Do: broker.DropBefore, Chance: 0.5}}},
	{name: "Kafka: CONCURRENT_TRANSACTIONS", kafka: []broker.Fault{
		{On: kmsg.AddPartitionsToTxn, Do: broker.Refuse, Err: kerr.ConcurrentTransactions, Chance: 0.5},
		{On: kmsg.EndTxn, Do: broker.Refuse, Err: kerr.ConcurrentTransactions, Chance: 0.5},
		{On: kmsg.InitProducerID, Do: broker.Refuse, Err: kerr.ConcurrentTransactions, Chance: 0.5},
	}},
	{name: "Kafka: NOT_ENOUGH_REPLICAS", kafka: []broker.Fault{{On: kmsg.Produce, Do: broker.Refuse, Err: kerr.NotEnoughReplicas, Chance: 0.5}}},
	{name: "Kafka: NOT_ENOUGH_REPLICAS_AFTER_APPEND", kafka: []broker.Fault{{On: kmsg.Produce, Do: broker.Refuse, Err: kerr.NotEnoughReplicasAfterAppend, Chance: 0.3}}},
	{name: "Kafka: REQUEST_TIMED_OUT after produce", kafka: []broker.Fault{{On: kmsg.Produce, Do: broker.Refuse, Err: kerr.RequestTimedOut, Chance: 0.3}}},
	{name: "Kafka: UNKNOWN_SERVER_ERROR", kafka: []broker.Fault{{On: broker.Any, Do: broker.Refuse, Err: kerr.UnknownServerError, Chance: 0.1}}},
	{name: "Kafka: INVALID_PRODUCER_EPOCH", kafka: []broker.Fault{{On: kmsg.Produce, Do: broker.Refuse, Err: kerr.InvalidProducerEpoch, Count: 2}}},
	{name: "Kafka: PRODUCER_FENCED", kafka: []broker.Fault{{On: kmsg.EndTxn, Do: broker.Refuse, Err: kerr.ProducerFenced, Count: 1}}},
	{name: "Kafka: COORDINATOR_NOT_AVAILABLE", kafka: []broker.Fault{
		{On: kmsg.EndTxn, Do: broker.Refuse, Err: kerr.CoordinatorNotAvailable, Chance: 0.5},
		{On: kmsg.FindCoordinator, Do: broker.Refuse, Err: kerr.CoordinatorNotAvailable, Chance: 0.5},
	}},
	{name: "Kafka: does not answer", kafka: []broker.Fault{{On: broker.Any, Do: broker.DropBefore}}},
}

// edgeIlls are what an Aerospike does to its clients.
var edgeIlls = []ill{
	{name: "edge: slow", edge: []minispike.Fault{{On: minispike.Any, Do: minispike.Delay, Delay: 100 * time.Millisecond, Chance: 0.5}}},
	{name: "edge: does not answer", edge: []minispike.Fault{{On: minispike.Any, Do: minispike.DropBefore}}},
	{name: "edge: connections cut before a write", edge: []minispike.Fault{
		{On: minispike.Write, Do: minispike.DropBefore, Chance: 0.2}, {On: minispike.Batch, Do: minispike.DropBefore, Chance: 0.2},
	}},
	{name: "edge: answers to writes lost", edge: []minispike.Fault{
		{On: minispike.Write, Do: minispike.DropAfter, Chance: 0.2}, {On: minispike.Batch, Do: minispike.DropAfter, Chance: 0.2},
	}},
	{name: "edge: writes done after their time was over", edge: []minispike.Fault{
		{On: minispike.Write, Do: minispike.Delay, Delay: 2500 * time.Millisecond, Chance: 0.1},
		{On: minispike.Batch, Do: minispike.Delay, Delay: 2500 * time.Millisecond, Chance: 0.1},
	}},
	{name: "edge: DEVICE_OVERLOAD", edge: []minispike.Fault{
		{On: minispike.Write, Do: minispike.Refuse, Code: byte(types.DEVICE_OVERLOAD), Chance: 0.5},
		{On: minispike.Entry, Do: minispike.Refuse, Code: byte(types.DEVICE_OVERLOAD), Chance: 0.2},
	}},
	{name: "edge: KEY_BUSY", edge: []minispike.Fault{
		{On: minispike.Write, Do: minispike.Refuse, Code: byte(types.KEY_BUSY), Chance: 0.3},
		{On: minispike.Entry, Do: minispike.Refuse, Code: byte(types.KEY_BUSY), Chance: 0.2},
	}},
	{name: "edge: batches done in part", edge: []minispike.Fault{
		{On: minispike.Entry, Do: minispike.Refuse, Code: byte(types.TIMEOUT), Chance: 0.1},
	}},
	{name: "edge: server timeouts", edge: []minispike.Fault{
		{On: minispike.Write, Do: minispike.Refuse, Code: byte(types.TIMEOUT), Chance: 0.3},
		{On: minispike.Read, Do: minispike.Refuse, Code: byte(types.TIMEOUT), Chance: 0.3},
	}},
}

// sicken gives a store an illness for a while.
func (s *shared) sicken(ctx context.Context, of ill) error {
	s.work(ctx, 1000)
	if of.kafka != nil {
		s.kafka.Fault(of.kafka...)
	} else {
		s.ill.Set(of.edge...)
	}
	wait(ctx, 500*time.Millisecond+time.Duration(s.chance.IntN(2500))*time.Millisecond)
	hits := s.heal()
	s.count(of.name)
	s.say("%s, %d requests hit; %d acknowledged", of.name, hits, s.load.acknowledged())
	return nil
}

// heal makes both stores well, and tells how many requests were hit.
func (s *shared) heal() int {
	hits := s.ill.Hits()
	s.ill.Set()
	if s.kafka != nil {
		hits += s.kafka.FaultHits()
		s.kafka.Fault()
	}
	return hits
}
