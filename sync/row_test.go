package sync_test

import (
	"encoding/json"
	"testing"

	"github.com/jmoiron/sqlx"

	clerksync "github.com/clerksync/clerksync/sync"
)

// row is a row of users as the database has it.
type row struct {
	ID         string  `db:"id"`
	FirstName  *string `db:"first_name"`
	Data       *string `db:"data"`
	Unstorable *string `db:"unstorable"`
	Source     string  `db:"source"`
	Deleted    bool    `db:"deleted"`
	Erased     bool    `db:"erased"`
	Alive      int64   `db:"_alive_at"`
	Updated    int64   `db:"_updated_at"`
	Seen       int64   `db:"_seen_at"`
	Dead       int64   `db:"_dead_at"`
	Hash       []byte  `db:"_hash"`
	WasVisible bool    `db:"_was_visible"`
	Version    int64   `db:"_version"`
}

func (r row) key() clerksync.Key {
	return clerksync.Key{Alive: r.Alive, Updated: r.Updated, Seen: r.Seen, Hash: string(r.Hash)}
}

// rows reads all rows of users by id.
func rows(t testing.TB, m *clerksync.Mirror) map[string]row {
	t.Helper()
	var all []row
	err := m.DB().SelectContext(t.Context(), &all, m.SQL(`SELECT id, first_name, data, unstorable, source, deleted_at IS NOT NULL AS deleted,
erased_at IS NOT NULL AS erased, _alive_at, _updated_at, _seen_at, _dead_at, _hash, _was_visible, _version FROM {users}`))
	if err != nil {
		t.Fatal(err)
	}
	byID := make(map[string]row, len(all))
	for _, r := range all {
		byID[r.ID] = r
	}
	return byID
}

// change is a row of the feed.
type change struct {
	Seq      int64             `db:"seq"`
	ObjectID string            `db:"object_id"`
	Op       clerksync.Outcome `db:"op"`
	Version  int64             `db:"version"`
	Initial  bool              `db:"initial"`
	Source   string            `db:"source"`
}

// changes reads the feed after a seq, in its order.
func changes(t testing.TB, m *clerksync.Mirror, after int64) []change {
	t.Helper()
	var all []change
	err := m.DB().SelectContext(t.Context(), &all, m.SQL(`SELECT seq, object_id, op, version, initial, source FROM {changes}
WHERE resource = 'users' AND seq > $1 ORDER BY seq`), after)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// eventRow is a row of events.
type eventRow struct {
	ID       string            `db:"id"`
	Outcome  clerksync.Outcome `db:"outcome"`
	Error    *string           `db:"error"`
	Attempts int               `db:"attempts"`
	Payload  []byte            `db:"payload"`
	Due      bool              `db:"due"`
}

// events reads all rows of events by id.
func events(t testing.TB, m *clerksync.Mirror) map[string]eventRow {
	t.Helper()
	var all []eventRow
	err := m.DB().SelectContext(t.Context(), &all,
		m.SQL(`SELECT id, outcome, error, attempts, payload, due_at IS NOT NULL AS due FROM {events}`))
	if err != nil {
		t.Fatal(err)
	}
	byID := make(map[string]eventRow, len(all))
	for _, r := range all {
		byID[r.ID] = r
	}
	return byID
}

// text reads one value as text; NULL is "<null>".
func text(t testing.TB, db *sqlx.DB, query string, args ...any) string {
	t.Helper()
	var v *string
	if err := db.GetContext(t.Context(), &v, query, args...); err != nil {
		t.Fatal(err)
	}
	if v == nil {
		return "<null>"
	}
	return *v
}

// sameJSON compares JSON texts by what they say.
func sameJSON(t testing.TB, a, b string) bool {
	t.Helper()
	return canonical(t, a) == canonical(t, b)
}

func canonical(t testing.TB, s string) string {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(s), &v); err != nil {
		t.Fatalf("%q is no JSON: %v", s, err)
	}
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
