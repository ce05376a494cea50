package webhook_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jmoiron/sqlx"

	"github.com/clerksync/clerksync/internal/pgtest"
	clerksync "github.com/clerksync/clerksync/sync"
)

// everything are all kinds of objects.
var everything = []clerksync.Kind{
	clerksync.Users, clerksync.Organizations, clerksync.OrganizationMemberships, clerksync.OrganizationInvitations,
	clerksync.Invitations, clerksync.Sessions, clerksync.OrganizationDomains, clerksync.Roles, clerksync.Permissions,
}

// TestExamplesOfEverything posts every published example twice to a mirror of all kinds.
func TestExamplesOfEverything(t *testing.T) {
	t.Parallel()
	// The examples of one kind are about one object, but for those of domains, and come in the order of their names. Most carry the
	// same instant, so a deletion hides what was created, the hash decides between contents, and the end of a session beats its
	// other states; updates are dated later.
	want := map[string]clerksync.Outcome{
		"organization.created": clerksync.Created, "organization.deleted": clerksync.Deleted, "organization.updated": clerksync.Revived,
		"organizationDomain.created": clerksync.Created, "organizationDomain.deleted": clerksync.Deleted, "organizationDomain.updated": clerksync.Created,
		"organizationInvitation.accepted": clerksync.Created, "organizationInvitation.created": clerksync.Stale, "organizationInvitation.revoked": clerksync.Stale,
		"organizationMembership.created": clerksync.Created, "organizationMembership.deleted": clerksync.Deleted, "organizationMembership.updated": clerksync.Revived,
		"permission.created": clerksync.Created, "permission.deleted": clerksync.Deleted, "permission.updated": clerksync.Revived,
		"role.created": clerksync.Created, "role.deleted": clerksync.Deleted, "role.updated": clerksync.Revived,
		"session.created": clerksync.Created, "session.ended": clerksync.Updated, "session.pending": clerksync.Stale,
		"session.removed": clerksync.Stale, "session.revoked": clerksync.Stale,
		"user.created": clerksync.Unchanged, "user.deleted": clerksync.Deleted, "user.updated": clerksync.Revived,
	}
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		e := serve(t, db, clerksync.Config{InstanceID: exampleInstance, Kinds: everything})
		got := map[string]clerksync.Outcome{}
		for _, ex := range examples(t) {
			for range 2 {
				e.deliver(ex.message, ex.body, 204)
			}
			row := e.event(ex.message)
			if row.Attempts != 2 || row.Object == "" {
				t.Errorf("%s: %+v, want two attempts and an object", ex.typ, row)
			}
			if row.Outcome != clerksync.Ignored {
				got[ex.typ] = row.Outcome
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("outcomes (-want +got):\n%s", diff)
		}
		for _, table := range []string{
			"users", "organizations", "organization_memberships", "organization_invitations", "sessions", "organization_domains", "roles", "permissions",
			"active_organizations", "active_organization_memberships", "active_organization_invitations", "active_organization_domains", "active_roles", "active_permissions", "sign_ins",
		} {
			want := 1
			if strings.HasSuffix(table, "domains") {
				want = 2
			}
			if n := e.count(table, "true"); n != want {
				t.Errorf("%s has %d rows, want %d", table, n, want)
			}
		}
		if n := e.count("active_sessions", "true"); n != 0 {
			t.Errorf("%d active sessions, want none: it was revoked", n)
		}
		for _, what := range []string{"token=abc123", "Jane", "192.168.1.100"} {
			if strings.Contains(e.contents(), what) {
				t.Errorf("the database holds %q", what)
			}
		}
	})
}

// TestChildBeforeParents posts a membership before its organization and its user, and the deletion of each parent.
func TestChildBeforeParents(t *testing.T) {
	t.Parallel()
	bodies := map[string]string{}
	for _, ex := range examples(t) {
		bodies[ex.typ] = ex.body
	}
	member := "user_2h8op3Isl1QR7tKu5FGNfaLKEoU"
	for _, deleted := range []string{"organization.deleted", "user.deleted"} {
		t.Run(deleted, func(t *testing.T) {
			t.Parallel()
			pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
				e := serve(t, db, clerksync.Config{InstanceID: exampleInstance, Kinds: everything})
				active := func(want int, when string) {
					t.Helper()
					if n := e.count("active_organization_memberships", "user_id = '"+member+"'"); n != want {
						t.Errorf("%d active memberships %s, want %d", n, when, want)
					}
				}
				e.deliver("msg_1", bodies["organizationMembership.created"], 204)
				active(1, "before the parents")
				e.deliver("msg_2", bodies["organization.created"], 204)
				e.deliver("msg_3", strings.ReplaceAll(bodies["user.created"], exampleUser, member), 204)
				active(1, "with the parents")
				before := e.count("changes", "true")
				e.deliver("msg_4", strings.ReplaceAll(bodies[deleted], exampleUser, member), 204)
				active(0, "after "+deleted)
				if n := e.count("organization_memberships", "deleted_at IS NULL"); n != 1 {
					t.Errorf("%d memberships, want that nothing was written to it", n)
				}
				if n := e.count("changes", "true"); n != before+1 {
					t.Errorf("%d changes, want the parent's deletion alone", n-before)
				}
			})
		})
	}
}

// TestInvitationWaitsWithoutToken quarantines and defers invitations: neither may leave its token on the disk, and both apply in
// the end.
func TestInvitationWaitsWithoutToken(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		e := serve(t, db, clerksync.Config{InstanceID: exampleInstance, Kinds: everything})
		for _, ex := range examples(t) {
			if ex.typ == "organizationInvitation.created" {
				e.deliver("msg_late", strings.ReplaceAll(ex.body, "1716883200000", "4000000000000"), 204)
				e.deliver("msg_odd", strings.ReplaceAll(ex.body, `"updated_at"`, `"updated"`), 204)
			}
		}
		if n := e.count("events", "outcome IN ('deferred', 'quarantined') AND payload IS NOT NULL"); n != 2 {
			t.Errorf("%d events wait, want 2", n)
		}
		if n := e.count("events", "payload IS NULL"); n != 0 {
			t.Errorf("%d events have nothing to be applied from", n)
		}
		var payloads [][]byte
		if err := db.Select(&payloads, e.mirror.SQL(`SELECT payload FROM {events}`)); err != nil {
			t.Fatal(err)
		}
		for _, p := range payloads {
			if strings.Contains(string(p), "abc123") || !strings.Contains(string(p), "orginv_") {
				t.Errorf("payload %s", p)
			}
		}
	})
}
