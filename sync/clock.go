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
	came     time.Time     // when that was
}

// trustReading is for how long a reading counts: a clock may be set meanwhile, and a delivery be the last for weeks. So long an API answer
// outweighs deliveries, too, since a delivery can be late and an answer cannot.
const trustReading = 10 * time.Minute

func (c *clock) noteAnswer(skew time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.answer, c.answered = skew, time.Now()
}

func (c *clock) noteDelivery(skew time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.delivery, c.came = skew, time.Now()
}

func (c *clock) skew() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case time.Since(c.answered) < trustReading:
		return c.answer
	case time.Since(c.came) < trustReading:
		return c.delivery
	}
	return 0
}

// NoteDelivery tells the mirror what time Clerk's sender had when a verified delivery was signed.
func (m *Mirror) NoteDelivery(signed time.Time) { m.clock.noteDelivery(time.Until(signed)) }

// Skew returns how far Clerk's clock is ahead of ours, and whether that is too far for reads to prove anything: then a read
// counts for no more than the updated_at that it shows, and a 404 for nothing.
func (m *Mirror) Skew() (skew time.Duration, excessive bool) {
	skew = m.clock.skew()
	return skew, skew.Abs() > ClockError/2
}
