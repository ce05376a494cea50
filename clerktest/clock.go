package clerktest

import (
	"sync/atomic"
	"time"
)

// Clock is a clock that a test moves: its Now is a Config's. It goes on by
// itself, too. The zero value tells the time; it is safe for concurrent use.
//
// It is the instance's clock alone. Deliveries are signed at the real time,
// which a receiver compares with its own; the timestamps of events, created_at,
// updated_at and the Date headers are those of the clock. So a clerksync under
// test defers what is dated more than a minute ahead until that time has come,
// and while the Date headers differ from its own clock by more than half a
// minute, a read proves no more than the updated_at in it and a 404 nothing.
type Clock struct{ ahead atomic.Int64 }

// Now returns the time, as far ahead of the real one as Advance has moved it.
func (c *Clock) Now() time.Time { return time.Now().Add(time.Duration(c.ahead.Load())) }

// Advance moves the clock: what expires meanwhile, such as invitations,
// sessions and session tokens, has expired. Retries of webhooks do not follow
// it: see Config.RetryScale.
func (c *Clock) Advance(d time.Duration) { c.ahead.Add(int64(d)) }
