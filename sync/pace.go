package sync

import (
	"errors"
	"sync/atomic"
	"time"
)

// errCrowded means that a transaction has too many calls of hooks for their time, though each takes little of it.
var errCrowded = errors.New("the hooks of one transaction were too many for their time")

// pace is how long a hook's call took on average in the last transaction. The zero value knows of none.
type pace struct{ each atomic.Int64 } // nanoseconds

func (p *pace) note(calls int, took time.Duration) {
	if calls > 0 {
		p.each.Store(max(1, int64(took)/int64(calls)))
	}
}

// fits is how many calls fit into a time.
func (p *pace) fits(within time.Duration) int {
	each := p.each.Load()
	if each == 0 {
		return maxBatchPieces
	}
	return int(min(max(1, int64(within)/each), maxBatchPieces))
}

// mostCalls is how many pieces that may call a hook one transaction takes: at the pace of the last, half of the time is enough for them.
func (m *Mirror) mostCalls() int { return m.pace.fits(m.hookTimeout() / 2) }

// crowds reports whether a batch has more of them, and can be divided.
func (m *Mirror) crowds(batch []*request) bool {
	calls := 0
	for _, r := range batch {
		calls += r.calls
	}
	return calls > m.mostCalls() && divisible(batch)
}

func divisible(batch []*request) bool { return len(batch) > 1 || len(batch[0].apart()) > 1 }
