package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"adpulse/system"
	"adpulse/system/stream"
)

// tailOptions is what tail takes.
type tailOptions struct {
	config   system.Config
	topic    string
	from     string
	format   string
	count    int
	earliest bool
}

// tailed is a message of a topic.
type tailed = stream.Message

// errEnough ends following when as many messages were seen as were asked for.
var errEnough = errors.New("enough")

func (p *program) tailCommand() *cobra.Command {
	d := system.DefaultConfig()
	o := tailOptions{config: d, topic: "edge-to-core", from: "latest", format: "line"}
	o.config.Kafka = d.KafkaListen
	c := &cobra.Command{
		Use:   "tail",
		Short: "Print a topic's messages, decoded, following",
		Long: "Print a topic's committed messages, decoded, and go on as they arrive, until Ctrl-C or\n" +
			"-n messages.",
		Example: "  adpulse tail                                       what arrives from now on\n" +
			"  adpulse tail --from earliest -n 10                 the first ten\n" +
			"  adpulse tail --format json | jq .value.key         for scripts\n" +
			"  adpulse tail --kafka k1:9092,k2:9092 --topic edge-to-core",
	}
	f := c.Flags()
	grouped(f, "Messages", func(f *pflag.FlagSet) {
		f.StringVar(&o.topic, "topic", o.topic, "`name` of the topic")
		choose(f, &o.from, "from", "`where` to begin: latest or earliest", "latest", "earliest")
		f.IntVarP(&o.count, "count", "n", 0, "`messages` to print; 0 is no end")
		choose(f, &o.format, "format", "`format`: line for people, json for one object a line", "line", "json")
	})
	grouped(f, "Kafka", kafkaFlags(&o.config))
	secrets := pflag.NewFlagSet("secrets", pflag.ContinueOnError)
	secrets.StringVar(&o.config.KafkaPassword, "kafka-password", "", "password of --kafka-user")
	p.command(c, secrets, func(ctx context.Context) error { return p.tail(ctx, &o) })
	completeValues(c, map[string][]string{"topic": {"edge-to-core", "edge-to-core.dlq", "subscription-events"}})
	return c
}

func (p *program) tail(ctx context.Context, o *tailOptions) error {
	if err := o.config.Validate(); err != nil {
		return err
	}
	if o.count < 0 {
		return &system.FlagError{Flag: "count", Problem: "is negative", Hint: "use a number of messages, or 0 for no end"}
	}
	if o.topic == "" {
		return &system.FlagError{Flag: "topic", Problem: "is empty", Hint: "name a topic, for instance edge-to-core"}
	}
	o.earliest = o.from == "earliest"
	printed := 0
	err := p.follow(ctx, o, func(m tailed) error {
		write := lineOf
		if o.format == "json" {
			write = objectOf
		}
		if err := write(p.stdout, o.topic, m); err != nil {
			return fmt.Errorf("write to stdout: %w", err)
		}
		if printed++; printed == o.count {
			return errEnough
		}
		return nil
	})
	if ctx.Err() != nil { // somebody asked to stop
		err = nil
	}
	if errors.Is(err, errEnough) {
		err = nil
	}
	return err
}

// objectOf writes m as one JSON object: its place, key, headers and value. A
// value that is no JSON stands there as a string.
func objectOf(w io.Writer, topic string, m tailed) error {
	var value any = json.RawMessage(m.Value)
	if !json.Valid(m.Value) {
		value = string(m.Value)
	}
	return writeJSONLine(w, struct {
		Topic     string            `json:"topic"`
		Partition int32             `json:"partition"`
		Offset    int64             `json:"offset"`
		Time      time.Time         `json:"time"`
		Key       string            `json:"key"`
		Headers   map[string]string `json:"headers,omitempty"`
		Value     any               `json:"value"`
	}{topic, m.Partition, m.Offset, m.Time.UTC(), string(m.Key), m.Headers, value})
}

// lineOf writes m for a person: a change record by its event, anything else as
// it is, without control characters.
func lineOf(w io.Writer, _ string, m tailed) error {
	var record struct {
		Bins []struct {
			Name  string          `json:"name"`
			Value json.RawMessage `json:"value"`
		} `json:"bins"`
	}
	place := fmt.Sprintf("%s %3d:%-8d", m.Time.Local().Format("15:04:05.000"), m.Partition, m.Offset)
	if json.Unmarshal(m.Value, &record) == nil && len(record.Bins) > 0 {
		bins := map[string]string{}
		for _, b := range record.Bins {
			var word string
			if json.Unmarshal(b.Value, &word) != nil {
				word = string(b.Value)
			}
			bins[b.Name] = printable(word)
		}
		_, err := fmt.Fprintf(w, "%s %-10s %s %s\n", place, bins["event-type"], bins["event-id"], bins["event-data"])
		return err
	}
	_, err := fmt.Fprintf(w, "%s %s\n", place, printable(string(m.Value)))
	return err
}

// printable replaces what would move a terminal's cursor, or worse.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return '·'
		}
		return r
	}, strings.ToValidUTF8(s, "·"))
}
