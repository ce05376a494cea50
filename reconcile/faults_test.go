package reconcile_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/clerksync/clerksync/clerktest"
	"github.com/clerksync/clerksync/internal/pgtest"
	"github.com/clerksync/clerksync/internal/torture"
	"github.com/clerksync/clerksync/reconcile"
	clerksync "github.com/clerksync/clerksync/sync"
)

// TestPassesMeetFaults has each call of the database fail under passes of every sort. A pass that fails says so and believes no lie, and
// the next one ends as if nothing had been.
func TestPassesMeetFaults(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		pass func(h *house, ill reconcile.Config) error // h works, and meanwhile has something happen at Clerk
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
	} {
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
	for _, name := range []string{"Ada", "Grace"} {
		id := h.clerk.MustCreateUser(clerktest.Person(name, "Hopper"))
		_, err := h.clerk.CreateOrganization(clerktest.Fields{"name": name, "created_by": id})
		must(h.t, err)
	}
	ids := h.ids(3)
	h.update(ids[0], clerktest.Fields{"first_name": "Renamed"})
	h.delete(ids[1:]...)
	for _, id := range h.first(clerksync.Organizations, 2) {
		must(h.t, h.clerk.DeleteOrganization(id))
	}
}
