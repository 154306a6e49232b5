package messages_test

import (
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"adpulse/messages"
)

func TestIDsReadAndWriteAsUUIDs(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		raw := uuid.UUID(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "id"))
		require.Equal(t, raw.String(), messages.EventID(raw).String())
		require.Equal(t, raw.String(), messages.TagID(raw).String())
		id, err := messages.ParseEventID(strings.ToUpper(raw.String()))
		require.NoError(t, err)
		require.Equal(t, messages.EventID(raw), id)
		tag, err := messages.ParseTagID([]byte(raw.String()))
		require.NoError(t, err)
		require.Equal(t, messages.TagID(raw), tag)
	})
}

func TestParseIDsTakeTheOneTextForm(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"", tagText[1:], tagText + "0", "{" + tagText + "}", "urn:uuid:" + tagText, strings.ReplaceAll(tagText, "-", ""),
		strings.Replace(tagText, "-", "0", 1), "g" + tagText[1:], tagText[:35] + "-", tagText[:35] + "\x00",
	} {
		_, err := messages.ParseTagID(text)
		require.Error(t, err, "%q", text)
		_, err = messages.ParseEventID([]byte(text))
		require.Error(t, err, "%q", text)
	}
}

func TestEventTypesHaveNamesAndSources(t *testing.T) {
	t.Parallel()
	sources := map[messages.EventType]string{
		messages.Impression: "publisher", messages.Click: "publisher", messages.Visit: "advertiser", messages.Conversion: "vendor",
	}
	require.Len(t, messages.EventTypes, len(sources))
	for _, want := range messages.EventTypes {
		got, ok := messages.ParseEventType(want.String())
		require.True(t, ok)
		require.Equal(t, want, got)
		require.True(t, want.Valid())
		require.Equal(t, sources[want], want.SourceField())
	}
	for _, none := range []messages.EventType{0, messages.Conversion + 1, 255} {
		require.False(t, none.Valid())
		require.Empty(t, none.String())
		require.Empty(t, none.SourceField())
	}
	_, ok := messages.ParseEventType("")
	require.False(t, ok)
}
