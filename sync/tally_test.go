package sync_test

import (
	"fmt"
	"testing"

	"github.com/jmoiron/sqlx"

	"github.com/clerksync/clerksync/internal/pgtest"
	clerksync "github.com/clerksync/clerksync/sync"
)

// TestTally sums up rows and what a list shows, and finds every difference between the two.
func TestTally(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		m := pinned(t, db)
		const n = 60
		page := make(batch, n)
		shown := make([]clerksync.Sighting, n)
		for i := range page {
			u := user{ID: fmt.Sprintf("user_%02d", i), Created: past + int64(i), Updated: past + hour, Name: "Ada"}
			page[i] = read(u, past+2*hour)
			shown[i] = clerksync.Sighting{ID: u.ID, Created: u.Created, Updated: u.Updated, Evidence: page[i]}
		}
		apply(t, m, page...)
		sum := func(from, through int) (all clerksync.Tally) {
			for i := through; i >= from; i-- { // the order does not matter
				all = all.Plus(shown[i].Tally())
			}
			return all
		}
		rows := func(from, through int64) clerksync.Tally {
			t.Helper()
			all, err := m.Tally(t.Context(), clerksync.Users, past+from, past+through)
			if err != nil {
				t.Fatal(err)
			}
			return all
		}
		for _, window := range [][2]int{{0, n - 1}, {0, 0}, {17, 43}, {n - 1, n - 1}} {
			if rows(int64(window[0]), int64(window[1])) != sum(window[0], window[1]) {
				t.Errorf("the rows of %v are told to be others than those shown", window)
			}
		}
		if rows(n, n+hour) != (clerksync.Tally{}) {
			t.Error("a window without rows is not empty")
		}
		differ := func(what string, i int) {
			t.Helper()
			if rows(0, n-1) == sum(0, n-1) {
				t.Errorf("%s is not noticed", what)
			}
			if rows(0, int64(i)-1) != sum(0, i-1) || rows(int64(i)+1, n-1) != sum(i+1, n-1) {
				t.Errorf("%s shows in other rows", what)
			}
		}
		another := shown[5]
		another.Object = user{ID: "user_05", Created: past + 5, Updated: past + hour, Name: "Eve"}.JSON()
		if another.Tally() == shown[5].Tally() {
			t.Error("two contents have one tally")
		}
		apply(t, m, toldGone("user_30", past+3*hour))
		differ("a deletion", 30)
		apply(t, m, read(user{ID: "user_30", Created: past + 30, Updated: past + hour, Name: "Ada"}, past+9*hour))
		differ("that somebody was deleted once", 30)
		if _, err := m.Tally(t.Context(), clerksync.Users, clerksync.Never, past); err == nil {
			t.Error("a window that no calendar has was summed up")
		}
	})
}
