package upsert_test

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/clerksync/clerksync/clerktest"
	"github.com/clerksync/clerksync/internal/pgtest"
	clerksync "github.com/clerksync/clerksync/sync"
	"github.com/clerksync/clerksync/upsert"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// house is a mirror, the Clerk that it copies, and the logins between them.
type house struct {
	t      *testing.T
	db     *sqlx.DB
	net    network
	mirror *clerksync.Mirror
	clerk  *clerktest.Clerk
	logins *upsert.Upserter
	told   *results

	// asked, if set, is called when Clerk is asked for a user, before it answers.
	asked atomic.Pointer[func()]
}

// network is how a Clerk is reached.
type network struct {
	clerk     *clerktest.Clerk
	url       string
	transport http.RoundTripper
}

// loopback is a Clerk that listens.
func loopback(t *testing.T, cfg clerktest.Config) network {
	t.Helper()
	server := clerktest.NewServer(t, cfg)
	transport := &http.Transport{MaxIdleConnsPerHost: 64}
	t.Cleanup(transport.CloseIdleConnections)
	return network{server.Clerk, server.URL(), transport}
}

// build makes a house whose Clerk the given network leads to.
func build(t *testing.T, db *sqlx.DB, reach func(*testing.T, clerktest.Config) network, edit ...func(*upsert.Config)) *house {
	t.Helper()
	h := &house{t: t, db: db, told: &results{}}
	h.net = reach(t, clerktest.Config{Seed: 1, OnRequest: func(r *http.Request) {
		if f := h.asked.Load(); f != nil && strings.HasPrefix(r.URL.Path, "/v1/users/") {
			(*f)()
		}
	}})
	h.clerk = h.net.clerk
	var err error
	h.mirror, err = clerksync.Open(t.Context(), db, clerksync.Config{Unprepared: pgtest.Unprepared(), InstanceID: h.clerk.InstanceID(),
		Kinds: []clerksync.Kind{clerksync.Users, clerksync.Organizations, clerksync.OrganizationMemberships}})
	if err != nil {
		t.Fatal(err)
	}
	h.logins = h.loginsTo(h.net, h.told, edit...)
	return h
}

// loginsTo is a login helper of the mirror that has the key of the Clerk which the network leads to.
func (h *house) loginsTo(n network, told *results, edit ...func(*upsert.Config)) *upsert.Upserter {
	h.t.Helper()
	api, err := clerksync.NewAPI(clerksync.APIConfig{SecretKey: n.clerk.SecretKey(), URL: n.url, RateLimit: -1, Transport: n.transport})
	if err != nil {
		h.t.Fatal(err)
	}
	cfg := upsert.Config{
		Mirror: h.mirror, Clerk: api,
		Logger:  slog.New(slog.NewTextHandler(io.Discard, nil)),
		Observe: told.add,
	}
	for _, f := range edit {
		f(&cfg)
	}
	logins, err := upsert.New(cfg)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(logins.Close)
	return logins
}

// lines are what a logger wrote.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// numbers tells users and messages apart.
var numbers atomic.Int64

// signUp makes a user in Clerk, of whom the mirror has not heard.
func (h *house) signUp() (id string) {
	h.t.Helper()
	address := fmt.Sprintf("ada+%d@example.com", numbers.Add(1))
	id, err := h.clerk.CreateUser(clerktest.Fields{"first_name": "Ada", "email_address": []string{address}})
	if err != nil {
		h.t.Fatal(err)
	}
	return id
}

// changed makes Clerk's updated_at of the user what it would be had the last write been that long ago.
func (h *house) changed(id string, ago time.Duration) {
	h.t.Helper()
	if err := h.clerk.UpdateUser(id, clerktest.Fields{"updated_at": time.Now().Add(-ago).UnixMilli()}); err != nil {
		h.t.Fatal(err)
	}
}

// leave deletes the user in Clerk, of which the mirror hears nothing.
func (h *house) leave(id string) {
	h.t.Helper()
	if err := h.clerk.DeleteUser(id); err != nil {
		h.t.Fatal(err)
	}
}

// tell merges the user as an event of that age would tell it.
func (h *house) tell(id string, ago time.Duration) {
	h.t.Helper()
	h.apply(clerksync.Evidence{Kind: clerksync.Users, ID: id, Object: h.clerk.User(id), At: time.Now().Add(-ago).UnixMilli()})
}

// tellGone merges the user's deletion as an event of that age would tell it.
func (h *house) tellGone(id string, ago time.Duration) {
	h.t.Helper()
	h.apply(clerksync.Evidence{Kind: clerksync.Users, ID: id, At: time.Now().Add(-ago).UnixMilli()})
}

func (h *house) apply(e clerksync.Evidence) {
	h.t.Helper()
	e.Source = clerksync.Webhook
	e.Event = &clerksync.Event{ID: fmt.Sprintf("msg_%d", numbers.Add(1)), Type: "user.event", InstanceID: h.clerk.InstanceID()}
	if _, err := h.mirror.Apply(h.t.Context(), e); err != nil {
		h.t.Fatal(err)
	}
}

// mirrored makes a user whom both know, and whom the mirror last heard of that long ago.
func (h *house) mirrored(ago time.Duration) (id string) {
	h.t.Helper()
	id = h.signUp()
	h.changed(id, ago+time.Hour)
	h.tell(id, ago)
	return id
}

// asks counts the requests that Clerk has answered, or has not, for a path such as "/v1/instance" or below "/v1/users/".
func (h *house) asks(path string) (n int) {
	for _, r := range h.clerk.Requests() {
		if strings.HasPrefix(r.Path, path) {
			n++
		}
	}
	return n
}

func (h *house) faults(f clerktest.Faults) {
	h.t.Helper()
	if err := h.clerk.SetFaults(f); err != nil {
		h.t.Fatal(err)
	}
}

// row is what of a user's row a login can move.
type row struct {
	ID, Email, Source          string
	Visible                    bool
	Alive, Updated, Seen, Dead int64
	Version                    int64
	SyncedAt                   time.Time
}

// rows returns all rows of users by id.
func (h *house) rows() (all []row) {
	h.t.Helper()
	err := h.db.SelectContext(h.t.Context(), &all, h.mirror.SQL(`SELECT id, coalesce(email, '') AS email, source, deleted_at IS NULL AS visible,
_alive_at AS alive, _updated_at AS updated, _seen_at AS seen, _dead_at AS dead, _version AS version, synced_at AS syncedat FROM {users} ORDER BY id`))
	if err != nil {
		h.t.Fatal(err)
	}
	return all
}

func (h *house) row(id string) row {
	h.t.Helper()
	all := h.rows()
	i := slices.IndexFunc(all, func(r row) bool { return r.ID == id })
	if i < 0 {
		h.t.Fatalf("the mirror has no row of %s", id)
	}
	return all[i]
}

// results are what Config.Observe was told.
type results struct {
	mu  sync.Mutex
	all []string
}

func (r *results) add(result string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, result)
}

// take returns the results since the last call.
func (r *results) take() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	defer func() { r.all = nil }()
	return r.all
}
