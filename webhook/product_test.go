package webhook_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sync/errgroup"

	"github.com/clerksync/clerksync/internal/pgtest"
	clerksync "github.com/clerksync/clerksync/sync"
)

// documentedSQL is the SQL in a document of docs/.
func documentedSQL(t *testing.T, document string) string {
	t.Helper()
	text, err := os.ReadFile("../docs/" + document)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(text), "```sql\n")
	sql, _, ended := strings.Cut(rest, "```")
	if !found || !ended {
		t.Fatalf("there is no SQL in docs/%s", document)
	}
	return sql
}

// TestOwnUsersTable keeps a product's own table of users by the triggers that the documentation shows.
func TestOwnUsersTable(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	e := serve(t, db, clerksync.Config{})
	start := time.Now().Add(-time.Hour)
	at := func(minutes int) int64 { return ms(start.Add(time.Duration(minutes) * time.Minute)) }
	n := 0
	tell := func(typ string, minute int, data string) {
		n++
		e.deliver(fmt.Sprint("msg_", n), envelope(typ, at(minute), data), 204)
	}
	write := func(id, address, name string, minute int) {
		tell("user.updated", minute, userJSON(id, at(minute), fmt.Sprintf(`"first_name":%q`, name), addresses(address)))
	}
	team := pgtest.Superuser(t, db) // the daemon's role has nothing to do with the team's own tables
	users := func() (all []string) {
		t.Helper()
		err := team.SelectContext(t.Context(), &all, `SELECT concat_ws(' ', id, coalesce(email, '-'), name, CASE WHEN active THEN 'active' ELSE 'gone' END, theme) FROM users ORDER BY id`)
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	want := func(what string, rows ...string) {
		t.Helper()
		if diff := cmp.Diff(rows, users()); diff != "" {
			t.Errorf("%s (-want +got)\n%s", what, diff)
		}
	}
	write("user_old", "old@example.com", "Old", 0)
	team.MustExec(documentedSQL(t, "hooks.md"))
	want("whom the mirror had", "user_old old@example.com Old active light")

	write("user_a", "a@example.com", "Ada", 1)
	team.MustExec(`UPDATE users SET theme = 'dark' WHERE id = 'user_a'; INSERT INTO posts (author, body) VALUES ('user_a', 'hello')`)
	write("user_a", "ada@example.com", "Ada", 2)
	want("a change", "user_a ada@example.com Ada active dark", "user_old old@example.com Old active light")

	// Ada deletes her account and signs up again, and word of the deletion comes late.
	write("user_b", "ada@example.com", "Ada", 11)
	if got := e.event(fmt.Sprint("msg_", n)); got.Outcome != clerksync.Quarantined || got.Error != "the database refused it with SQLSTATE 23505" {
		t.Errorf("an e-mail that is taken: %+v", got)
	}
	tell("user.deleted", 10, deletedJSON("user_a"))
	e.exec(`UPDATE {events} SET due_at = received_at WHERE outcome = 'quarantined' AND due_at IS NOT NULL`)
	if e.retry() != 1 {
		t.Error("the new account was not tried again by itself")
	}
	want("signed up again", "user_a - Ada gone dark", "user_b ada@example.com Ada active light", "user_old old@example.com Old active light")

	write("user_old", "old@example.com", "Old", 12)
	tell("user.deleted", 13, deletedJSON("user_old"))
	write("user_old", "old@example.com", "Older", 30) // Clerk had it after all
	want("revived", "user_a - Ada gone dark", "user_b ada@example.com Ada active light", "user_old old@example.com Older active light")

	if _, err := e.mirror.Erase(t.Context(), clerksync.Erasure{Kind: clerksync.Users, ID: "user_a"}); err != nil {
		t.Fatal(err)
	}
	want("erased", "user_a - somebody gone dark", "user_b ada@example.com Ada active light", "user_old old@example.com Older active light")
	var posts []string
	if err := team.SelectContext(t.Context(), &posts, `SELECT name || ': ' || body FROM posts JOIN users ON users.id = author`); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"somebody: hello"}, posts); diff != "" {
		t.Errorf("posts (-want +got)\n%s", diff)
	}
}

// addresses are a user's members for one e-mail address.
func addresses(address string) string {
	return fmt.Sprintf(`"primary_email_address_id":"idn_1","email_addresses":[{"id":"idn_1","object":"email_address","email_address":%q}]`, address)
}

// TestOwnTableStopsNobody has the unique e-mail of that table refuse one of many users who come at once.
func TestOwnTableStopsNobody(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	e := serve(t, db, clerksync.Config{})
	pgtest.Superuser(t, db).MustExec(documentedSQL(t, "hooks.md"))
	const many = 40
	now := ms(time.Now())
	var callers errgroup.Group
	for i := range many {
		address := fmt.Sprintf("user%d@example.com", i/2*2) // each is had by two
		if i >= 4 {
			address = fmt.Sprintf("user%d@example.com", i)
		}
		callers.Go(func() error {
			body := envelope("user.created", now, userJSON(fmt.Sprint("user_", i), now, addresses(address)))
			if code := e.post(sign(secret, fmt.Sprint("msg_", i), time.Now(), body), body).StatusCode; code != 204 {
				return fmt.Errorf("delivery %d was answered %d", i, code)
			}
			return nil
		})
	}
	if err := callers.Wait(); err != nil {
		t.Error(err)
	}
	if got := e.count("users", "true"); got != many-2 {
		t.Errorf("%d users, want %d", got, many-2)
	}
	if got := e.count("events", "outcome = 'quarantined' AND error = 'the database refused it with SQLSTATE 23505'"); got != 2 {
		t.Errorf("%d events in quarantine, want 2", got)
	}
	var own int
	if err := pgtest.Superuser(t, db).GetContext(t.Context(), &own, `SELECT count(*) FROM users`); err != nil || own != many-2 {
		t.Errorf("%d own users (%v), want %d", own, err, many-2)
	}
}
