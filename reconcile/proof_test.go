package reconcile_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/clerksync/clerksync/clerktest"
	"github.com/clerksync/clerksync/internal/pgtest"
	"github.com/clerksync/clerksync/reconcile"
	clerksync "github.com/clerksync/clerksync/sync"
)

// answering is a network of which some answers are not Clerk's.
type answering func(*http.Request) (code int, body string)

func (f answering) RoundTrip(r *http.Request) (*http.Response, error) {
	code, body := f(r)
	if code == 0 {
		return http.DefaultTransport.RoundTrip(r)
	}
	return &http.Response{StatusCode: code, Body: io.NopCloser(strings.NewReader(body)), Request: r,
		Header: http.Header{"Date": {time.Now().UTC().Format(http.TimeFormat)}}}, nil
}

// A 200 that is not a list of objects does not prove that the object asked for is gone.
func TestAnswerThatIsNoList(t *testing.T) {
	t.Parallel()
	for _, body := range []string{`<html>maintenance</html>`, `{}`, ``, `{"data":null}`, `{"data":[{"id":"orgm`, `{"data":["orgmem_1"]}`} {
		t.Run(body, func(t *testing.T) {
			t.Parallel()
			h := openWorld(t, pgtest.SQLite(t), clerktest.Config{Users: 20, Organizations: 2, Members: 5, Seed: 82})
			h.full()
			id := h.texts(`SELECT id FROM {organization_memberships} ORDER BY id LIMIT 1`)[0]
			h.age(time.Hour)
			h.cfg.Clerk = h.newAPI(clerksync.APIConfig{RateLimit: -1, Transport: answering(func(r *http.Request) (int, string) {
				if strings.HasPrefix(r.URL.Path, "/v1/organizations/") && strings.HasSuffix(r.URL.Path, "/memberships") {
					return http.StatusOK, body
				}
				return 0, ""
			})})
			report, err := reconcile.New(h.cfg).DoLateOf(t.Context(), map[clerksync.Kind][]string{clerksync.OrganizationMemberships: {id}})
			if n := report.Resources[clerksync.OrganizationMemberships].Deleted; n != 0 || err == nil {
				t.Errorf("%d deleted, %v: want none, and an error", n, err)
			}
		})
	}
}

// What Clerk has denied one by one is deleted, also where the asking ends early.
func TestDeletionsBeforeARefusal(t *testing.T) {
	t.Parallel()
	h := open(t, pgtest.SQLite(t), clerktest.Config{Users: 400, Seed: 78})
	h.cfg.MaxDeletePercent = 100
	h.full()
	h.delete(h.ids(150)...)
	var lists atomic.Int64
	h.cfg.Clerk = h.newAPI(clerksync.APIConfig{RateLimit: -1, Transport: answering(func(r *http.Request) (int, string) {
		if r.URL.Query().Has("user_id") && lists.Add(1) > 1 {
			return http.StatusForbidden, `{}`
		}
		return 0, ""
	})})
	report, err := h.run(reconcile.Pass{})
	if got := report.Resources[clerksync.Users]; got.Deleted == 0 || got.Deleted+got.Pending != 150 || err == nil {
		t.Errorf("%+v, %v: want those deleted that Clerk had denied, the rest pending, and an error", got, err)
	}
}

// A pass that ends while somebody else's transaction still carries its news leaves their bytes alone: what the process reads next would
// be written into their rows.
func TestPassThatEndsInSomebodysTransaction(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	h := open(t, db, clerktest.Config{Seed: 77})
	create := func(name string) string {
		id, err := h.clerk.CreateUser(clerktest.Fields{"first_name": name, "email_address": []string{name + "@example.com"}})
		must(t, err)
		time.Sleep(2 * time.Millisecond) // so that the list has them in this order
		return id
	}
	first, second := create("first"), create("second")
	h.full()
	created := create("Ada")
	create("later")
	create("last")
	super := pgtest.Superuser(t, db)
	lock := func(id string) (free func()) {
		tx := super.MustBegin()
		tx.MustExec(`SELECT 1 FROM clerk.users WHERE id = $1 FOR UPDATE`, id)
		return func() { _ = tx.Rollback() }
	}
	blocked := func() {
		t.Helper()
		for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
			var n int
			must(t, super.Get(&n, `SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()`))
			if n == 1 {
				return
			}
			if time.Now().After(deadline) {
				t.Fatal("nobody waits for the row")
			}
		}
	}
	freeFirst, freeSecond := lock(first), lock(second)
	told := func(id string) chan error {
		done := make(chan error, 1)
		e := clerksync.Evidence{Kind: clerksync.Users, Object: h.clerk.User(id), ID: id, At: time.Now().UnixMilli(), Source: clerksync.Webhook,
			Event: &clerksync.Event{ID: "msg_" + id, Type: "user.updated", ObjectID: id, InstanceID: h.clerk.InstanceID()}}
		go func() {
			_, err := h.mirror.Apply(context.WithoutCancel(t.Context()), e)
			done <- err
		}()
		return done
	}
	leads := told(first)
	blocked()
	follows := told(second)
	time.Sleep(100 * time.Millisecond) // it is before the pass in the queue
	ctx, cancel := context.WithCancel(t.Context())
	passed := make(chan error, 1)
	h.cfg = h.cfg.WithPageSize(3)
	go func() { _, err := reconcile.New(h.cfg).Do(ctx, reconcile.Pass{}); passed <- err }()
	time.Sleep(500 * time.Millisecond) // its news is in the queue
	freeFirst()
	must(t, <-leads)
	blocked() // the second event's transaction carries the news
	cancel()
	if err := <-passed; err == nil {
		t.Error("the pass ended well")
	}
	other := create("Bob")
	for range 6 {
		query := url.Values{"user_id": {first, second, other}, "order_by": {"+created_at"}, "limit": {"3"}}
		_, err := clerksync.NewReader(h.mirror, h.api, clerksync.Login).List(t.Context(), clerksync.Users, query)
		must(t, err)
	}
	freeSecond()
	must(t, <-follows)
	for _, name := range h.texts(`SELECT first_name || ' ' || (data->>'id' = id) FROM {users} WHERE id = '` + created + `'`) {
		if name != "Ada true" {
			t.Errorf("the row of Ada holds %s", name)
		}
	}
	h.full()
	h.wantEqual()
}

// withoutInvitations answers as Clerk does where one list is forbidden.
func withoutInvitations(r *http.Request) (int, string) {
	if r.URL.Path == "/v1/invitations" {
		return http.StatusForbidden, `{}`
	}
	return 0, ""
}

// A list that fails each time keeps nobody else from being looked at by each pass, and nothing is told twice.
func TestOneListFailsEachTime(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		h := openWorld(t, db, clerktest.Config{Users: 60, Organizations: 3, Members: 5, Invitations: 5, Seed: 80})
		h.cfg.Clerk = h.newAPI(clerksync.APIConfig{RateLimit: -1, Transport: answering(withoutInvitations)})
		pass := func(want reconcile.Counts) {
			t.Helper()
			report, err := h.run(reconcile.Pass{})
			if err == nil || report.Complete {
				t.Errorf("complete %t, %v, though a list cannot be read", report.Complete, err)
			}
			h.wantCounts(report.Resources[clerksync.Users], want)
		}
		pass(reconcile.Counts{Seen: 60, Created: 60})
		pass(reconcile.Counts{Seen: 60}) // a moment later: they are not read again
		h.cfg = h.cfg.WithKeepDone(time.Nanosecond)
		ids := h.ids(2)
		h.delete(ids[0])
		must(t, h.clerk.BanUser(ids[1]))
		pass(reconcile.Counts{Seen: 59, Updated: 1, Unchanged: 58, Deleted: 1, Candidates: 1})
		pass(reconcile.Counts{Seen: 59, Unchanged: 59})
		h.cfg.Clerk = h.api
		h.wantCounts(h.full(), reconcile.Counts{Seen: 59, Unchanged: 59})
		h.wantEqual()
	})
}

// What a clock that was ahead has noted of a pass does not count once the clock is right: or else lists counted as read for as long as it
// had been ahead.
func TestProgressDatedAhead(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		h := openWorld(t, db, clerktest.Config{Users: 60, Organizations: 3, Members: 5, Invitations: 5, Seed: 84})
		h.cfg.Clerk = h.newAPI(clerksync.APIConfig{RateLimit: -1, Transport: answering(withoutInvitations)})
		ahead := func() {
			t.Helper()
			var kept map[string]any
			if found, err := h.mirror.ReadState(t.Context(), "progress", &kept); !found || err != nil {
				t.Fatal(found, err)
			}
			later := time.Now().Add(24 * time.Hour).UnixMilli()
			kept["saved"] = later
			for _, s := range kept["scans"].(map[string]any) {
				s.(map[string]any)["told"] = later
			}
			must(t, h.mirror.WriteState(t.Context(), "progress", kept))
		}
		pass := func(want reconcile.Counts) {
			t.Helper()
			report, _ := h.run(reconcile.Pass{})
			h.wantCounts(report.Resources[clerksync.Users], want)
		}
		pass(reconcile.Counts{Seen: 60, Created: 60})
		ahead()
		h.delete(h.ids(1)[0])
		pass(reconcile.Counts{Seen: 59, Unchanged: 59, Deleted: 1, Candidates: 1})
	})
}

// Where memberships are kept without organizations, those of an organization that is gone go all the same, and keep no others back.
func TestMembershipsWithoutOrganizations(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		h := open(t, db, clerktest.Config{Users: 60, Organizations: 3, Members: 20, Seed: 79})
		h.mirror = h.openMirror(clerksync.Config{ReadMargin: -1, Kinds: []clerksync.Kind{clerksync.Users, clerksync.OrganizationMemberships}})
		h.cfg.Mirror, h.cfg.MaxDeletePercent = h.mirror, 100
		h.full()
		must(t, h.clerk.DeleteOrganization(h.first(clerksync.Organizations, 1)[0]))
		h.removeMembers(h.first(clerksync.OrganizationMemberships, 1)...)
		report, err := h.run(reconcile.Pass{})
		must(t, err)
		h.wantCounts(report.Resources[clerksync.OrganizationMemberships], reconcile.Counts{Seen: 39, Unchanged: 39, Deleted: 21, Candidates: 21})
	})
}

// An instance that stops using organizations proves nothing about them: their rows stay, and the log says so.
func TestOrganizationsSwitchedOff(t *testing.T) {
	t.Parallel()
	h := openWorld(t, pgtest.SQLite(t), clerktest.Config{Users: 20, Organizations: 3, Members: 5, Seed: 83})
	h.full()
	h.cfg.Clerk = h.newAPI(clerksync.APIConfig{RateLimit: -1, Transport: answering(func(r *http.Request) (int, string) {
		if strings.HasPrefix(r.URL.Path, "/v1/organization") {
			return http.StatusForbidden, `{"errors":[{"code":"organization_not_enabled_in_instance"}]}`
		}
		return 0, ""
	})})
	var told strings.Builder
	h.cfg.Logger = slog.New(slog.NewTextHandler(&told, &slog.HandlerOptions{Level: slog.LevelWarn}))
	report, err := h.run(reconcile.Pass{})
	if err != nil || !report.Complete || report.Resources[clerksync.Organizations].Deleted != 0 {
		t.Errorf("%+v, %v", report, err)
	}
	if n := h.count(`SELECT count(*) FROM {organizations} WHERE deleted_at IS NULL`); n != 3 || !strings.Contains(told.String(), "kind=organizations rows=3") {
		t.Errorf("%d organizations; the log says %s", n, told.String())
	}
}
