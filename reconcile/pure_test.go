package reconcile_test

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/clerksync/clerksync/reconcile"
	clerksync "github.com/clerksync/clerksync/sync"
)

func TestGuardAllows(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		deletes, percent int
		visible, want    int64
	}{
		{0, 0, 0, 10},
		{0, 0, 199, 10},
		{0, 0, 200, 10},
		{0, 0, 220, 11},
		{0, 0, 9_999, 499},
		{0, 0, 10_000, 500},
		{0, 0, 1_000_000, 500},
		{3, 0, 1_000, 3},
		{1_000, 1, 50_000, 500},
		{1_000, 100, 20, 20},
		{-1, 0, 1_000_000, 0},
		{0, -1, 1_000_000, 10},
	} {
		cfg := reconcile.Config{MaxDeletes: test.deletes, MaxDeletePercent: test.percent}
		if got := cfg.Allows(test.visible); got != test.want {
			t.Errorf("max %d, %d %% of %d: allows %d, want %d", test.deletes, test.percent, test.visible, got, test.want)
		}
	}
}

func TestEnough(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		seen, before, after int64
		want                bool
	}{
		{0, 0, 0, true},
		{0, 10, 10, true},
		{0, 11, 11, false},
		{0, 11, 10, true},
		{990, 1_000, 1_000, true},
		{989, 1_000, 1_000, false},
		{989, 999, 1_000, true},
		{999_000, 1_000_000, 1_000_000, true},
		{998_999, 1_000_000, 1_000_000, false},
		{5_000, 1_000, 1_000, true},
	} {
		if got := reconcile.Enough(test.seen, test.before, test.after); got != test.want {
			t.Errorf("seen %d of %d before, %d after: %v, want %v", test.seen, test.before, test.after, got, test.want)
		}
	}
}

func TestPlanDigestDoesNotDependOnOrder(t *testing.T) {
	t.Parallel()
	a, b := reconcile.PlanDigest([]string{"user_b", "user_a"}), reconcile.PlanDigest([]string{"user_a", "user_b"})
	const want = "65a29b6bf5293df6faa20a65c72c23d87c341f32bfe8406c4e8df041758d969d" // of "user_a", a line feed, "user_b"
	if a != want || b != want {
		t.Errorf("digests %s and %s, want %s", a, b, want)
	}
}

func sighting(id string, created int64) clerksync.Sighting {
	return clerksync.Sighting{ID: id, Created: created}
}

func TestPositions(t *testing.T) {
	t.Parallel()
	page := []clerksync.Sighting{sighting("a", 10), sighting("b", 20), sighting("c", 20)}
	at := reconcile.Position{}.AfterPage(page)
	got := []string{reconcile.Position{}.Query(), at.Query()}
	for _, worse := range at.Worse(900) {
		got = append(got, worse.Query(), worse.AfterPage(page).Query())
	}
	want := []string{
		"limit=500&order_by=%2Bcreated_at",
		"limit=500&order_by=%2Bcreated_at&starting_after=c",
		"limit=500&order_by=%2Bcreated_at&starting_after=b", // the last but one
		"limit=500&order_by=%2Bcreated_at&starting_after=c", // and then as before
		"created_at_after=19&limit=500&order_by=%2Bcreated_at",
		"created_at_after=19&limit=500&offset=3&order_by=%2Bcreated_at", // the whole page is of one instant
		"limit=500&offset=400&order_by=%2Bcreated_at",
		"limit=500&offset=403&order_by=%2Bcreated_at",
	}
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
	windowed := at.Worse(0)[1].AfterPage([]clerksync.Sighting{sighting("c", 20), sighting("d", 30)})
	if got, want := windowed.Query(), "created_at_after=29&limit=500&order_by=%2Bcreated_at"; got != want {
		t.Errorf("after a window: %s, want %s", got, want)
	}
	alone := reconcile.Position{}.AfterPage(page[:1]).Worse(0)[0] // there is no last but one
	if got, want := alone.Query(), "created_at_after=9&limit=500&order_by=%2Bcreated_at"; got != want {
		t.Errorf("worse than a page of one: %s, want %s", got, want)
	}
	for _, worse := range (reconcile.Position{Created: clerksync.Never}).Worse(0) {
		if got, want := worse.Query(), "limit=500&order_by=%2Bcreated_at"; got != want {
			t.Errorf("worse than the start: %s, want %s", got, want)
		}
	}
}

func TestSchedules(t *testing.T) {
	t.Parallel()
	noon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for _, test := range []struct {
		spec string
		want time.Time
	}{
		{"off", time.Time{}},
		{"30 2 * * *", time.Date(2026, 3, 2, 2, 30, 0, 0, time.UTC)},
		{"@every 6h", noon.Add(6 * time.Hour)},
		{"@daily", time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)},
	} {
		got, err := reconcile.NextRun(test.spec, "", noon)
		if err != nil || !got.Equal(test.want) {
			t.Errorf("%q comes %s, %v; want %s", test.spec, got, err, test.want)
		}
	}
	for _, spec := range []string{"", "TZ=0", "TZ=Europe/Berlin 0 3 * * *", "CRON_TZ=UTC 0 3 * * *", "TZ=", "@every -5m", "@every 0s", "@every 10ms",
		"@every", "@every soon", "0 0 31 2 *", "@reboot", "* * * *", "99 * * * *", "nightly", "0 3 * * * *"} {
		if err := reconcile.CheckSchedule(spec); err == nil {
			t.Errorf("%q is accepted", spec)
		}
	}
}

func TestNightly(t *testing.T) {
	t.Parallel()
	minutes := map[int]bool{}
	for i := range 200 {
		instance := fmt.Sprintf("ins_%d", i)
		at, err := reconcile.NextRun("@nightly", instance, time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
		if err != nil || at.Hour() != 3 || at.Day() != 2 {
			t.Fatalf("comes %s, %v", at, err)
		}
		minutes[at.Minute()] = true
		next, _ := reconcile.NextRun("@nightly", instance, at)
		if next.Sub(at) != 24*time.Hour {
			t.Errorf("comes again %s later, want a day", next.Sub(at))
		}
	}
	if len(minutes) < 30 {
		t.Errorf("200 instances share %d minutes", len(minutes))
	}
}

// world is a list and the rows beside it, some of whose users are not in the list.
type world struct {
	listed []clerksync.Sighting
	rows   map[string]int64 // created
}

func drawWorld(t *rapid.T) world {
	w := world{rows: map[string]int64{}}
	for i := range rapid.IntRange(0, 60).Draw(t, "users") {
		id := fmt.Sprintf("user_%d", i)
		created := rapid.Int64Range(1, 25).Draw(t, "created") // many ties
		if rapid.IntRange(0, 15).Draw(t, "undated") == 0 {
			created = rapid.SampledFrom([]int64{clerksync.Never, -5, math.MaxInt64}).Draw(t, "no date")
		}
		where := rapid.IntRange(0, 5).Draw(t, "where")
		if where != 0 {
			w.listed = append(w.listed, sighting(id, created))
		}
		if where != 1 {
			w.rows[id] = sighting(id, created).Dated()
		}
	}
	slices.SortStableFunc(w.listed, func(a, b clerksync.Sighting) int { return cmp.Compare(a.Dated(), b.Dated()) })
	return w
}

// walk feeds pages to a ledger as a pass does.
func (w world) walk(pages [][]clerksync.Sighting) *reconcile.Ledger {
	l := reconcile.NewLedger()
	compare := func(through int64) {
		for id, created := range w.rows {
			if created >= l.From && created <= through {
				l.Row(clerksync.Row{ID: id})
			}
		}
	}
	for _, page := range pages {
		l.Note(page)
		if through := reconcile.Passed(page); through >= l.From && through != clerksync.Never {
			compare(through)
			l.Close(through)
		}
	}
	compare(math.MaxInt64)
	return l
}

// However a list is cut, shuffled, repeated or thinned out: suspects are exactly the rows that it did not show.
func TestLedgerSuspectsWhatWasNotSeen(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		hostile := rapid.Bool().Draw(t, "hostile")
		shown := slices.Clone(w.listed)
		if hostile {
			shown = slices.DeleteFunc(shown, func(clerksync.Sighting) bool { return rapid.IntRange(0, 9).Draw(t, "skip") == 0 })
			for range min(rapid.IntRange(0, 20).Draw(t, "swaps"), len(shown)) {
				i, j := rapid.IntRange(0, len(shown)-1).Draw(t, "i"), rapid.IntRange(0, len(shown)-1).Draw(t, "j")
				shown[i], shown[j] = shown[j], shown[i]
			}
		}
		size := rapid.IntRange(1, 9).Draw(t, "page size")
		var pages [][]clerksync.Sighting
		for page := range slices.Chunk(shown, size) {
			if pages = append(pages, page); hostile && rapid.IntRange(0, 4).Draw(t, "repeat") == 0 {
				pages = append(pages, page)
			}
		}
		l := w.walk(pages)

		seen, suspects := map[string]bool{}, map[string]bool{}
		for _, s := range shown {
			seen[s.ID] = true
		}
		for id := range w.rows {
			if !seen[id] {
				suspects[id] = true
			}
		}
		got := map[string]bool{}
		for id := range l.Suspects {
			got[id] = true
		}
		if diff := gocmp.Diff(suspects, got); diff != "" {
			t.Fatalf("suspects (-want +got):\n%s", diff)
		}
		if l.Seen > int64(len(seen)) {
			t.Fatalf("%d seen, but only %d were shown", l.Seen, len(seen))
		}
		if !hostile && l.Seen != int64(len(seen)) {
			t.Fatalf("%d seen of %d in an honest walk", l.Seen, len(seen))
		}
	})
}
