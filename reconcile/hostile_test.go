package reconcile_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jmoiron/sqlx"

	"github.com/clerksync/clerksync/clerktest"
	"github.com/clerksync/clerksync/internal/pgtest"
	"github.com/clerksync/clerksync/reconcile"
)

// crowd changes users at random, between passes and in the middle of walks.
type crowd struct {
	h   *house
	mu  sync.Mutex
	rng *rand.Rand
	ids []string
}

// stir creates, changes and deletes a few users.
func (c *crowd) stir(most int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for range c.rng.IntN(most + 1) {
		i := c.rng.IntN(len(c.ids))
		var err error
		switch c.rng.IntN(3) {
		case 0:
			var id string
			id, err = c.h.clerk.CreateUser(clerktest.Fields{"username": fmt.Sprintf("made_%d", c.rng.Int64())})
			c.ids = append(c.ids, id)
		case 1:
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

func (c *crowd) faults() clerktest.Faults {
	c.mu.Lock()
	defer c.mu.Unlock()
	var f clerktest.Faults
	maybe := func(set func()) {
		if c.rng.IntN(3) == 0 {
			set()
		}
	}
	maybe(func() { f.SkipRows = c.rng.Float64() / 20 })
	maybe(func() { f.Repeat = c.rng.Float64() })
	maybe(func() { f.Truncate = c.rng.Float64() / 2 })
	maybe(func() { f.CountDelta = c.rng.IntN(100) - 40 })
	maybe(func() { f.CursorRefused = true })
	maybe(func() { f.LostCursor = "empty" })
	maybe(func() { f.ErrorRate = 0.03 })
	if c.rng.IntN(20) == 0 {
		f.Empty = true
	}
	return f
}

// 200 scans of listings that skip, repeat, break off, come back empty, fail, refuse cursors, and change under the walk, with a
// guard that lets everything pass: nobody is deleted that Clerk has.
func TestHostileListings(t *testing.T) {
	t.Parallel()
	const scans = 100 // on each database
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		var walking atomic.Pointer[crowd]
		h := open(t, db, clerktest.Config{Users: 100, Seed: 20, OnRequest: func(r *http.Request) {
			if c := walking.Load(); c != nil && r.URL.Path == "/v1/users" {
				c.stir(3)
			}
		}})
		h.cfg = h.cfg.WithPageSize(25)
		h.cfg.MaxDeletes, h.cfg.MaxDeletePercent = 1_000_000, 100
		h.full()
		c := &crowd{h: h, rng: rand.New(rand.NewPCG(20, 20)), ids: h.ids(100)}
		walking.Store(c)
		endings := map[string]int{}
		for range scans {
			c.stir(10)
			h.faults(c.faults())
			report, err := h.run(reconcile.Pass{})
			switch {
			case errors.Is(err, reconcile.ErrIncomplete):
				endings["incomplete"]++
			case errors.Is(err, reconcile.ErrGuard):
				endings["empty"]++
			case err != nil:
				endings["failed"]++
			default:
				endings["complete"]++
			}
			if report.Resources["users"].Deleted > 0 {
				endings["deleted"]++
			}
			h.wantNobodyHidden()
		}
		t.Log(endings)
		for _, ending := range []string{"incomplete", "complete", "deleted"} {
			if endings[ending] < 5 {
				t.Errorf("only %d scans ended %s: the test tries too little", endings[ending], ending)
			}
		}
		walking.Store(nil)
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
