package reconcile_test

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/clerksync/clerksync/clerktest"
	"github.com/clerksync/clerksync/internal/pgtest"
	"github.com/clerksync/clerksync/internal/torture"
	"github.com/clerksync/clerksync/reconcile"
	clerksync "github.com/clerksync/clerksync/sync"
)

// passes are passes of every sort. h works, and meanwhile has something happen at Clerk.
var passes = []struct {
	name string
	pass func(h *house, ill reconcile.Config) error
}{
	{"full", func(h *house, ill reconcile.Config) error {
		h.change()
		_, err := reconcile.New(ill).RunOnce(h.t.Context())
		return err
	}},
	{"dry", func(h *house, ill reconcile.Config) error {
		h.change()
		_, err := reconcile.New(ill).Do(h.t.Context(), reconcile.Pass{DryRun: true})
		return err
	}},
	{"delta", func(h *house, ill reconcile.Config) error {
		h.change()
		_, err := reconcile.New(ill).Do(h.t.Context(), reconcile.Pass{Kind: reconcile.Delta})
		return err
	}},
	{"late", func(h *house, ill reconcile.Config) error {
		h.clerk.MustCreateUser(clerktest.Person("Ada", "Lovelace"))
		h.do(reconcile.Pass{})
		ids := h.ids(3)
		h.delete(ids[0])
		_, err := reconcile.New(ill).DoLate(h.t.Context(), ids)
		return err
	}},
	{"plan", func(h *house, ill reconcile.Config) error {
		h.change()
		h.cfg.MaxDeletes = -1
		plan := h.refused()
		h.cfg.MaxDeletes = 0
		_, err := reconcile.New(ill).Do(h.t.Context(), reconcile.Pass{Approve: plan})
		return err
	}},
	{"unread", func(h *house, ill reconcile.Config) error {
		well := h.cfg.Clerk
		id := h.ids(1)[0]
		h.cfg.Clerk = h.newAPI(clerksync.APIConfig{RateLimit: -1, Transport: spoiled{id}})
		h.update(id, clerktest.Fields{"first_name": "Spoiled"})
		h.do(reconcile.Pass{})
		h.cfg.Clerk = well
		_, err := reconcile.New(ill).RunOnce(h.t.Context())
		return err
	}},
	{"history", func(h *house, ill reconcile.Config) error {
		_, err := reconcile.History(h.t.Context(), ill.Mirror, 5)
		if err == nil {
			_, err = reconcile.Walks(h.t.Context(), ill.Mirror)
		}
		if err == nil {
			_, err = reconcile.Prune(h.t.Context(), ill.Mirror)
		}
		return err
	}},
}

// TestPassesMeetFaults has each call of the database fail under passes of every sort. A pass that fails says so and believes no lie, and
// the next one ends as if nothing had been.
func TestPassesMeetFaults(t *testing.T) {
	t.Parallel()
	for _, test := range passes {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			db := pgtest.FaultySQLite(t)
			h := openWorld(t, db.Well, clerktest.Config{Users: 40, Organizations: 4, Members: 3, Invitations: 3, Seed: 80})
			h.cfg.MaxDeletePercent = 100
			h.do(reconcile.Pass{})
			ill := h.cfg
			ill.Mirror = h.beside(db)
			for n, struck := 1, true; struck && n < 1000; n += torture.Step() {
				struck = false
				for i, way := range pgtest.Ways {
					if !torture.Long && i != n%len(pgtest.Ways) {
						continue
					}
					h.t = t
					db.Fail(n, way)
					err := test.pass(h, ill)
					call := db.Heal()
					what := fmt.Sprintf("call %d (%s), %s", n, call, way)
					struck = struck || call != ""
					if err != nil && call == "" || errors.Is(err, reconcile.ErrGuard) || errors.Is(err, clerksync.ErrWrongInstance) || errors.Is(err, reconcile.ErrIncomplete) {
						t.Errorf("%s: the pass ended with %v, which is not true", what, err)
					}
					h.wantNothingHidden()
					h.setLease("", 0, -time.Minute)
					h.do(reconcile.Pass{})
					h.wantWorld()
					if t.Failed() {
						t.Fatal("this came of ", what)
					}
				}
			}
		})
	}
}

// refusing is a network on which Clerk refuses one request.
type refusing struct{ left *atomic.Int64 } // requests until that one, which is 1

func (n refusing) RoundTrip(r *http.Request) (*http.Response, error) {
	if n.left.Add(-1) == 0 {
		return &http.Response{StatusCode: http.StatusBadRequest, Header: http.Header{}, Body: http.NoBody, Request: r}, nil
	}
	return http.DefaultTransport.RoundTrip(r)
}

// TestPassesMeetRefusals has Clerk refuse each request once under passes of every sort. Nobody is deleted for it, and the next pass ends as
// if nothing had been.
func TestPassesMeetRefusals(t *testing.T) {
	t.Parallel()
	for _, test := range passes {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			h := openWorld(t, pgtest.SQLite(t), clerktest.Config{Users: 40, Organizations: 4, Members: 3, Invitations: 3, Seed: 82})
			h.cfg.MaxDeletePercent = 100
			h.do(reconcile.Pass{})
			refusals := refusing{new(atomic.Int64)}
			ill := h.cfg
			ill.Clerk = h.newAPI(clerksync.APIConfig{RateLimit: -1, Transport: refusals})
			for n, struck := int64(1), true; struck; n += int64(torture.Step()) {
				refusals.left.Store(n)
				err := test.pass(h, ill)
				struck = refusals.left.Swap(0) <= 0
				if err != nil && !struck || errors.Is(err, reconcile.ErrGuard) || errors.Is(err, clerksync.ErrWrongInstance) {
					t.Errorf("request %d was refused: the pass ended with %v, which is not true", n, err)
				}
				h.wantNothingHidden()
				h.do(reconcile.Pass{})
				h.wantWorld()
				if t.Failed() {
					t.Fatal("this came of request ", n)
				}
			}
		})
	}
}

// TestWalks tells of a full pass while it runs, and of none before and after.
func TestWalks(t *testing.T) {
	t.Parallel()
	h := openWorld(t, pgtest.SQLite(t), clerktest.Config{Users: 40, Organizations: 4, Members: 3, Seed: 83})
	h.cfg = h.cfg.WithPageSize(10)
	told := func() []reconcile.Walk {
		walks, err := reconcile.Walks(t.Context(), h.mirror)
		must(t, err)
		return walks
	}
	running := map[clerksync.Kind]reconcile.Walk{}
	h.cfg.Progress = func(p reconcile.Progress) {
		for i, w := range told() {
			if i == 0 && w.Kind != clerksync.Users || w.Started.IsZero() || w.At.IsZero() {
				t.Errorf("walk %d is %+v", i, w)
			}
			running[w.Kind] = w
		}
	}
	if walks := told(); len(walks) != 0 {
		t.Errorf("%+v before the first pass", walks)
	}
	h.do(reconcile.Pass{})
	if w := running[clerksync.Users]; !w.Done || w.Seen != 40 || w.Total != 40 {
		t.Errorf("the last word about users was %+v", w)
	}
	if walks := told(); len(walks) != 0 {
		t.Errorf("%+v after the pass", walks)
	}
}

// TestSpoiledRows says which row of its own it cannot read.
func TestSpoiledRows(t *testing.T) {
	t.Parallel()
	h := open(t, pgtest.SQLite(t), clerktest.Config{Users: 60, Seed: 84}) // PostgreSQL would take no such text
	h.full()
	h.delete(h.ids(11)...)
	plan := h.refused()
	h.write(`UPDATE {plans} SET ids = '["user_'`)
	if _, err := h.run(reconcile.Pass{Approve: plan}); err == nil || !strings.Contains(err.Error(), "reading the deletion plan") {
		t.Errorf("%v, want that the plan cannot be read", err)
	}
	h.write(`UPDATE {passes} SET counts = '{'`)
	if _, err := reconcile.History(t.Context(), h.mirror, 1); err == nil || !strings.Contains(err.Error(), "reading pass ") {
		t.Errorf("%v, want that a pass cannot be read", err)
	}
	h.write(`UPDATE {state} SET value = '{' WHERE key = 'verdict'`)
	if _, err := h.run(reconcile.Pass{Approve: plan}); err == nil || !strings.Contains(err.Error(), "verdict") {
		t.Errorf("%v, want that the verdict cannot be read", err)
	}
}

// TestForgedDeletion brings back whom an event hid and Clerk has.
func TestForgedDeletion(t *testing.T) {
	t.Parallel()
	h := open(t, pgtest.SQLite(t), clerktest.Config{Users: 5, Seed: 85})
	h.full()
	id := h.ids(1)[0]
	_, err := h.mirror.Apply(t.Context(), clerksync.Evidence{Kind: clerksync.Users, ID: id, At: time.Now().Add(-time.Minute).UnixMilli(), Source: clerksync.Webhook,
		Event: &clerksync.Event{ID: "msg_forged", Type: "user.deleted", ObjectID: id, InstanceID: h.clerk.InstanceID()}})
	must(t, err)
	h.write(`UPDATE {users} SET _dead_at = _alive_at + 1, deleted_at = '2026-01-01T00:00:00.000Z' WHERE id = $1 AND deleted_at IS NULL`, id) // it may have been seen since
	h.wantCounts(h.full(), reconcile.Counts{Seen: 5, Unchanged: 4, Revived: 1})
	h.wantEqual()
}

// TestOddOrders refuses a pass of a kind that there is not, and leaves what waits in quarantine and has no id.
func TestOddOrders(t *testing.T) {
	t.Parallel()
	h := openWorld(t, pgtest.SQLite(t), clerktest.Config{Users: 5, Seed: 86})
	h.do(reconcile.Pass{})
	if _, err := h.run(reconcile.Pass{Kind: "odd"}); err == nil || !strings.Contains(err.Error(), `"odd"`) {
		t.Errorf("%v, want that there is no such pass", err)
	}
	h.write(`INSERT INTO {events} (id, type, object_id, received_at, outcome, attempts)
VALUES ('read:organization_memberships:orgmem_1', 'read', 'orgmem_1', '2026-01-01T00:00:00.000Z', 'quarantined', 1), ('read:users:', 'read', NULL, '2026-01-01T00:00:00.000Z', 'quarantined', 1)`)
	h.do(reconcile.Pass{})
	if kept := h.texts(`SELECT id FROM {events}`); !slices.Equal(kept, []string{"read:users:"}) {
		t.Errorf("in quarantine: %v; want what has no id", kept)
	}
	l := reconcile.NewLedger()
	l.Note([]clerksync.Sighting{{}})
	if l.Seen != 0 {
		t.Errorf("%d seen, of one without an id", l.Seen)
	}
}

// beside opens the mirror once more, where calls fail.
func (h *house) beside(db *pgtest.Faulty) *clerksync.Mirror {
	h.t.Helper()
	well := h.db
	h.db = db.DB
	defer func() { h.db = well }()
	return h.openMirror(clerksync.Config{ReadMargin: -1, Kinds: append([]clerksync.Kind{clerksync.Sessions}, listedKinds...)})
}

// change has something happen at Clerk: some come, somebody gets another name, as many go away.
func (h *house) change() {
	h.t.Helper()
	var organizations []string
	for id := range h.clerk.Objects(string(clerksync.Organizations)) {
		organizations = append(organizations, id)
	}
	for _, id := range organizations[4:] { // the first ones have invitations, and an empty list of those would be a matter of its own
		must(h.t, h.clerk.DeleteOrganization(id))
	}
	for _, name := range []string{"Ada", "Grace"} {
		id := h.clerk.MustCreateUser(clerktest.Person(name, "Hopper"))
		_, err := h.clerk.CreateOrganization(clerktest.Fields{"name": name, "created_by": id})
		must(h.t, err)
	}
	ids := h.ids(3)
	h.update(ids[0], clerktest.Fields{"first_name": "Renamed"})
	h.delete(ids[1:]...)
}
