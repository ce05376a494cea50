package reconcile_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/clerksync/clerksync/clerktest"
	"github.com/clerksync/clerksync/internal/pgtest"
	"github.com/clerksync/clerksync/reconcile"
	clerksync "github.com/clerksync/clerksync/sync"
)

// bustle changes organizations, memberships and invitations at random, between passes and in the middle of walks.
type bustle struct {
	h       *house
	mu      sync.Mutex
	rng     *rand.Rand
	hostile clerktest.Faults
	holes   float64 // the probability that one page of a list comes back empty
	ids     map[clerksync.Kind][]string
}

// stir makes a few changes. One that Clerk refuses, such as a second membership of a user, is none.
func (b *bustle) stir(most int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ids = map[clerksync.Kind][]string{}
	for range b.rng.IntN(most + 1) {
		var err error
		switch b.rng.IntN(9) {
		case 0:
			_, err = b.h.clerk.CreateOrganization(clerktest.Fields{"name": fmt.Sprint(b.rng.Int64()), "created_by": b.any(clerksync.Users)})
		case 1:
			if b.rng.IntN(4) == 0 {
				err = b.h.clerk.DeleteOrganization(b.any(clerksync.Organizations))
				clear(b.ids) // its memberships went, too
			}
		case 2, 3, 4:
			_, err = b.h.clerk.AddMember(b.any(clerksync.Organizations), b.any(clerksync.Users), "org:member")
		case 5, 6:
			err = b.h.clerk.RemoveMember(b.h.member(b.any(clerksync.OrganizationMemberships)))
			clear(b.ids)
		case 7:
			email := fmt.Sprintf("guest%d@example.com", b.rng.Int64())
			_, err = b.h.clerk.InviteToOrganization(b.any(clerksync.Organizations), clerktest.Fields{"email_address": email, "role": "org:member"})
			_, _ = b.h.clerk.Invite(clerktest.Fields{"email_address": email})
		default:
			err = b.h.clerk.RevokeInvitation(b.any(clerksync.Invitations))
			_ = b.h.clerk.RevokeOrganizationInvitation(b.any(clerksync.OrganizationInvitations))
		}
		_ = err
	}
}

// any returns the id of some object of a kind, as they were a moment ago.
func (b *bustle) any(kind clerksync.Kind) string {
	if b.ids[kind] == nil {
		for id := range b.h.clerk.Objects(string(kind)) {
			b.ids[kind] = append(b.ids[kind], id)
		}
	}
	return b.ids[kind][b.rng.IntN(len(b.ids[kind]))]
}

// draw draws how the lists lie in the next pass.
func (b *bustle) draw() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.hostile, b.holes = clerktest.Faults{}, 0
	maybe := func(set func()) {
		if b.rng.IntN(3) == 0 {
			set()
		}
	}
	maybe(func() { b.hostile.SkipRows = b.rng.Float64() / 20 })
	maybe(func() { b.hostile.Repeat = b.rng.Float64() })
	maybe(func() { b.hostile.Truncate = b.rng.Float64() / 2 })
	maybe(func() { b.hostile.CountDelta = b.rng.IntN(60) - 25 })
	maybe(func() { b.hostile.ErrorRate = 0.02 })
	maybe(func() { b.holes = 0.1 })
	b.hostile.Empty = b.rng.IntN(20) == 0
}

// answer stirs before each page of a list that all objects of a kind are in, and lets it lie. Reads about one object do not lie,
// though they may fail: two lies about the same one, the margin apart, are what the rule takes for the truth.
func (b *bustle) answer(r *http.Request) {
	faults := clerktest.Faults{ErrorRate: b.hostile.ErrorRate}
	if q := r.URL.Query(); strings.Count(r.URL.Path, "/") == 2 && !q.Has("query") && !q.Has("status") {
		if q.Get("limit") != "1" {
			b.stir(3)
		}
		b.mu.Lock()
		faults = b.hostile
		faults.Empty = faults.Empty || b.rng.Float64() < b.holes
		b.mu.Unlock()
	}
	if err := b.h.clerk.SetFaults(faults); err != nil {
		b.h.t.Error(err)
	}
}

// Scans of lists without a cursor that skip, repeat, break off, come back empty as a whole or for one page, fail, miscount, change
// under the walk, or are another instance's, with a guard that lets everything pass: nothing is deleted that Clerk has.
func TestHostileListsOfEveryKind(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	tried, endings := 0, map[string]int{}
	t.Cleanup(func() { // one world alone may be lucky, and many may not
		for _, ending := range []string{"incomplete", "complete", "wrong instance", "deleted organizations", "deleted organization_memberships"} {
			if endings[ending] < tried/10 {
				t.Errorf("only %d of %d scans %s: the test tries too little", endings[ending], tried, ending)
			}
		}
	})
	eachWorld(t, 20, func(t *testing.T, db *sqlx.DB, scans int, seed uint64) {
		var walking atomic.Pointer[bustle]
		h := openWorld(t, db, clerktest.Config{Users: 40, Organizations: 8, Members: 9, Invitations: 30, Seed: 80 + seed, OnRequest: func(r *http.Request) {
			if b := walking.Load(); b != nil {
				b.answer(r)
			}
		}})
		other := h.elsewhere()
		h.cfg = h.cfg.WithPageSize(20)
		h.cfg.MaxDeletes, h.cfg.MaxDeletePercent = 1_000_000, 100
		h.do(reconcile.Pass{})
		b := &bustle{h: h, rng: rand.New(rand.NewPCG(80, seed))}
		walking.Store(b)
		seen := map[string]int{}
		for i := range scans {
			b.stir(12)
			b.draw()
			h.cfg.Clerk = h.api
			if i%10 == 7 {
				h.cfg.Clerk = other
			}
			report, err := h.run(reconcile.Pass{})
			seen[ending(err)]++
			for _, kind := range listedKinds {
				seen["deleted "+string(kind)] += int(report.Resources[kind].Deleted)
			}
			h.wantNothingHidden()
		}
		t.Log(seen)
		mu.Lock()
		tried += scans
		for ending, n := range seen {
			endings[ending] += n
		}
		mu.Unlock()
		walking.Store(nil)
		h.cfg.Clerk = h.api
		h.faults(clerktest.Faults{})
		h.do(reconcile.Pass{}) // goes on where the last scan may have failed, and does not list again what that one had listed
		h.do(reconcile.Pass{})
		h.wantWorld()
	})
}

// An empty list is not believed, of whatever kind: Clerk would tell the same of every membership that is asked for.
func TestEmptyListOfEveryKind(t *testing.T) {
	t.Parallel()
	h := openWorld(t, pgtest.SQLite(t), clerktest.Config{Users: 8, Organizations: 2, Members: 4, Invitations: 5, Seed: 81})
	h.do(reconcile.Pass{})
	before := h.rows()
	h.faults(clerktest.Faults{Empty: true, CountDelta: -8})
	report, err := h.run(reconcile.Pass{})
	if !errors.Is(err, reconcile.ErrGuard) || !slices.Equal(report.Refused, listedKinds) {
		t.Errorf("error %v, refused %v; want every kind", err, report.Refused)
	}
	before[len(before)-1] = "plans 1"
	if after := h.rows(); !slices.Equal(before, after) {
		t.Errorf("rows were written: %v", after)
	}
}

// unlisted is a network on which Clerk refuses the list of users, and answers about some of them.
type unlisted struct{}

func (unlisted) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Path == "/v1/users" && !r.URL.Query().Has("user_id") {
		return &http.Response{StatusCode: http.StatusBadRequest, Header: http.Header{}, Body: http.NoBody, Request: r}, nil
	}
	return http.DefaultTransport.RoundTrip(r)
}

// A membership leads to a user who is gone, after the users' list could not be read: that is neither an empty list, of which the guard
// would have to be told, nor one to delete by.
func TestParentsOfAnUnreadList(t *testing.T) {
	t.Parallel()
	h := openWorld(t, pgtest.SQLite(t), clerktest.Config{Users: 30, Organizations: 3, Members: 5, Seed: 81})
	h.do(reconcile.Pass{})
	_, user := h.member(h.first(clerksync.OrganizationMemberships, 1)[0])
	h.delete(user)
	well := h.cfg.Clerk
	h.cfg.Clerk = h.newAPI(clerksync.APIConfig{RateLimit: -1, Transport: unlisted{}})
	report, err := h.run(reconcile.Pass{})
	if err == nil || errors.Is(err, reconcile.ErrGuard) || len(report.Refused) > 0 {
		t.Errorf("error %v, refused %v; want the error of the list alone", err, report.Refused)
	}
	if n := h.mirrored(); n != 30 {
		t.Errorf("%d visible, want all 30", n)
	}
	h.cfg.Clerk = well
	h.do(reconcile.Pass{})
	h.wantWorld()
}

// Forged objects of which Clerk cannot be asked, since they name no organization, or one that would lead to another path of Clerk's API, keep
// nothing else that is gone, and Clerk is not asked on that path.
func TestForgedWithoutAnOrganization(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		h := openWorld(t, db, clerktest.Config{Users: 20, Organizations: 2, Members: 5, Invitations: 5, Seed: 72})
		h.cfg.MaxDeletes, h.cfg.MaxDeletePercent = 1000, 100
		h.do(reconcile.Pass{})
		long := time.Now().Add(-time.Hour).UnixMilli()
		forge := func(kind clerksync.Kind, id, more string) clerksync.Outcome {
			raw := fmt.Appendf(nil, `{"object":%q,"id":%q,"created_at":%d,"updated_at":%[3]d%s}`, kind.Singular(), id, long, more)
			results, err := h.mirror.Apply(t.Context(), clerksync.Evidence{Kind: kind, Object: raw, At: long, Source: clerksync.Webhook,
				Event: &clerksync.Event{ID: "msg_" + id, Type: "forged", ObjectID: id, InstanceID: h.clerk.InstanceID()}})
			must(t, err)
			return results[0].Outcome
		}
		for i, organization := range []string{`".."`, `"."`, `null`, `""`, `".."`, `null`} {
			forge(clerksync.OrganizationInvitations, fmt.Sprint("!", i), `,"organization_id":`+organization)
			forge(clerksync.OrganizationMemberships, fmt.Sprint("!", i), `,"organization":{"id":`+organization+`},"public_user_data":{"user_id":"user_1"}`)
		}
		for _, id := range []string{".", ".."} {
			if got := forge(clerksync.Users, id, ""); got != clerksync.Quarantined {
				t.Errorf("a user %q is %s", id, got)
			}
		}
		kinds := []clerksync.Kind{clerksync.OrganizationInvitations, clerksync.OrganizationMemberships}
		for _, kind := range kinds {
			h.haunt(kind)
		}
		h.clerk.ResetRequests()
		report, err := h.run(reconcile.Pass{})
		if !errors.Is(err, clerksync.ErrNotFound) || !strings.Contains(report.Error, "the mirror does not know its organization_id") {
			t.Errorf("the pass ended with %q, %v", report.Error, err)
		}
		for _, kind := range kinds {
			if n := report.Resources[kind]; n.Deleted != 1 || n.Pending != 6 {
				t.Errorf("of %s %+v; want the one deleted of which Clerk can be asked", kind, n)
			}
		}
		for _, r := range h.clerk.Requests() {
			if strings.Contains(r.Path, "/..") || strings.Contains(r.Path, "/./") || strings.Contains(r.Path, "//") {
				t.Errorf("Clerk was asked for %s", r.Path)
			}
		}
	})
}

// TestForgedHidesNoReason has Clerk refuse to answer about an invitation, beside forged ones of which it can never be asked: an operator is
// told what he can do something about.
func TestForgedHidesNoReason(t *testing.T) {
	t.Parallel()
	h := openWorld(t, pgtest.SQLite(t), clerktest.Config{Users: 20, Organizations: 2, Members: 5, Invitations: 5, Seed: 73})
	h.cfg.MaxDeletes, h.cfg.MaxDeletePercent = 1000, 100
	h.do(reconcile.Pass{})
	long := time.Now().Add(-time.Hour).UnixMilli()
	for i := range 8 { // more than are asked about side by side
		id := fmt.Sprint("!", i)
		raw := fmt.Appendf(nil, `{"object":"organization_invitation","id":%q,"organization_id":null,"created_at":%d,"updated_at":%[2]d}`, id, long)
		_, err := h.mirror.Apply(t.Context(), clerksync.Evidence{Kind: clerksync.OrganizationInvitations, Object: raw, At: long, Source: clerksync.Webhook,
			Event: &clerksync.Event{ID: "msg_" + id, Type: "forged", ObjectID: id, InstanceID: h.clerk.InstanceID()}})
		must(t, err)
	}
	ghost := h.haunt(clerksync.OrganizationInvitations)
	h.cfg.Clerk = h.newAPI(clerksync.APIConfig{RateLimit: -1, Transport: answering(func(r *http.Request) (int, string) {
		if strings.HasSuffix(r.URL.Path, ghost) {
			return http.StatusForbidden, `{"errors":[{"code":"out_of_order"}]}`
		}
		return 0, ""
	})})
	if report, err := h.run(reconcile.Pass{}); err == nil || !strings.Contains(report.Error, "403") {
		t.Errorf("the pass ended with %q", report.Error)
	}
}
