package messages_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"adpulse/messages"
)

var eventSet = messages.Keyspace{Namespace: "test", Set: "events"}

// TestChangeRecordsKeepTheConnectorsFormat pins the message that the
// reference's aggregator reads.
func TestChangeRecordsKeepTheConnectorsFormat(t *testing.T) {
	t.Parallel()
	e, err := messages.DecodeEvent([]byte(`{"event":"impression","event_id":"`+idText+`","tag":"`+tagText+
		`","geo":[52.366521,4.894981],"publisher":"Stack \"Underflow\" é"}`), 0, "Mozilla/5.0 \\")
	require.NoError(t, err)
	e.ReceivedAt = 1760695200123
	digest := messages.Digest{
		0x02, 0xf6, 0x00, 0x77, 0x3a, 0xce, 0x9a, 0x6d, 0x71, 0xc2,
		0xf5, 0x99, 0x15, 0x21, 0xb0, 0x12, 0xf8, 0x23, 0xc2, 0x79,
	}
	got := messages.AppendChangeRecord([]byte("before"), eventSet, digest, &e)
	require.Equal(t, `before{"msg":"write","key":["test","events","AvYAdzrOmm1xwvWZFSGwEvgjwnk=",null],"gen":1,"exp":0,"lut":1760695200123,"bins":[`+
		`{"name":"event-id","type":"str","value":"`+idText+`"},`+
		`{"name":"event-data","type":"map","value":{"geo":[52.366521,4.894981],"tag":"`+tagText+
		`","publisher":"Stack \"Underflow\" é","event":"impression","userAgent":"Mozilla/5.0 \\","event_id":"`+idText+`"}},`+
		`{"name":"event-tag-id","type":"str","value":"`+tagText+`"},`+
		`{"name":"event-source","type":"str","value":"Stack \"Underflow\" é"},`+
		`{"name":"event-type","type":"str","value":"impression"}]}`, string(got))
}

func TestChangeRecordsAreJSONThatSaysWhatTheEventSays(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		in := body(`"publisher":` + jsonString(t) + `,"x":` + jsonValue(t, 3))
		e, err := messages.DecodeEvent([]byte(in), 0, "")
		if err != nil { // only a source that is too long or too short is refused
			var refusal *messages.Refusal
			require.ErrorAs(t, err, &refusal)
			require.Equal(t, "publisher", refusal.Field, err)
			return
		}
		e.ID = messages.NewEventID()
		var record struct {
			Key  []any `json:"key"`
			Bins []struct {
				Name, Type string
				Value      any
			} `json:"bins"`
		}
		text := messages.AppendChangeRecord(nil, eventSet, messages.Digest{1}, &e)
		require.NoError(t, json.Unmarshal(text, &record), "%s", text)
		require.Equal(t, []any{"test", "events", "AQAAAAAAAAAAAAAAAAAAAAAAAAA=", nil}, record.Key)
		values := map[string]any{}
		for _, bin := range record.Bins {
			values[bin.Name] = bin.Value
		}
		var data map[string]any
		require.NoError(t, json.Unmarshal(e.Body, &data))
		require.Equal(t, map[string]any{
			"event-id": e.ID.String(), "event-data": data, "event-tag-id": tagText, "event-source": e.Source, "event-type": "click",
		}, values)
	})
}

func TestAppendJSONStringIsReadBackByEncodingJSON(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s := strings.ToValidUTF8(rapid.String().Draw(t, "string"), "?")
		quoted := messages.AppendJSONString([]byte("x"), s)
		require.Equal(t, byte('x'), quoted[0])
		var got string
		require.NoError(t, json.Unmarshal(quoted[1:], &got), "%s", quoted)
		require.Equal(t, s, got)
	})
	var every strings.Builder
	for r := range rune(0x300) {
		every.WriteRune(r)
	}
	var got string
	require.NoError(t, json.Unmarshal(messages.AppendJSONString(nil, every.String()), &got))
	require.Equal(t, every.String(), got)
}

func BenchmarkAppendChangeRecord(b *testing.B) {
	e := benchSegment(b).Events[0]
	dst := messages.AppendChangeRecord(nil, eventSet, messages.Digest{}, &e)
	b.SetBytes(int64(len(dst)))
	b.ReportAllocs()
	for b.Loop() {
		dst = messages.AppendChangeRecord(dst[:0], eventSet, messages.Digest{}, &e)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
}
