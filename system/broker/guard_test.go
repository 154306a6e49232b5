package broker

import (
	"encoding/hex"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// FuzzRequest checks that what the guard lets through is parsed by the same
// code without a panic, and that nothing else panics either.
func FuzzRequest(f *testing.F) {
	for _, seed := range []string{"270f000000000000ffff", "00120003000000010004746573740000", "0000000a00000001ffff"} {
		bytes, err := hex.DecodeString(seed)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(bytes)
	}
	formatter := kmsg.NewRequestFormatter()
	for key := range int16(93) {
		if request := kmsg.RequestForKey(key); request != nil {
			request.SetVersion(request.MaxVersion())
			f.Add(formatter.AppendRequest(nil, request, 1)[4:])
		}
	}
	f.Fuzz(func(t *testing.T, frame []byte) {
		if err := checkRequest(frame); err != nil && err.Error() == "" {
			t.Error("a refusal without a reason")
		}
	})
}
