package broker

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// segmentsPerPartition is into how many files retention divides what a
// partition keeps: whole files are dropped.
const segmentsPerPartition = 8

// makeTopics makes the topics that are missing and bounds all of them, by the
// partitions that they really have. None is compacted: a crash while kfake
// compacts loses the partition.
func (b *Broker) makeTopics(ctx context.Context, client *kgo.Client) error {
	admin := kadm.NewClient(client)
	there, err := admin.ListTopics(ctx)
	if err != nil {
		return fmt.Errorf("list topics: %w", err)
	}
	for _, topic := range b.config.Topics {
		if there.Has(topic.Name) {
			err = b.boundTopic(ctx, admin, topic.Name, len(there[topic.Name].Partitions))
		} else {
			_, err = admin.CreateTopic(ctx, int32(topic.Partitions), 1, b.bounds(topic.Partitions), topic.Name)
		}
		if err != nil {
			return fmt.Errorf("make topic %s: %w", topic.Name, err)
		}
	}
	return nil
}

// bounds are the settings of a topic of so many partitions.
func (b *Broker) bounds(partitions int) map[string]*string {
	perPartition := max(b.config.RetainBytes/int64(partitions), segmentsPerPartition)
	return map[string]*string{
		"retention.ms":    new(strconv.FormatInt(b.config.RetainFor.Milliseconds(), 10)),
		"retention.bytes": new(strconv.FormatInt(perPartition, 10)),
		"segment.bytes":   new(strconv.FormatInt(max(perPartition/segmentsPerPartition, 1<<20), 10)),
		"cleanup.policy":  new("delete"),
	}
}

// boundTopic sets them on a topic that is there.
func (b *Broker) boundTopic(ctx context.Context, admin *kadm.Client, name string, partitions int) error {
	var alter []kadm.AlterConfig
	for setting, value := range b.bounds(partitions) {
		alter = append(alter, kadm.AlterConfig{Op: kadm.SetConfig, Name: setting, Value: value})
	}
	altered, err := admin.AlterTopicConfigs(ctx, alter, name)
	for _, response := range altered {
		err = errors.Join(err, response.Err)
	}
	return err
}

// abortOpen writes real abort markers for every transaction that the broker
// lists. kfake aborts them in memory only, when it reads the log of a broker
// that was killed: without a marker its readers would go on to filter what the
// same producer commits later, and who reads to the end would wait for ever.
func abortOpen(ctx context.Context, client *kgo.Client) (aborted int, err error) {
	admin := kadm.NewClient(client)
	listed, err := admin.ListTransactions(ctx, nil, nil)
	if err != nil {
		return 0, fmt.Errorf("list transactions: %w", err)
	}
	if len(listed) == 0 {
		return 0, nil
	}
	described, err := admin.DescribeTransactions(ctx, listed.TransactionalIDs()...)
	if err != nil {
		return 0, fmt.Errorf("describe transactions: %w", err)
	}
	topics, err := admin.ListTopics(ctx)
	if err != nil {
		return 0, fmt.Errorf("list topics: %w", err)
	}
	everywhere := topics.TopicsSet()
	var markers []kadm.TxnMarkers
	for _, transaction := range described.Sorted() {
		if transaction.Err != nil {
			return 0, fmt.Errorf("describe transaction %s: %w", transaction.TxnID, transaction.Err)
		}
		markers = append(markers, kadm.TxnMarkers{
			ProducerID: transaction.ProducerID, ProducerEpoch: transaction.ProducerEpoch,
			Commit: false, Topics: everywhere,
		})
	}
	written, err := admin.WriteTxnMarkers(ctx, markers...)
	if err != nil {
		return 0, fmt.Errorf("write abort markers: %w", err)
	}
	for _, producer := range written {
		for _, topic := range producer.Topics {
			for _, partition := range topic.Partitions {
				if partition.Err != nil {
					err = errors.Join(err, fmt.Errorf("abort marker in %s/%d: %w", partition.Topic, partition.Partition, partition.Err))
				}
			}
		}
	}
	if err != nil {
		return 0, err
	}
	return len(markers), fenceAll(ctx, client, listed.TransactionalIDs())
}

// fenceAll makes the commits of every producer fail that has outlived the
// broker, on another node. kfake knows nothing of the markers above, and answers
// the commit of an aborted transaction as if it were that of the one before.
func fenceAll(ctx context.Context, client *kgo.Client, ids []string) error {
	for _, id := range ids {
		request := kmsg.NewPtrInitProducerIDRequest()
		request.TransactionalID, request.TransactionTimeoutMillis = &id, fenceTimeoutMillis
		response, err := request.RequestWith(ctx, client)
		if err == nil {
			err = kerr.ErrorForCode(response.ErrorCode)
		}
		if err != nil {
			return fmt.Errorf("fence transactional id %s: %w", id, err)
		}
	}
	return nil
}

// fenceTimeoutMillis is the transaction timeout that a fencing needs to name;
// whoever produces next names its own.
const fenceTimeoutMillis = 60_000
