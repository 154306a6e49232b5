package main

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTheBottomLineStaysBelowTheLog(t *testing.T) {
	var screen bytes.Buffer
	b := &bottomLine{w: &screen}
	write := func(s string) {
		n, err := b.Write([]byte(s))
		require.NoError(t, err)
		require.Equal(t, len(s), n)
	}
	write("first\n")
	b.show("1,000 events/s · backlog 7", 80)
	write("second\n")
	b.show("2,000 events/s · backlog 7", 8)
	b.show("", 0)
	write("third\n")
	require.Equal(t, "first\n"+
		clearLine+"1,000 events/s · backlog 7"+
		clearLine+"second\n1,000 events/s · backlog 7"+
		clearLine+"2,000 e"+ // a line that wraps could not be cleared
		clearLine+"third\n", screen.String())
}
