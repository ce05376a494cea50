package reconcile_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jmoiron/sqlx"

	"github.com/clerksync/clerksync/clerktest"
	"github.com/clerksync/clerksync/internal/pgtest"
	"github.com/clerksync/clerksync/reconcile"
	clerksync "github.com/clerksync/clerksync/sync"
)

func whole(n int64) reconcile.Counts { return reconcile.Counts{Seen: n, Created: n} }

func still(n int64) reconcile.Counts { return reconcile.Counts{Seen: n, Unchanged: n} }

// The first pass brings all that Clerk lists, users first. One with nothing to do writes no row of any table but its own.
func TestBackfillOfEverything(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		h := openWorld(t, db, clerktest.Config{Users: 120, Organizations: 13, Members: 25, Invitations: 70, Seed: 70})
		h.cfg = h.cfg.WithPageSize(50)
		var walked []clerksync.Kind
		h.cfg.Progress = func(p reconcile.Progress) { walked = append(walked, p.Kind) }
		invitations := h.listedInvitations()
		h.wantResources(h.do(reconcile.Pass{}), map[clerksync.Kind]reconcile.Counts{
			clerksync.Users: whole(120), clerksync.Organizations: whole(13), clerksync.OrganizationMemberships: whole(13 * 25),
			clerksync.OrganizationInvitations: whole(70), clerksync.Invitations: whole(invitations),
		})
		if diff := cmp.Diff(listedKinds, slices.Compact(walked)); diff != "" {
			t.Errorf("walked (-want +got):\n%s", diff)
		}
		h.wantWorld()
		if n := h.count(`SELECT count(*) FROM {changes} WHERE NOT initial`); n != 0 {
			t.Errorf("%d changes of the backfill are not initial", n)
		}
		before := h.rows()
		h.wantResources(h.do(reconcile.Pass{}), map[clerksync.Kind]reconcile.Counts{
			clerksync.Users: still(120), clerksync.Organizations: still(13), clerksync.OrganizationMemberships: still(13 * 25),
			clerksync.OrganizationInvitations: still(70), clerksync.Invitations: still(invitations),
		})
		if diff := cmp.Diff(before, h.rows()); diff != "" {
			t.Errorf("rows were written (-before +after):\n%s", diff)
		}
	})
}

// listedInvitations counts the invitations to the application that Clerk lists unasked: all but the revoked ones.
func (h *house) listedInvitations() (n int64) {
	for _, raw := range h.clerk.Objects("invitations") {
		if !strings.Contains(string(raw), `"status":"revoked"`) {
			n++
		}
	}
	return n
}

// One pass finds what was changed and deleted among every kind. Members and invitations of a deleted organization, and members who
// are deleted users, are gone with them: nothing is asked about them and nothing written.
func TestDriftOfEveryKind(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		h := openWorld(t, db, clerktest.Config{Users: 200, Organizations: 10, Members: 20, Invitations: 40, Seed: 71})
		h.do(reconcile.Pass{})
		gone := h.first(clerksync.Organizations, 1)[0]
		must(t, h.clerk.DeleteOrganization(gone))
		removed := h.first(clerksync.OrganizationMemberships, 4)
		h.removeMembers(removed[:3]...)
		organization, member := h.member(removed[3])
		must(t, h.clerk.UpdateMember(organization, member, clerktest.Fields{"role": "org:admin"}))
		_, user := h.member(h.first(clerksync.OrganizationMemberships, 150)[149])
		h.delete(user)
		must(t, h.clerk.UpdateOrganization(h.first(clerksync.Organizations, 1)[0], clerktest.Fields{"name": "Drift of the test"}))
		for _, kind := range listedKinds {
			h.haunt(kind)
		}
		must(t, h.clerk.RevokeInvitation(h.first(clerksync.Invitations, 1)[0]))
		h.clerk.ResetRequests()
		got := h.do(reconcile.Pass{})
		for kind, want := range map[clerksync.Kind]reconcile.Counts{
			clerksync.Users:                   {Deleted: 2, Candidates: 2},
			clerksync.Organizations:           {Deleted: 2, Candidates: 2, Updated: 1},
			clerksync.OrganizationMemberships: {Deleted: 4, Candidates: 4, Updated: 1},
			clerksync.OrganizationInvitations: {Deleted: 1, Candidates: 1},
			clerksync.Invitations:             {Deleted: 1, Candidates: 1, Updated: 1}, // the revoked one is not gone
		} {
			n := got[kind]
			n.Seen, n.Unchanged, n.Refreshed = 0, 0, 0
			if diff := cmp.Diff(want, n); diff != "" {
				t.Errorf("%s (-want +got):\n%s", kind, diff)
			}
		}
		for _, r := range h.clerk.Requests() {
			if strings.Contains(r.Path, gone+"/") {
				t.Errorf("the pass asked for %s, of an organization that is gone", r.Path)
			}
		}
		h.wantWorld()
		h.wantNothingHidden()
		before := h.rows()
		for kind, n := range h.do(reconcile.Pass{}) {
			if n.Candidates != 0 {
				t.Errorf("a second pass finds %d candidates among %s", n.Candidates, kind)
			}
		}
		if diff := cmp.Diff(before, h.rows()); diff != "" {
			t.Errorf("a second pass wrote (-before +after):\n%s", diff)
		}
	})
}

// revoke invites guests to the application, has a pass read the invitations, and revokes them an hour after that.
func (h *house) revoke(guests int) {
	h.t.Helper()
	for i := range guests {
		_, err := h.clerk.Invite(clerktest.Fields{"email_address": fmt.Sprintf("guest%d@example.com", i)})
		must(h.t, err)
	}
	h.do(reconcile.Pass{})
	for _, id := range h.first(clerksync.Invitations, guests) {
		must(h.t, h.clerk.RevokeInvitation(id))
	}
	h.write(`UPDATE {invitations} SET _alive_at = _alive_at - $1`, time.Hour.Milliseconds())
}

// All invitations to the application are revoked, of which Clerk may tell by no event, and its list leaves them out. None of them is gone,
// so no guard has a say about them, however many they are.
func TestRevokedInvitationsAreNotGone(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		clock := new(clock)
		h := openWorld(t, db, clerktest.Config{Users: 10, Now: clock.now})
		clock.back(time.Hour)
		const invited = 130 // more than two pages
		h.revoke(invited)
		clock.back(0)
		h.cfg = h.cfg.WithPageSize(50)
		for _, order := range []reconcile.Pass{{DryRun: true}, {}} {
			if n := h.do(order)[clerksync.Invitations]; n.Updated != invited || n.Candidates != 0 {
				t.Errorf("%+v: %+v; want %d updated and no candidate", order, n, invited)
			}
		}
		if n := h.count(`SELECT count(*) FROM {active_invitations} WHERE status = 'revoked'`); n != invited {
			t.Errorf("%d are revoked, want %d", n, invited)
		}
		if n := h.do(reconcile.Pass{})[clerksync.Invitations]; n != (reconcile.Counts{}) {
			t.Errorf("a second pass: %+v, want nothing", n)
		}
	})
}

// stuck answers each page of the revoked invitations with the first one, and refuses to be asked for ever.
type stuck struct{ asked *atomic.Int64 }

func (s stuck) RoundTrip(r *http.Request) (*http.Response, error) {
	if q := r.URL.Query(); q.Get("status") == "revoked" && q.Get("query") == "" {
		if s.asked.Add(1) > 10 {
			return nil, errors.New("a test has seen enough")
		}
		q.Del("offset")
		r = r.Clone(r.Context())
		r.URL.RawQuery = q.Encode()
	}
	return http.DefaultTransport.RoundTrip(r)
}

// A list of revoked invitations that repeats itself without end is left, as the others are.
func TestRevokedInvitationsWithoutEnd(t *testing.T) {
	t.Parallel()
	h := openWorld(t, pgtest.SQLite(t), clerktest.Config{Users: 10})
	h.revoke(60)
	asked := new(atomic.Int64)
	h.cfg.Clerk = h.newAPI(clerksync.APIConfig{RateLimit: -1, Transport: stuck{asked}})
	h.cfg = h.cfg.WithPageSize(50)
	if _, err := h.run(reconcile.Pass{DryRun: true}); !errors.Is(err, reconcile.ErrGuard) || asked.Load() != 2 { // the ten not shown are missing
		t.Errorf("%d pages, %v", asked.Load(), err)
	}
}

// Invitations expire, and the members with a role get the permissions that it was given, all without an event of their own. The mirror
// follows, and takes none of it for a sign that events get lost; a name that was changed is one.
func TestChangesWithoutEvents(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		clock := new(clock)
		h := open(t, db, clerktest.Config{Users: 30, Organizations: 3, Members: 6, Now: clock.now})
		h.write(`UPDATE {state} SET value = $1 WHERE key = 'born'`, fmt.Sprintf(`{"at":%d}`, time.Now().Add(-10*24*time.Hour).UnixMilli()))
		h.mirror = h.openMirror(clerksync.Config{ReadMargin: -1, Kinds: clerksync.Kinds()})
		h.cfg.Mirror, h.cfg.WebhooksExpected = h.mirror, true
		clock.back(5 * 24 * time.Hour)
		org := h.first(clerksync.Organizations, 1)[0]
		role, err := h.clerk.CreateRole(clerktest.Fields{"name": "Guide", "key": "org:guide"})
		must(t, err)
		_, user := h.member(h.first(clerksync.OrganizationMemberships, 1)[0])
		for _, member := range h.first(clerksync.OrganizationMemberships, 4) {
			in, of := h.member(member)
			must(t, h.clerk.UpdateMember(in, of, clerktest.Fields{"role": "org:guide"}))
		}
		for i := range 3 {
			address := fmt.Sprintf("guest%d@example.com", i)
			_, err := h.clerk.InviteToOrganization(org, clerktest.Fields{"email_address": address, "role": "org:member", "expires_in_days": 1, "inviter_user_id": user})
			must(t, err)
			_, err = h.clerk.Invite(clerktest.Fields{"email_address": address, "expires_in_days": 1})
			must(t, err)
		}
		h.do(reconcile.Pass{})
		clock.back(time.Hour)
		must(t, h.clerk.UpdateOrganization(org, clerktest.Fields{"name": "Renamed by the test"}))
		must(t, h.clerk.UpdateRole(role, clerktest.Fields{"permissions": h.first("organization_permissions", 1)}))
		clock.back(0)
		report, err := h.run(reconcile.Pass{})
		must(t, err)
		for kind, want := range map[clerksync.Kind]int64{
			clerksync.OrganizationMemberships: 4, clerksync.OrganizationInvitations: 3, clerksync.Invitations: 3,
		} {
			if got := report.Resources[kind].Updated; got != want {
				t.Errorf("%d %s updated, want %d", got, kind, want)
			}
		}
		if *report.Unannounced != 2 {
			t.Errorf("%d unannounced, want 2: an organization and a role", *report.Unannounced)
		}
	})
}

// A dry run compares every kind and writes nothing.
func TestDryRunOfEveryKind(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		clock := new(clock)
		h := openWorld(t, db, clerktest.Config{Users: 60, Organizations: 6, Members: 10, Invitations: 20, Seed: 72, Now: clock.now})
		clock.back(time.Hour)
		h.do(reconcile.Pass{})
		h.removeMembers(h.first(clerksync.OrganizationMemberships, 2)...)
		must(t, h.clerk.UpdateOrganization(h.first(clerksync.Organizations, 1)[0], clerktest.Fields{"name": "Dry run of the test"}))
		clock.back(0)
		for _, kind := range listedKinds {
			h.write(`UPDATE {`+string(kind)+`} SET _alive_at = _alive_at - $1`, time.Hour.Milliseconds())
		}
		before := h.rows()
		dry, err := h.run(reconcile.Pass{DryRun: true})
		must(t, err)
		if diff := cmp.Diff(before, h.rows()); diff != "" {
			t.Errorf("the dry run wrote (-before +after):\n%s", diff)
		}
		if dry.Drift() != 3 || dry.Resources[clerksync.OrganizationMemberships].Deleted != 2 {
			t.Errorf("drift %d: %+v; want 3, of them 2 members deleted", dry.Drift(), dry.Resources)
		}
		h.wantResources(h.do(reconcile.Pass{}), dry.Resources)
		h.wantWorld()
	})
}

// A dry run hides no organization, and yet counts no member of one that is gone. In earnest it is the same.
func TestMembersGoWithTheirOrganization(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		h := openWorld(t, db, clerktest.Config{Users: 60, Organizations: 4, Members: 30, Invitations: 8, Seed: 82})
		h.do(reconcile.Pass{})
		must(t, h.clerk.DeleteOrganization(h.first(clerksync.Organizations, 1)[0]))
		for _, kind := range listedKinds {
			h.write(`UPDATE {`+string(kind)+`} SET _alive_at = _alive_at - $1`, time.Hour.Milliseconds())
		}
		for _, order := range []reconcile.Pass{{DryRun: true}, {}} {
			report, err := h.run(order)
			must(t, err)
			got := report.Resources[clerksync.OrganizationMemberships]
			if drift := report.Drift(); drift != 1 || got.Candidates != 0 || got.Pending != 0 {
				t.Errorf("%+v: drift %d, members %+v; want an organization alone", order, drift, got)
			}
		}
		h.wantWorld()
	})
}

// An organization is deleted after the pass has walked organizations: it becomes a candidate when its members are missing, and the
// rest of the pass does not fail over them.
func TestOrganizationDeletedBehindTheWalk(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		var once sync.Once
		var remove func()
		h := openWorld(t, db, clerktest.Config{Users: 60, Organizations: 20, Members: 10, Seed: 83, OnRequest: func(r *http.Request) {
			if r.URL.Path == "/v1/organization_memberships" && remove != nil {
				once.Do(remove)
			}
		}})
		h.do(reconcile.Pass{})
		remove = func() {
			must(t, h.clerk.DeleteOrganization(h.first(clerksync.Organizations, 1)[0]))
			h.removeMembers(h.first(clerksync.OrganizationMemberships, 1)...)
		}
		h.cfg.MaxDeletePercent = 20
		got := h.do(reconcile.Pass{})
		if n := got[clerksync.Organizations]; n.Deleted != 1 || n.Candidates != 1 {
			t.Errorf("organizations %+v, want 1 deleted", n)
		}
		if n := got[clerksync.OrganizationMemberships]; n.Deleted != 1 || n.Candidates != 11 || n.Pending != 10 {
			t.Errorf("memberships %+v, want 1 deleted and 10 left to go with their organization", n)
		}
		h.wantWorld()
		h.do(reconcile.Pass{})
		h.wantWorld()
	})
}

// The guard decides about each kind by itself. What it refuses is in one plan, users by id and all else by kind and id.
func TestGuardOfEachKind(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		h := openWorld(t, db, clerktest.Config{Users: 300, Organizations: 10, Members: 10, Invitations: 20, Seed: 73})
		h.do(reconcile.Pass{})
		ghost := h.haunt(clerksync.Organizations)
		removed := h.first(clerksync.OrganizationMemberships, 11)
		h.removeMembers(removed...)
		report, err := h.run(reconcile.Pass{})
		if !errors.Is(err, reconcile.ErrGuard) || !report.Complete {
			t.Errorf("error %v, complete %v; want ErrGuard of a complete pass", err, report.Complete)
		}
		if err == nil || !strings.HasSuffix(err.Error(), "nothing of that kind was deleted") {
			t.Errorf("error %v, which must not deny that an organization was deleted", err)
		}
		if diff := cmp.Diff([]clerksync.Kind{clerksync.OrganizationMemberships}, report.Refused); diff != "" {
			t.Errorf("refused (-want +got):\n%s", diff)
		}
		if n := h.count(`SELECT count(*) FROM {organizations} WHERE id = $1 AND deleted_at IS NOT NULL`, ghost); n != 1 {
			t.Error("the guard of memberships keeps an organization from being deleted")
		}
		if n := h.count(`SELECT count(*) FROM {organization_memberships} WHERE deleted_at IS NOT NULL`); n != 0 {
			t.Errorf("%d memberships are hidden, although the guard refused", n)
		}
		if drift := report.Drift(); drift != 12 {
			t.Errorf("drift %d, want an organization and 11 memberships", drift)
		}
		var planned []string
		for _, id := range removed {
			planned = append(planned, "organization_memberships/"+id)
		}
		slices.Sort(planned)
		h.wantPlan(report.Plan, planned)

		users := h.ids(16)
		slices.Sort(users)
		h.delete(users...) // their memberships go with them, once they are hidden themselves
		report, err = h.run(reconcile.Pass{})
		if !errors.Is(err, reconcile.ErrGuard) || len(report.Refused) != 2 {
			t.Errorf("error %v, refused %v; want users and memberships", err, report.Refused)
		}
		if n := h.mirrored(); n != 300 {
			t.Errorf("%d users visible, want 300", n)
		}
		if n := h.count(`SELECT count(*) FROM {plans} WHERE sha256 = $1 AND cast(ids AS text) LIKE $2`, report.Plan,
			`%"organization_memberships/orgmem_%"`+users[15]+`"]`); n != 1 {
			t.Errorf("%d plans of both, want 1", n)
		}
	})
}

// broken is a network on which one path is answered with a status.
type broken struct {
	path   string
	status int
}

func (b broken) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Path != b.path {
		return http.DefaultTransport.RoundTrip(r)
	}
	return &http.Response{
		StatusCode: b.status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Body: http.NoBody, Request: r,
		Header: http.Header{"Date": {time.Now().UTC().Format(http.TimeFormat)}},
	}, nil
}

// A list that Clerk does not answer keeps no other kind from being reconciled. The next pass goes on with that list alone.
func TestOneListFails(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		h := openWorld(t, db, clerktest.Config{Users: 60, Organizations: 6, Members: 10, Invitations: 20, Seed: 74})
		h.cfg.Clerk = h.newAPI(clerksync.APIConfig{RateLimit: -1, Transport: broken{"/v1/organizations", http.StatusForbidden}})
		report, err := h.run(reconcile.Pass{})
		if !errors.Is(err, clerksync.ErrUnavailable) || report.Complete {
			t.Errorf("error %v, complete %v; want ErrUnavailable", err, report.Complete)
		}
		if n := report.Resources[clerksync.OrganizationMemberships].Created; n != 60 {
			t.Errorf("%d memberships created, want 60", n)
		}
		h.cfg.Clerk = h.api
		h.clerk.ResetRequests()
		got := h.do(reconcile.Pass{})
		if diff := cmp.Diff(whole(6), got[clerksync.Organizations]); diff != "" || got[clerksync.Users] != (reconcile.Counts{Seen: 60}) {
			t.Errorf("counts %+v; want 6 organizations, and nothing twice of what the first pass told", got)
		}
		for _, r := range h.clerk.Requests() {
			if r.Path != "/v1/organizations" && r.Path != "/v1/instance" {
				t.Errorf("the second pass asked for %s", r.Path)
			}
		}
		h.wantWorld()
	})
}

// A pass that was killed in the middle of memberships goes on there: the kinds before are done, and counted.
func TestKilledPassGoesOnAtItsKind(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		ctx, kill := context.WithCancel(t.Context())
		defer kill()
		h := openWorld(t, db, clerktest.Config{Users: 130, Organizations: 10, Members: 30, Invitations: 20, Seed: 75})
		h.cfg = h.cfg.WithPageSize(50)
		h.cfg.Progress = func(p reconcile.Progress) {
			if p.Kind == clerksync.OrganizationMemberships && p.Seen >= 140 {
				kill()
			}
		}
		first, err := reconcile.New(h.cfg).RunOnce(ctx)
		if !errors.Is(err, context.Canceled) || first.Complete {
			t.Fatalf("error %v, complete %v; want Canceled", err, first.Complete)
		}
		h.cfg.Progress = nil
		h.clerk.ResetRequests()
		h.wantResources(h.do(reconcile.Pass{}), map[clerksync.Kind]reconcile.Counts{
			clerksync.Users: whole(130), clerksync.Organizations: whole(10),
			clerksync.OrganizationMemberships: {Seen: 300, Created: 300, Unchanged: 5}, // the overlap of two pages
			clerksync.OrganizationInvitations: whole(20), clerksync.Invitations: whole(h.listedInvitations()),
		})
		if n := h.requests("/v1/users") + h.requests("/v1/users/count") + h.requests("/v1/organizations"); n != 0 {
			t.Errorf("%d requests for what was done", n)
		}
		if n := h.requests("/v1/organization_memberships"); n > 6 {
			t.Errorf("%d requests for memberships, want 4 of 7 pages, the count, and perhaps what the killed pass had on its way", n)
		}
		h.wantWorld()
	})
}

// Memberships that are deleted while the pass walks move the others up: nobody is skipped, and nobody else becomes a candidate.
func TestListShiftsUnderTheWalk(t *testing.T) {
	t.Parallel()
	for _, atOnce := range []int{2, 60} { // within the overlap of pages, and far beyond it
		t.Run(fmt.Sprint(atOnce), func(t *testing.T) {
			t.Parallel()
			pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
				var removing func()
				h := openWorld(t, db, clerktest.Config{Users: 100, Organizations: 10, Members: 60, Seed: 76, OnRequest: func(r *http.Request) {
					if removing != nil && r.URL.Path == "/v1/organization_memberships" && r.URL.Query().Get("offset") != "" {
						removing()
					}
				}})
				h.cfg = h.cfg.WithPageSize(50)
				h.cfg.MaxDeletePercent = 100
				h.do(reconcile.Pass{})
				removed := 0
				removing = func() {
					if removed < 120 {
						h.removeMembers(h.first(clerksync.OrganizationMemberships, atOnce)...)
						removed += atOnce
					}
				}
				h.clerk.ResetRequests()
				got := h.do(reconcile.Pass{})[clerksync.OrganizationMemberships]
				if got.Candidates != got.Deleted || got.Pending != 0 || got.Seen < 600-int64(removed) {
					t.Errorf("counts %+v: want no candidate that Clerk has", got)
				}
				if n := h.requests("/v1/organization_memberships"); n > 22 {
					t.Errorf("%d requests for 12 pages: the walk goes in circles", n)
				}
				removing = nil
				h.do(reconcile.Pass{})
				h.wantWorld()
				h.wantNothingHidden()
			})
		})
	}
}

// Clerk answers for no membership by its id, so the proof takes the read margin twice looked at: once for all, and not once for each.
func TestConfirmedSideBySide(t *testing.T) {
	t.Parallel()
	h := openWorld(t, pgtest.SQLite(t), clerktest.Config{Users: 150, Organizations: 1, Members: 150, Seed: 77})
	h.mirror = h.openMirror(clerksync.Config{ReadMargin: time.Second, Kinds: listedKinds})
	h.cfg.Mirror, h.cfg.MaxDeletePercent = h.mirror, 100
	h.do(reconcile.Pass{})
	h.removeMembers(h.first(clerksync.OrganizationMemberships, 120)...)
	until(t, "what was seen is older than the margin", func() bool {
		return time.Now().UnixMilli()-int64(h.count(`SELECT max(_seen_at) FROM {organization_memberships}`)) > 1100
	})
	began := time.Now()
	if got := h.do(reconcile.Pass{})[clerksync.OrganizationMemberships]; got.Deleted != 120 {
		t.Errorf("counts %+v, want 120 deleted", got)
	}
	if took := time.Since(began); took < time.Second || took > 20*time.Second {
		t.Errorf("took %s, want about one second, not 120", took)
	}
	h.wantWorld()
}

// What a full pass left undecided, the late pass asks for, whatever its kind.
func TestLatePassOfEveryKind(t *testing.T) {
	t.Parallel()
	h := openWorld(t, pgtest.SQLite(t), clerktest.Config{Users: 40, Organizations: 4, Members: 10, Invitations: 10, Seed: 78})
	h.do(reconcile.Pass{})
	pending := map[clerksync.Kind][]string{}
	for _, kind := range listedKinds {
		pending[kind] = []string{h.haunt(kind), h.first(kind, 1)[0]}
	}
	report, err := reconcile.New(h.cfg).DoLateOf(t.Context(), pending)
	must(t, err)
	for _, kind := range listedKinds {
		got := report.Resources[kind]
		got.Unchanged, got.Refreshed = got.Unchanged+got.Refreshed, 0 // Clerk tells some objects at greater length in lists
		h.wantCounts(got, reconcile.Counts{Candidates: 2, Deleted: 1, Unchanged: 1})
	}
	h.wantWorld()
}

// Clerk orders users alone by their last change, so a delta pass is about them.
func TestDeltaIsAboutUsersAlone(t *testing.T) {
	t.Parallel()
	h := openWorld(t, pgtest.SQLite(t), clerktest.Config{Users: 40, Organizations: 4, Members: 10, Invitations: 10, Seed: 79})
	h.do(reconcile.Pass{})
	h.clerk.ResetRequests()
	got := h.do(reconcile.Pass{Kind: reconcile.Delta})
	if _, users := got[clerksync.Users]; len(got) != 1 || !users {
		t.Errorf("counts %+v, want users alone", got)
	}
	if n := len(h.clerk.Requests()); n != h.requests("/v1/users") {
		t.Errorf("the delta pass made %d requests, and not all for users", n)
	}
}
