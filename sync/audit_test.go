package sync_test

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/jmoiron/sqlx"
	"golang.org/x/sync/errgroup"

	"github.com/clerksync/clerksync/internal/pgtest"
	clerksync "github.com/clerksync/clerksync/sync"
)

func audit(t testing.TB, m *clerksync.Mirror) (all []clerksync.AuditEntry) {
	t.Helper()
	for e, err := range m.Audit(t.Context(), time.Time{}, time.Time{}) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, e)
	}
	return all
}

// TestAudit deletes, revives and deletes again, by an event and by a read. What else happens leaves no row, and costs none.
func TestAudit(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		m := pinned(t, db)
		before := texts(t, m, `SELECT value FROM {state} WHERE key = 'audit'`)
		apply(t, m, at(0, "Ada").told())
		apply(t, m, at(1, "Ada Lovelace").told())
		apply(t, m, toldGone("user_unknown", past))
		if diff := cmp.Diff(before, texts(t, m, `SELECT value FROM {state} WHERE key = 'audit'`)); diff != "" || len(audit(t, m)) > 0 {
			t.Errorf("the audit log moved without a deletion (-before +after):\n%s", diff)
		}

		deletion := toldGone("user_1", past+2*minute)
		deletion.Event.ID = "msg_deletion"
		apply(t, m, deletion)
		apply(t, m, deletion)
		apply(t, m, read(at(1, "Ada Lovelace"), past+hour))
		apply(t, m, readGone("user_1", past+2*hour))
		want := []clerksync.AuditEntry{
			{Seq: 1, Action: clerksync.AuditDeleted, Source: clerksync.Webhook, EventID: "msg_deletion", OccurredAt: time.UnixMilli(past + 2*minute).UTC()},
			{Seq: 2, Action: clerksync.AuditRevived, Source: clerksync.Reconcile, OccurredAt: time.UnixMilli(past + hour).UTC()},
			{Seq: 3, Action: clerksync.AuditDeleted, Source: clerksync.Reconcile, OccurredAt: time.UnixMilli(past + 2*hour).UTC()},
		}
		for i := range want {
			want[i].Kind, want[i].ObjectID = clerksync.Users, "user_1"
		}
		got := audit(t, m)
		if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(clerksync.AuditEntry{}, "At", "Previous", "Hash")); diff != "" {
			t.Errorf("the audit log (-want +got):\n%s", diff)
		}
		if age := time.Since(got[2].At); age < 0 || age > time.Minute {
			t.Errorf("the last entry was written %s ago", age)
		}
		if rows, last, err := m.VerifyAudit(t.Context(), got[0].Hash); rows != 3 || last != got[2].Hash || err != nil {
			t.Errorf("VerifyAudit = %d, %q, %v", rows, last, err)
		}
		found := false
		for e, err := range m.Audit(t.Context(), got[2].At, got[2].At.Add(time.Millisecond)) {
			found = found || err == nil && e.Seq == 3
		}
		if !found {
			t.Error("the last entry is not among those of its own millisecond")
		}
		for e, err := range m.Audit(t.Context(), got[2].At.Add(time.Millisecond), time.Time{}) {
			t.Errorf("entry %d was written after the last one, %v", e.Seq, err)
		}
	})
}

func texts(t testing.TB, m *clerksync.Mirror, query string) (all []string) {
	t.Helper()
	if err := m.DB().SelectContext(t.Context(), &all, m.SQL(query)); err != nil {
		t.Fatal(err)
	}
	return all
}

// TestRecord appends acts of others: in their transaction, or in one of its own. Control characters cannot make one entry look like
// another.
func TestRecord(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		m := pinned(t, db)
		undone := db.MustBegin()
		if err := m.Record(t.Context(), undone, clerksync.AuditEntry{Action: clerksync.AuditApproved}); err != nil {
			t.Fatal(err)
		}
		if err := undone.Rollback(); err != nil {
			t.Fatal(err)
		}
		tx := db.MustBegin()
		err := m.Record(t.Context(), tx, clerksync.AuditEntry{Action: clerksync.AuditRefused, Source: clerksync.Reconcile, Detail: "plan\nof\x00evil\xff"},
			clerksync.AuditEntry{Action: clerksync.AuditErased, Kind: clerksync.Users, ObjectID: "user_1", Source: clerksync.Upkeep})
		if err != nil {
			t.Fatal(err)
		}
		if err := tx.Commit(); err != nil {
			t.Fatal(err)
		}
		if err := m.Record(t.Context(), nil, clerksync.AuditEntry{Action: clerksync.AuditReloaded, Source: clerksync.Operator}); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, e := range audit(t, m) {
			got = append(got, fmt.Sprintln(e.Seq, e.Action, e.Kind, e.ObjectID, e.Source, e.Detail))
		}
		want := []string{"1 refused   reconcile plan\uFFFDof\uFFFDevil\uFFFD\n", "2 erased users user_1 upkeep \n", "3 reloaded   operator \n"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("the audit log (-want +got):\n%s", diff)
		}
		if _, _, err := m.VerifyAudit(t.Context(), ""); err != nil {
			t.Error(err)
		}
	})
}

// TestAuditIsOnlyAppended has the database itself refuse to change or remove entries.
func TestAuditIsOnlyAppended(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		m := pinned(t, db)
		apply(t, m, at(0, "Ada").told())
		apply(t, m, toldGone("user_1", past+minute))
		statements := []string{`UPDATE {audit} SET detail = 'x'`, `DELETE FROM {audit}`, `DELETE FROM {audit} WHERE seq = 1`}
		if db.DriverName() != "sqlite" {
			statements = append(statements, `TRUNCATE {audit}`, `TRUNCATE {audit} CASCADE`)
			db = pgtest.Superuser(t, db)
		}
		for _, statement := range statements {
			_, err := db.ExecContext(t.Context(), m.SQL(statement))
			if err == nil || !strings.Contains(err.Error(), "neither changed nor removed") {
				t.Errorf("%s: error %v", statement, err)
			}
		}
		if n := len(audit(t, m)); n != 1 {
			t.Errorf("%d entries, want 1", n)
		}
	})
}

// unguard takes away what keeps the rows, as somebody can who owns the table.
func unguard(t *testing.T, db *sqlx.DB) *sqlx.DB {
	t.Helper()
	if db.DriverName() != "sqlite" {
		db = pgtest.Superuser(t, db)
		db.MustExec(`ALTER TABLE clerk.audit DISABLE TRIGGER ALL`)
		return db
	}
	db.MustExec(`DROP TRIGGER clerk_audit_keeps_rows`)
	db.MustExec(`DROP TRIGGER clerk_audit_loses_no_rows`)
	return db
}

// TestAuditTampering tampers with the log in every way that does not write it all anew, and has the first broken row told.
func TestAuditTampering(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		m := pinned(t, db)
		for i := range 5 {
			id := fmt.Sprint("user_", i)
			apply(t, m, told(user{ID: id, Updated: past}, past), toldGone(id, past-hour))
			apply(t, m, toldGone(id, past+minute))
		}
		rows, last, err := m.VerifyAudit(t.Context(), "")
		if rows != 5 || err != nil {
			t.Fatalf("VerifyAudit = %d, %v before", rows, err)
		}
		db = unguard(t, db)
		db.MustExec(m.SQL(`CREATE TABLE kept AS SELECT * FROM {audit}`))
		db.MustExec(m.SQL(`CREATE TABLE kept_state AS SELECT * FROM {state} WHERE key = 'audit'`))
		rewritten := func(seq int) string { // a row whose own hash fits
			return fmt.Sprintf(`UPDATE {audit} SET object_id = 'user_innocent', hash = '%s' WHERE seq = %d`, rehash(t, m, seq, "user_innocent"), seq)
		}
		for i, test := range []struct{ name, statement, want string }{
			{"nothing", `SELECT 1`, ""},
			{"an id", `UPDATE {audit} SET object_id = 'user_x' WHERE seq = 3`, "row 3 of the audit log was changed"},
			{"an instant", `UPDATE {audit} SET at = '2020-01-01T00:00:00.000Z' WHERE seq = 2`, "row 2 of the audit log was changed"},
			{"no instant", `UPDATE {audit} SET occurred_at = NULL WHERE seq = 2`, "row 2 of the audit log was changed"},
			{"an action", `UPDATE {audit} SET action = 'revived' WHERE seq = 1`, "row 1 of the audit log was changed"},
			{"a text moved to the next member", `UPDATE {audit} SET event_id = '', detail = event_id WHERE seq = 4`, "row 4 of the audit log was changed"},
			{"a row", `DELETE FROM {audit} WHERE seq = 3`, "row 3 of the audit log is missing"},
			{"the first row", `DELETE FROM {audit} WHERE seq = 1`, "row 1 of the audit log is missing"},
			{"the last rows", `DELETE FROM {audit} WHERE seq > 3`, "row 4 of the audit log is missing, and so are all after it, up to row 5"},
			{"all rows", `DELETE FROM {audit}`, "row 1 of the audit log is missing, and so are all after it, up to row 5"},
			{"a number", `UPDATE {audit} SET seq = 7 WHERE seq = 5`, "row 5 of the audit log is missing"},
			{"a row and its hash", rewritten(3), "row 4 of the audit log does not follow the row before it"},
			{"the last row and its hash", rewritten(5), "row 5 of the audit log was replaced"},
			{"the end", `DELETE FROM {state} WHERE key = 'audit'`, "the state table does not tell the end of the audit log any more"},
			{"the end, put back", `UPDATE {state} SET value = '{"seq":4,"hash":"0"}' WHERE key = 'audit'`, "row 4 of the audit log was replaced"},
		} {
			db.MustExec(m.SQL(test.statement))
			_, _, err := m.VerifyAudit(t.Context(), last)
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("%s: error %v, want %q", test.name, err, test.want)
			}
			id := fmt.Sprint("user_after_", i)
			apply(t, m, told(user{ID: id, Updated: past}, past))
			if got := apply(t, m, toldGone(id, past+minute)); got[0].Outcome != clerksync.Deleted {
				t.Errorf("%s: a deletion after it was %s", test.name, got[0].Outcome)
			}
			if _, _, err := m.VerifyAudit(t.Context(), last); (err == nil) != (test.want == "") {
				t.Errorf("%s: error %v after another deletion", test.name, err)
			}
			db.MustExec(m.SQL(`DELETE FROM {audit}`))
			db.MustExec(m.SQL(`INSERT INTO {audit} SELECT * FROM kept`))
			db.MustExec(m.SQL(`DELETE FROM {state} WHERE key = 'audit'`))
			db.MustExec(m.SQL(`INSERT INTO {state} SELECT * FROM kept_state`))
		}

		// The log written anew up to row 4, and its end: only a hash that was noted elsewhere tells.
		db.MustExec(m.SQL(`DELETE FROM {audit} WHERE seq > 4`))
		db.MustExec(m.SQL(`UPDATE {state} SET value = (SELECT '{"seq":4,"hash":"' || hash || '"}' FROM kept WHERE seq = 4)` + cast(db) + ` WHERE key = 'audit'`))
		if rows, _, err := m.VerifyAudit(t.Context(), ""); rows != 4 || err != nil {
			t.Errorf("VerifyAudit = %d, %v of a log that was cut with its end", rows, err)
		}
		if _, _, err := m.VerifyAudit(t.Context(), last); err == nil || !strings.Contains(err.Error(), "no row of the audit log has the hash") {
			t.Errorf("error %v, want one about the noted hash", err)
		}
	})
}

func cast(db *sqlx.DB) string {
	if db.DriverName() != "sqlite" {
		return "::jsonb"
	}
	return ""
}

// rehash works out the hash of a row with another object, as the documentation tells auditors to.
func rehash(t *testing.T, m *clerksync.Mirror, seq int, object string) string {
	t.Helper()
	e := audit(t, m)[seq-1]
	const layout = "2006-01-02T15:04:05.000Z"
	return sha256Lines(e.Previous, fmt.Sprint(e.Seq), e.At.Format(layout), string(e.Action), string(e.Kind), object, string(e.Source), e.EventID,
		e.OccurredAt.Format(layout), e.Detail)
}

// TestAuditTogether has several mirrors of one database delete at once: one chain, without a hole.
func TestAuditTogether(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		const writers, each = 4, 15
		var group errgroup.Group
		for w := range writers {
			m := pinned(t, db)
			group.Go(func() error {
				for i := range each {
					u := user{ID: fmt.Sprintf("user_%d_%d", w, i), Updated: past}
					for _, e := range []clerksync.Evidence{told(u, past), toldGone(u.ID, past+minute)} {
						if _, err := m.Apply(t.Context(), e); err != nil {
							return err
						}
					}
					if err := m.Record(t.Context(), nil, clerksync.AuditEntry{Action: clerksync.AuditErased, ObjectID: u.ID}); err != nil {
						return err
					}
				}
				return nil
			})
		}
		if err := group.Wait(); err != nil {
			t.Fatal(err)
		}
		if rows, _, err := pinned(t, db).VerifyAudit(t.Context(), ""); rows != 2*writers*each || err != nil {
			t.Errorf("VerifyAudit = %d, %v, want %d rows", rows, err, 2*writers*each)
		}
	})
}

func sha256Lines(lines ...string) string {
	return fmt.Sprintf("%x", sha256.Sum256([]byte(strings.Join(lines, "\n"))))
}
