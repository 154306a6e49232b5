package gateway

import (
	"encoding/json"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// all splits a body.
func all(body string) (elements []string, problem string) {
	s := newSplitter([]byte(body))
	for {
		element, more := s.next()
		if !more {
			return elements, s.problem
		}
		elements = append(elements, string(element))
	}
}

func TestSplitterFindsElements(t *testing.T) {
	t.Parallel()
	for body, want := range map[string][]string{
		``: nil, " \n\t\r ": nil, `[]`: nil, ` [ ] `: nil,
		`[1]`: {"1"}, "[ {} ,\n\"a,]\" ]": {"{}", `"a,]"`},
		`[{"a":"\"}],"},[[1,2],{"b":[3]}]]`: {`{"a":"\"}],"}`, `[[1,2],{"b":[3]}]`},
		`["\\",1]`:                          {`"\\"`, "1"},
		"{}\n{}":                            {"{}", "{}"},
		"\r\n {\"a\":1} \r\n\n7\n":          {`{"a":1}`, "7"},
		"\x00[1]":                           {"\x00[1]"},
	} {
		got, problem := all(body)
		require.Empty(t, problem, "%q", body)
		require.Equal(t, want, got, "%q", body)
	}
}

func TestSplitterRefusesBrokenArrays(t *testing.T) {
	t.Parallel()
	for _, body := range []string{
		"[", "[1", "[1,", "[1,]", "[,]", "[,1]", "[1,,2]", "[1]2", "[1],", "[[1]", `["a]`, `["a\`, `["a\"]`, "[{]", "[] []",
	} {
		_, problem := all(body)
		require.NotEmpty(t, problem, "%q", body)
	}
}

// FuzzSplitter holds what is valid JSON against encoding/json, and what is not
// against a few promises.
func FuzzSplitter(f *testing.F) {
	for _, body := range []string{
		"[]", "[1,2]", `[{"a":"\"}],"},[[1,2],{"b":[3]}]]`, "{}\n{}\n", "[1,]", `["\\",1] `, "[[[[", `"`, "\n\n", "[}]", "[{]",
	} {
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body string) {
		got, problem := all(body)
		var want []json.RawMessage
		if err := json.Unmarshal([]byte(body), &want); err == nil && strings.HasPrefix(strings.TrimLeft(body, " \t\r\n"), "[") {
			require.Empty(t, problem)
			require.Len(t, got, len(want))
			for i := range want {
				require.Equal(t, string(want[i]), got[i])
			}
			return
		}
		size := 0
		for _, element := range got {
			require.NotEmpty(t, element)
			require.Contains(t, body, element)
			size += len(element)
		}
		require.LessOrEqual(t, size, len(body))
	})
}

func TestAcceptAdmitsWhatItNames(t *testing.T) {
	t.Parallel()
	for accept, want := range map[string]bool{
		"*/*": true, "application/json": true, "Application/JSON": true, "application/*": true, "text/html, */*;q=0.1": true,
		"application/json; charset=utf-8": true, "": false, "text/html": false, "*/*;q=0": false, "application/json;q=0.0": false,
		"app/*": false, "application/json;q=x": false, "image/*": false,
	} {
		failed := accepts(map[string][]string{"Accept": {accept}}, typeJSON)
		require.Equal(t, want, failed == nil, "%q", accept)
	}
	require.Nil(t, accepts(nil, typeJSON))
	require.Nil(t, accepts(map[string][]string{"Accept": {"text/html", "application/json"}}, typeJSON))
}

func TestClientsAreBoundedEachAndTogether(t *testing.T) {
	t.Parallel()
	now := time.UnixMilli(0)
	c := newClients(2, 1, 2)
	a, b, third := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2"), netip.MustParseAddr("10.0.0.3")
	require.Zero(t, c.take(a, now))
	require.Equal(t, 500*time.Millisecond, c.take(a, now))
	require.Zero(t, c.take(b, now), "others are not concerned")
	require.NotZero(t, c.take(a, now), "a was heard of last")
	require.Zero(t, c.take(third, now), "takes the place of b")
	require.NotZero(t, c.take(a, now))
	require.Len(t, c.byAddr, 2)
	require.Equal(t, 2, c.recent.Len())
	require.Zero(t, c.take(b, now), "forgotten")
	require.Zero(t, c.take(a, now.Add(time.Second)))
}

func TestClientsAreAddressesOrNetworks(t *testing.T) {
	t.Parallel()
	for remote, want := range map[string]string{
		"10.1.2.3:99": "10.1.2.3", "[::ffff:10.1.2.3]:99": "10.1.2.3", "[2001:db8:1:2:3:4:5:6]:1": "2001:db8:1:2::", "[fe80::1%eth0]:1": "fe80::",
	} {
		require.Equal(t, netip.MustParseAddr(want), clientOf(remote), remote)
	}
	require.Equal(t, netip.Addr{}, clientOf("@"))
}
