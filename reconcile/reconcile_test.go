package reconcile_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
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

func TestMain(m *testing.M) { pgtest.Main(m) }

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

func TestBackfill(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		h := open(t, db, clerktest.Config{Users: 1000, Seed: 1})
		got := h.full()
		if diff := cmp.Diff(reconcile.Counts{Seen: 1000, Created: 1000}, got); diff != "" {
			t.Errorf("counts (-want +got):\n%s", diff)
		}
		h.wantEqual()
		if n := h.count(`SELECT count(*) FROM {changes} WHERE op = 'created' AND initial AND source = 'reconcile'`); n != 1000 {
			t.Errorf("%d initial creations in the feed, want 1000", n)
		}
		for _, id := range h.ids(10) {
			if err := h.clerk.DeleteUser(id); err != nil {
				t.Fatal(err)
			}
		}
		got = h.full()
		want := reconcile.Counts{Seen: 990, Unchanged: 990, Deleted: 10, Candidates: 10}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("counts (-want +got):\n%s", diff)
		}
		h.wantEqual()
	})
}

var _ = fmt.Sprint
var _ = strings.ToLower
var _ = errors.Is
var _ = context.Canceled
var _ = time.Now
