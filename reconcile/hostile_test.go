package reconcile_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jmoiron/sqlx"

	"github.com/clerksync/clerksync/clerktest"
	"github.com/clerksync/clerksync/internal/pgtest"
	"github.com/clerksync/clerksync/internal/torture"
	"github.com/clerksync/clerksync/reconcile"
	clerksync "github.com/clerksync/clerksync/sync"
)

// side is how many worlds are tried side by side: a pass waits more than it works.
const side = 10

// eachWorld runs a test in worlds of its own, some hostile scans in each: one in make test, which is the same each time, and as many in
// make torture as make its number of scans.
func eachWorld(t *testing.T, some int, test func(t *testing.T, db *sqlx.DB, scans int, seed uint64)) {
	progress := torture.Resume(t)
	if !torture.Long {
		progress.Seed = 0
	}
	worlds := (torture.Size(t, some, 50_000) + some - 1) / some
	for progress.Done < worlds {
		parts := min(side, worlds-progress.Done)
		t.Run(fmt.Sprint("from ", progress.Done), func(t *testing.T) {
			for i := range parts {
				seed := progress.Seed + uint64(progress.Done+i)
				t.Run(fmt.Sprint("world ", seed), func(t *testing.T) {
					t.Parallel()
					pgtest.Both(t, func(t *testing.T, db *sqlx.DB) { test(t, db, some, seed) })
				})
			}
		})
		progress.Add(t, parts, nil)
	}
	torture.Record(t, progress.Begun(), torture.Run{
		What:    "Has passes read lists that skip, repeat, break off, come back empty, fail, lose cursors, miscount, change meanwhile or are another instance's, with a guard that lets everything pass.",
		Size:    fmt.Sprintf("%d scans into each of PostgreSQL and SQLite", worlds*some),
		Seed:    progress.Seed,
		Figures: []torture.Figure{{Name: "objects hidden that Clerk has", Value: "0", Bound: "0"}},
	})
}

// crowd changes users at random, between passes and in the middle of walks.
type crowd struct {
	h   *house
	mu  sync.Mutex
	rng *rand.Rand
	ids []string

	drawn clerktest.Faults // how the lists lie in this pass
	holes float64          // the probability that one page of a list comes back empty
}

// crowdSize is how many users there are at first. They become fewer, but never fewer than half of that.
const crowdSize = 100

// stir creates, changes and deletes a few users.
func (c *crowd) stir(most int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for range c.rng.IntN(most + 1) {
		i := c.rng.IntN(len(c.ids))
		var err error
		switch what := c.rng.IntN(3); {
		case what == 0 || len(c.ids) < crowdSize/2:
			var id string
			id, err = c.h.clerk.CreateUser(clerktest.Fields{"username": fmt.Sprintf("made_%d", c.rng.Int64())})
			c.ids = append(c.ids, id)
		case what == 1:
			err = c.h.clerk.UpdateUser(c.ids[i], clerktest.Fields{"first_name": fmt.Sprint(c.rng.Int64())})
		default:
			err = c.h.clerk.DeleteUser(c.ids[i])
			c.ids[i] = c.ids[len(c.ids)-1]
			c.ids = c.ids[:len(c.ids)-1]
		}
		if err != nil {
			c.h.t.Error(err)
		}
	}
}

// draw draws how the lists lie in the next pass.
func (c *crowd) draw() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.drawn, c.holes = clerktest.Faults{}, 0
	f := &c.drawn
	maybe := func(set func()) {
		if c.rng.IntN(3) == 0 {
			set()
		}
	}
	maybe(func() { f.SkipRows = c.rng.Float64() / 20 })
	maybe(func() { f.Repeat = c.rng.Float64() })
	maybe(func() { f.Truncate = c.rng.Float64() / 2 })
	maybe(func() { f.CountDelta = c.rng.IntN(160) - 40 })
	maybe(func() { f.CursorRefused = true })
	maybe(func() { f.LostCursor = "empty" })
	maybe(func() { f.ErrorRate = 0.03 })
	maybe(func() { c.holes = 0.1 })
	f.Empty = c.rng.IntN(20) == 0
}

// answer stirs before each page, sometimes deletes the very user that it is to follow, and lets the page lie.
func (c *crowd) answer(r *http.Request) {
	if r.URL.Path != "/v1/users" {
		return
	}
	c.stir(3)
	cursor := r.URL.Query().Get("starting_after")
	c.mu.Lock()
	defer c.mu.Unlock()
	if at := slices.Index(c.ids, cursor); at >= 0 && c.rng.IntN(10) == 0 {
		if err := c.h.clerk.DeleteUser(cursor); err != nil {
			c.h.t.Error(err)
		}
		c.ids = slices.Delete(c.ids, at, at+1)
	}
	faults := c.drawn
	faults.Empty = faults.Empty || c.rng.Float64() < c.holes
	if err := c.h.clerk.SetFaults(faults); err != nil {
		c.h.t.Error(err)
	}
}

// ending says in one word how a pass ended.
func ending(err error) string {
	switch {
	case errors.Is(err, clerksync.ErrWrongInstance):
		return "wrong instance"
	case errors.Is(err, reconcile.ErrIncomplete):
		return "incomplete"
	case errors.Is(err, reconcile.ErrGuard):
		return "empty"
	case err != nil:
		return "failed"
	default:
		return "complete"
	}
}

// elsewhere is the API of another Clerk instance, which has none of the mirror's objects.
func (h *house) elsewhere() *clerksync.API {
	h.t.Helper()
	here := h.clerk
	h.clerk = clerktest.NewServer(h.t, clerktest.Config{Users: 30, Seed: 1_000_000}) // which no world of a test has: the seed makes the instance
	defer func() { h.clerk = here }()
	return h.newAPI(clerksync.APIConfig{RateLimit: -1})
}

// Scans of listings that skip, repeat, break off, come back empty as a whole or for one page, fail, refuse cursors, lose the user whom
// a cursor names, miscount, change under the walk, or are another instance's, with a guard that lets everything pass: nobody is
// deleted that Clerk has.
func TestHostileListings(t *testing.T) {
	t.Parallel()
	eachWorld(t, 100, func(t *testing.T, db *sqlx.DB, scans int, seed uint64) {
		var walking atomic.Pointer[crowd]
		h := open(t, db, clerktest.Config{Users: crowdSize, Seed: 20 + seed, OnRequest: func(r *http.Request) {
			if c := walking.Load(); c != nil {
				c.answer(r)
			}
		}})
		other := h.elsewhere()
		h.cfg = h.cfg.WithPageSize(25)
		h.cfg.MaxDeletes, h.cfg.MaxDeletePercent = 1_000_000, 100
		h.full()
		c := &crowd{h: h, rng: rand.New(rand.NewPCG(20, seed)), ids: h.ids(crowdSize)}
		walking.Store(c)
		endings := map[string]int{}
		for i := range scans {
			c.stir(10)
			c.draw()
			h.faults(c.drawn)
			h.cfg.Clerk = h.api
			if i%20 == 7 {
				h.cfg.Clerk = other
			}
			report, err := h.run(reconcile.Pass{})
			endings[ending(err)]++
			if report.Resources["users"].Deleted > 0 {
				endings["deleted"]++
			}
			h.wantNobodyHidden()
		}
		t.Log(endings)
		for _, ending := range []string{"incomplete", "complete", "deleted", "wrong instance"} {
			if endings[ending] < 5 {
				t.Errorf("only %d scans ended %s: the test tries too little", endings[ending], ending)
			}
		}
		walking.Store(nil)
		h.cfg.Clerk = h.api
		h.faults(clerktest.Faults{})
		h.full()
		h.wantEqual()
	})
}

// wantNobodyHidden fails if a row is hidden whose user Clerk has.
func (h *house) wantNobodyHidden() {
	h.t.Helper()
	for _, id := range h.texts(`SELECT id FROM {users} WHERE deleted_at IS NOT NULL`) {
		if h.clerk.User(id) != nil {
			h.t.Fatalf("%s is hidden, and Clerk has it", id)
		}
	}
}

// Where cursors are refused for good, a pass finds its way by windows: about one request a page, and every user is seen.
func TestCursorRefused(t *testing.T) {
	t.Parallel()
	h := open(t, pgtest.SQLite(t), clerktest.Config{Users: 230, Seed: 21, Faults: clerktest.Faults{CursorRefused: true}})
	h.cfg = h.cfg.WithPageSize(50)
	if got := h.full(); got.Seen != 230 || got.Created != 230 {
		t.Errorf("counts %+v, want 230 seen and created", got)
	}
	if n := len(h.clerk.Requests()); n > 12 {
		t.Errorf("%d requests, want about 10", n)
	}
	h.wantEqual()
}

// The last user of a page is deleted before the next page is asked for.
func TestCursorDeleted(t *testing.T) {
	t.Parallel()
	for _, lost := range []string{"", "empty"} {
		t.Run("answer "+lost, func(t *testing.T) {
			t.Parallel()
			var clerk atomic.Pointer[clerktest.Server]
			h := open(t, pgtest.SQLite(t), clerktest.Config{Users: 160, Seed: 22, Faults: clerktest.Faults{LostCursor: lost},
				OnRequest: func(r *http.Request) {
					if cursor := r.URL.Query().Get("starting_after"); cursor != "" && clerk.Load().Count() > 158 {
						_ = clerk.Load().DeleteUser(cursor) // it may be gone already
					}
				}})
			clerk.Store(h.clerk)
			h.cfg = h.cfg.WithPageSize(50)
			if got := h.full(); got.Seen < 158 {
				t.Errorf("%d seen, want all", got.Seen)
			}
			h.full()
			h.wantEqual()
		})
	}
}
