package reconcile_test

import (
	"math"
	"runtime"
	"testing"

	"github.com/clerksync/clerksync/clerktest"
	"github.com/clerksync/clerksync/internal/pgtest"
	"github.com/clerksync/clerksync/reconcile"
)

// What a pass holds does not grow with what it has seen: no more in the last third of the list than in the first. A dry run on an
// empty mirror takes the same walk, and every user differs. The emulator makes its users up, so it holds none.
func TestMemoryIsFlat(t *testing.T) {
	const users = 24_000
	h := open(t, pgtest.SQLite(t), clerktest.Config{Users: users, Seed: 60})
	h.cfg = h.cfg.WithPageSize(50)
	least := [3]uint64{math.MaxUint64, math.MaxUint64, math.MaxUint64} // by third; above it are the pages in flight
	page := 0
	h.cfg.Progress = func(p reconcile.Progress) {
		if page++; page%10 != 0 || p.Seen >= users {
			return
		}
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		third := &least[p.Seen*3/users]
		*third = min(*third, m.HeapAlloc)
	}
	if got := h.pass(reconcile.Pass{DryRun: true}); got.Seen != users || got.Created != users {
		t.Fatalf("counts %+v", got)
	}
	t.Logf("%d, %d, %d KiB", least[0]>>10, least[1]>>10, least[2]>>10)
	const bound = 700 << 10 // a walk that kept the ids alone would grow by more than 1 MiB
	if grown := int64(least[2]) - int64(least[0]); grown > bound {
		t.Errorf("the heap grew by %d KiB", grown>>10)
	}
}
