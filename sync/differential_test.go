package sync_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jmoiron/sqlx"

	"github.com/clerksync/clerksync/internal/pgtest"
	"github.com/clerksync/clerksync/internal/torture"
	clerksync "github.com/clerksync/clerksync/sync"
)

// TestSQLMergesLikeGo is P14: the same evidence through the pure merge and through Apply ends in the same rows, batch by batch.
func TestSQLMergesLikeGo(t *testing.T) {
	t.Parallel()
	begun, first, size := time.Now(), torture.Seed(t), torture.Size(t, differentialPieces, 1_000_000)
	torture.Record(t, begun, torture.Run{
		What:    "Merges the same evidence by the rule in Go and by Apply, batch by batch, and compares rows, outcomes and the feed each time.",
		Size:    fmt.Sprintf("%d pieces of evidence into each of PostgreSQL and SQLite", size),
		Seed:    first,
		Figures: []torture.Figure{{Name: "rows that differ", Value: "0", Bound: "0"}},
	})
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		m := pinned(t, db)
		seed := first
		random := rand.New(rand.NewPCG(seed, 1))
		var seq int64
		for round, pieces := 0, 0; pieces < size; round++ {
			// Few objects at a time, so that each goes through a long history of its own.
			j := jumble{pick: random.IntN, ids: []string{fmt.Sprint("user_", round, "a"), fmt.Sprint("user_", round, "b"), fmt.Sprint("user_", round, "B")}}
			want := newModel()
			for range 1 + random.IntN(40) {
				batch := make([]clerksync.Evidence, 1+random.IntN(8))
				for i := range batch {
					batch[i] = j.evidence()
				}
				pieces += len(batch)
				want.commit(batch)
				results := apply(t, m, batch...)
				seq = checkFeed(t, m, seq, batch, results)
				checkRows(t, m, j.ids, want)
				if t.Failed() {
					t.Fatalf("seed %d, round %d: after %s", seed, round, describe(batch, results))
				}
			}
		}
		checkVersions(t, m)
	})
}

// checkRows compares rows with the model.
func checkRows(t *testing.T, m *clerksync.Mirror, ids []string, want *model) {
	t.Helper()
	got := someRows(t, m, ids)
	for _, id := range ids {
		r, found := got[id]
		s, known := want.states[id]
		if found != known {
			t.Errorf("%s: found %t, want %t", id, found, known)
		}
		if !found {
			continue
		}
		if diff := cmp.Diff(s.Key, r.key()); diff != "" {
			t.Errorf("%s: key (-want +got)\n%s", id, diff)
		}
		if r.Dead != s.Dead || r.Version != want.versions[id] || r.Deleted == s.Visible() || r.Erased {
			t.Errorf("%s: dead %d, version %d, deleted %t, erased %t; want %d, %d, %t, false",
				id, r.Dead, r.Version, r.Deleted, r.Erased, s.Dead, want.versions[id], !s.Visible())
		}
		if s.Visible() && (r.Data == nil || !sameJSON(t, *r.Data, string(s.Payload))) {
			t.Errorf("%s: payload %v, want %s", id, r.Data, s.Payload)
		}
	}
}

// someRows reads the rows of a few ids.
func someRows(t testing.TB, m *clerksync.Mirror, ids []string) map[string]row {
	t.Helper()
	query, args, err := sqlx.In(`SELECT id, first_name, data, unstorable, source, deleted_at IS NOT NULL AS deleted,
erased_at IS NOT NULL AS erased, _alive_at, _updated_at, _seen_at, _dead_at, _hash, _was_visible, _version FROM {users} WHERE id IN (?)`, ids)
	if err != nil {
		t.Fatal(err)
	}
	var all []row
	if err := m.DB().SelectContext(t.Context(), &all, m.DB().Rebind(m.SQL(query)), args...); err != nil {
		t.Fatal(err)
	}
	byID := map[string]row{}
	for _, r := range all {
		byID[r.ID] = r
	}
	return byID
}

// checkFeed compares the changes that a batch made with what its pieces were told, and returns the last seq.
func checkFeed(t *testing.T, m *clerksync.Mirror, after int64, batch []clerksync.Evidence, results []clerksync.Result) int64 {
	t.Helper()
	made := map[string]clerksync.Outcome{}
	for _, c := range changes(t, m, after) {
		if made[c.ObjectID] != "" {
			t.Errorf("%s changed twice in one transaction", c.ObjectID)
		}
		made[c.ObjectID] = c.Op
		after = c.Seq
	}
	told := map[string][]clerksync.Outcome{}
	for i, r := range results {
		switch r.Outcome {
		case clerksync.Created, clerksync.Updated, clerksync.Deleted, clerksync.Revived:
			told[batch[i].ID] = append(told[batch[i].ID], r.Outcome)
		}
	}
	for id, op := range made {
		if diff := cmp.Diff([]clerksync.Outcome{op}, told[id]); diff != "" {
			t.Errorf("%s: the feed and the results differ (-feed +results)\n%s", id, diff)
		}
	}
	for id, ops := range told {
		// A deletion of an object that nobody knew leaves a tombstone, and nothing in the feed.
		if made[id] == "" && (len(ops) > 1 || ops[0] != clerksync.Deleted) {
			t.Errorf("%s: told %v, but the feed has nothing", id, ops)
		}
	}
	return after
}

// checkVersions is P12 at the end of it all: every object's changes are numbered 1, 2, 3 … in the order of the feed, and its row
// has the number of the last.
func checkVersions(t *testing.T, m *clerksync.Mirror) {
	t.Helper()
	last := map[string]int64{}
	for _, c := range changes(t, m, 0) {
		if c.Version != last[c.ObjectID]+1 {
			t.Errorf("%s: version %d follows %d", c.ObjectID, c.Version, last[c.ObjectID])
		}
		last[c.ObjectID] = c.Version
	}
	for id, r := range rows(t, m) {
		if r.Version != last[id] {
			t.Errorf("%s: version %d in the row, %d in the feed", id, r.Version, last[id])
		}
	}
}

// describe lists a batch for whoever must understand a failure.
func describe(batch []clerksync.Evidence, results []clerksync.Result) string {
	s := ""
	for i, e := range batch {
		s += fmt.Sprintf("\n  %s at %d: %s → %s", e.Source, e.At-past, orGone(e), results[i].Outcome)
	}
	return s
}

func orGone(e clerksync.Evidence) string {
	if e.Object == nil {
		return e.ID + " gone"
	}
	return string(e.Object)
}
