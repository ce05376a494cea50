package sync_test

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jmoiron/sqlx"
	"golang.org/x/sync/errgroup"

	"github.com/clerksync/clerksync/internal/pgtest"
	clerksync "github.com/clerksync/clerksync/sync"
)

// TestCallersTogether is P13 and P14 under contention: what eight callers apply at once, in batches, ends in the state that the
// same evidence has in any order, and every change is in the feed under a number of its own.
func TestCallersTogether(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		m := pinned(t, db)
		seed := rand.Uint64()
		t.Logf("seed %d", seed)
		random := rand.New(rand.NewPCG(seed, 2))
		for round := range togetherRounds {
			ids := []string{fmt.Sprint("user_", round, "x"), fmt.Sprint("user_", round, "Y"), fmt.Sprint("user_", round, "z")}
			j := jumble{pick: random.IntN, ids: ids}
			batches := make([][]clerksync.Evidence, 24)
			want := newModel()
			for i := range batches {
				for range 1 + random.IntN(6) {
					e := j.evidence()
					if e.Source == clerksync.Reconcile {
						e.Source = clerksync.Login // always written, so that all of it counts
					}
					batches[i] = append(batches[i], e)
					want.merge(e)
				}
			}
			applyTogether(t, m, batches)
			for id, s := range want.states {
				r := someRows(t, m, ids)[id]
				if r.key() != s.Key || r.Dead != s.Dead || r.Deleted == s.Visible() {
					t.Errorf("%s: %+v, dead %d, deleted %t; want %+v, %d, %t", id, r.key(), r.Dead, r.Deleted, s.Key, s.Dead, !s.Visible())
				}
				if s.Visible() && (r.Data == nil || !sameButActive(t, *r.Data, string(s.Payload))) {
					t.Errorf("%s: payload %v, want %s", id, r.Data, s.Payload)
				}
			}
			if t.Failed() {
				t.Fatalf("seed %d, round %d", seed, round)
			}
		}
		checkVersions(t, m)
	})
}

// applyTogether applies batches by eight callers at once.
func applyTogether(t *testing.T, m *clerksync.Mirror, batches [][]clerksync.Evidence) {
	t.Helper()
	var callers errgroup.Group
	callers.SetLimit(8)
	for _, batch := range batches {
		callers.Go(func() error {
			_, err := m.Apply(t.Context(), batch...)
			return err
		})
	}
	if err := callers.Wait(); err != nil {
		t.Fatal(err)
	}
}

var activeAt = regexp.MustCompile(`("last_active_at"): ?[0-9]+`)

// sameButActive compares payloads but for last_active_at: two reads that started in the same millisecond may show different
// ones under one key.
func sameButActive(t *testing.T, a, b string) bool {
	t.Helper()
	return sameJSON(t, activeAt.ReplaceAllString(a, `$1:0`), activeAt.ReplaceAllString(b, `$1:0`))
}

// TestLazyReadsTogether is P13 with lazy writes: a read that is not written counts as a lost message. So the row ends between
// what must have been written and all there was, with the key and the payload of one of the pieces.
func TestLazyReadsTogether(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		m := pinned(t, db)
		seed := rand.Uint64()
		t.Logf("seed %d", seed)
		random := rand.New(rand.NewPCG(seed, 3))
		for round := range togetherRounds {
			id := fmt.Sprint("user_", round)
			j := jumble{pick: random.IntN, ids: []string{id}}
			var mu sync.Mutex
			must, all := newModel(), newModel()
			keys := map[clerksync.Key]bool{clerksync.Bottom: true}
			var callers errgroup.Group
			callers.SetLimit(8)
			for range 40 {
				e := j.evidence()
				callers.Go(func() error {
					results, err := m.Apply(t.Context(), e)
					if err != nil {
						return err
					}
					mu.Lock()
					defer mu.Unlock()
					all.merge(e)
					keys[clerksync.Interpret(clerksync.Config{}, e, time.Now()).Key] = true
					if results[0].Outcome != clerksync.Unchanged || e.Source != clerksync.Reconcile {
						must.merge(e)
					}
					return nil
				})
			}
			if err := callers.Wait(); err != nil {
				t.Fatal(err)
			}
			r, least, most := rows(t, m)[id], must.state(id), all.state(id)
			if r.key().Compare(least.Key) < 0 || r.key().Compare(most.Key) > 0 || r.Dead != most.Dead || !keys[r.key()] {
				t.Fatalf("seed %d, round %d: key %+v, dead %d; want from %+v to %+v, dead %d", seed, round, r.key(), r.Dead, least.Key, most.Key, most.Dead)
			}
			if visible := r.Alive > r.Dead; r.Deleted == visible || visible && r.Data == nil {
				t.Fatalf("seed %d, round %d: deleted %t, data %v; want visible %t", seed, round, r.Deleted, r.Data, visible)
			}
		}
		checkVersions(t, m)
	})
}

// TestMergeStatementTogether runs the merge statement itself on eight connections at once, each with all objects in its own order:
// it neither deadlocks nor loses a row's update.
func TestMergeStatementTogether(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	m := pinned(t, db)
	const objects, writers, turns = 40, 8, 60
	var callers errgroup.Group
	for w := range writers {
		callers.Go(func() error {
			random := rand.New(rand.NewPCG(uint64(w), 4))
			for turn := range turns {
				rows := make([]map[string]string, objects)
				for i, at := range random.Perm(objects) {
					dead := clerksync.Never
					if turn%7 == w%7 {
						dead = int64(turn*writers + w)
					}
					rows[i] = map[string]string{
						"id": fmt.Sprintf(`"user_%02d"`, at), "source": `"webhook"`, "synced_at": `"2026-01-01T00:00:00Z"`, "deleted_at": `"2026-01-01T00:00:00Z"`,
						"_alive_at": fmt.Sprint(turn*writers + w), "_updated_at": fmt.Sprint(turn), "_seen_at": "0", "_dead_at": fmt.Sprint(dead),
						"_hash": `"01"`, "_digest": "0",
					}
				}
				if _, err := db.Exec(m.MergeSQL(), clerksync.MergeRows(rows)...); err != nil {
					return fmt.Errorf("writer %d, turn %d: %w", w, turn, err)
				}
			}
			return nil
		})
	}
	if err := callers.Wait(); err != nil {
		t.Fatal(err)
	}
	var dead int64
	for w := range writers {
		for turn := range turns {
			if turn%7 == w%7 {
				dead = max(dead, int64(turn*writers+w))
			}
		}
	}
	got := rows(t, m)
	if len(got) != objects {
		t.Errorf("%d rows, want %d", len(got), objects)
	}
	for id, r := range got {
		want := clerksync.Key{Alive: turns*writers - 1, Updated: turns - 1, Hash: "\x01"}
		if diff := cmp.Diff(want, r.key()); diff != "" || r.Dead != dead {
			t.Errorf("%s: dead %d, want %d; key (-want +got)\n%s", id, r.Dead, dead, diff)
		}
	}
}
