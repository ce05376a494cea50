package sync_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jmoiron/sqlx"

	"github.com/clerksync/clerksync/internal/pgtest"
	clerksync "github.com/clerksync/clerksync/sync"
)

// detour is a configuration under which nothing takes the shortcut, because somebody watches in the transaction.
func detour() clerksync.Config {
	none := func(context.Context, *sqlx.Tx, clerksync.Transition) error { return nil }
	return clerksync.Config{InstanceID: instance, Hooks: clerksync.Hooks{clerksync.Users: {OnErased: none}}}
}

// TestShortcut applies the same evidence by the shortcut, as far as that takes it, and without: results, rows, events and changes are
// the same.
func TestShortcut(t *testing.T) {
	t.Parallel()
	short, long := pinned(t, pgtest.New(t)), open(t, pgtest.New(t), detour())
	shortCommits, longCommits, young := 0, 0, time.Now().Add(time.Minute).UnixMilli()
	defer short.Watch(func(clerksync.Commit) { shortCommits++ })()
	defer long.Watch(func(clerksync.Commit) { longCommits++ })()
	rng := rand.New(rand.NewPCG(1, 9))
	var before []clerksync.Evidence
	for round := range 150 {
		j := jumble{pick: rng.IntN, ids: []string{fmt.Sprint("user_", round, "a"), fmt.Sprint("user_", round, "b"), fmt.Sprint("user_", round, "c")}}
		for range 1 + rng.IntN(12) {
			batch := make([]clerksync.Evidence, 1+rng.IntN(5))
			for i := range batch {
				batch[i] = j.evidence()
				if batch[i].Object != nil && strings.HasSuffix(batch[i].ID, "c") { // Clerk made it after the mirror
					batch[i].Object = fmt.Append(nil, strings.Replace(string(batch[i].Object), fmt.Sprint(past-1000), fmt.Sprint(young), 1))
				}
				if len(before) > 0 && rng.IntN(5) == 0 { // once more
					batch[i] = before[rng.IntN(len(before))]
				}
			}
			before = append(before, batch...)
			if got, want := apply(t, short, batch...), apply(t, long, batch...); !cmp.Equal(want, got) {
				t.Fatalf("round %d: results (-want +got)\n%s", round, cmp.Diff(want, got))
			}
		}
	}
	for _, query := range []string{
		`SELECT id, first_name, data, source, synced_at, deleted_at IS NULL, _alive_at, _updated_at, _seen_at, _dead_at, _hash, _was_visible, _version, _digest FROM {users} ORDER BY id`,
		`SELECT id, type, object_id, outcome, attempts, error, payload, due_at FROM {events} ORDER BY id`,
		`SELECT resource, object_id, version, op, initial, source FROM {changes} ORDER BY object_id, version`,
	} {
		if diff := cmp.Diff(allRows(t, long, query), allRows(t, short, query)); diff != "" {
			t.Errorf("%s (-without the shortcut +with it)\n%s", query, diff)
		}
	}
	if shortCommits <= longCommits { // some batches go both ways
		t.Errorf("%d commits with the shortcut, %d without: it was not taken", shortCommits, longCommits)
	}
}

// TestShortcutOfEveryKind is the same with objects of all kinds, what cannot be stored or merged, and erasures.
func TestShortcutOfEveryKind(t *testing.T) {
	t.Parallel()
	detour := allOfIt
	detour.Hooks = clerksync.Hooks{}
	for _, k := range detour.Kinds {
		detour.Hooks[k] = clerksync.KindHooks{OnErased: func(context.Context, *sqlx.Tx, clerksync.Transition) error { return nil }}
	}
	short, long := everything(t, pgtest.New(t)), open(t, pgtest.New(t), detour)
	rng := rand.New(rand.NewPCG(2, 9))
	for step := range 400 {
		p := person{word: fmt.Sprint("W", rng.IntN(6)), born: past, key: fmt.Sprint("k", rng.IntN(8))}
		batch := make([]clerksync.Evidence, 1+rng.IntN(4))
		for i := range batch {
			batch[i] = p.evidence(rng, fmt.Sprint("msg_", step-rng.IntN(8)/7, "_", i))
		}
		if got, want := apply(t, short, batch...), apply(t, long, batch...); !cmp.Equal(want, got) {
			t.Fatalf("step %d: results (-want +got)\n%s", step, cmp.Diff(want, got))
		}
		if rng.IntN(10) == 0 {
			order := clerksync.Erasure{Kind: clerksync.Users, ID: p.id(), Force: rng.IntN(2) == 0}
			_, shortErr := short.Erase(t.Context(), order)
			if _, err := long.Erase(t.Context(), order); fmt.Sprint(err) != fmt.Sprint(shortErr) {
				t.Fatalf("step %d: erasing: %v with the shortcut, %v without", step, shortErr, err)
			}
		}
	}
	queries := []string{
		`SELECT id, type, object_id, outcome, attempts, error, payload, due_at IS NULL FROM {events} ORDER BY id`,
		`SELECT resource, object_id, version, op, initial, source, reasons FROM {changes} ORDER BY resource, object_id, version, op`,
		`SELECT action, resource, object_id, source, event_id FROM {audit} ORDER BY action, resource, object_id, event_id, seq`,
	}
	for _, k := range allOfIt.Kinds {
		if k != clerksync.OrganizationDomains { // of which a person has none
			queries = append(queries, `SELECT to_jsonb(t) - 'erased_at' - 'deleted_at' - '_changed' - '_was_visible' - 'synced_at', erased_at IS NULL, deleted_at IS NULL FROM {`+string(k)+`} AS t ORDER BY id`)
		}
	}
	for _, query := range queries {
		if diff := cmp.Diff(allRows(t, long, query), allRows(t, short, query)); diff != "" {
			t.Errorf("%s (-without the shortcut +with it)\n%.3000s", query, diff)
		}
	}
}

// evidence is something about the person, or about what belongs to him, that may be unreadable, early or hard to store.
func (p person) evidence(rng *rand.Rand, message string) clerksync.Evidence {
	at := past + int64(rng.IntN(40))*5000
	objects := p.belonging(at)
	objects[clerksync.Users] = p.user(at)
	for _, k := range []clerksync.Kind{clerksync.Organizations, clerksync.Roles, clerksync.Permissions} {
		objects[k] = fmt.Appendf(nil, `{"object":%q,"id":"%[1]s_%d","name":%q,"key":"k","created_at":%d,"updated_at":%d}`, k.Singular(), rng.IntN(3), p.word, past, at)
	}
	kinds := slices.Sorted(maps.Keys(objects))
	k := kinds[rng.IntN(len(kinds))]
	object := string(objects[k])
	id := strings.Split(strings.SplitAfterN(object, `"id":"`, 2)[1], `"`)[0]
	switch rng.IntN(12) {
	case 0:
		return tells(message, k, id, nil, at)
	case 1:
		object = strings.Replace(object, "updated_at", "updated", 1)
	case 2:
		object = strings.Replace(object, p.word, p.word+`\u0000`, 1)
	case 3:
		object = strings.Replace(object, fmt.Sprint(`"updated_at":`, at), fmt.Sprint(`"updated_at":`, time.Now().Add(time.Hour).UnixMilli()), 1)
	}
	if rng.IntN(3) == 0 {
		return saw(k, id, []byte(object), at+int64(rng.IntN(3))*100_000)
	}
	return tells(message, k, id, []byte(object), at)
}

// allRows returns what a query finds, as text.
func allRows(t *testing.T, m *clerksync.Mirror, query string) (lines []string) {
	t.Helper()
	rows, err := m.DB().Queryx(m.SQL(query))
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		values, err := rows.SliceScan()
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, fmt.Sprintf("%s", values))
	}
	if rows.Err() != nil || len(lines) == 0 {
		t.Fatal(len(lines), " rows: ", rows.Err())
	}
	return lines
}

// TestShortcutLocksTheFeedLast has evidence wait for a row that somebody has locked. Others write meanwhile.
func TestShortcutLocksTheFeedLast(t *testing.T) {
	t.Parallel()
	first, second := user{ID: "user_1", Updated: past}, user{ID: "user_2", Updated: past}
	later := func(u user) user { u.Name, u.Updated = "Later", past+1; return u }
	for name, waits := range map[string]clerksync.Evidence{"an event": later(first).told(), "a read": read(later(first), past+1)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := pgtest.New(t)
			m := pinned(t, db)
			apply(t, m, first.told(), second.told())
			tx := admin(t, db).MustBegin()
			defer tx.Rollback()
			tx.MustExec(m.SQL(`SELECT 1 FROM {users} WHERE id = 'user_1' FOR UPDATE`))
			wait := callers(t.Context(), m, 1, func(int) clerksync.Evidence { return waits })
			waitFor(t, "it to wait", func() bool { return waitingForLocks(t, db) == 1 })
			apply(t, pinned(t, db), later(second).told())
			if err := tx.Rollback(); err != nil {
				t.Fatal(err)
			}
			if err := wait(); err != nil {
				t.Error(err)
			}
		})
	}
}

// A database is far if every round trip takes long, and near as soon as one is short, however busy the machine is before that.
func TestIsFar(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		trips []time.Duration // the last one repeats
		far   bool
		asked int
	}{
		"near":     {[]time.Duration{100 * time.Microsecond}, false, 1},
		"busy":     {[]time.Duration{3 * time.Millisecond, 20 * time.Millisecond, time.Millisecond, 400 * time.Microsecond, 249 * time.Microsecond}, false, 5},
		"far":      {[]time.Duration{time.Millisecond}, true, 50},
		"very far": {[]time.Duration{100 * time.Millisecond}, true, 3},
	} {
		asked := 0
		far, err := clerksync.IsFar(func() (time.Duration, error) {
			asked++
			return c.trips[min(asked, len(c.trips))-1], nil
		})
		if far != c.far || asked != c.asked || err != nil {
			t.Errorf("%s: far is %t after %d round trips, %v; want %t after %d", name, far, asked, err, c.far, c.asked)
		}
	}
}

// TestNextBatchBesideALargeOne holds up a batch that takes the shortcut to a database that is far. The next one begins beside it if it is
// large, and else grows meanwhile.
func TestNextBatchBesideALargeOne(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ pieces, waiting, flying int }{"small": {5, 2, 1}, "large": {50, 1, 2}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := pgtest.New(t)
			m := pinned(t, db)
			m.SetFar(true)
			var reads []clerksync.Evidence
			for i := range c.pieces {
				u := user{ID: fmt.Sprintf("user_%03d", i), Updated: past, Created: past}
				apply(t, m, u.told())
				u.Name, u.Updated = "Later", past+1
				reads = append(reads, read(u, u.Updated))
			}
			release := holdUsers(t, db, m)
			answered := make(chan error, 1)
			go func() {
				_, err := m.Apply(t.Context(), reads...)
				answered <- err
			}()
			waits := []func() error{func() error { return <-answered }}
			at := func(waiting, flying int) {
				t.Helper()
				waitFor(t, "everybody to have a place", func() bool {
					w, f := m.Queue()
					return w == waiting && f == flying && waitingForLocks(t, db) == flying
				})
			}
			at(0, 1)
			for i := range 2 {
				waits = append(waits, callers(t.Context(), m, 1, func(int) clerksync.Evidence { return numbered(900 + i) }))
				at(max(0, i+2-c.flying), min(c.flying, i+2))
			}
			at(c.waiting, c.flying)
			release()
			for _, wait := range waits {
				if err := wait(); err != nil {
					t.Error(err)
				}
			}
			if got := len(rows(t, m)); got != c.pieces+2 {
				t.Errorf("%d rows, want %d", got, c.pieces+2)
			}
		})
	}
}
