package broker

import (
	"encoding/hex"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// FuzzHeader fuzzes what the guard reads by itself. Bodies are parsed by kmsg,
// where a body that claims billions of tagged fields is counted down one by
// one: too slow a refusal for a fuzzer, and none of our code.
func FuzzHeader(f *testing.F) {
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
		request, body, err := readHeader(frame)
		switch {
		case err != nil && err.Error() == "":
			t.Error("a refusal without a reason")
		case err == nil && (request == nil || len(body) > len(frame)):
			t.Error("taken without a request")
		}
	})
}
