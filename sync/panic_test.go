package sync_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jmoiron/sqlx"

	"github.com/clerksync/clerksync/internal/pgtest"
	clerksync "github.com/clerksync/clerksync/sync"
)

// TestPanicStandsAlone has two users among many others make the mirror panic, one while he is decoded and one while his row is
// written. Both are quarantined with the place of the panic and without their names, and the others are merged.
func TestPanicStandsAlone(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		m := pinned(t, db)
		const n = 20
		bad := map[int]clerksync.Evidence{
			5: user{ID: "user_read", Updated: past, Name: clerksync.PanicsRead}.told(),
			9: user{ID: "user_written", Updated: past, Name: clerksync.PanicsWritten}.told(),
		}
		page := make([]clerksync.Evidence, n)
		for i := range page {
			if page[i] = numbered(i); bad[i].Event != nil {
				page[i] = bad[i]
			}
		}
		apply(t, m, page...)
		if got := len(rows(t, m)); got != n-len(bad) {
			t.Errorf("%d rows, want those of all others: %d", got, n-len(bad))
		}
		for _, e := range bad {
			kept := events(t, m)[e.Event.ID]
			if kept.Error == nil || !strings.HasPrefix(*kept.Error, "merging it panicked at export_test.go:") || strings.Contains(*kept.Error, "Canaria") {
				t.Errorf("the event is %+v, want the place of the panic", kept)
			}
			kept.Error = nil
			want := eventRow{ID: e.Event.ID, Outcome: clerksync.Quarantined, Attempts: 1, Payload: e.Event.Body}
			if diff := cmp.Diff(want, kept); diff != "" {
				t.Errorf("the event (-want +got)\n%s", diff)
			}
		}
		checkVersions(t, m)
	})
}

// TestPanicHarmsNoNeighbour has callers share a transaction with a user who makes it panic.
func TestPanicHarmsNoNeighbour(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	m := pinned(t, db)
	const n = 20
	release := holdUsers(t, db, m)
	first := callers(t.Context(), m, 1, func(int) clerksync.Evidence { return numbered(999) })
	waitFor(t, "a commit to wait", func() bool { return waitingForLocks(t, db) == 1 })
	wait := callers(t.Context(), m, n, func(i int) clerksync.Evidence {
		if i == 7 {
			return user{ID: "user_written", Updated: past, Name: clerksync.PanicsWritten}.told()
		}
		return numbered(i)
	})
	waitFor(t, "all to wait", func() bool { waiting, _ := m.Queue(); return waiting == n })
	release()
	if err := errors.Join(first(), wait()); err != nil {
		t.Fatal(err)
	}
	if got := len(rows(t, m)); got != n {
		t.Errorf("%d rows, want those of all others: %d", got, n)
	}
}
