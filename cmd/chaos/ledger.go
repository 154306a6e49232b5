package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"

	as "github.com/aerospike/aerospike-client-go/v7"
	"github.com/google/uuid"
	"go.uber.org/zap"

	"adpulse/messages"
	"adpulse/system/edge"
	"adpulse/system/stream"
)

const topic = "edge-to-core"

// ledger is what the three books say.
type ledger struct {
	sent, acknowledged, inTopic, atEdge int
	reader                              string
	// lost were acknowledged and are not in the topic; twice are in it more than
	// once; strange are in it and nobody sent them; unrecorded are in the topic
	// without a change record, unshipped have one and are not in the topic.
	lost, twice, strange, unrecorded, unshipped []string
}

// differError says that the books do not agree.
type differError struct {
	arena    string
	seed     uint64
	ledger   *ledger
	timeline []string
}

// Error implements error.
func (e *differError) Error() string {
	var text strings.Builder
	fmt.Fprintf(&text, "arena %s, seed %d: the ledgers differ", e.arena, e.seed)
	for _, kind := range e.ledger.kinds() {
		if len(kind.ids) == 0 {
			continue
		}
		fmt.Fprintf(&text, "\n%d %s", len(kind.ids), kind.what)
		for _, id := range kind.ids[:min(len(kind.ids), 10)] {
			fmt.Fprintf(&text, "\n    %s", id)
		}
	}
	text.WriteString("\ntimeline")
	for _, line := range e.timeline {
		fmt.Fprintf(&text, "\n    %s", line)
	}
	return text.String()
}

type kindOfDifference struct {
	what string
	ids  []string
}

func (l *ledger) kinds() []kindOfDifference {
	return []kindOfDifference{
		{"acknowledged and not in the topic", l.lost},
		{"in the topic more than once", l.twice},
		{"in the topic and never sent", l.strange},
		{"in the topic without a change record", l.unrecorded},
		{"with a change record and not in the topic", l.unshipped},
	}
}

func (l *ledger) equal() bool {
	for _, kind := range l.kinds() {
		if len(kind.ids) > 0 {
			return false
		}
	}
	return true
}

// compare reads topic and edge store and holds them against what the clients know.
func compare(ctx context.Context, l *load, edgeAt, kafkaAt string) (*ledger, error) {
	books := &ledger{sent: len(l.sent), acknowledged: len(l.acks)}
	places := make(map[uuid.UUID]string, len(l.sent))
	var err error
	books.reader, err = readTopic(ctx, kafkaAt, func(id uuid.UUID, place string) {
		if first, known := places[id]; known {
			books.twice = append(books.twice, fmt.Sprintf("%s at %s and %s", id, first, place))
			return
		}
		places[id] = place
		if _, known := l.sent[id]; !known {
			books.strange = append(books.strange, fmt.Sprintf("%s at %s", id, place))
		}
	})
	if err != nil {
		return nil, err
	}
	books.inTopic = len(places)
	for id, when := range l.acks {
		if _, there := places[id]; !there {
			books.lost = append(books.lost, fmt.Sprintf("%s, acknowledged in round %d after %s", id, when.round, when.after.Round(time.Millisecond)))
		}
	}
	recorded, err := readEdge(edgeAt)
	if err != nil {
		return nil, err
	}
	books.atEdge = len(recorded)
	for id, place := range places {
		if _, there := recorded[id]; !there {
			books.unrecorded = append(books.unrecorded, fmt.Sprintf("%s at %s", id, place))
		}
	}
	for id, origin := range recorded {
		if _, there := places[id]; !there {
			books.unshipped = append(books.unshipped, fmt.Sprintf("%s of %s", id, origin))
		}
	}
	return books, nil
}

// readTopic visits every committed message with kcat, a client of another code
// base, or with franz-go where kcat is not installed, and says which it was.
func readTopic(ctx context.Context, kafkaAt string, visit func(id uuid.UUID, place string)) (reader string, err error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	kcat, err := exec.LookPath("kcat")
	if err != nil {
		if os.Getenv("ADPULSE_REQUIRE_TOOLS") != "" {
			return "", fmt.Errorf("read the topic: %w", err)
		}
		return "franz-go", readWithFranz(ctx, kafkaAt, visit)
	}
	command := exec.CommandContext(ctx, kcat, "-b", kafkaAt, "-C", "-t", topic, "-o", "beginning", "-e", "-q",
		"-X", "isolation.level=read_committed", "-f", `%p/%o %h %s\n`)
	var complaint bytes.Buffer
	command.Stderr = &complaint
	lines, err := command.StdoutPipe()
	if err != nil {
		return "", fmt.Errorf("read the topic: %w", err)
	}
	if err := command.Start(); err != nil {
		return "", fmt.Errorf("read the topic: %w", err)
	}
	failed := eachLine(lines, visit)
	if err := command.Wait(); err != nil {
		return "", fmt.Errorf("read the topic with kcat: %w: %s", err, &complaint)
	}
	return "kcat", failed
}

// readTimeout bounds reading the topic.
const readTimeout = 5 * time.Minute

func eachLine(lines io.Reader, visit func(id uuid.UUID, place string)) error {
	reader := bufio.NewReaderSize(lines, 1<<16)
	for {
		line, err := reader.ReadSlice('\n')
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read the topic: %w", err)
		}
		head, value, ok := bytes.Cut(line, []byte(" {"))
		if !ok {
			return fmt.Errorf("read the topic: no message: %.200s", line)
		}
		id, err := idOf(value)
		if err != nil {
			return err
		}
		visit(id, string(head))
	}
}

func idOf(value []byte) (uuid.UUID, error) {
	id, err := messages.ChangeRecordID(value)
	if err != nil {
		return uuid.Nil, fmt.Errorf("read the topic: %w", err)
	}
	return uuid.UUID(id), nil
}

func readWithFranz(ctx context.Context, kafkaAt string, visit func(id uuid.UUID, place string)) error {
	config := stream.DefaultConfig()
	config.Brokers, config.Topic = []string{kafkaAt}, topic
	s, err := stream.Open(ctx, config)
	if err != nil {
		return err
	}
	defer s.Close()
	// What is in the topic by now is in front of whatever comes in a quiet while.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	quiet := time.AfterFunc(3*time.Second, cancel)
	defer quiet.Stop()
	err = s.Follow(ctx, topic, true, func(m stream.Message) error {
		quiet.Reset(3 * time.Second)
		id, err := idOf(m.Value)
		if err == nil {
			visit(id, fmt.Sprintf("%d/%d %s", m.Partition, m.Offset, m.Headers[stream.OriginHeader]))
		}
		return err
	})
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// readEdge reads every change record's id and origin.
func readEdge(edgeAt string) (map[uuid.UUID]string, error) {
	host, err := as.NewHosts(edgeAt)
	if err != nil {
		return nil, fmt.Errorf("read the edge store: %w", err)
	}
	client, failure := as.NewClientWithPolicyAndHost(as.NewClientPolicy(), host...)
	if failure != nil {
		return nil, fmt.Errorf("read the edge store: %w", failure)
	}
	defer client.Close()
	scan, failure := client.ScanAll(as.NewScanPolicy(), namespace, eventSet, "event-id", "origin")
	if failure != nil {
		return nil, fmt.Errorf("read the edge store: %w", failure)
	}
	recorded := make(map[uuid.UUID]string)
	for result := range scan.Results() {
		if result.Err != nil {
			return nil, fmt.Errorf("read the edge store: %w", result.Err)
		}
		text, _ := result.Record.Bins["event-id"].(string)
		id, err := uuid.Parse(text)
		if err != nil {
			return nil, fmt.Errorf("read the edge store: event id %q: %w", text, err)
		}
		recorded[id], _ = result.Record.Bins["origin"].(string)
	}
	return recorded, nil
}

const (
	namespace = "test"
	eventSet  = "events"
)

// exported waits until the journal holds nothing that is not in the topic.
func exported(ctx context.Context, edgeAt string, within time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	config := edge.DefaultConfig()
	config.Hosts, config.Log = []string{edgeAt}, zap.NewNop()
	store, err := edge.Open(ctx, config)
	if err != nil {
		return err
	}
	defer store.Close()
	for {
		left, err := leftover(ctx, store)
		if err == nil && left == "" {
			return nil
		}
		wait(ctx, 100*time.Millisecond)
		if ctx.Err() != nil {
			return fmt.Errorf("after %s the journal still holds what is not exported: %s (%w)", within, left, err)
		}
	}
}

// leftover names a lane that is not exported, or is "".
func leftover(ctx context.Context, store *edge.Store) (string, error) {
	lanes, err := store.Lanes(ctx)
	if err != nil {
		return "", err
	}
	for _, lane := range lanes {
		checkpoint, _, err := store.Checkpoint(ctx, lane.Lane)
		if err != nil {
			return "", err
		}
		head, err := store.Head(ctx, lane.Lane, checkpoint.Seq)
		if err != nil {
			return "", err
		}
		if head > checkpoint.Seq {
			return fmt.Sprintf("lane %s of %q is at %d, its checkpoint at %d", lane.Lane, lane.Owner, head, checkpoint.Seq), nil
		}
	}
	return "", nil
}
