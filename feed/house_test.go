package feed_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"
	svix "github.com/svix/svix-webhooks/go"

	"github.com/clerksync/clerksync/feed"
	"github.com/clerksync/clerksync/internal/pgtest"
	clerksync "github.com/clerksync/clerksync/sync"
)

// TestMain makes the test binary a process with a hook where it is told so.
func TestMain(m *testing.M) {
	if address := os.Getenv(hookedDatabase); address != "" {
		hook(address)
	}
	pgtest.Main(m)
}

const (
	instance = "ins_2test"
	secret   = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
)

func open(t testing.TB, db *sqlx.DB) *clerksync.Mirror {
	t.Helper()
	m, err := clerksync.Open(t.Context(), db, clerksync.Config{Unprepared: pgtest.Unprepared(), InstanceID: instance, Kinds: []clerksync.Kind{
		clerksync.Users, clerksync.Organizations, clerksync.OrganizationMemberships,
	}})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// user is a user's JSON; each at makes another version of it.
func user(id string, at time.Time) clerksync.Evidence {
	return told(clerksync.Users, at, fmt.Sprintf(`{"id":%q,"object":"user","first_name":"Ada %d","created_at":%d,"updated_at":%[2]d}`,
		id, at.UnixMilli(), at.UnixMilli()))
}

// gone is the deletion of a user.
func gone(id string, at time.Time) clerksync.Evidence {
	e := told(clerksync.Users, at, "")
	e.ID, e.Object = id, nil
	return e
}

// told is evidence from a webhook.
func told(k clerksync.Kind, at time.Time, object string) clerksync.Evidence {
	return clerksync.Evidence{
		Kind: k, Object: []byte(object), At: at.UnixMilli(), Source: clerksync.Webhook,
		Event: &clerksync.Event{ID: "msg_" + strconv.FormatInt(messages.next(), 10), InstanceID: instance, OccurredAt: at},
	}
}

var messages counter

type counter struct {
	mu sync.Mutex
	n  int64
}

func (c *counter) next() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n++
	return c.n
}

func apply(t testing.TB, m *clerksync.Mirror, evidence ...clerksync.Evidence) {
	t.Helper()
	results, err := m.Apply(t.Context(), evidence...)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range results {
		if r.Outcome == clerksync.Quarantined {
			t.Fatal("quarantined: ", r.Reason)
		}
	}
}

// event is a CloudEvent as receivers read it.
type event struct {
	SpecVersion string `json:"specversion"`
	ID          string `json:"id"`
	Source      string `json:"source"`
	Type        string `json:"type"`
	Subject     string `json:"subject"`
	Time        time.Time
	ContentType string `json:"datacontenttype"`
	Data        struct {
		Resource string          `json:"resource"`
		ID       string          `json:"id"`
		Op       string          `json:"op"`
		Version  int             `json:"version"`
		Initial  bool            `json:"initial"`
		Object   json.RawMessage `json:"object"`
	} `json:"data"`
}

// inbox is a receiver over HTTP that keeps what it takes.
type inbox struct {
	t      testing.TB
	server *httptest.Server
	refuse func(n int64, w http.ResponseWriter) bool // answers the nth post itself, if not nil and true

	posts counter
	mu    sync.Mutex
	ids   []string
	taken []event
}

func newInbox(t testing.TB, refuse func(int64, http.ResponseWriter) bool) *inbox {
	b := &inbox{t: t, refuse: refuse}
	b.server = httptest.NewServer(b)
	t.Cleanup(b.server.Close)
	return b
}

func (b *inbox) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	if n := b.posts.next(); b.refuse != nil && b.refuse(n, w) {
		return
	}
	verifier, err := svix.NewWebhook(secret)
	if err == nil {
		err = verifier.Verify(body, r.Header)
	}
	var e event
	if err == nil {
		err = json.Unmarshal(body, &e)
	}
	if err != nil {
		b.t.Errorf("a post is not as it should be: %v\n%s", err, body)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ids, b.taken = append(b.ids, r.Header.Get("Webhook-Id")), append(b.taken, e)
	w.WriteHeader(http.StatusNoContent)
}

func (b *inbox) events() []event {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]event(nil), b.taken...)
}

// relay returns a relay to the inbox.
func (b *inbox) relay(name string) feed.Relay {
	return feed.Relay{Name: name, Receiver: httpReceiver(b.t, b.server.URL)}
}

func httpReceiver(t testing.TB, url string) feed.Receiver {
	t.Helper()
	r, err := feed.NewHTTP(feed.HTTPConfig{URL: url, Secrets: []string{secret}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

// run runs relays until the function that it returns is called or the test ends.
func run(t testing.TB, m *clerksync.Mirror, relays ...feed.Relay) (stop func()) {
	t.Helper()
	return runAll(t, feed.Config{Mirror: m, Relays: relays})
}

func runAll(t testing.TB, cfg feed.Config) (stop func()) {
	t.Helper()
	f, err := feed.New(cfg.WithPauses(time.Millisecond, 50*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- f.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return stop
}

// lines is what a logger wrote.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// eventually fails the test unless ok becomes true.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("waiting for ", what)
		}
	}
}

// last returns the seq of the last change.
func last(t testing.TB, m *clerksync.Mirror) int64 {
	t.Helper()
	_, seq, err := m.FeedEnds(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return seq
}

// position returns how far a relay is by its row.
func position(t testing.TB, m *clerksync.Mirror, name string) int64 {
	t.Helper()
	all, err := feed.Positions(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range all {
		if p.Relay == name {
			return p.Seq
		}
	}
	return -1
}

// wantAll compares what was taken with the table of changes: every change, in its order. Again reports whether changes may come again.
func wantAll(t testing.TB, m *clerksync.Mirror, taken []event, again bool) {
	t.Helper()
	changes, err := m.Changes(t.Context(), 0, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	var first []event
	for _, e := range taken {
		if !seen[e.ID] {
			first = append(first, e)
		} else if !again {
			t.Errorf("change %s came twice", e.ID)
		}
		seen[e.ID] = true
	}
	if len(first) != len(changes) {
		t.Fatalf("%d changes came, want %d", len(first), len(changes))
	}
	for i, c := range changes {
		if e := first[i]; e.ID != strconv.FormatInt(c.Seq, 10) || e.Subject != c.ObjectID || e.Data.Version != int(c.Version) {
			t.Fatalf("change %d is %+v, want %+v", i, e, c)
		}
	}
}
