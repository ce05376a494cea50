package sync_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/clerksync/clerksync/internal/pgtest"
	clerksync "github.com/clerksync/clerksync/sync"
)

// TestRowsRemovedByHand fills a table again that somebody has emptied, and one that a backup has given back as it was before.
func TestRowsRemovedByHand(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		m := pinned(t, db)
		ids := people(t, m, 120)
		var page []clerksync.Evidence
		for i, id := range ids {
			page = append(page, read(user{ID: id, Updated: past + hour, Name: fmt.Sprint(i)}, past+hour))
		}
		apply(t, m, page...)

		admin(t, db).MustExec(m.SQL(`UPDATE {users} SET _version = 1, _updated_at = _updated_at - 1, _alive_at = _alive_at - 1 WHERE id <= $1`), ids[39])
		admin(t, db).MustExec(m.SQL(`DELETE FROM {users} WHERE id > $1`), ids[39])
		apply(t, m, told(user{ID: ids[0], Updated: past + 2*hour, Name: "back"}, past+2*hour), told(user{ID: ids[40], Updated: past + 2*hour, Name: "back"}, past+2*hour))
		for i := range page {
			page[i] = read(user{ID: ids[i], Updated: past + 3*hour, Name: fmt.Sprint(i, " again")}, past+3*hour)
		}
		for i, r := range apply(t, m, page...) {
			want := clerksync.Created
			if i <= 40 {
				want = clerksync.Updated
			}
			if r.Outcome != want {
				t.Errorf("%s is %+v, want it %s", ids[i], r, want)
			}
		}
		checkVersions(t, m)
	})
}

// TestEraseRowsPutBack erases a person whose row a backup has given back as it was before, and one of whom it was a membership.
func TestEraseRowsPutBack(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		m := everything(t, db)
		start := long()
		for table, p := range map[clerksync.Kind]person{clerksync.Users: {word: "quokka", born: start}, clerksync.OrganizationMemberships: {word: "wombat", born: start}} {
			p.arrive(t, m, start)
			later := p.belonging(start + 1)
			later[clerksync.Users] = p.user(start + 1)
			var evidence []clerksync.Evidence
			for k, object := range later {
				evidence = append(evidence, saw(k, "", bytes.ReplaceAll(object, []byte(`_metadata":{`), []byte(`_metadata":{"new":1,`)), start+day))
			}
			apply(t, m, evidence...)
			admin(t, db).MustExec(m.SQL(`UPDATE {` + string(table) + `} SET _version = 1`))
			p.leave(t, m, start+2*day)
			if n := p.erase(t, m, clerksync.Anonymize).Rows[clerksync.OrganizationMemberships]; n != 1 {
				t.Errorf("%s: %d memberships were emptied", table, n)
			}
			if n := p.erase(t, m, clerksync.Anonymize).Rows[clerksync.OrganizationMemberships]; n != 0 {
				t.Errorf("%s: %d memberships were emptied again", table, n)
			}
		}
	})
}

// TestRefusalBesideALongFeed has a constraint of the team's refuse one of many, beside a feed that it would take long to read for each.
func TestRefusalBesideALongFeed(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	m := pinned(t, db)
	ids := people(t, m, 400)
	owner := admin(t, db)
	owner.MustExec(`INSERT INTO clerk.changes (resource, object_id, op, version) SELECT 'users', 'user_x' || i, 'created', 1 FROM generate_series(1, 200000) AS i; ANALYZE clerk.changes`)
	owner.MustExec(`ALTER TABLE clerk.users ADD CONSTRAINT no_eve CHECK (first_name <> 'Eve')`)
	page := []clerksync.Evidence{read(user{ID: "user_eve", Updated: past, Name: "Eve"}, past)}
	for _, id := range ids {
		page = append(page, read(user{ID: id, Updated: past + hour, Name: "Bob"}, past+hour))
	}
	for i, r := range apply(t, m, page...) {
		if (r.Outcome == clerksync.Quarantined) != (i == 0) {
			t.Errorf("piece %d is %+v", i, r)
		}
	}
	db.Close() // what its connections counted is told when they end
	var read struct {
		Looked int64 `db:"idx_scan"`
		Rows   int64 `db:"seq_tup_read"`
	}
	waitFor(t, "the count of rows that were read", func() bool {
		if err := owner.Get(&read, `SELECT idx_scan, seq_tup_read FROM pg_stat_user_tables WHERE relid = 'clerk.changes'::regclass`); err != nil {
			t.Fatal(err)
		}
		return read.Looked > 0
	})
	if read.Rows > 500_000 {
		t.Errorf("%d rows of the feed were read", read.Rows)
	}
}

// removed removes a user's row by hand and locks what the feed told of it, in a transaction that ends with the test. The evidence brings the
// user back.
func removed(t *testing.T, m *clerksync.Mirror) (*sqlx.Tx, clerksync.Evidence) {
	t.Helper()
	people(t, m, 2)
	owner := admin(t, m.DB())
	owner.MustExec(`DELETE FROM clerk.users WHERE id = 'user_0000'`)
	tx := owner.MustBegin()
	t.Cleanup(func() { tx.Rollback() })
	tx.MustExec(`SELECT 1 FROM clerk.changes WHERE object_id = 'user_0000' FOR UPDATE`)
	return tx, told(user{ID: "user_0000", Updated: past + hour, Name: "back"}, past+hour)
}

// TestRowRemovedBesideALockedFeed has a program of the team's hold a change locked that has to go: whoever waits is answered.
func TestRowRemovedBesideALockedFeed(t *testing.T) {
	t.Parallel()
	m := pinned(t, pgtest.New(t))
	tx, evidence := removed(t, m)
	answer := make(chan error, 1)
	go func() { _, err := m.Apply(t.Context(), evidence); answer <- err }()
	select {
	case err := <-answer:
		if !errors.Is(err, clerksync.ErrUnavailable) {
			t.Errorf("%v, want ErrUnavailable", err)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("no answer")
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	if r := apply(t, m, evidence); r[0].Outcome != clerksync.Created {
		t.Errorf("%+v, want it created", r)
	}
}

// TestRowRemovedTwoProcesses has another process make the feed agree just before this one can: what it waits with is merged all the same.
func TestRowRemovedTwoProcesses(t *testing.T) {
	t.Parallel()
	isolations(t, func(t *testing.T, db *sqlx.DB) {
		m := pinned(t, db)
		tx, evidence := removed(t, m)
		answer := make(chan []clerksync.Result, 1)
		go func() { results, _ := m.Apply(t.Context(), evidence); answer <- results }()
		waitFor(t, "the other process's lock to be met", func() bool { return waitingForLocks(t, db) == 1 })
		tx.MustExec(`DELETE FROM clerk.changes WHERE object_id = 'user_0000'`)
		if err := tx.Commit(); err != nil {
			t.Fatal(err)
		}
		if r := <-answer; len(r) != 1 || r[0].Outcome != clerksync.Created {
			t.Errorf("%+v, want it created", r)
		}
	})
}
