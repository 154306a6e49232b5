package messages_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"adpulse/messages"
)

const (
	tagText = "0a3c2f6e-1d4b-4c5a-9e8f-7a6b5c4d3e2f"
	idText  = "0d33124c-8f1a-4b6e-9c2d-5e4f3a2b1c0d"
)

// body is a valid body with fields added in front of the tag.
func body(fields string) string {
	if fields != "" {
		fields += ","
	}
	return `{"event":"click",` + fields + `"tag":"` + tagText + `"}`
}

func TestDecodeEventMakesBodiesCanonical(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		in        string
		want      messages.EventType
		userAgent string
		body      string
		source    string
	}{
		"the reference's own": {
			in:        `{"event":"impression","tag":"` + tagText + `","geo":[52.366521,4.894981],"publisher":"Stack Underflow"}`,
			want:      messages.Impression,
			userAgent: "Mozilla/5.0",
			body:      `{"geo":[52.366521,4.894981],"tag":"` + tagText + `","publisher":"Stack Underflow","event":"impression","userAgent":"Mozilla/5.0"}`,
			source:    "Stack Underflow",
		},
		"white space and upper case": {
			in:   " \t\r\n{ \"tag\" : \"" + strings.ToUpper(tagText) + "\" , \"event\" : \"visit\" , \"x\" : [ 1 , { \"y\" : null } , [ ] , { } ] } \n",
			body: `{"tag":"` + tagText + `","event":"visit","x":[1,{"y":null},[],{}]}`,
		},
		"the type from the path": {
			in: `{"tag":"` + tagText + `"}`, want: messages.Conversion,
			body: `{"tag":"` + tagText + `","event":"conversion"}`,
		},
		"the header's user agent wins": {
			in: body(`"userAgent":"mine"`), userAgent: `a "quoted" \ one`,
			body: `{"tag":"` + tagText + `","event":"click","userAgent":"a \"quoted\" \\ one"}`,
		},
		"its own user agent without a header": {
			in:   body(`"userAgent":"mine"`),
			body: `{"tag":"` + tagText + `","event":"click","userAgent":"mine"}`,
		},
		"sources of other types stay fields": {
			in:   body(`"vendor":"v","advertiser":"a","publisher":"p"`),
			body: `{"tag":"` + tagText + `","publisher":"p","advertiser":"a","vendor":"v","event":"click"}`, source: "p",
		},
		"escapes become shorter": {
			in:   body(`"publisher":"\u0041\/\ud83d\ude00\u00e9\"\\\b\f\n\r\t\u0001\u001f\u0008\u007f"`),
			body: `{"tag":"` + tagText + `","publisher":"A/😀é\"\\\b\f\n\r\t\u0001\u001f\b` + "\x7f" + `","event":"click"}`, source: "A/😀é\"\\\b\f\n\r\t\x01\x1f\b\x7f",
		},
		"escaped keys": {
			in:   `{"\u0065vent":"click","t\u0061g":"` + tagText + `","\u0078":1}`,
			body: `{"tag":"` + tagText + `","event":"click","x":1}`,
		},
		"numbers stay as written": {
			in:   body(`"a":-0,"b":1e3,"c":1.50,"d":123456789012345678901234567890,"e":1E-400,"geo":[-90.0,180]`),
			body: `{"geo":[-90.0,180],"tag":"` + tagText + `","event":"click","a":-0,"b":1e3,"c":1.50,"d":123456789012345678901234567890,"e":1E-400}`,
		},
		"an own id and time": {
			in:   body(`"event_id":"` + strings.ToUpper(idText) + `","time":"2026-10-17T12:00:00.5+02:00"`),
			body: `{"tag":"` + tagText + `","event":"click","event_id":"` + idText + `","time":"2026-10-17T12:00:00.5+02:00"}`,
		},
		"time in milliseconds": {
			in: body(`"time":1760695200000`), body: `{"tag":"` + tagText + `","event":"click","time":1760695200000}`,
		},
		"as deep as may be": {
			in:   body(`"a":` + strings.Repeat("[", messages.DepthMax-1) + strings.Repeat("]", messages.DepthMax-1)),
			body: `{"tag":"` + tagText + `","event":"click","a":` + strings.Repeat("[", messages.DepthMax-1) + strings.Repeat("]", messages.DepthMax-1) + `}`,
		},
		"the same key at different places": {
			in: body(`"a":{"b":1,"tag":2},"b":[{"b":1},{"b":2}]`), body: `{"tag":"` + tagText + `","event":"click","a":{"b":1,"tag":2},"b":[{"b":1},{"b":2}]}`,
		},
		"empty sources": {
			in: body(`"publisher":"","":""`), body: `{"tag":"` + tagText + `","publisher":"","event":"click","":""}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e, err := messages.DecodeEvent([]byte(c.in), c.want, c.userAgent)
			require.NoError(t, err)
			require.Equal(t, c.body, string(e.Body))
			require.Equal(t, c.source, e.Source)
			require.Equal(t, tagText, e.Tag.String())
			require.Zero(t, e.ReceivedAt)
			again, err := messages.DecodeEvent(e.Body, e.Type, c.userAgent)
			require.NoError(t, err, "the canonical form must be valid")
			require.Equal(t, e, again, "and must not change again")
		})
	}
}

func TestDecodeEventReadsTypeAndID(t *testing.T) {
	t.Parallel()
	for _, want := range messages.EventTypes {
		in := fmt.Sprintf(`{"event":%q,"tag":%q,"publisher":"P","advertiser":"A","vendor":"V","event_id":%q}`, want, tagText, idText)
		e, err := messages.DecodeEvent([]byte(in), 0, "")
		require.NoError(t, err)
		require.Equal(t, want, e.Type)
		require.Equal(t, idText, e.ID.String())
		require.Equal(t, strings.ToUpper(want.SourceField()[:1]), e.Source)
	}
}

func TestDecodeEventRefusesBadBodies(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", messages.UserAgentBytesMax+1)
	var many strings.Builder
	for i := range messages.FieldsMax {
		fmt.Fprintf(&many, `"f%d":0,`, i)
	}
	for name, c := range map[string]struct {
		in        string
		want      messages.EventType
		userAgent string
		field     string
		problem   string
	}{
		"nothing":                 {in: "", field: "body", problem: "is empty"},
		"space":                   {in: " \n", field: "body", problem: "is empty"},
		"an array":                {in: "[]", field: "body", problem: "not a JSON object"},
		"a string":                {in: `"x"`, field: "body", problem: "not a JSON object"},
		"null":                    {in: "null", field: "body", problem: "not a JSON object"},
		"a byte order mark":       {in: "\ufeff{}", field: "body", problem: "not a JSON object"},
		"cut short":               {in: `{"tag":"` + tagText, field: "body", problem: "not valid JSON"},
		"cut after a comma":       {in: `{"a":1,`, field: "body", problem: "not valid JSON"},
		"a trailing comma":        {in: `{"a":1,}`, field: "body", problem: "expected a key at byte 7"},
		"two objects":             {in: body("") + "{}", field: "body", problem: "more after"},
		"a NUL behind it":         {in: body("") + "\x00", field: "body", problem: "more after"},
		"no colon":                {in: `{"a" 1}`, field: "body", problem: "a colon"},
		"a bare word":             {in: body(`"a":nul`), field: "body", problem: "a value"},
		"a leading zero":          {in: body(`"a":01`), field: "body", problem: "not valid JSON"},
		"a leading plus":          {in: body(`"a":+1`), field: "body", problem: "not valid JSON"},
		"no digit behind a point": {in: body(`"a":1.`), field: "body", problem: "a digit"},
		"NaN":                     {in: body(`"a":NaN`), field: "body", problem: "a value"},
		"infinite":                {in: body(`"a":1e999`), field: "a", problem: "too large"},
		"infinite without e":      {in: body(`"a":` + strings.Repeat("9", 400)), field: "a", problem: "too large"},
		"infinite inside":         {in: body(`"a":{"b":[1e999]}`), field: "a", problem: "too large"},
		"a raw control character": {in: body("\"a\":\"\n\""), field: "body", problem: "control character"},
		"a raw NUL":               {in: body("\"a\":\"\x00\""), field: "body", problem: "control character"},
		"an escaped NUL":          {in: body(`"a":"\u0000"`), field: "a", problem: "NUL"},
		"an escaped NUL key":      {in: body(`"\u0000":1`), field: "body", problem: "NUL"},
		"an unknown escape":       {in: body(`"a":"\x"`), field: "body", problem: "an escape"},
		"half an escape":          {in: body(`"a":"\u12"`), field: "body", problem: "hexadecimal"},
		"a lone high surrogate":   {in: body(`"a":"\ud83d"`), field: "a", problem: "surrogate"},
		"a lone low surrogate":    {in: body(`"publisher":"\ude00"`), field: "publisher", problem: "surrogate"},
		"two high surrogates":     {in: body(`"a":"\ud83d\ud83d"`), field: "a", problem: "surrogate"},
		"a surrogate and a text":  {in: body(`"a":"\ud83d\n"`), field: "a", problem: "surrogate"},
		"not UTF-8":               {in: body("\"publisher\":\"\xff\""), field: "body", problem: "UTF-8"},
		"an overlong form":        {in: body("\"a\":\"\xc0\x80\""), field: "body", problem: "UTF-8"},
		"an encoded surrogate":    {in: body("\"a\":\"\xed\xa0\x80\""), field: "body", problem: "UTF-8"},
		"too large":               {in: body(`"a":"` + strings.Repeat("x", messages.EventBytesMax) + `"`), field: "body", problem: "larger than 16384"},
		"too deep":                {in: body(`"a":` + strings.Repeat("[", messages.DepthMax) + strings.Repeat("]", messages.DepthMax)), field: "a", problem: "deeper than 8"},
		"objects too deep":        {in: body(`"a":` + strings.Repeat(`{"a":`, messages.DepthMax) + "1" + strings.Repeat("}", messages.DepthMax)), field: "a", problem: "deeper than 8"},
		"too many fields":         {in: body(many.String() + `"a":1`), field: "body", problem: "more than 128 fields"},
		"too many inside":         {in: body(`"a":{` + strings.TrimSuffix(many.String(), ",") + `}`), field: "body", problem: "more than 128 fields"},
		"a key twice":             {in: body(`"a":1,"a":1`), field: "a", problem: "twice"},
		"a key twice, escaped":    {in: body(`"a":1,"\u0061":1`), field: "a", problem: "twice"},
		"a key twice inside":      {in: body(`"a":{"b":1,"b":1}`), field: "a", problem: "twice"},
		"a key twice in an array": {in: body(`"a":[{"b":1,"c":2,"b":1}]`), field: "a", problem: "twice"},
		"the tag twice":           {in: body(`"tag":"` + tagText + `"`), field: "tag", problem: "twice"},
		"the event twice":         {in: body(`"event":"click"`), field: "event", problem: "twice"},
		"no event":                {in: `{"tag":"` + tagText + `"}`, field: "event", problem: "missing"},
		"an empty event":          {in: `{"event":""}`, want: messages.Click, field: "event", problem: "empty"},
		"a null event":            {in: `{"event":null}`, field: "event", problem: "null"},
		"a number for an event":   {in: `{"event":1}`, field: "event", problem: "string"},
		"an unknown event":        {in: `{"event":"purchase"}`, field: "event", problem: "one of impression"},
		"an event in upper case":  {in: `{"event":"Click"}`, field: "event", problem: "one of impression"},
		"another event":           {in: body(""), want: messages.Conversion, field: "event", problem: "contradicts the path"},
		"no tag":                  {in: `{"event":"click"}`, field: "tag", problem: "missing"},
		"an empty object":         {in: `{}`, want: messages.Click, field: "tag", problem: "missing"},
		"an empty tag":            {in: `{"tag":""}`, field: "tag", problem: "empty"},
		"a null tag":              {in: `{"tag":null}`, field: "tag", problem: "null"},
		"a short tag":             {in: `{"tag":"1234"}`, field: "tag", problem: "not a UUID"},
		"a tag in braces":         {in: `{"tag":"{` + tagText[1:35] + `}"}`, field: "tag", problem: "not a UUID"},
		"a tag with a g":          {in: `{"tag":"g` + tagText[1:] + `"}`, field: "tag", problem: "not a UUID"},
		"a number for a tag":      {in: `{"tag":7}`, field: "tag", problem: "string"},
		"a bad id":                {in: body(`"event_id":"x"`), field: "event_id", problem: "not a UUID"},
		"a null id":               {in: body(`"event_id":null`), field: "event_id", problem: "null"},
		"the nil id":              {in: body(`"event_id":"00000000-0000-0000-0000-000000000000"`), field: "event_id", problem: "nil UUID"},
		"an id twice":             {in: body(`"event_id":"` + idText + `","event_id":"` + idText + `"`), field: "event_id", problem: "twice"},
		"geo as text":             {in: body(`"geo":"1,2"`), field: "geo", problem: "array of two numbers"},
		"geo null":                {in: body(`"geo":null`), field: "geo", problem: "null"},
		"geo of one":              {in: body(`"geo":[1]`), field: "geo", problem: "two numbers"},
		"geo of none":             {in: body(`"geo":[]`), field: "geo", problem: "two numbers"},
		"geo of three":            {in: body(`"geo":[1,2,3]`), field: "geo", problem: "two numbers"},
		"geo of texts":            {in: body(`"geo":["1","2"]`), field: "geo[0]", problem: "number"},
		"geo with null":           {in: body(`"geo":[1,null]`), field: "geo[1]", problem: "number"},
		"geo with NaN":            {in: body(`"geo":[NaN,1]`), field: "geo[0]", problem: "number"},
		"geo too far north":       {in: body(`"geo":[90.0001,0]`), field: "geo[0]", problem: "between -90 and 90"},
		"geo too far west":        {in: body(`"geo":[0,-180.5]`), field: "geo[1]", problem: "between -180 and 180"},
		"geo infinite":            {in: body(`"geo":[0,1e999]`), field: "geo", problem: "too large"},
		"a number for a source":   {in: body(`"publisher":1`), field: "publisher", problem: "string"},
		"a null source":           {in: body(`"vendor":null`), field: "vendor", problem: "null"},
		"a long source":           {in: body(`"advertiser":"` + long[:messages.SourceBytesMax+1] + `"`), field: "advertiser", problem: "longer than 256"},
		"a long user agent":       {in: body(`"userAgent":"` + long + `"`), field: "userAgent", problem: "longer than 2048"},
		"a user agent list":       {in: body(`"userAgent":["x"]`), userAgent: "x", field: "userAgent", problem: "string"},
		"a long header":           {in: body(""), userAgent: long, field: "userAgent", problem: "longer than 2048"},
		"a header not UTF-8":      {in: body(""), userAgent: "\xff", field: "userAgent", problem: "UTF-8"},
		"a header with a NUL":     {in: body(""), userAgent: "a\x00", field: "userAgent", problem: "NUL"},
		"time of the day":         {in: body(`"time":"12:00"`), field: "time", problem: "RFC 3339"},
		"time of the future":      {in: body(`"time":99999999999999`), field: "time", problem: "2000 to 2099"},
		"time in seconds":         {in: body(`"time":1760695200`), field: "time", problem: "2000 to 2099"},
		"time with a fraction":    {in: body(`"time":1760695200000.5`), field: "time", problem: "RFC 3339"},
		"time beyond int64":       {in: body(`"time":99999999999999999999`), field: "time", problem: "RFC 3339"},
		"time null":               {in: body(`"time":null`), field: "time", problem: "null"},
		"a very long time":        {in: body(`"time":"` + long[:100] + `"`), field: "time", problem: "RFC 3339"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := messages.DecodeEvent([]byte(c.in), c.want, c.userAgent)
			requireRefusal(t, err, c.field, c.problem)
		})
	}
}

func requireRefusal(t *testing.T, err error, field, problem string) {
	t.Helper()
	var refusal *messages.Refusal
	require.ErrorAs(t, err, &refusal)
	require.Equal(t, field, refusal.Field, "of %v", err)
	require.Contains(t, refusal.Problem, problem)
}

func TestDecodeEventTellsTooLargeFromOtherRefusals(t *testing.T) {
	t.Parallel()
	_, err := messages.DecodeEvent(make([]byte, messages.EventBytesMax+1), 0, "")
	require.ErrorIs(t, err, messages.ErrEventTooLarge)
	_, err = messages.DecodeEvent(nil, 0, "")
	require.NotErrorIs(t, err, messages.ErrEventTooLarge)
}

// TestDecodeEventForgetsTheBodyBefore: decoders are reused, and nothing of one
// body may show in the next, whatever became of the first.
func TestDecodeEventForgetsTheBodyBefore(t *testing.T) {
	t.Parallel()
	plain := []byte(body(""))
	for _, before := range []string{
		body(`"geo":[1,2],"publisher":"p","event_id":"` + idText + `","a":{"b":{"c":1`),
		body(`"geo":[1,2],"publisher":"p","userAgent":"u","event_id":"` + idText + `","a":1`),
	} {
		_, _ = messages.DecodeEvent([]byte(before), 0, "header")
		e, err := messages.DecodeEvent(plain, 0, "")
		require.NoError(t, err)
		require.Equal(t, `{"tag":"`+tagText+`","event":"click"}`, string(e.Body))
		require.Zero(t, e.ID)
		require.Empty(t, e.Source)
	}
}

func TestDecodeEventConcurrently(t *testing.T) {
	t.Parallel()
	var workers sync.WaitGroup
	for w := range 4 {
		workers.Go(func() {
			for i := range 200 {
				publisher := fmt.Sprintf("p-%d-%d", w, i)
				e, err := messages.DecodeEvent([]byte(body(`"publisher":"`+publisher+`"`)), 0, "")
				if err != nil || e.Source != publisher || !strings.Contains(string(e.Body), publisher) {
					t.Errorf("worker %d: got source %q, error %v", w, e.Source, err)
				}
			}
		})
	}
	workers.Wait()
}

func TestDecodeForm(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		query string
		body  string
		field string // of the refusal
	}{
		"geo as a pair":      {query: "geo=52.3,+4.9", body: `{"geo":[52.3,4.9],"tag":"` + tagText + `","event":"click","userAgent":"u"}`},
		"geo twice":          {query: "geo=52.3&geo=4.9", body: `{"geo":[52.3,4.9],"tag":"` + tagText + `","event":"click","userAgent":"u"}`},
		"geo in brackets":    {query: "geo[]=-1&geo[]=2e1", body: `{"geo":[-1,2e1],"tag":"` + tagText + `","event":"click","userAgent":"u"}`},
		"unfilled fields":    {query: "geo=&time=&event_id=&publisher=", body: `{"tag":"` + tagText + `","publisher":"","event":"click","userAgent":"u"}`},
		"others are strings": {query: "z=1&a=%22&m=true", body: `{"tag":"` + tagText + `","event":"click","userAgent":"u","a":"\"","m":"true","z":"1"}`},
		"a time":             {query: "time=1760695200000", body: `{"tag":"` + tagText + `","event":"click","userAgent":"u","time":1760695200000}`},
		"a written time":     {query: "time=2026-10-17T12:00:00Z", body: `{"tag":"` + tagText + `","event":"click","userAgent":"u","time":"2026-10-17T12:00:00Z"}`},
		"one number":         {query: "geo=52.3", field: "geo"},
		"three numbers":      {query: "geo=1&geo=2&geo=3", field: "geo"},
		"no number":          {query: "geo=1,x", field: "geo[1]"},
		"a number and more":  {query: "geo=1,2x", field: "geo[1]"},
		"out of range":       {query: "geo=91,0", field: "geo[0]"},
		"injected JSON":      {query: "geo=1,2],%22x%22:[1", field: "geo"},
		"both forms of geo":  {query: "geo=1,2&geo[]=1&geo[]=2", field: "geo"},
		"a parameter twice":  {query: "publisher=a&publisher=b", field: "publisher"},
		"the tag twice":      {query: "tag=" + tagText, field: "tag"},
		"not UTF-8":          {query: "publisher=%ff", field: "publisher"},
		"a name not UTF-8":   {query: "%ff=1", field: "body"},
		"a NUL":              {query: "publisher=%00", field: "publisher"},
		"a bad id":           {query: "event_id=7", field: "event_id"},
		"a bad time":         {query: "time=7", field: "time"},
		"another event":      {query: "event=visit", field: "event"},
		"too long":           {query: "x=" + strings.Repeat("x", messages.EventBytesMax), field: "body"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			values, err := url.ParseQuery("tag=" + tagText + "&" + c.query)
			require.NoError(t, err)
			e, err := messages.DecodeForm(values, messages.Click, "u")
			if c.field != "" {
				requireRefusal(t, err, c.field, "")
				return
			}
			require.NoError(t, err)
			require.Equal(t, c.body, string(e.Body))
		})
	}
	_, err := messages.DecodeForm(nil, messages.Click, "")
	requireRefusal(t, err, "tag", "missing")
	many := url.Values{"tag": {tagText}}
	for i := range messages.FieldsMax {
		many.Set(fmt.Sprint("f", i), "")
	}
	_, err = messages.DecodeForm(many, messages.Click, "")
	requireRefusal(t, err, "body", "too many")
}

// jsonValue draws a JSON value as text, spaces and escapes included.
func jsonValue(t *rapid.T, depth int) string {
	kinds := 6
	if depth <= 0 {
		kinds = 4
	}
	pad := rapid.SampledFrom([]string{"", "", " ", "\n\t"}).Draw(t, "pad")
	switch rapid.IntRange(0, kinds-1).Draw(t, "kind") {
	case 0:
		return pad + rapid.SampledFrom([]string{"true", "false", "null"}).Draw(t, "literal")
	case 1:
		return pad + fmt.Sprint(rapid.Float64Range(-1e300, 1e300).Draw(t, "float"))
	case 2:
		return fmt.Sprint(rapid.Int64().Draw(t, "int")) + pad
	case 3:
		return pad + jsonString(t)
	case 4:
		items := make([]string, rapid.IntRange(0, 3).Draw(t, "items"))
		for i := range items {
			items[i] = jsonValue(t, depth-1)
		}
		return "[" + strings.Join(items, ",") + pad + "]"
	default:
		items := make([]string, rapid.IntRange(0, 3).Draw(t, "fields"))
		for i := range items {
			items[i] = fmt.Sprintf(`"k%d%s:%s`, i, jsonString(t)[1:], jsonValue(t, depth-1))
		}
		return "{" + pad + strings.Join(items, ",") + "}"
	}
}

// jsonString draws a string as encoding/json writes it, which escapes <, > and
// &, or with every character escaped.
func jsonString(t *rapid.T) string {
	s := rapid.StringOf(rapid.Rune().Filter(func(r rune) bool { return r != 0 && r != 0xfffd })).Draw(t, "string")
	s = strings.ToValidUTF8(s, "?")
	if rapid.Bool().Draw(t, "escaped") {
		var b strings.Builder
		b.WriteByte('"')
		for _, r := range s {
			if r > 0xffff {
				r -= 0x10000
				fmt.Fprintf(&b, `\u%04x\u%04X`, 0xd800+r>>10, 0xdc00+r&0x3ff)
				continue
			}
			fmt.Fprintf(&b, `\u%04x`, r)
		}
		b.WriteByte('"')
		return b.String()
	}
	quoted, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	return string(quoted)
}

func TestDecodedBodyHasTheValuesThatCame(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		fields := make([]string, rapid.IntRange(0, 5).Draw(t, "fields"))
		for i := range fields {
			fields[i] = fmt.Sprintf(`"x%d":%s`, i, jsonValue(t, 4))
		}
		in := body(strings.Join(fields, ","))
		e, err := messages.DecodeEvent([]byte(in), 0, "")
		if err != nil {
			t.Fatalf("%s: %v", in, err)
		}
		requireSameValues(t, in, e)
		if len(e.Body) > len(in) {
			t.Fatalf("%s grew to %s", in, e.Body)
		}
	})
}

// requireSameValues compares what encoding/json reads from a body and from the
// event that was made of it without a header.
func requireSameValues(t require.TestingT, in string, e messages.Event) {
	var want, got map[string]any
	require.NoError(t, json.Unmarshal([]byte(in), &want))
	require.NoError(t, json.Unmarshal(e.Body, &got))
	want["tag"] = e.Tag.String() // in lower case now
	if e.ID != (messages.EventID{}) {
		want["event_id"] = e.ID.String()
	}
	want["event"] = e.Type.String()
	require.Equal(t, want, got)
}

func TestDeriveEventIDIsStable(t *testing.T) {
	t.Parallel()
	// Computed with Python: uuid5(UUID("5b0e8a3c-6f1d-4e52-9b77-3ad4106ce82f"), "order-17/0").
	require.Equal(t, "887e49d6-37e8-5e31-8cef-ab5fec45ce82", messages.DeriveEventID("order-17", 0).String())
	seen := map[messages.EventID]string{}
	for _, key := range []string{"", "a", "b", "a/1", "order-17"} {
		for place := range 20 {
			id := messages.DeriveEventID(key, place)
			require.Equal(t, id, messages.DeriveEventID(key, place))
			at := fmt.Sprint(key, "/", place)
			require.Empty(t, seen[id], "%s has the id of another", at)
			seen[id] = at
		}
	}
}

func TestNewEventIDIsAnAscendingUUIDv7(t *testing.T) {
	t.Parallel()
	const each = 2000
	made := make([][]messages.EventID, 4)
	var makers sync.WaitGroup
	for m := range made {
		makers.Go(func() {
			for range each {
				made[m] = append(made[m], messages.NewEventID())
			}
		})
	}
	makers.Wait()
	seen := map[messages.EventID]bool{}
	for _, ids := range made {
		for i, id := range ids {
			require.False(t, seen[id])
			seen[id] = true
			if i > 0 {
				require.Negative(t, strings.Compare(ids[i-1].String(), id.String()), "ids must ascend")
			}
		}
	}
	parsed := uuid.UUID(made[0][0])
	require.Equal(t, uuid.Version(7), parsed.Version())
	require.Equal(t, uuid.RFC4122, parsed.Variant())
	seconds, _ := parsed.Time().UnixTime()
	require.WithinDuration(t, time.Now(), time.Unix(seconds, 0), time.Hour)
}
