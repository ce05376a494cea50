package sync

import (
	"sync"
	"time"
)

// clock compares our clock with Clerk's. A reading is Clerk's time less ours: the Date header of an API answer, or the timestamp
// of a delivery.
type clock struct {
	mu       sync.Mutex
	answer   time.Duration // from the last API answer
	answered time.Time     // when that was
	delivery time.Duration // from the last delivery
}

// trustAnswer is how long an API answer outweighs deliveries. A delivery can be late, an answer cannot.
const trustAnswer = 10 * time.Minute

func (c *clock) noteAnswer(skew time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.answer, c.answered = skew, time.Now()
}

func (c *clock) noteDelivery(skew time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.delivery = skew
}

func (c *clock) skew() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.answered.IsZero() && time.Since(c.answered) < trustAnswer {
		return c.answer
	}
	return c.delivery
}

// NoteDelivery tells the mirror what time Clerk's sender had when a verified delivery was signed.
func (m *Mirror) NoteDelivery(signed time.Time) { m.clock.noteDelivery(time.Until(signed)) }

// Skew returns how far Clerk's clock is ahead of ours, and whether that is too far for reads to prove anything: then a read
// counts for no more than the updated_at that it shows, and a 404 for nothing.
func (m *Mirror) Skew() (skew time.Duration, excessive bool) {
	skew = m.clock.skew()
	return skew, skew.Abs() > ClockError/2
}
