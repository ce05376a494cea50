package upsert

import (
	"context"
	"sync"
	"time"

	clerksync "github.com/clerksync/clerksync/sync"
)

// guard bounds how many users the 404s of logins may hide. It counts users, not 404s: one who tries again and again, while the
// margin keeps his row visible, must not use it up.
type guard struct {
	mirror *clerksync.Mirror
	max    int

	mu     sync.Mutex
	denied map[string]time.Time // when a user's 404 was let through

	sizing sync.Mutex
	size   int
	sized  time.Time // when size was worked out
}

const (
	guardTerm    = time.Hour
	guardFloor   = 10 // a small mirror's users may all leave
	guardPercent = 5
)

// admit reports whether a 404 about this visible user may be merged.
func (g *guard) admit(ctx context.Context, id string) bool {
	return g.enter(id, min(g.max, guardFloor)) || g.enter(id, g.limit(ctx))
}

// enter counts the user if that keeps the count within the limit.
func (g *guard) enter(id string, limit int) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	for id, at := range g.denied {
		if now.Sub(at) >= guardTerm {
			delete(g.denied, id)
		}
	}
	if _, counted := g.denied[id]; counted {
		return true
	}
	if len(g.denied) >= limit {
		return false
	}
	g.denied[id] = now
	return true
}

// limit is the guard's size. It is worked out once a term: when Clerk denies everybody, counting millions of rows for each of
// them would be the next trouble. What cannot be counted allows nothing.
func (g *guard) limit(ctx context.Context) int {
	g.sizing.Lock()
	defer g.sizing.Unlock()
	if now := time.Now(); g.sized.IsZero() || now.Sub(g.sized) >= guardTerm {
		visible, err := g.mirror.CountVisible(ctx, clerksync.Users)
		if err != nil {
			return 0
		}
		g.size, g.sized = min(g.max, max(guardFloor, int(visible*guardPercent/100))), now
	}
	return g.size
}
