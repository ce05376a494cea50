package erasure_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/clerksync/clerksync/clerktest"
	"github.com/clerksync/clerksync/erasure"
	"github.com/clerksync/clerksync/internal/pgtest"
	clerksync "github.com/clerksync/clerksync/sync"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// house is a mirror beside the Clerk that it copies, with users of a week ago.
type house struct {
	t      *testing.T
	db     *sqlx.DB
	clerk  *clerktest.Server
	mirror *clerksync.Mirror
	cfg    erasure.Config
}

// week is when the tests' users were created and last changed.
var week = time.Now().Add(-7 * 24 * time.Hour)

func open(t *testing.T, db *sqlx.DB) *house {
	t.Helper()
	h := &house{t: t, db: db, clerk: clerktest.NewServer(t, clerktest.Config{})}
	mirror, err := clerksync.Open(t.Context(), db, clerksync.Config{Unprepared: pgtest.Unprepared(), ReadMargin: -1, Kinds: clerksync.Kinds()})
	if err != nil {
		t.Fatal(err)
	}
	h.mirror = mirror
	h.cfg = erasure.Config{Mirror: mirror, Clerk: h.api(), After: -1}
	return h
}

func (h *house) api() *clerksync.API {
	h.t.Helper()
	api, err := clerksync.NewAPI(clerksync.APIConfig{SecretKey: h.clerk.SecretKey(), URL: h.clerk.URL(), RateLimit: -1})
	if err != nil {
		h.t.Fatal(err)
	}
	return api
}

// user makes a user in Clerk, of whom an event has told the mirror.
func (h *house) user(name string) (id string) {
	h.t.Helper()
	id, err := h.clerk.CreateUser(clerktest.Fields{"first_name": name, "created_at": week.Format(time.RFC3339)})
	if err != nil {
		h.t.Fatal(err)
	}
	if err := h.clerk.UpdateUser(id, clerktest.Fields{"updated_at": week.UnixMilli()}); err != nil {
		h.t.Fatal(err)
	}
	h.tell(clerksync.Users, id, h.clerk.User(id), week)
	return id
}

// tell applies an event about an object; without an object, the event of its deletion.
func (h *house) tell(k clerksync.Kind, id string, object []byte, at time.Time) {
	h.t.Helper()
	_, err := h.mirror.Apply(h.t.Context(), clerksync.Evidence{
		Kind: k, ID: id, Object: object, At: at.UnixMilli(), Source: clerksync.Webhook,
		Event: &clerksync.Event{ID: fmt.Sprintf("msg_%s_%d", id, at.UnixNano()), Type: "told", ObjectID: id, InstanceID: h.clerk.InstanceID()},
	})
	if err != nil {
		h.t.Fatal(err)
	}
}

// deleted tells of a deletion, an hour ago.
func (h *house) deleted(id string) {
	h.t.Helper()
	h.tell(clerksync.Users, id, nil, time.Now().Add(-time.Hour))
}

// leave has a user leave Clerk, and tells of it.
func (h *house) leave(id string) {
	h.t.Helper()
	must(h.t, h.clerk.DeleteUser(id))
	h.deleted(id)
}

// run runs what is due and must not fail.
func (h *house) run() erasure.Report {
	h.t.Helper()
	report, err := erasure.New(h.cfg).RunOnce(h.t.Context())
	if err != nil {
		h.t.Fatal(err)
	}
	return report
}

// is describes a user's row.
func (h *house) is(id string) string {
	h.t.Helper()
	var row struct {
		Hidden bool `db:"hidden"`
		Erased bool `db:"erased"`
		Named  bool `db:"named"`
	}
	err := h.db.Get(&row, h.mirror.SQL(`SELECT deleted_at IS NOT NULL AS hidden, erased_at IS NOT NULL AS erased, data IS NOT NULL AND first_name IS NOT NULL AS named
FROM {users} WHERE id = $1`), id)
	if err != nil {
		h.t.Fatal(err)
	}
	switch {
	case row.Erased && row.Hidden && !row.Named:
		return "erased"
	case !row.Erased && row.Hidden && row.Named:
		return "hidden"
	case !row.Erased && !row.Hidden && row.Named:
		return "visible"
	}
	return fmt.Sprintf("%+v", row)
}

// want checks users' rows.
func (h *house) want(want map[string]string) {
	h.t.Helper()
	for id, state := range want {
		if got := h.is(id); got != state {
			h.t.Errorf("%s is %s, want %s", id, got, state)
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
