package reconcile_test

import (
	"math"
	"runtime"
	"testing"

	"github.com/clerksync/clerksync/clerktest"
	"github.com/clerksync/clerksync/internal/pgtest"
	"github.com/clerksync/clerksync/reconcile"
	clerksync "github.com/clerksync/clerksync/sync"
)

// What a pass holds does not grow with what it has seen: no more in the last third of a list than in the first. A dry run on an
// empty mirror takes the same walk, and every object differs. The emulator makes its users up, so it holds none; memberships it
// holds, but the same ones all the time.
func TestMemoryIsFlat(t *testing.T) {
	for _, test := range []struct {
		kind  clerksync.Kind
		cfg   clerktest.Config
		size  int
		every int // pages between measurements
		bound int64
	}{
		// a walk that kept the ids alone would grow by 1.5 MiB
		{clerksync.Users, clerktest.Config{Users: 40_000, Seed: 60}, 100, 4, 1 << 20},
		// and here by 2 MiB
		{clerksync.OrganizationMemberships, clerktest.Config{Users: 1000, Organizations: 100, Members: 500, Seed: 61}, 500, 1, 1 << 20},
	} {
		t.Run(string(test.kind), func(t *testing.T) {
			h := openWorld(t, pgtest.SQLite(t), test.cfg)
			h.cfg = h.cfg.WithPageSize(test.size)
			objects := int64(max(test.cfg.Users, test.cfg.Organizations*test.cfg.Members))
			least := [3]int64{math.MaxInt64, math.MaxInt64, math.MaxInt64} // by third; above it are the pages in flight
			page := 0
			h.cfg.Progress = func(p reconcile.Progress) {
				if page++; page%test.every != 0 || p.Kind != test.kind || p.Seen >= objects {
					return
				}
				runtime.GC()
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				third := &least[p.Seen*3/objects]
				*third = min(*third, int64(m.HeapAlloc))
			}
			if got := h.do(reconcile.Pass{DryRun: true})[test.kind]; got.Seen != objects || got.Created < objects {
				t.Fatalf("counts %+v", got)
			}
			t.Logf("%d, %d, %d KiB", least[0]>>10, least[1]>>10, least[2]>>10)
			if grown := least[2] - least[0]; grown > test.bound {
				t.Errorf("the heap grew by %d KiB", grown>>10)
			}
		})
	}
}
