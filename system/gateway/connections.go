package gateway

import (
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
)

// connections counts what is connected and closes what comes past the limit.
// It does not leave it in the listener's queue: a client there waits for
// nothing, a health check too, and neither learns that it had better go
// elsewhere.
type connections struct {
	server *Server
	open   atomic.Int64
	turned atomic.Int64 // since it was last logged
	logged atomic.Int64 // when, in Unix seconds
}

// turnedLogEvery is how often turned connections are worth a line.
const turnedLogEvery = 10 * time.Second

// changed is an http.Server's ConnState. Every connection that was new is closed
// at some time.
func (c *connections) changed(conn net.Conn, state http.ConnState) {
	parts := &c.server.parts
	var open int64
	switch state {
	case http.StateNew:
		open = c.open.Add(1)
		if open > int64(c.server.config.ConnectionsMax) {
			_ = conn.Close() // nothing was said on it yet
			c.turn()
		}
	case http.StateClosed:
		open = c.open.Add(-1)
	default:
		return
	}
	if parts.Connections != nil {
		parts.Connections(int(open))
	}
}

func (c *connections) turn() {
	if c.server.parts.Turned != nil {
		c.server.parts.Turned()
	}
	turned, now, before := c.turned.Add(1), time.Now().Unix(), c.logged.Load()
	if now-before < int64(turnedLogEvery/time.Second) || !c.logged.CompareAndSwap(before, now) {
		return
	}
	c.turned.Add(-turned)
	c.server.parts.Log.Warn("connections are closed at once, for as many as may be are open",
		zap.Int64("closed", turned), zap.Int("open at most", c.server.config.ConnectionsMax))
}
