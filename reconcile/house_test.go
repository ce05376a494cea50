package reconcile_test

import (
	"bytes"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"
	"github.com/jmoiron/sqlx"

	"github.com/clerksync/clerksync/clerktest"
	"github.com/clerksync/clerksync/internal/pgtest"
	"github.com/clerksync/clerksync/reconcile"
	clerksync "github.com/clerksync/clerksync/sync"
)

// house is a mirror beside the Clerk that it copies.
type house struct {
	t      *testing.T
	db     *sqlx.DB
	clerk  *clerktest.Server
	mirror *clerksync.Mirror
	api    *clerksync.API
	cfg    reconcile.Config
}

// open opens a mirror without a read margin, since it shares its clock with the emulator, on an emulator without a rate limit.
func open(t *testing.T, db *sqlx.DB, cfg clerktest.Config) *house {
	t.Helper()
	h := &house{t: t, db: db, clerk: clerktest.NewServer(t, cfg)}
	h.mirror = h.openMirror(clerksync.Config{ReadMargin: -1})
	h.api = h.newAPI(clerksync.APIConfig{RateLimit: -1})
	h.cfg = reconcile.Config{Mirror: h.mirror, Clerk: h.api}
	return h
}

func (h *house) openMirror(cfg clerksync.Config) *clerksync.Mirror {
	h.t.Helper()
	cfg.Unprepared = pgtest.Unprepared()
	m, err := clerksync.Open(h.t.Context(), h.db, cfg)
	if err != nil {
		h.t.Fatal(err)
	}
	return m
}

func (h *house) newAPI(cfg clerksync.APIConfig) *clerksync.API {
	h.t.Helper()
	cfg.SecretKey, cfg.URL = h.clerk.SecretKey(), h.clerk.URL()
	api, err := clerksync.NewAPI(cfg)
	if err != nil {
		h.t.Fatal(err)
	}
	return api
}

// run runs a pass by a reconciler of its own, as another process would.
func (h *house) run(order reconcile.Pass) (reconcile.Report, error) {
	return reconcile.New(h.cfg).Do(h.t.Context(), order)
}

// pass runs a pass that must not fail.
func (h *house) pass(order reconcile.Pass) reconcile.Counts {
	h.t.Helper()
	report, err := reconcile.New(h.cfg).Do(h.t.Context(), order)
	if err != nil {
		h.t.Fatalf("pass %+v: %v", order, err)
	}
	return report.Resources[clerksync.Users]
}

// full runs a full pass that must not fail.
func (h *house) full() reconcile.Counts {
	h.t.Helper()
	return h.pass(reconcile.Pass{})
}

// wantEqual compares the mirror's visible rows with the emulator's users, member by member.
func (h *house) wantEqual() {
	h.t.Helper()
	want := map[string]profile{}
	for id, raw := range h.clerk.Users() {
		want[id] = listed(h.t, raw)
	}
	var rows []profile
	if err := h.db.Select(&rows, h.mirror.SQL(`SELECT id, external_id, username, first_name, last_name, email, banned, locked,
public_metadata, unsafe_metadata FROM {users} WHERE deleted_at IS NULL`)); err != nil {
		h.t.Fatal(err)
	}
	got := map[string]profile{}
	for _, row := range rows {
		row.Public, row.Unsafe = canonical(h.t, row.Public), canonical(h.t, row.Unsafe)
		got[row.ID] = row
	}
	if diff := cmp.Diff(want, got); diff != "" {
		h.t.Errorf("mirror differs from Clerk (-want +got):\n%.4000s", diff)
	}
}

// profile is what the tests compare of a user.
type profile struct {
	ID         string  `db:"id" json:"id"`
	ExternalID *string `db:"external_id" json:"external_id"`
	Username   *string `db:"username" json:"username"`
	FirstName  *string `db:"first_name" json:"first_name"`
	LastName   *string `db:"last_name" json:"last_name"`
	Email      *string `db:"email" json:"-"`
	Banned     bool    `db:"banned" json:"banned"`
	Locked     bool    `db:"locked" json:"locked"`
	Public     *string `db:"public_metadata" json:"-"`
	Unsafe     *string `db:"unsafe_metadata" json:"-"`
}

func listed(t *testing.T, raw []byte) profile {
	t.Helper()
	var u struct {
		profile
		Primary *string `json:"primary_email_address_id"`
		Emails  []struct {
			ID    string `json:"id"`
			Email string `json:"email_address"`
		} `json:"email_addresses"`
		Public anyJSON `json:"public_metadata"`
		Unsafe anyJSON `json:"unsafe_metadata"`
	}
	if err := json.Unmarshal(raw, &u); err != nil {
		t.Fatal(err)
	}
	p := u.profile
	for _, e := range u.Emails {
		if u.Primary != nil && e.ID == *u.Primary {
			p.Email = &e.Email
		}
	}
	public, unsafe := string(u.Public), string(u.Unsafe)
	p.Public, p.Unsafe = canonical(t, &public), canonical(t, &unsafe)
	return p
}

type anyJSON []byte

func (a *anyJSON) UnmarshalJSON(b []byte) error { *a = bytes.Clone(b); return nil }

func canonical(t *testing.T, s *string) *string {
	t.Helper()
	if s == nil || *s == "" || *s == "null" {
		return nil
	}
	var v any
	if err := json.Unmarshal([]byte(*s), &v); err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(v, json.Deterministic(true))
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	return &text
}

// ids returns the ids of n of the emulator's users.
func (h *house) ids(n int) []string {
	h.t.Helper()
	var ids []string
	for id := range h.clerk.Users() {
		if ids = append(ids, id); len(ids) == n {
			return ids
		}
	}
	h.t.Fatalf("the emulator has only %d users", len(ids))
	return nil
}

func (h *house) count(query string, args ...any) (n int) {
	h.t.Helper()
	if err := h.db.Get(&n, h.mirror.SQL(query), args...); err != nil {
		h.t.Fatal(err)
	}
	return n
}

func (h *house) texts(query string) (all []string) {
	h.t.Helper()
	if err := h.db.Select(&all, h.mirror.SQL(query)); err != nil {
		h.t.Fatal(err)
	}
	return all
}

func (h *house) write(query string, args ...any) {
	h.t.Helper()
	if _, err := h.db.Exec(h.mirror.SQL(query), args...); err != nil {
		h.t.Fatal(err)
	}
}

// age makes the mirror believe that it last saw its users so much earlier.
func (h *house) age(by time.Duration) {
	h.t.Helper()
	h.write(`UPDATE {users} SET _alive_at = _alive_at - $1 WHERE _dead_at < 0`, by.Milliseconds())
}

func (h *house) delete(ids ...string) {
	h.t.Helper()
	for _, id := range ids {
		if err := h.clerk.DeleteUser(id); err != nil {
			h.t.Fatal(err)
		}
	}
}

func (h *house) update(id string, fields clerktest.Fields) {
	h.t.Helper()
	if err := h.clerk.UpdateUser(id, fields); err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) faults(f clerktest.Faults) {
	h.t.Helper()
	if err := h.clerk.SetFaults(f); err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) wantCounts(got, want reconcile.Counts) {
	h.t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		h.t.Errorf("counts (-want +got):\n%s", diff)
	}
}

// clock is the emulator's, which a test sets back to make changes that happened a while ago. The Date header follows it, so it
// must be right again before a pass.
type clock struct{ behind atomic.Int64 }

func (c *clock) now() time.Time       { return time.Now().Add(-time.Duration(c.behind.Load())) }
func (c *clock) back(d time.Duration) { c.behind.Store(int64(d)) }
