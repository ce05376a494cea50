package migrations_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jmoiron/sqlx"

	"github.com/clerksync/clerksync/internal/pgtest"
	"github.com/clerksync/clerksync/migrations"
)

func tableName(db *sqlx.DB, relation string) string {
	return engine{dialect: dialectOf(db)}.name("clerk", relation)
}

func dialectOf(db *sqlx.DB) migrations.Dialect {
	if db.DriverName() == "sqlite" {
		return migrations.SQLite
	}
	return migrations.Postgres
}

// row is a visible user as the merge would write it; a test changes what it is about.
type row map[string]any

func user(id string) row {
	return row{
		"id": id, "source": "webhook", "synced_at": "2026-01-02T03:04:05.000Z", "created_at": "2026-01-02T03:04:05.678Z",
		"email_verified": true, "banned": false, "data": `{"id":"` + id + `"}`, "_alive_at": 2, "_updated_at": 2, "_seen_at": 2,
		"_dead_at": 1, "_hash": []byte{1}, "_was_visible": false, "_version": 1, "_changed": true,
	}
}

func event(id string) row {
	return row{"id": id, "received_at": "2026-01-02T03:04:05.000Z", "outcome": "created", "attempts": 1}
}

func change(id string) row {
	return row{"resource": "users", "object_id": id, "op": "created", "version": 1}
}

func (r row) with(column string, value any) row {
	r[column] = value
	return r
}

func (r row) insert(t *testing.T, db *sqlx.DB, relation string) error {
	t.Helper()
	var columns, holes []string
	var values []any
	for column, value := range r {
		columns = append(columns, column)
		values = append(values, value)
		holes = append(holes, fmt.Sprintf("$%d", len(values)))
	}
	_, err := db.ExecContext(t.Context(), fmt.Sprintf("INSERT INTO %s (%s) VALUES (%s)", tableName(db, relation),
		strings.Join(columns, ", "), strings.Join(holes, ", ")), values...)
	return err
}

// TestConstraints proves that the databases themselves refuse what the merge must never write.
func TestConstraints(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, relation string
		row            row
		want           string // in the error; empty if the row is right
	}{
		{"visible", "users", user("a"), ""},
		{"hidden", "users", user("b").with("_dead_at", 2).with("deleted_at", "2026-01-02T03:04:05.000Z"), ""},
		{"same e-mail twice", "users", user("c").with("email", "x@example.com"), ""},
		{"same e-mail twice, again", "users", user("d").with("email", "x@example.com"), ""},
		{"same id twice", "users", user("a"), "users"},
		{"dead but shown", "users", user("e").with("_dead_at", 2), "users_visible_unless_deleted"},
		{"alive but hidden", "users", user("f").with("deleted_at", "2026-01-02T03:04:05.000Z"), "users_visible_unless_deleted"},
		{"version below zero", "users", user("g").with("_version", -1), "users_version_counts"},
		{"source", "users", user("h").with("source", "rumour"), "users_source_known"},
		{"no hash", "users", user("i").with("_hash", nil), "_hash"},
		{"event", "events", event("a"), ""},
		{"outcome", "events", event("b").with("outcome", "lost"), "events_outcome_known"},
		{"change", "changes", change("a"), ""},
		{"another object's change", "changes", change("b"), ""},
		{"next change", "changes", change("a").with("version", 2).with("op", "updated"), ""},
		{"version twice", "changes", change("a").with("version", 2).with("op", "deleted"), "version"},
		{"operation", "changes", change("c").with("op", "renamed"), "changes_op_known"},
		{"no operation", "changes", change("d").with("op", nil), "op"},
	}
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		for _, test := range tests { // in order: some rows are the twins of earlier ones
			err := test.row.insert(t, db, test.relation)
			switch {
			case test.want == "" && err != nil:
				t.Errorf("%s: %v", test.name, err)
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
				t.Errorf("%s: error = %v, want one about %s", test.name, err, test.want)
			}
		}
		var seqs []int64
		if err := db.Select(&seqs, "SELECT seq FROM "+tableName(db, "changes")+" ORDER BY seq"); err != nil {
			t.Fatal(err)
		}
		if len(seqs) != 3 {
			t.Errorf("seq = %v, want three", seqs)
		}
	})
}

// TestActiveUsers proves that the view shows visible users alone, and no column of the merge, and that it scans into Go's types.
func TestActiveUsers(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		hidden := user("user_b").with("_dead_at", 2).with("deleted_at", "2026-01-02T03:04:05.000Z")
		for _, r := range []row{user("user_a"), hidden} {
			if err := r.insert(t, db, "users"); err != nil {
				t.Fatal(err)
			}
		}
		rows, err := db.Queryx("SELECT * FROM " + tableName(db, "active_users"))
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		columns, err := rows.Columns()
		if err != nil {
			t.Fatal(err)
		}
		want := strings.Fields(`id external_id username first_name last_name email email_verified phone image_url
			public_metadata unsafe_metadata private_metadata banned locked
			created_at updated_at last_sign_in_at last_active_at unstorable data source synced_at`)
		if diff := cmp.Diff(want, columns); diff != "" {
			t.Errorf("columns (-want +got):\n%s", diff)
		}

		type shown struct {
			ID            string
			EmailVerified *bool      `db:"email_verified"`
			Banned        bool       `db:"banned"`
			Locked        *bool      `db:"locked"`
			CreatedAt     time.Time  `db:"created_at"`
			UpdatedAt     *time.Time `db:"updated_at"`
			SyncedAt      *time.Time `db:"synced_at"`
		}
		var users []shown
		err = db.Select(&users, `SELECT id, email_verified, banned, locked, created_at, updated_at, synced_at FROM `+tableName(db, "active_users"))
		if err != nil {
			t.Fatal(err)
		}
		verified, synced := true, time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
		visible := []shown{{ID: "user_a", EmailVerified: &verified, CreatedAt: synced.Add(678 * time.Millisecond), SyncedAt: &synced}}
		if diff := cmp.Diff(visible, users); diff != "" {
			t.Errorf("users (-want +got):\n%s", diff)
		}
	})
}

// TestBirth proves that a mirror is born when its tables are made, on the database's clock.
func TestBirth(t *testing.T) {
	onBoth(t, func(t *testing.T, e engine) {
		before := time.Now()
		db := e.open(t)
		up(t, db, e.options(""))
		query := "SELECT value ->> 'at' FROM " + e.name("clerk", "state") + " WHERE key = 'born'"
		var ms int64
		if _, err := fmt.Sscan(texts(t, db, query)[0], &ms); err != nil {
			t.Fatal(err)
		}
		if at := time.UnixMilli(ms); at.Before(before.Add(-time.Second)) || at.After(time.Now().Add(time.Second)) {
			t.Errorf("born at %v, want between %v and now", at, before)
		}
	})
}
