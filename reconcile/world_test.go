package reconcile_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jmoiron/sqlx"

	"github.com/clerksync/clerksync/clerktest"
	"github.com/clerksync/clerksync/reconcile"
	clerksync "github.com/clerksync/clerksync/sync"
)

// listedKinds are the kinds that a full pass walks, in its order.
var listedKinds = []clerksync.Kind{
	clerksync.Users, clerksync.Organizations, clerksync.OrganizationMemberships, clerksync.OrganizationInvitations, clerksync.Invitations,
}

// openWorld opens a mirror of all that Clerk lists, and of sessions, which it does not list.
func openWorld(t *testing.T, db *sqlx.DB, cfg clerktest.Config) *house {
	t.Helper()
	h := open(t, db, cfg)
	h.mirror = h.openMirror(clerksync.Config{ReadMargin: -1, Kinds: append([]clerksync.Kind{clerksync.Sessions}, listedKinds...)})
	h.cfg.Mirror = h.mirror
	return h
}

// do runs a pass that must not fail, and returns the counts of each kind.
func (h *house) do(order reconcile.Pass) map[clerksync.Kind]reconcile.Counts {
	h.t.Helper()
	report, err := h.run(order)
	if err != nil {
		h.t.Fatalf("pass %+v: %v", order, err)
	}
	return report.Resources
}

func (h *house) wantResources(got, want map[clerksync.Kind]reconcile.Counts) {
	h.t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		h.t.Errorf("counts (-want +got):\n%s", diff)
	}
}

// told is what the tests compare of a kind: columns of the view that an application reads, and where Clerk's list tells them.
type told struct {
	kind    clerksync.Kind
	columns []string
	members []string // a dot leads into an object
}

var everything = []told{
	{clerksync.Users, []string{"id", "username", "first_name"}, []string{"id", "username", "first_name"}},
	{clerksync.Organizations, []string{"id", "name", "slug"}, []string{"id", "name", "slug"}},
	{clerksync.OrganizationMemberships, []string{"id", "organization_id", "user_id", "role"},
		[]string{"id", "organization.id", "public_user_data.user_id", "role"}},
	{clerksync.OrganizationInvitations, []string{"id", "organization_id", "email_address", "status"},
		[]string{"id", "organization_id", "email_address", "status"}},
	{clerksync.Invitations, []string{"id", "email_address", "status"}, []string{"id", "email_address", "status"}},
}

// wantWorld compares all that is active in the mirror with the emulator. Revoked invitations to the application are in no list that
// a pass walks, so they are left out.
func (h *house) wantWorld() {
	h.t.Helper()
	for _, w := range everything {
		fields := make([]string, len(w.columns))
		for i, c := range w.columns {
			fields[i] = "coalesce(" + c + ", '')"
		}
		got := h.texts(`SELECT ` + strings.Join(fields, ` || ' ' || `) + ` FROM {active_` + string(w.kind) + `}`)
		var want []string
		for _, raw := range h.clerk.Objects(string(w.kind)) {
			want = append(want, w.line(h.t, raw))
		}
		if w.kind == clerksync.Invitations {
			revoked := func(line string) bool { return strings.HasSuffix(line, " revoked") }
			want, got = slices.DeleteFunc(want, revoked), slices.DeleteFunc(got, revoked)
		}
		slices.Sort(want)
		slices.Sort(got)
		if diff := cmp.Diff(want, got); diff != "" {
			h.t.Errorf("%s differ from Clerk (-want +got):\n%.4000s", w.kind, diff)
		}
	}
}

func (w told) line(t *testing.T, raw []byte) string {
	t.Helper()
	var object map[string]any
	if err := json.Unmarshal(raw, &object); err != nil {
		t.Fatal(err)
	}
	fields := make([]string, len(w.members))
	for i, path := range w.members {
		in := object
		for outer, inner, nested := strings.Cut(path, "."); nested; outer, inner, nested = strings.Cut(inner, ".") {
			in, path = in[outer].(map[string]any), inner
		}
		if s, ok := in[path].(string); ok {
			fields[i] = s
		}
	}
	return strings.Join(fields, " ")
}

// wantNothingHidden fails if a row is hidden whose object Clerk has.
func (h *house) wantNothingHidden() {
	h.t.Helper()
	for _, kind := range listedKinds {
		for _, id := range h.texts(`SELECT id FROM {` + string(kind) + `} WHERE deleted_at IS NOT NULL`) {
			if h.clerk.Object(string(kind), id) != nil {
				h.t.Fatalf("%s of %s is hidden, and Clerk has it", id, kind)
			}
		}
	}
}

// rows are the versions of all rows that a pass could write.
func (h *house) rows() (all []string) {
	h.t.Helper()
	for _, kind := range append([]clerksync.Kind{clerksync.Sessions}, listedKinds...) {
		query := `SELECT id || ' ' || _seen_at || ' ' || _version FROM {` + string(kind) + `} ORDER BY id`
		if h.db.DriverName() != "sqlite" {
			query = `SELECT id || ' ' || xmin || ' ' || ctid FROM {` + string(kind) + `} ORDER BY id`
		}
		all = append(all, h.texts(query)...)
	}
	for _, table := range []string{"changes", "events", "plans"} {
		all = append(all, fmt.Sprint(table, " ", h.count(`SELECT count(*) FROM {`+table+`}`)))
	}
	return all
}

// first returns the ids of the first n objects of a kind that Clerk has.
func (h *house) first(kind clerksync.Kind, n int) (ids []string) {
	h.t.Helper()
	for id := range h.clerk.Objects(string(kind)) {
		if ids = append(ids, id); len(ids) == n {
			return ids
		}
	}
	h.t.Fatalf("the emulator has only %d %s", len(ids), kind)
	return nil
}

// requests counts the requests for a path since they were last reset.
func (h *house) requests(path string) (n int) {
	for _, r := range h.clerk.Requests() {
		if r.Path == path {
			n++
		}
	}
	return n
}

// member tells whose membership of which organization an id is.
func (h *house) member(id string) (organization, user string) {
	h.t.Helper()
	of := told{members: []string{"organization.id", "public_user_data.user_id"}}
	organization, user, _ = strings.Cut(of.line(h.t, h.clerk.Object("organization_memberships", id)), " ")
	return organization, user
}

func (h *house) removeMembers(ids ...string) {
	h.t.Helper()
	for _, id := range ids {
		if err := h.clerk.RemoveMember(h.member(id)); err != nil {
			h.t.Fatal(err)
		}
	}
}

// haunt makes the mirror believe in an object of a kind that Clerk does not have: its deletion was never told.
func (h *house) haunt(kind clerksync.Kind) (id string) {
	h.t.Helper()
	like := h.first(kind, 1)[0]
	id = like[:len(like)-5] + "ghost"
	raw := strings.Replace(string(h.clerk.Object(string(kind), like)), like, id, 1)
	_, err := h.mirror.Apply(h.t.Context(), clerksync.Evidence{
		Kind: kind, Object: []byte(raw), At: time.Now().Add(-time.Hour).UnixMilli(), Source: clerksync.Webhook,
		Event: &clerksync.Event{ID: "msg_" + id, Type: kind.Singular() + ".created", ObjectID: id, InstanceID: h.clerk.InstanceID()},
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return id
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
