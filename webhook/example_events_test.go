package webhook_test

import (
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jmoiron/sqlx"

	"github.com/clerksync/clerksync/internal/pgtest"
	clerksync "github.com/clerksync/clerksync/sync"
)

// example is an event that Clerk publishes in its OpenAPI file.
type example struct{ typ, message, body string }

// The instances and the user of the published examples.
const (
	exampleInstance = "ins_2g7np7Hrk0SN6kj5EDMLDaKNL0S"
	otherInstance   = "ins_123" // email.created alone
	exampleUser     = "user_2g7np7Hrk0SN6kj5EDMLDaKNL0S"
)

// examples returns one event of each published type, ordered by type.
func examples(t *testing.T) []example {
	t.Helper()
	dir := os.DirFS("../clerktest/testdata/events")
	names, err := fs.Glob(dir, "*.json")
	if err != nil || len(names) < 45 {
		t.Fatalf("%d published examples, want 45 or more: %v", len(names), err)
	}
	var all []example
	for _, name := range names {
		b, err := fs.ReadFile(dir, name)
		if err != nil {
			t.Fatal(err)
		}
		typ := strings.TrimSuffix(path.Base(name), ".json")
		body := strings.Replace(string(b), otherInstance, exampleInstance, 1)
		all = append(all, example{typ, "msg_" + strings.ReplaceAll(typ, ".", "_"), body})
	}
	return all
}

// TestExamplesPinned posts every published example twice to a mirror of the examples' instance.
func TestExamplesPinned(t *testing.T) {
	t.Parallel()
	// The examples share one user and one instant, but for user.updated, which is dated after the deletion.
	outcomes := map[string]clerksync.Outcome{
		"session.created": clerksync.Created,
		"session.ended":   clerksync.Unchanged, "session.pending": clerksync.Unchanged, "session.removed": clerksync.Unchanged,
		"session.revoked": clerksync.Unchanged, "user.created": clerksync.Unchanged,
		"user.deleted": clerksync.Deleted, "user.updated": clerksync.Revived,
	}
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		e := serve(t, db, clerksync.Config{InstanceID: exampleInstance})
		all := examples(t)
		for _, ex := range all {
			want := eventRow{Type: ex.typ, Outcome: clerksync.Ignored}
			if outcome, mirrored := outcomes[ex.typ]; mirrored {
				want.Outcome = outcome
			}
			for want.Attempts = 1; want.Attempts <= 2; want.Attempts++ {
				e.deliver(ex.message, ex.body, 204)
				got := e.event(ex.message)
				if got.Object == "" {
					t.Errorf("%s has no object id", ex.typ)
				}
				got.Object = ""
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("%s (-want +got):\n%s", ex.typ, diff)
				}
			}
		}
		if n := e.count("events", "true"); n != len(all) {
			t.Errorf("%d events, want %d", n, len(all))
		}
		if _, found, visible := e.user(exampleUser); !visible || e.count("users", "true") != 1 {
			t.Errorf("found %v, visible %v, want the one user, visible", found, visible)
		}
		if n := e.count("changes", "true"); n != 3 {
			t.Errorf("%d changes, want that he was created, deleted and revived", n)
		}
	})
}

// TestExampleRow looks at the row that each of the examples about a living user makes by itself.
func TestExampleRow(t *testing.T) {
	t.Parallel()
	for _, ex := range examples(t) {
		object, verb, _ := strings.Cut(ex.typ, ".")
		if object != "session" && object != "user" || verb == "deleted" {
			continue
		}
		t.Run(ex.typ, func(t *testing.T) {
			t.Parallel()
			e := serve(t, pgtest.SQLite(t), clerksync.Config{InstanceID: exampleInstance})
			e.deliver(ex.message, ex.body, 204)
			u, found, visible := e.user(exampleUser)
			if !found || !visible {
				t.Fatalf("found %v, visible %v", found, visible)
			}
			if u.Email != nil || *u.FirstName == "" || u.UpdatedAt.UnixMilli() == 0 || u.PrivateMetadata != nil || *u.Banned {
				t.Errorf("user %+v", u)
			}
		})
	}
}

// TestExamplesForeign posts every published example twice to mirrors that are not of its instance.
func TestExamplesForeign(t *testing.T) {
	t.Parallel()
	all := examples(t)
	all = append(all, example{"email.created", "msg_other", strings.Replace(
		all[slices.IndexFunc(all, func(e example) bool { return e.typ == "email.created" })].body, exampleInstance, otherInstance, 1)})
	for name, pinned := range map[string]string{"pinned elsewhere": "ins_elsewhere", "not pinned": ""} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
				e := serve(t, db, clerksync.Config{InstanceID: pinned})
				for _, ex := range all {
					for range 2 {
						e.deliver(ex.message, ex.body, 204)
						if d := e.last(); !d.Foreign || d.Outcome != clerksync.Ignored {
							t.Errorf("%s: observed %+v, want it ignored as foreign", ex.typ, d)
						}
					}
				}
				e.empty()
			})
		})
	}
}

// TestExamplesLeaveNoTrace looks in every column of the database for what must not reach the disk: the content of mails and
// messages, tokens, addresses of clients, and all of other kinds of objects.
func TestExamplesLeaveNoTrace(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		e := serve(t, db, clerksync.Config{InstanceID: exampleInstance})
		for _, ex := range examples(t) {
			if !strings.HasPrefix(ex.typ, "user.") {
				body := strings.ReplaceAll(ex.body, `": "`, `": "trace-`) // every text but those that decide
				for _, keep := range []string{"object", "type", "instance_id", "id", "user_id"} {
					body = strings.ReplaceAll(body, `"`+keep+`": "trace-`, `"`+keep+`": "`)
				}
				e.deliver(ex.message, strings.ReplaceAll(body, `"user": {`, `"User": {`), 204)
			}
		}
		if contents := e.contents(); strings.Contains(contents, "trace-") || !strings.Contains(contents, "msg_sms_created") {
			t.Errorf("the database holds:\n%s", contents)
		}
	})
}
