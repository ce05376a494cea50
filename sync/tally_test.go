package sync_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jmoiron/sqlx"

	"github.com/clerksync/clerksync/internal/pgtest"
	clerksync "github.com/clerksync/clerksync/sync"
)

// TestDiffering sums up rows and what a list shows, and finds every difference between the two, in the part where it is.
func TestDiffering(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		m := pinned(t, db)
		const n = 120
		page := make(batch, n)
		shown := make([]clerksync.Row, n)
		show := func(i int, name string) (clerksync.Evidence, clerksync.Row) {
			u := user{ID: fmt.Sprintf("user_%d%c", i, endings[i%len(endings)]), Created: past + int64(i), Updated: past + hour, Name: name}
			e := read(u, past+2*hour)
			s := clerksync.Sighting{ID: u.ID, Created: u.Created, Updated: u.Updated, Evidence: e}
			return e, s.Row()
		}
		for i := range page {
			page[i], shown[i] = show(i, "Ada")
		}
		apply(t, m, page...)
		want := func(what string, from, through int, rows []clerksync.Row, differing ...string) {
			t.Helper()
			got, err := m.Differing(t.Context(), clerksync.Users, past+int64(from), past+int64(through), rows)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range shown {
				ending := []rune(r.ID)[len([]rune(r.ID))-1]
				if slices.Contains(differing, string(ending)) != got.Has(r.ID) {
					t.Errorf("%s: what ends with %c differs: %t, want %q", what, ending, got.Has(r.ID), differing)
				}
			}
			if len(differing) == 0 && got != 0 {
				t.Errorf("%s: the parts %b differ", what, got)
			}
		}
		for _, window := range [][2]int{{0, n - 1}, {0, 0}, {17, 43}, {n - 1, n - 1}} {
			rows := slices.Clone(shown[window[0] : window[1]+1])
			rand.Shuffle(len(rows), func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
			want(fmt.Sprint("the window ", window), window[0], window[1], rows)
		}
		want("a window without rows", n, n+hour, nil)
		want("a list that shows too little", 0, n-1, shown[1:], endingOf(0))
		want("a list that shows too much", 1, n-1, shown, endingOf(0))
		want("a list that shows nothing", 0, 2, nil, endingOf(0), endingOf(1), endingOf(2))

		other := slices.Clone(shown)
		_, other[5] = show(5, "Eve")
		want("another content", 0, n-1, other, endingOf(5))
		apply(t, m, toldGone(shown[30].ID, past+3*hour), toldGone(shown[31].ID, past+3*hour))
		want("two deletions", 0, n-1, shown, endingOf(30), endingOf(31))
		want("two deletions, as the list shows", 0, n-1, slices.Concat(shown[:30], shown[32:]))
		again, _ := show(30, "Ada")
		again.At += 7 * hour
		apply(t, m, again)
		want("that somebody was deleted once", 0, n-1, shown, endingOf(30), endingOf(31))

		visible := func(parts clerksync.Parts) (ids []string) {
			t.Helper()
			for row, err := range m.Visible(t.Context(), clerksync.Users, past, math.MaxInt64, parts) {
				if err != nil {
					t.Fatal(err)
				}
				ids = append(ids, row.ID)
			}
			return ids
		}
		for _, parts := range []clerksync.Parts{0, 1, 1 << 63, 0xAAAAAAAAAAAAAAAA, 0x5555555555555555, clerksync.AllParts} {
			var some []string
			for _, id := range visible(clerksync.AllParts) {
				if parts.Has(id) {
					some = append(some, id)
				}
			}
			if diff := cmp.Diff(some, visible(parts)); diff != "" {
				t.Errorf("rows of the parts %b (-want +got):\n%s", parts, diff)
			}
		}
		if _, err := m.Differing(t.Context(), clerksync.Users, clerksync.Never, past, nil); err == nil {
			t.Error("a window that no calendar has was summed up")
		}
	})
}

// endings are the last characters of ids: those that Clerk gives, and others, each of a part of its own.
var endings = []rune("0123456789abcdefghijklmnoABCDEFGHIJKLMNOPQRSTUVWXYZ?_ě😀")

func endingOf(i int) string { return string(endings[i%len(endings)]) }
