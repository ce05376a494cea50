package sync_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jmoiron/sqlx"

	"github.com/clerksync/clerksync/internal/pgtest"
	clerksync "github.com/clerksync/clerksync/sync"
)

// teams opens a mirror of users, organizations and memberships.
func teams(t testing.TB, db *sqlx.DB) *clerksync.Mirror {
	t.Helper()
	return open(t, db, clerksync.Config{InstanceID: instance, Kinds: []clerksync.Kind{
		clerksync.Users, clerksync.Organizations, clerksync.OrganizationMemberships,
	}})
}

// addressed is a user's JSON beyond what [user] has: a primary address.
func addressed(email string) string {
	return fmt.Sprintf(`,"primary_email_address_id":"idn_1","email_addresses":[{"id":"idn_0","email_address":"other@example.com"},
{"id":"idn_1","email_address":%q,"verification":{"status":"verified"}}]`, email)
}

func founded(id string, at int64) clerksync.Evidence {
	return tells("msg_"+id, clerksync.Organizations, id, fmt.Appendf(nil,
		`{"object":"organization","id":%[1]q,"name":"Name of %[1]s","slug":"s","members_count":2,"public_metadata":{"plan":"pro"},"created_at":%[2]d,"updated_at":%[2]d}`, id, at), at)
}

func joined(id, organizationID, userID, role string, at int64) clerksync.Evidence {
	return tells("msg_"+id, clerksync.OrganizationMemberships, id, fmt.Appendf(nil,
		`{"object":"organization_membership","id":%q,"organization":{"id":%q},"public_user_data":{"user_id":%q},"role":%q,"role_name":"R","permissions":["org:a:b"],
"public_metadata":{"seat":7},"created_at":%[5]d,"updated_at":%[5]d}`, id, organizationID, userID, role, at), at)
}

// gone is an object's deletion as an event tells it.
func gone(k clerksync.Kind, id string, at int64) clerksync.Evidence {
	return tells("msg_gone_"+id, k, id, nil, at)
}

// all reads a sequence to its end.
func all[T any](t testing.TB, seq iter.Seq2[T, error]) (list []T) {
	t.Helper()
	for item, err := range seq {
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, item)
	}
	return list
}

func TestTypedUsers(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		m := teams(t, db)
		elder := user{ID: "user_elder", Created: past, Updated: past, Name: "Ada", More: addressed("ada@example.com")}
		younger := user{ID: "user_Younger", Created: past + 1000, Updated: past + 1000, More: addressed("ada@example.com") +
			`,"external_id":"42","username":"ada","public_metadata":{"plan":"pro"}`}
		undated := tells("msg_undated", clerksync.Users, "user_undated", fmt.Appendf(nil, `{"object":"user","id":"user_undated","updated_at":%d%s}`,
			past, addressed("ada@example.com")), past)
		apply(t, m, told(elder, past), told(younger, past+1000), undated, told(user{ID: "user_gone", Created: past, Updated: past, More: addressed("gone@example.com")}, past))
		apply(t, m, toldGone("user_gone", past+hour))

		u, err := m.User(t.Context(), "user_elder")
		if err != nil || u.ID != "user_elder" || *u.FirstName != "Ada" || *u.Email != "ada@example.com" || !*u.EmailVerified || u.CreatedAt.UnixMilli() != past {
			t.Errorf("User = %+v, %v", u, err)
		}
		u, err = m.UserByEmail(t.Context(), "ada@example.com")
		if err != nil || u.ID != "user_Younger" || u.ExternalID == nil || *u.ExternalID != "42" || *u.PublicMetadata == "" {
			t.Errorf("the address leads to %+v, %v, and not to who signed up last", u, err)
		}
		apply(t, m, toldGone("user_Younger", past+hour))
		if u, err = m.UserByEmail(t.Context(), "ada@example.com"); err != nil || u.ID != "user_elder" {
			t.Errorf("with the younger one gone, the address leads to %s, %v", u.ID, err)
		}

		for what, want := range map[string]error{"user_gone": clerksync.ErrDeleted, "user_never": clerksync.ErrNotFound, "": clerksync.ErrNotFound} {
			u, err := m.User(t.Context(), what)
			if diff := cmp.Diff(clerksync.User{}, u); !errors.Is(err, want) || diff != "" {
				t.Errorf("%q: %v, want %v; the user that comes with it:\n%s", what, err, want, diff)
			}
		}
		for _, address := range []string{"gone@example.com", "ADA@example.com", "other@example.com", ""} {
			if u, err := m.UserByEmail(t.Context(), address); !errors.Is(err, clerksync.ErrNotFound) || u.ID != "" {
				t.Errorf("%q leads to %q, %v", address, u.ID, err)
			}
		}
		for _, c := range []struct {
			filter clerksync.UserFilter
			want   []string
		}{
			{clerksync.UserFilter{}, []string{"user_elder", "user_undated"}},
			{clerksync.UserFilter{Email: "ada@example.com"}, []string{"user_elder", "user_undated"}},
			{clerksync.UserFilter{Email: "ada@example.com", After: "user_elder"}, []string{"user_undated"}},
			{clerksync.UserFilter{ExternalID: "42"}, nil}, // the younger one's
			{clerksync.UserFilter{Username: "ada"}, nil},
		} {
			var got []string
			for _, u := range all(t, m.Users(t.Context(), c.filter)) {
				got = append(got, u.ID)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("%+v (-want +got):\n%s", c.filter, diff)
			}
		}
		apply(t, m, told(user{ID: "user_Younger", Created: past + 1000, Updated: past + 2*hour, More: `,"external_id":"42","username":"ada"`}, past+2*hour))
		for _, f := range []clerksync.UserFilter{{ExternalID: "42"}, {Username: "ada"}, {ExternalID: "42", Username: "ada"}} {
			if got := all(t, m.Users(t.Context(), f)); len(got) != 1 || got[0].ID != "user_Younger" {
				t.Errorf("%+v: %d users", f, len(got))
			}
		}
	})
}

// TestTypedPages reads more users than a page holds, in the order of their bytes, while they come and go.
func TestTypedPages(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		m := teams(t, db)
		var want []string
		var evidence []clerksync.Evidence
		for i := range 1203 {
			id := fmt.Sprintf("user_%c%04d", "aBcD"[i%4], i)
			want = append(want, id)
			evidence = append(evidence, told(user{ID: id, Created: past, Updated: past}, past))
		}
		slices.Sort(want)
		apply(t, m, evidence...)
		ids := func(users iter.Seq2[clerksync.User, error], stop int) (list []string) {
			for u, err := range users {
				if err != nil {
					t.Fatal(err)
				}
				if list = append(list, u.ID); len(list) == stop {
					break
				}
			}
			return list
		}
		users := m.Users(t.Context(), clerksync.UserFilter{})
		if diff := cmp.Diff(want, ids(users, 0)); diff != "" {
			t.Errorf("users (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(want[:700], ids(users, 700)); diff != "" {
			t.Errorf("the same sequence again, and stopped early (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(want[700:], ids(m.Users(t.Context(), clerksync.UserFilter{After: want[699]}), 0)); diff != "" {
			t.Errorf("where it was stopped (-want +got):\n%s", diff)
		}

		var got []string
		for u, err := range users {
			if err != nil {
				t.Fatal(err)
			}
			if got = append(got, u.ID); len(got) == 10 { // no connection is held, so another may write
				apply(t, m, toldGone(want[0], past+hour), toldGone(want[1000], past+hour), told(user{ID: "user_d", Created: past, Updated: past}, past))
			}
		}
		if diff := cmp.Diff(append(slices.Delete(slices.Clone(want), 1000, 1001), "user_d"), got); diff != "" {
			t.Errorf("users who came and went (-want +got):\n%s", diff)
		}
	})
}

func TestTypedOrganizations(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		m := teams(t, db)
		for _, id := range []string{"user_ada", "user_bob", "user_gone"} {
			apply(t, m, told(user{ID: id, Created: past, Updated: past, Name: id}, past))
		}
		apply(t, m, founded("org_1", past), founded("org_2", past), founded("org_gone", past),
			joined("orgmem_1", "org_1", "user_ada", "org:member", past), joined("orgmem_2", "org_1", "user_bob", "org:member", past),
			joined("orgmem_3", "org_2", "user_ada", "org:admin", past), joined("orgmem_4", "org_1", "user_gone", "org:member", past),
			joined("orgmem_5", "org_gone", "user_ada", "org:member", past), joined("orgmem_6", "org_not_here", "user_ada", "org:member", past),
			joined("orgmem_7", "org_1", "user_not_here", "org:member", past), joined("orgmem_8", "org_2", "user_bob", "org:member", past))
		apply(t, m, gone(clerksync.Users, "user_gone", past+hour), gone(clerksync.Organizations, "org_gone", past+hour),
			gone(clerksync.OrganizationMemberships, "orgmem_8", past+hour))
		// She left, and came back as an admin, and that she left has not been heard of.
		apply(t, m, joined("orgmem_0", "org_1", "user_ada", "org:admin", past+hour))

		o, err := m.Organization(t.Context(), "org_1")
		if err != nil || *o.Name != "Name of org_1" || *o.MembersCount != 2 || o.CreatedAt.UnixMilli() != past || o.PrivateMetadata != nil {
			t.Errorf("Organization = %+v, %v", o, err)
		}
		for id, want := range map[string]error{"org_gone": clerksync.ErrDeleted, "org_never": clerksync.ErrNotFound} {
			if o, err := m.Organization(t.Context(), id); !errors.Is(err, want) || o.ID != "" {
				t.Errorf("Organization(%s) = %s, %v", id, o.ID, err)
			}
		}
		got, err := m.Membership(t.Context(), "org_1", "user_ada")
		if err != nil || got.ID != "orgmem_0" || !got.HasRole("org:admin") || got.HasRole("org:member") || *got.Permissions != `["org:a:b"]` ||
			*got.User.FirstName != "user_ada" || *got.Organization.Slug != "s" || got.SyncedAt.IsZero() || got.User.SyncedAt.IsZero() {
			t.Errorf("Membership = %+v, %v", got, err)
		}
		for _, pair := range [][2]string{{"org_1", "user_gone"}, {"org_gone", "user_ada"}, {"org_not_here", "user_ada"}, {"org_2", "user_bob"}, {"", ""}} {
			if got, err := m.Membership(t.Context(), pair[0], pair[1]); !errors.Is(err, clerksync.ErrNotFound) {
				t.Errorf("Membership(%q) = %s, %v", pair, got.ID, err)
			}
		}
		of := func(list []clerksync.Membership) (texts []string) {
			for _, m := range list {
				texts = append(texts, m.ID+" "+m.Organization.ID+" "+m.User.ID)
			}
			return texts
		}
		if diff := cmp.Diff([]string{"orgmem_0 org_1 user_ada", "orgmem_1 org_1 user_ada", "orgmem_3 org_2 user_ada"},
			of(all(t, m.OrganizationsOf(t.Context(), "user_ada")))); diff != "" {
			t.Errorf("organizations of a user (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]string{"orgmem_0 org_1 user_ada", "orgmem_1 org_1 user_ada", "orgmem_2 org_1 user_bob"},
			of(all(t, m.MembersOf(t.Context(), "org_1")))); diff != "" {
			t.Errorf("members of an organization (-want +got):\n%s", diff)
		}
	})
}

// TestTypedReadsFail checks that a failure is an error, and tells what to do where the caller can do something.
func TestTypedReadsFail(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		m, bare := teams(t, db), pinned(t, db)
		failures := func(ctx context.Context, m *clerksync.Mirror) map[string]error {
			errs := map[string]error{}
			_, errs["User"] = m.User(ctx, "user_1")
			_, errs["UserByEmail"] = m.UserByEmail(ctx, "a@example.com")
			_, errs["Organization"] = m.Organization(ctx, "org_1")
			_, errs["Membership"] = m.Membership(ctx, "org_1", "user_1")
			for _, errs["Users"] = range m.Users(ctx, clerksync.UserFilter{}) {
			}
			for _, errs["OrganizationsOf"] = range m.OrganizationsOf(ctx, "user_1") {
			}
			for _, errs["MembersOf"] = range m.MembersOf(ctx, "org_1") {
			}
			return errs
		}
		for _, name := range []string{"Organization", "Membership", "OrganizationsOf", "MembersOf"} {
			if err := failures(t.Context(), bare)[name]; err == nil || !strings.Contains(err.Error(), "name them among Config.Kinds") {
				t.Errorf("%s of a mirror of users alone: %v", name, err)
			}
		}
		over, cancel := context.WithCancel(t.Context())
		cancel()
		for name, err := range failures(over, m) {
			if !errors.Is(err, context.Canceled) {
				t.Errorf("%s: %v, want the context's error", name, err)
			}
		}
		db.Close()
		got := failures(t.Context(), m)
		for name, err := range got {
			if !errors.Is(err, clerksync.ErrUnavailable) {
				t.Errorf("%s: %v, want ErrUnavailable", name, err)
			}
		}
		if len(got) != 7 {
			t.Errorf("only %d reads were tried", len(got))
		}
	})
}

// TestReadsOfWhatNoRowHas find nothing: an id that somebody made up, of bytes that no database takes, is no outage.
func TestReadsOfWhatNoRowHas(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		m, ctx := teams(t, db), t.Context()
		for _, id := range []string{"user_\xff", "user_\x00", "\x00"} {
			errs := map[string]error{}
			_, errs["User"] = m.User(ctx, id)
			_, errs["UserByEmail"] = m.UserByEmail(ctx, id)
			_, errs["Organization"] = m.Organization(ctx, id)
			_, errs["Membership"] = m.Membership(ctx, "org_1", id)
			for name, err := range errs {
				if !errors.Is(err, clerksync.ErrNotFound) {
					t.Errorf("%s(%q): %v, want ErrNotFound", name, id, err)
				}
			}
			found := map[string]int{}
			for name, all := range map[string]iter.Seq2[clerksync.User, error]{
				"After": m.Users(ctx, clerksync.UserFilter{After: id}), "Username": m.Users(ctx, clerksync.UserFilter{Username: id}),
			} {
				for _, err := range all {
					if found[name]++; err != nil {
						t.Errorf("Users by %s %q: %v", name, id, err)
					}
				}
			}
			for _, all := range []iter.Seq2[clerksync.Membership, error]{m.OrganizationsOf(ctx, id), m.MembersOf(ctx, id)} {
				for _, err := range all {
					if found["memberships"]++; err != nil {
						t.Errorf("memberships of %q: %v", id, err)
					}
				}
			}
			count := func(name string, n int, err error) {
				if found[name] += n; err != nil {
					t.Errorf("%s of %q: %v", name, id, err)
				}
			}
			objects, err := m.Objects(ctx, clerksync.Users, id)
			count("Objects", len(objects), err)
			waiting, err := m.Waiting(ctx, id)
			count("Waiting", len(waiting), err)
			logged, err := m.Log(ctx, clerksync.LogQuery{IDs: []string{id}, ObjectID: id, Type: id})
			count("Log", len(logged), err)
			audited, err := m.AuditOf(ctx, clerksync.Users, id)
			count("AuditOf", len(audited), err)
			changes, err := m.ChangesOf(ctx, clerksync.Users, id, 10)
			count("ChangesOf", len(changes), err)
			known, _, err := m.Find(ctx, clerksync.Users, id)
			count("Find", map[bool]int{true: 1}[known], err)
			_, stored, err := m.Stored(ctx, clerksync.Users, id)
			count("Stored", map[bool]int{true: 1}[stored], err)
			dropped, err := m.Drop(ctx, id)
			count("Drop", map[bool]int{true: 1}[dropped], err)
			for name, n := range found {
				if n != 0 {
					t.Errorf("%s of %q finds %d", name, id, n)
				}
			}
		}
	})
}

// restOfRow ends a statement that makes many rows of PostgreSQL at once.
const restOfRow = `source, synced_at, _alive_at, _updated_at, _seen_at, _dead_at, _hash, _was_visible, _version, _changed)
SELECT %s, 'webhook', now(), 1, 1, 1, 0, '', false, 1, true FROM generate_series(1, %d) AS i`

// many runs such statements for users, organizations and memberships, and has the server count the rows.
func many(t *testing.T, m *clerksync.Mirror, statements ...string) {
	t.Helper()
	for _, statement := range statements {
		m.DB().MustExecContext(t.Context(), m.SQL(statement))
	}
	admin(t, m.DB()).MustExec(m.SQL(`ANALYZE {users}, {organizations}, {organization_memberships}`))
}

// plan is how PostgreSQL would answer a query.
func plan(t *testing.T, m *clerksync.Mirror, query string, args ...any) string {
	t.Helper()
	var lines []string
	if err := m.DB().SelectContext(t.Context(), &lines, "EXPLAIN "+m.SQL(query), args...); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return strings.Join(lines, "\n")
}

// TestTypedReadsUseIndexes asks both databases how they would read a hundred thousand users and as many memberships.
func TestTypedReadsUseIndexes(t *testing.T) {
	t.Parallel()
	reads := clerksync.TypedReads("user_5000", "org_50", "5000@example.com", "own 5000")
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		db := pgtest.New(t)
		m := teams(t, db)
		many(t, m,
			`INSERT INTO {users} (id, external_id, username, email, `+fmt.Sprintf(restOfRow, `'user_' || i, 'own ' || i, 'uuser_' || i, i || '@example.com'`, 100_000),
			`INSERT INTO {organizations} (id, `+fmt.Sprintf(restOfRow, `'org_' || i`, 1000),
			`INSERT INTO {organization_memberships} (id, user_id, organization_id, `+
				fmt.Sprintf(restOfRow, `'orgmem_' || i, 'user_' || i, 'org_' || (i % 1000)`, 100_000),
		)
		for name, read := range reads {
			if text := plan(t, m, read.SQL, read.Args...); strings.Contains(text, "Seq Scan") || !strings.Contains(text, "Index") {
				t.Errorf("%s looks at every row:\n%s", name, text)
			}
		}
	})
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		db := pgtest.SQLite(t)
		m := teams(t, db)
		for name, read := range reads {
			var plan []struct {
				ID, Parent, NotUsed int
				Detail              string
			}
			if err := db.SelectContext(t.Context(), &plan, "EXPLAIN QUERY PLAN "+m.SQL(read.SQL), read.Args...); err != nil {
				t.Fatal(name, ": ", err)
			}
			for _, step := range plan {
				if strings.HasPrefix(step.Detail, "SCAN") {
					t.Errorf("%s: %s", name, step.Detail)
				}
			}
		}
	})
}

// TestMembersOfALargeOrganization has each page of members begin where the last one ended, in the order of an index: to sort all of them for
// each page takes the square of their number.
func TestMembersOfALargeOrganization(t *testing.T) {
	t.Parallel()
	read := clerksync.TypedReads("", "org_1", "", "")["MembersOf"]
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		db := pgtest.New(t)
		m := teams(t, db)
		many(t, m,
			`INSERT INTO {users} (id, `+fmt.Sprintf(restOfRow, `'user_' || i`, 100_000),
			`INSERT INTO {organizations} (id, `+fmt.Sprintf(restOfRow, `'org_' || i`, 5000),
			`INSERT INTO {organization_memberships} (id, user_id, organization_id, `+
				fmt.Sprintf(restOfRow, `'orgmem_' || md5(i::text), 'user_' || i, 'org_' || CASE WHEN i % 20 = 0 THEN 1 ELSE 2 + i % 5000 END`, 100_000),
		)
		for _, after := range []string{"", "orgmem_7"} {
			if text := plan(t, m, read.SQL, after, "org_1"); strings.Contains(text, "Sort") {
				t.Errorf("a page after %q sorts:\n%s", after, text)
			}
		}
	})
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		db := pgtest.SQLite(t)
		m := teams(t, db)
		var plan []struct {
			ID, Parent, NotUsed int
			Detail              string
		}
		if err := db.SelectContext(t.Context(), &plan, "EXPLAIN QUERY PLAN "+m.SQL(read.SQL), read.Args...); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(fmt.Sprint(plan), "organization_memberships_organization_id (organization_id=? AND id>?)") {
			t.Errorf("a page reads more than its members: %+v", plan)
		}
	})
}
