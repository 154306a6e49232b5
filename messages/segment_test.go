package messages_test

import (
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"adpulse/messages"
)

// anyEvent draws an event such as a decoder of segments has to bring back; its
// body is any bytes, for a segment does not look into it.
func anyEvent() *rapid.Generator[messages.Event] {
	return rapid.Custom(func(t *rapid.T) messages.Event {
		return messages.Event{
			ID:         messages.EventID(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "id")),
			Type:       rapid.SampledFrom(messages.EventTypes[:]).Draw(t, "type"),
			Tag:        messages.TagID(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "tag")),
			ReceivedAt: rapid.Int64().Draw(t, "received at"),
			Source:     rapid.String().Draw(t, "source"),
			Body:       rapid.SliceOf(rapid.Byte()).Draw(t, "body"),
		}
	})
}

func anySegment() *rapid.Generator[messages.Segment] {
	return rapid.Custom(func(t *rapid.T) messages.Segment {
		return messages.Segment{
			Lane:   messages.NewLaneID("edge-1", rapid.IntRange(0, 99).Draw(t, "lane")),
			Seq:    messages.Sequence(rapid.Uint64().Draw(t, "seq")),
			Epoch:  messages.Epoch(rapid.Uint64().Draw(t, "epoch")),
			Token:  rapid.Uint64().Draw(t, "token"),
			Base:   rapid.Uint64().Draw(t, "base"),
			Events: rapid.SliceOfN(anyEvent(), 0, 20).Draw(t, "events"),
		}
	})
}

func TestSegmentsComeBackAsTheyWere(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s := anySegment().Draw(t, "segment")
		prefix := rapid.SliceOfN(rapid.Byte(), 0, 5).Draw(t, "what dst holds already")
		appended := messages.AppendSegment(prefix, &s)
		stored := appended[len(prefix):]
		require.Equal(t, prefix, appended[:len(prefix)])
		require.Len(t, stored, s.EncodedSize())

		got, err := messages.DecodeSegment(s.Lane, s.Seq, stored)
		require.NoError(t, err)
		require.Equal(t, &s, got)
	})
}

func TestDecodeSegmentFindsEveryChangedByte(t *testing.T) {
	t.Parallel()
	stored := messages.AppendSegment(nil, goldenSegment())
	for i := range stored {
		damaged := []byte(string(stored))
		damaged[i] ^= 0x10
		_, err := messages.DecodeSegment("edge-1/0", 42, damaged)
		require.ErrorIs(t, err, messages.ErrCorrupt, "byte %d", i)
		_, err = messages.DecodeSegment("edge-1/0", 42, stored[:i])
		require.ErrorIs(t, err, messages.ErrCorrupt, "cut to %d bytes", i)
	}
	_, err := messages.DecodeSegment("edge-1/0", 42, append(stored, 0))
	require.ErrorIs(t, err, messages.ErrCorrupt)
	require.ErrorContains(t, err, "edge-1/0:42")
}

// sealed adds the checksum that content needs to be looked at at all.
func sealed(content string) []byte {
	sum := crc32.Checksum([]byte(content), crc32.MakeTable(crc32.Castagnoli))
	return append([]byte(content), byte(sum), byte(sum>>8), byte(sum>>16), byte(sum>>24))
}

func TestDecodeSegmentRefusesWhatIsNone(t *testing.T) {
	t.Parallel()
	const head = "APS\x01" + "\x00\x00\x00\x00\x00\x00\x00\x00" + "\x01\x00" // token, epoch, base
	event := strings.Repeat("\x11", 16) + "\x02" + strings.Repeat("\x22", 16) + "\x02" + "\x01s" + "\x02{}"
	whole := sealed(head + "\x01" + event)
	_, err := messages.DecodeSegment("l/0", 1, whole)
	require.NoError(t, err, "the cases are variations of this")

	for name, stored := range map[string][]byte{
		"nothing":                 nil,
		"another format":          sealed("APS\x02" + head[4:] + "\x00"),
		"no count":                sealed(head),
		"fewer events than said":  sealed(head + "\x02" + event),
		"more events than may be": sealed(head + "\xff\xff\xff\xff\x0f" + event),
		"a count beyond 64 bits":  sealed(head + strings.Repeat("\xff", 11) + event),
		"bytes behind the events": sealed(head + "\x00" + event),
		"no event of any type":    sealed(head + "\x01" + event[:16] + "\x00" + event[17:]),
		"an unknown type":         sealed(head + "\x01" + event[:16] + "\x05" + event[17:]),
		"a source beyond the end": sealed(head + "\x01" + event[:34] + "\x7fs\x02{}"),
		"a body beyond the end":   sealed(head + "\x01" + event[:36] + "\x03{}"),
		"a length beyond an int":  sealed(head + "\x01" + event[:36] + strings.Repeat("\xff", 9) + "\x01{}"),
		"a cut time":              sealed(head + "\x01" + event[:33] + "\x82\x81\x81\x81\x81\x81\x81\x81\x81\x81\x81"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := messages.DecodeSegment("l/0", 1, stored)
			require.ErrorIs(t, err, messages.ErrCorrupt)
		})
	}
}

func TestAnEmptySegmentSealsItsSequence(t *testing.T) {
	t.Parallel()
	s := &messages.Segment{Lane: "edge-1/0", Seq: 7, Epoch: 3, Token: 9, Base: 100, Events: []messages.Event{}}
	got, err := messages.DecodeSegment(s.Lane, s.Seq, messages.AppendSegment(nil, s))
	require.NoError(t, err)
	require.Equal(t, s, got)
}

func goldenSegment() *messages.Segment {
	return &messages.Segment{
		Lane: "edge-1/0", Seq: 42, Epoch: 3, Token: 0x0102030405060708, Base: 300,
		Events: []messages.Event{
			{
				ID:   mustID(idText),
				Type: messages.Impression, Tag: mustTag(tagText), ReceivedAt: 1760695200123, Source: "Stack Underflow",
				Body: []byte(`{"tag":"` + tagText + `","event":"impression"}`),
			},
			{Type: messages.Conversion, ReceivedAt: -1, Body: []byte(`{}`)},
		},
	}
}

func mustID(text string) messages.EventID {
	id, err := messages.ParseEventID(text)
	if err != nil {
		panic(err)
	}
	return id
}

func mustTag(text string) messages.TagID {
	tag, err := messages.ParseTagID(text)
	if err != nil {
		panic(err)
	}
	return tag
}

// TestStoredSegmentsStayReadable pins the bytes of docs/FORMATS.md: journals
// outlive the program that wrote them.
func TestStoredSegmentsStayReadable(t *testing.T) {
	t.Parallel()
	golden := strings.Join([]string{
		"41505301",         // "APS", version 1
		"0807060504030201", // token
		"03",               // epoch
		"ac02",             // base 300
		"02",               // two events
		"0d33124c8f1a4b6e9c2d5e4f3a2b1c0d", "01", "0a3c2f6e1d4b4c5a9e8f7a6b5c4d3e2f",
		"f6a5e599be66", // 1760695200123 ms
		"0f", hex.EncodeToString([]byte("Stack Underflow")),
		"43", hex.EncodeToString([]byte(`{"tag":"` + tagText + `","event":"impression"}`)),
		strings.Repeat("00", 16), "04", strings.Repeat("00", 16),
		"01", // -1 ms
		"00", // no source
		"02", hex.EncodeToString([]byte(`{}`)),
		"69356306", // CRC-32C
	}, "")
	s := goldenSegment()
	require.Equal(t, golden, hex.EncodeToString(messages.AppendSegment(nil, s)))
	stored, err := hex.DecodeString(golden)
	require.NoError(t, err)
	got, err := messages.DecodeSegment(s.Lane, s.Seq, stored)
	require.NoError(t, err)
	require.Equal(t, s, got)
}

func BenchmarkAppendSegment(b *testing.B) {
	s, dst := benchSegment(b), []byte(nil)
	b.SetBytes(int64(s.EncodedSize()))
	b.ReportAllocs()
	for b.Loop() {
		dst = messages.AppendSegment(dst[:0], s)
	}
	b.ReportMetric(float64(b.N*len(s.Events))/b.Elapsed().Seconds(), "events/s")
}

func BenchmarkDecodeSegment(b *testing.B) {
	s := benchSegment(b)
	stored := messages.AppendSegment(nil, s)
	b.SetBytes(int64(len(stored)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := messages.DecodeSegment(s.Lane, s.Seq, stored); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N*len(s.Events))/b.Elapsed().Seconds(), "events/s")
}

func benchSegment(b *testing.B) *messages.Segment {
	b.Helper()
	s := &messages.Segment{Lane: "edge-1/0", Seq: 42, Epoch: 3, Token: 99}
	for i := range 500 {
		e, err := messages.DecodeEvent([]byte(reported), 0, browser)
		if err != nil {
			b.Fatal(err)
		}
		e.ID, e.ReceivedAt = messages.DeriveEventID("bench", i), 1760695200123
		s.Events = append(s.Events, e)
	}
	return s
}

// FuzzDecodeSegment feeds content whose checksum is right: what no accident on
// the way, only a foreign or hostile writer could store.
func FuzzDecodeSegment(f *testing.F) {
	golden := messages.AppendSegment(nil, goldenSegment())
	f.Add(string(golden[:len(golden)-crc32.Size]))
	f.Add("APS\x01" + strings.Repeat("\x00", 11))
	f.Add("APS\x01" + strings.Repeat("\x00", 10) + "\xff\xff\xff\xff\xff\xff\xff\xff\x7f")
	f.Fuzz(func(t *testing.T, content string) {
		s, err := messages.DecodeSegment("edge-1/0", 42, sealed(content))
		if err != nil {
			require.ErrorIs(t, err, messages.ErrCorrupt)
			return
		}
		again, err := messages.DecodeSegment("edge-1/0", 42, messages.AppendSegment(nil, s))
		require.NoError(t, err, fmt.Sprintf("%q was read and cannot be written", content))
		require.Equal(t, s, again)
	})
}
