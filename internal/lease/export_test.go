package lease

import "time"

// EndIn has the lease run out so long from now by this process's clock, unless it is renewed.
func (l *Lease) EndIn(left time.Duration) { l.until.Store(int64(time.Since(l.begun) + left)) }
