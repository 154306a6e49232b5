package expression_test

import (
	"adpulse/system/minispike/internal/particle"
)

// subject is a record to evaluate on.
type subject map[string]particle.Particle

func someRecord() subject {
	element := func(n int64) []byte { return particle.AppendInt(nil, n) }
	return subject{
		"n": particle.Of(7),
		"s": {Kind: particle.String, Bytes: []byte("hello")},
		"l": {Kind: particle.List, Bytes: particle.AppendList(nil, [][]byte{element(3), element(1), element(2)}, 0)},
		"m": {Kind: particle.Map, Bytes: particle.AppendMap(nil, []particle.Pair{
			{Key: particle.AppendText(nil, particle.String, []byte("k")), Value: element(5)},
		}, 0)},
	}
}

func (s subject) Bin(name []byte) (particle.Particle, bool) {
	p, ok := s[string(name)]
	return p, ok
}

func (s subject) Set() []byte { return []byte("ads") }

func (s subject) Digest() []byte {
	digest := make([]byte, 20)
	digest[16] = 21
	return digest
}

func (s subject) UserKey() (particle.Particle, bool) {
	return particle.Particle{Kind: particle.String, Bytes: []byte("k")}, true
}

func (s subject) VoidTime() int64    { return -1 }
func (s subject) TTL() int64         { return -1 }
func (s subject) LastUpdate() int64  { return 1 }
func (s subject) SinceUpdate() int64 { return 1 }
func (s subject) Size() int64        { return 100 }
