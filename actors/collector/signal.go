package collector

import (
	"slices"

	"adpulse/messages"
)

// signal hints the lane's exporter, in the order of the sequences: it then knows
// that one left out is one to be read from the journal. f is nil where another's
// segment is at seq.
func (c *Collector) signal(seq messages.Sequence, f *flight) {
	if f != nil && !c.window.take(f) {
		f = nil
	}
	if seq > c.signalled {
		c.landed[seq] = f
	}
	c.signalLanded()
}

func (c *Collector) signalLanded() {
	for {
		f, landed := c.landed[c.signalled+1]
		if !landed {
			return
		}
		c.signalled++
		delete(c.landed, c.signalled)
		if f == nil {
			c.parts.Stats.HintsDropped.Add(1)
			continue
		}
		c.root.Send(c.parts.Exporter, &messages.Appended{Segment: f.segment})
	}
}

// exported frees window and backlog up to what is in Kafka.
func (c *Collector) exported(m *messages.Exported) {
	if m.Lane == c.parts.Lease.Lane {
		c.window.release(m.Seq, m.Events)
		c.pass(m)
		c.parts.Stats.Exported.Store(uint64(m.Seq))
		c.publish()
	}
}

// pass leaves the sequences that are exported alone. One that this collector
// has not written holds a former owner's segment, until that is trimmed; after
// that a segment could be written there that no exporter would ever look at.
func (c *Collector) pass(m *messages.Exported) {
	c.holes = slices.DeleteFunc(c.holes, func(seq messages.Sequence) bool { return seq <= m.Seq })
	if m.Seq >= c.next {
		c.next, c.total = m.Seq+1, max(c.total, m.Events)
	}
	if m.Seq > c.signalled {
		for seq := range c.landed {
			if seq <= m.Seq {
				delete(c.landed, seq)
			}
		}
		c.signalled = m.Seq
		c.signalLanded()
	}
}

func (c *Collector) backlog() uint64 {
	return c.total - min(c.total, c.window.exportedEvents)
}
