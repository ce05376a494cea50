package main_test

import (
	"strings"
	"testing"

	"github.com/clerksync/clerksync/clerktest"
	"github.com/clerksync/clerksync/internal/pgtest"
)

// TestAuditVerify has the owner of the database change a row behind the log's back. Both the command and the query that the
// documentation gives to auditors tell which one.
func TestAuditVerify(t *testing.T) {
	t.Parallel()
	clerk := emulate(t, clerktest.Config{Users: 40})
	url := pgtest.URL(t)
	db, env := connect(t, url), environment(clerk, url)
	run(t, 0, env, "reconcile")
	deleted := 0
	for id := range clerk.Users() {
		if err := clerk.DeleteUser(id); err != nil {
			t.Fatal(err)
		}
		if deleted++; deleted == 3 {
			break
		}
	}
	run(t, 0, env, "reconcile")
	run(t, 0, env, "audit", "verify")
	query := ""
	for _, m := range fence.FindAllStringSubmatch(read(t, "../../docs/privacy.md"), -1) {
		if strings.Contains(m[2], "first_broken_row") {
			query = m[2]
		}
	}
	broken := func() (row *int) {
		t.Helper()
		if err := db.Get(&row, query); err != nil {
			t.Fatal(err)
		}
		return row
	}
	if row := broken(); row != nil {
		t.Errorf("the documented query finds row %d broken", *row)
	}
	db = pgtest.Superuser(t, db)
	db.MustExec(`ALTER TABLE clerk.audit DISABLE TRIGGER ALL`)
	db.MustExec(`UPDATE clerk.audit SET object_id = 'user_innocent' WHERE seq = 2`)
	if _, stderr := run(t, 1, env, "audit", "verify"); !strings.Contains(stderr, "row 2 of the audit log was changed") {
		t.Errorf("verify says %q", stderr)
	}
	if row := broken(); row == nil || *row != 2 {
		t.Error("the documented query does not find row 2 broken")
	}
	db.MustExec(`DELETE FROM clerk.audit WHERE seq = 1`)
	if row := broken(); row == nil || *row != 2 {
		t.Error("the documented query does not miss row 1 before row 2")
	}
}
