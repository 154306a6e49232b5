package messages_test

import (
	"encoding/json"
	"errors"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"adpulse/messages"
)

// FuzzDecodeEvent checks on any bytes that what is accepted is JSON with the
// same values, in a form that does not change again, and that what is refused
// is refused in words.
func FuzzDecodeEvent(f *testing.F) {
	for _, in := range []string{
		reported, body(""), body(`"geo":[-90.0,1e2],"event_id":"` + idText + `","time":1760695200000`),
		body(`"publisher":"\u0041\ud83d\ude00\\","x":{"y":[1,{"z":null}],"w":true}`), body(`"a":1,"\u0061":1`),
		`{"a":` + strings.Repeat("[", 9), body(`"a":1e999`), body("\"a\":\"\xff\""), "{}", "[]", "",
	} {
		f.Add(in, uint8(0), "")
		f.Add(in, uint8(messages.Click), browser)
	}
	f.Fuzz(func(t *testing.T, in string, path uint8, userAgent string) {
		want := messages.EventType(path % 5)
		e, err := messages.DecodeEvent([]byte(in), want, userAgent)
		if err != nil {
			var refusal *messages.Refusal
			require.ErrorAs(t, err, &refusal)
			require.NotEmpty(t, refusal.Field)
			require.NotEmpty(t, refusal.Problem)
			require.True(t, utf8.ValidString(refusal.Error()))
			return
		}
		require.True(t, e.Type.Valid())
		require.True(t, want == 0 || want == e.Type)
		require.True(t, utf8.Valid(e.Body))
		require.True(t, json.Valid(e.Body), "%s", e.Body)
		if userAgent == "" && strings.Contains(in, `"event"`) {
			requireSameValues(t, in, e)
		}
		again, err := messages.DecodeEvent(e.Body, want, userAgent)
		if errors.Is(err, messages.ErrEventTooLarge) {
			return // the user agent came on top of a body that was just small enough
		}
		require.NoError(t, err)
		require.Equal(t, e, again)
	})
}

func FuzzDecodeForm(f *testing.F) {
	for _, query := range []string{
		"tag=" + tagText + "&geo=52.3,4.9&publisher=Stack+Underflow", "tag=" + tagText + "&geo[]=1&geo[]=2&time=1760695200000",
		"tag=x", "", "tag=" + tagText + "&x=%ff", "tag=" + tagText + "&%00=1", "geo=1,2],%22x%22:[1",
	} {
		f.Add(query)
	}
	f.Fuzz(func(t *testing.T, query string) {
		values, err := url.ParseQuery(query)
		if err != nil {
			return
		}
		e, err := messages.DecodeForm(values, messages.Click, "")
		if err != nil {
			var refusal *messages.Refusal
			require.ErrorAs(t, err, &refusal)
			require.True(t, utf8.ValidString(refusal.Error()))
			return
		}
		var fields map[string]any
		require.NoError(t, json.Unmarshal(e.Body, &fields))
		for name := range fields {
			require.True(t, name == "event" || name == "geo" || values.Has(name), "%q came from nowhere", name)
		}
	})
}

func FuzzChangeRecordID(f *testing.F) {
	e := messages.Event{ID: messages.NewEventID(), Type: messages.Click, Source: "p", Body: []byte(`{"event":"click"}`)}
	f.Add(messages.AppendChangeRecord(nil, messages.Keyspace{Namespace: "test", Set: "events"}, messages.Digest{}, &e))
	f.Add([]byte(`"bins":[{"name":"event-id","type":"str","value":"`))
	f.Fuzz(func(t *testing.T, message []byte) {
		id, err := messages.ChangeRecordID(message)
		if err != nil {
			require.ErrorIs(t, err, messages.ErrCorrupt)
			return
		}
		require.Contains(t, strings.ToLower(string(message)), id.String())
	})
}
