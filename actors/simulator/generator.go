package simulator

import (
	"encoding/binary"
	"errors"
	"math/rand/v2"

	"adpulse/messages"
)

// Generator makes the events of one simulated publisher. Bodies are in the
// canonical form of messages.DecodeEvent, ids are UUIDs of version 8.
//
// The sequence depends on mix, tags, seed and number alone, but for the ids:
// those depend on run too, so that two runs with one seed send the same events
// and never the same ids. A test that wants the ids repeated as well passes the
// same run.
//
// A Generator is not for concurrent use.
type Generator struct {
	mix     Mix
	tags    []messages.TagID
	content *rand.PCG
	ids     *rand.PCG
}

// NewGenerator makes generator number of a run. tags is not copied.
func NewGenerator(mix Mix, tags []messages.TagID, seed uint64, number int, run uint64) (*Generator, error) {
	if len(tags) == 0 {
		return nil, errors.New("simulate: there are no tags")
	}
	if mix.total() == 0 {
		return nil, errors.New("simulate: the mix is empty")
	}
	return &Generator{
		mix: mix, tags: tags,
		content: rand.NewPCG(seed, uint64(number)),
		ids:     rand.NewPCG(scatter(seed)^run, scatter(run)^uint64(number)),
	}, nil
}

// scatter spreads neighbouring numbers over all 64 bits.
func scatter(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// Batch makes n events received at a time in milliseconds since the epoch. They
// are the caller's; their bodies share one allocation.
func (g *Generator) Batch(n int, receivedAt int64) []messages.Event {
	events := make([]messages.Event, n)
	bodies := make([]byte, 0, n*bodyBytesMax)
	for i := range events {
		from := len(bodies)
		bodies = g.event(&events[i], bodies)
		events[i].Body = bodies[from:len(bodies):len(bodies)]
		events[i].ReceivedAt = receivedAt
	}
	return events
}

// event makes one event but for its body, which it appends to bodies.
func (g *Generator) event(e *messages.Event, bodies []byte) []byte {
	what, who := g.content.Uint64(), g.content.Uint64()
	e.Type = g.mix.pick(uint32(what >> 32))
	e.Tag = g.tags[below(uint32(what), len(g.tags))]
	// The mix takes its chance from the high bits; these are others.
	sources := sourceNames[e.Type]
	source := below(uint32(who>>32), len(sources))
	place := below(uint32(who)<<16, len(places))
	agent := below(uint32(who>>16)<<16, len(userAgents))
	e.Source = sources[source]

	binary.BigEndian.PutUint64(e.ID[:8], g.ids.Uint64())
	binary.BigEndian.PutUint64(e.ID[8:], g.ids.Uint64())
	e.ID[6] = e.ID[6]&0x0f | 0x80
	e.ID[8] = e.ID[8]&0x3f | 0x80

	bodies = append(bodies, bodyStarts[place]...)
	bodies = e.Tag.AppendText(bodies)
	return append(bodies, bodyEnds[e.Type][source*len(userAgents)+agent]...)
}

// below scales a random number to 0..n-1.
func below(random uint32, n int) int { return int(uint64(random) * uint64(n) >> 32) }
