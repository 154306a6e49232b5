package gateway

import (
	"container/list"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// clients bounds how fast each client sends. It remembers the ones it heard of
// last, so many at most.
type clients struct {
	rate  rate.Limit
	burst int
	most  int

	mu     sync.Mutex
	byAddr map[netip.Addr]*list.Element
	recent list.List // of *client, the one heard of last in front
}

type client struct {
	address netip.Addr
	limiter *rate.Limiter
}

func newClients(perSecond float64, burst, most int) *clients {
	return &clients{rate: rate.Limit(perSecond), burst: burst, most: most, byAddr: make(map[netip.Addr]*list.Element)}
}

// take counts a request and returns 0, or how long its client has to wait.
func (c *clients) take(address netip.Addr, now time.Time) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	at, known := c.byAddr[address]
	if known {
		c.recent.MoveToFront(at)
	} else {
		if c.recent.Len() >= c.most {
			silent := c.recent.Remove(c.recent.Back()).(*client) //nolint:forcetypeassert // the list holds nothing else
			delete(c.byAddr, silent.address)
		}
		at = c.recent.PushFront(&client{address, rate.NewLimiter(c.rate, c.burst)})
		c.byAddr[address] = at
	}
	reserved := at.Value.(*client).limiter.ReserveN(now, 1) //nolint:forcetypeassert // see above
	wait := reserved.DelayFrom(now)
	if wait > 0 {
		reserved.CancelAt(now)
	}
	return wait
}

// clientOf is the client behind a connection: its IPv4 address or IPv6 /64, for
// one of these is what a single customer of a network has.
func clientOf(remote string) netip.Addr {
	const customerBits = 64
	at, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Addr{}
	}
	address := at.Addr().Unmap().WithZone("")
	if address.Is4() {
		return address
	}
	customer, err := address.Prefix(customerBits)
	if err != nil {
		return address
	}
	return customer.Addr()
}
