package reconcile_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/clerksync/clerksync/clerktest"
	"github.com/clerksync/clerksync/internal/pgtest"
	"github.com/clerksync/clerksync/reconcile"
	clerksync "github.com/clerksync/clerksync/sync"
)

// The key of another instance: nothing is written, not even the pass.
func TestWrongInstance(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		h := open(t, db, clerktest.Config{Users: 30, Seed: 40})
		h.full()
		other := open(t, db, clerktest.Config{Users: 3, Seed: 41})
		before := h.texts(`SELECT key || value || updated_at FROM {state} ORDER BY key`)
		for _, order := range []reconcile.Pass{{}, {Kind: reconcile.Delta}, {DryRun: true}} {
			report, err := other.run(order)
			if !errors.Is(err, clerksync.ErrWrongInstance) || report.Error == "" {
				t.Errorf("%+v: error %v, want ErrWrongInstance", order, err)
			}
		}
		if n := h.count(`SELECT count(*) FROM {passes}`); n != 1 {
			t.Errorf("%d rows of passes, want the first one alone", n)
		}
		if after := h.texts(`SELECT key || value || updated_at FROM {state} ORDER BY key`); strings.Join(after, "\n") != strings.Join(before, "\n") {
			t.Error("the state was written")
		}
		h.wantEqual()
	})
}

// A revoked key: the pass fails, says so in its row, and decides nothing.
func TestKeyRefused(t *testing.T) {
	t.Parallel()
	h := open(t, pgtest.SQLite(t), clerktest.Config{Users: 30, Seed: 42})
	h.full()
	h.faults(clerktest.Faults{Unauthorized: true})
	if _, err := h.run(reconcile.Pass{}); !errors.Is(err, clerksync.ErrUnavailable) {
		t.Errorf("error %v, want ErrUnavailable", err)
	}
	if n := h.count(`SELECT count(*) FROM {passes} WHERE error LIKE '%refuses the secret key%' AND finished_at IS NOT NULL`); n != 1 {
		t.Errorf("%d rows say why the pass failed, want 1", n)
	}
	if n := h.count(`SELECT count(*) FROM {users} WHERE deleted_at IS NULL`); n != 30 {
		t.Errorf("%d visible, want 30", n)
	}
}

// spoiled is a network on which one user's object arrives as an object of another kind.
type spoiled struct{ id string }

func (s spoiled) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil || !strings.HasSuffix(r.URL.Path, "/users") {
		return resp, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	if i := bytes.Index(body, []byte(`"id":"`+s.id+`"`)); i >= 0 {
		body = append(body[:i:i], bytes.Replace(body[i:], []byte(`"object":"user"`), []byte(`"object":"ruse"`), 1)...)
	}
	resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	return resp, nil
}

// An object that cannot be merged is quarantined, holds nobody up, and does not make its user a candidate.
func TestPoison(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		h := open(t, db, clerktest.Config{Users: 40, Seed: 43})
		h.full()
		ids := h.ids(40)
		h.update(ids[7], clerktest.Fields{"first_name": "Not merged"})
		h.update(ids[8], clerktest.Fields{"first_name": "Merged all the same"})
		if err := h.clerk.UpdateUser(ids[9], clerktest.Fields{"unsafe_metadata": map[string]any{"a": "\x00"}, "banned": true}); err != nil {
			t.Fatal(err)
		}
		h.cfg.Clerk = h.newAPI(clerksync.APIConfig{RateLimit: -1, Transport: spoiled{ids[7]}})
		h.wantCounts(h.full(), reconcile.Counts{Seen: 40, Unchanged: 37, Updated: 2, Quarantined: 1})
		if n := h.count(`SELECT count(*) FROM {events} WHERE id = $1 AND outcome = 'quarantined'`, "read:users:"+ids[7]); n != 1 {
			t.Errorf("%d rows in quarantine, want 1", n)
		}
		if n := h.count(`SELECT count(*) FROM {users} WHERE deleted_at IS NULL AND id IN ($1, $2)`, ids[7], ids[9]); n != 2 {
			t.Errorf("%d of the two visible", n)
		}
		if n := h.count(`SELECT count(*) FROM {users} WHERE id = $1 AND banned AND unsafe_metadata IS NULL`, ids[9]); n != 1 {
			t.Error("a ban is held up by metadata that cannot be stored")
		}
	})
}

// What a pass could not store and a later one can, does not wait in quarantine any longer, be it that nothing has changed or that the
// object is gone.
func TestPoisonGoes(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		h := open(t, db, clerktest.Config{Users: 40, Seed: 44})
		h.full()
		well, ids := h.cfg.Clerk, h.ids(40)
		for _, id := range ids[7:10] {
			h.cfg.Clerk = h.newAPI(clerksync.APIConfig{RateLimit: -1, Transport: spoiled{id}})
			h.wantCounts(h.full(), reconcile.Counts{Seen: 40, Unchanged: 39, Quarantined: 1})
		}
		h.delete(ids[9])
		h.cfg.Clerk = h.newAPI(clerksync.APIConfig{RateLimit: -1, Transport: spoiled{ids[8]}})
		h.wantCounts(h.full(), reconcile.Counts{Seen: 39, Unchanged: 38, Quarantined: 1, Candidates: 1, Deleted: 1})
		if kept := h.texts(`SELECT id FROM {events}`); !slices.Equal(kept, []string{"read:users:" + ids[8]}) {
			t.Errorf("in quarantine: %v; want %s alone, which is still spoiled", kept, ids[8])
		}
		h.cfg.Clerk = well
		h.wantCounts(h.full(), reconcile.Counts{Seen: 39, Unchanged: 39})
		if kept := h.texts(`SELECT id FROM {events}`); len(kept) != 0 {
			t.Errorf("in quarantine: %v", kept)
		}
		h.wantEqual()
	})
}

// What a hook refuses of a list waits in quarantine, and the pass says so; once the hook has mended, the next pass takes it out.
func TestHookRefusesARead(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		h := open(t, db, clerktest.Config{Users: 40, Seed: 45})
		refused := h.ids(40)[7]
		mended := false
		var log bytes.Buffer
		h.cfg.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn}))
		h.cfg.Mirror = h.openMirror(clerksync.Config{ReadMargin: -1, Hooks: clerksync.Hooks{clerksync.Users: {Initial: true,
			OnCreated: func(_ context.Context, _ *sqlx.Tx, c clerksync.Transition) error {
				if c.ObjectID == refused && !mended {
					return errors.New("no")
				}
				return nil
			}}}})
		h.wantCounts(h.full(), reconcile.Counts{Seen: 40, Created: 39, Quarantined: 1})
		if got := log.String(); !strings.Contains(got, "pass ended") || !strings.Contains(got, "quarantined=1") {
			t.Errorf("the log %q, want that one is quarantined", got)
		}
		if kept := h.texts(`SELECT id FROM {events} WHERE outcome = 'quarantined' AND due_at IS NULL`); !slices.Equal(kept, []string{"read:users:" + refused}) {
			t.Errorf("in quarantine: %v", kept)
		}
		mended = true
		h.wantCounts(h.full(), reconcile.Counts{Seen: 40, Unchanged: 39, Created: 1})
		if kept := h.texts(`SELECT id FROM {events}`); len(kept) != 0 {
			t.Errorf("in quarantine: %v", kept)
		}
		h.wantEqual()
	})
}

// The same of a membership, which Clerk cannot be asked for by its id: the list itself tells that it can be stored now, or is gone. A pass
// that goes on with another one's list tells nothing.
func TestHookRefusesAMembership(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		h := openWorld(t, db, clerktest.Config{Users: 8, Organizations: 2, Members: 4, Seed: 46})
		refuses, refused := true, map[string]bool{}
		h.cfg.Mirror = h.openMirror(clerksync.Config{ReadMargin: -1, Kinds: listedKinds, Hooks: clerksync.Hooks{clerksync.OrganizationMemberships: {Initial: true,
			OnCreated: func(_ context.Context, _ *sqlx.Tx, c clerksync.Transition) error {
				if refuses && (len(refused) < 2 || refused[c.ObjectID]) {
					refused[c.ObjectID] = true
					return errors.New("no")
				}
				return nil
			}}}})
		waiting := func(when string, want int) {
			t.Helper()
			if kept := h.texts(`SELECT id FROM {events} WHERE outcome = 'quarantined'`); len(kept) != want {
				t.Errorf("%s, in quarantine: %v, want %d", when, kept, want)
			}
		}
		for range 2 {
			h.full()
			waiting("while both are refused", 2)
		}
		refuses = false
		counts := h.do(reconcile.Pass{})[clerksync.OrganizationMemberships]
		if counts.Created != 2 || counts.Quarantined != 0 {
			t.Errorf("once none is refused: %+v", counts)
		}
		waiting("once none is refused", 0)
	})
}

// The database restarts in the middle of a pass: the pass fails and writes its row when the database is back; the next one goes on.
func TestDatabaseRestart(t *testing.T) {
	t.Parallel()
	cluster := pgtest.Own(t, pgtest.Options{})
	db := pgtest.Migrated(t, cluster)
	h := open(t, db, clerktest.Config{Users: 260, Seed: 44})
	h.cfg = h.cfg.WithPageSize(50)
	pages := 0
	h.cfg.Progress = func(reconcile.Progress) {
		if pages++; pages != 2 {
			return
		}
		if err := cluster.Kill(); err != nil {
			t.Error(err)
		}
		time.AfterFunc(time.Second, func() {
			if err := cluster.Restart(); err != nil {
				t.Error(err)
			}
		})
	}
	report, err := h.run(reconcile.Pass{})
	if !errors.Is(err, clerksync.ErrUnavailable) {
		t.Fatalf("error %v, want ErrUnavailable", err)
	}
	if n := h.count(`SELECT count(*) FROM {passes} WHERE finished_at IS NOT NULL AND error = $1`, report.Error); n != 1 {
		t.Errorf("%d rows of the failed pass, want 1", n)
	}
	h.cfg.Progress = nil
	h.clerk.ResetRequests()
	if got := h.full(); got.Seen != 260 {
		t.Errorf("%d seen, want 260", got.Seen)
	}
	if n := len(h.clerk.Requests()); n > 8 {
		t.Errorf("%d requests: the pass did not go on", n)
	}
	h.wantEqual()
}

// A pass with the limits of a test key stays within its half of them, so no answer is a 429, and no ten seconds see more.
func TestRateLimit(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var times []time.Time
	h := open(t, pgtest.SQLite(t), clerktest.Config{Users: 100, Seed: 45, OnRequest: func(*http.Request) {
		mu.Lock()
		defer mu.Unlock()
		times = append(times, time.Now())
	}})
	h.full()
	h.delete(h.ids(60)...)
	h.cfg.MaxDeletePercent = 100
	h.faults(clerktest.Faults{RateLimit: 100})
	h.cfg.Clerk = h.newAPI(clerksync.APIConfig{})
	h.clerk.ResetRequests()
	mu.Lock()
	times = nil
	mu.Unlock()
	report, err := h.run(reconcile.Pass{})
	if err != nil {
		t.Fatal(err)
	}
	if got := report.Resources[clerksync.Users]; got.Deleted != 60 || report.Requests < 60 || report.Retries != 0 {
		t.Errorf("%+v with %d requests and %d retries; want 60 deleted by more than 60 requests", got, report.Requests, report.Retries)
	}
	for _, r := range h.clerk.Requests() {
		if r.Status == http.StatusTooManyRequests {
			t.Fatalf("%s was answered 429", r.Path)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	const most, late = 50, 5 // late ones were sent in time, and arrived when the machine had time for them
	for i := most + late; i < len(times); i++ {
		if took := times[i].Sub(times[i-most-late]); took < 10*time.Second {
			t.Errorf("%d requests within %s", most+late+1, took)
		}
	}
}

// TestPanickingPass has a pass panic with somebody's name: its row says where, the lease is given back, and the next pass goes on.
func TestPanickingPass(t *testing.T) {
	t.Parallel()
	h := open(t, pgtest.SQLite(t), clerktest.Config{Users: 3})
	h.cfg.Progress = func(reconcile.Progress) { panic("Canaria") }
	report, err := h.run(reconcile.Pass{})
	if err == nil || strings.Contains(err.Error(), "Canaria") || !strings.Contains(err.Error(), "TestPanickingPass") {
		t.Errorf("%v, want an error that tells where it was and not with what", err)
	}
	if n := h.count(`SELECT count(*) FROM {passes} WHERE finished_at IS NOT NULL AND error LIKE 'panic: string in%'`); n != 1 || report.FinishedAt.IsZero() {
		t.Errorf("%d rows of passes tell of the panic, want 1", n)
	}
	h.cfg.Progress = nil
	if _, err := h.run(reconcile.Pass{}); err != nil {
		t.Errorf("the next pass: %v", err)
	}
}
