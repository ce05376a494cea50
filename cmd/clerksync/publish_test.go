package main_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	svix "github.com/svix/svix-webhooks/go"

	"github.com/clerksync/clerksync/clerktest"
	"github.com/clerksync/clerksync/internal/pgtest"
)

const publishSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

// told is a change as a receiver got it.
type told struct {
	ID      string `json:"id"`
	Source  string `json:"source"`
	Subject string `json:"subject"`
	Type    string `json:"type"`
	Data    struct {
		Version int             `json:"version"`
		Op      string          `json:"op"`
		Object  json.RawMessage `json:"object"`
	} `json:"data"`
}

// subscriber is a receiver of the change feed.
type subscriber struct {
	*httptest.Server
	mu    sync.Mutex
	posts int
	got   []told
}

// subscribe starts a receiver that refuses every nth post; 0 means none.
func subscribe(t *testing.T, nth int) *subscriber {
	s := &subscriber{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.posts++; nth > 0 && s.posts%nth == 0 {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		verifier, err := svix.NewWebhook(publishSecret)
		if err == nil {
			err = verifier.Verify(body, r.Header)
		}
		var m told
		if err == nil {
			err = json.Unmarshal(body, &m)
		}
		if err != nil {
			t.Errorf("a post is not as it should be: %v", err)
		}
		s.got = append(s.got, m)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *subscriber) messages() []told {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.got)
}

// jetStream starts a NATS server with a stream, and returns its address with the stream and a function that reads the stream.
func jetStream(t *testing.T) (url string, read func() []told) {
	t.Helper()
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: -1, JetStream: true, StoreDir: t.TempDir(), NoLog: true, NoSigs: true})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	conn, err := nats.Connect(s.ClientURL(), nats.RetryOnFailedConnect(true))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "CLERK", Subjects: []string{"clerk.>"}})
	if err != nil {
		t.Fatal(err)
	}
	return s.ClientURL() + "/CLERK", func() (all []told) {
		info, err := stream.Info(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for seq := range info.State.LastSeq {
			raw, err := stream.GetMsg(t.Context(), seq+1)
			if err != nil {
				t.Fatal(err)
			}
			var m told
			if err := json.Unmarshal(raw.Data, &m); err != nil {
				t.Fatal(err)
			}
			all = append(all, m)
		}
		return all
	}
}

// wantFeed compares what a receiver got with the table of changes: all of it, in its order but for what came again.
func wantFeed(t *testing.T, db *sqlx.DB, name string, got []told) {
	t.Helper()
	var want, first []string
	if err := db.SelectContext(t.Context(), &want, `SELECT seq::text FROM clerk.changes WHERE NOT initial ORDER BY changes.seq`); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, m := range got {
		if !seen[m.ID] {
			first = append(first, m.ID)
		}
		seen[m.ID] = true
	}
	if !slices.Equal(first, want) {
		t.Errorf("%s got the changes\n%v, want\n%v", name, first, want)
	}
}

// TestPublish kills serve in the middle of a stream of changes. A receiver that takes all, one that fails half of the time and
// a stream of JetStream get every change, in order; one that is not there keeps nobody up.
func TestPublish(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t)
	db := connect(t, url)
	clerk := emulate(t, clerktest.Config{Users: 20})
	good, flaky := subscribe(t, 0), subscribe(t, 2)
	stream, read := jetStream(t)
	env := environment(clerk, url, "CLERKSYNC_PUBLISH_SECRET="+publishSecret,
		"CLERKSYNC_PUBLISH="+strings.Join([]string{good.URL + "#good", flaky.URL + "#flaky", stream, "http://127.0.0.1:1/s3cret#dead"}, ","))
	d := serve(t, clerk, env)
	clerk.SetWebhookURL(d.webhook)
	for round := range 2 {
		for n := range 15 {
			if _, err := clerk.CreateUser(clerktest.Fields{"first_name": fmt.Sprint("Ada ", round, n)}); err != nil {
				t.Fatal(err)
			}
		}
		if round == 1 {
			break
		}
		eventually(t, 30*time.Second, "something to be delivered", func() bool { return len(flaky.messages()) > 5 })
		d.signal(syscall.SIGKILL)
		d = serve(t, clerk, env)
		clerk.SetWebhookURL(d.webhook)
	}
	var total int
	eventually(t, time.Minute, "every change to be made and delivered", func() bool { // a pass brings what the killed process did not take
		total = count(t, db, `SELECT count(*) FROM clerk.changes WHERE NOT initial`)
		return count(t, db, `SELECT count(*) FROM clerk.passes WHERE kind = 'full' AND complete`) > 0 && total >= 30 &&
			len(read()) >= total && len(good.messages()) >= total && len(flaky.messages()) >= total
	})
	_, metrics := get(t, d.admin+"/metrics")
	d.signal(syscall.SIGTERM)
	d.wantExit(0, 25*time.Second)
	wantFeed(t, db, "the good receiver", good.messages())
	wantFeed(t, db, "the flaky receiver", flaky.messages())
	inStream := read()
	wantFeed(t, db, "JetStream", inStream)
	if len(inStream) != total {
		t.Errorf("the stream has %d messages of %d changes: it took some twice", len(inStream), total)
	}
	for _, want := range []string{`feed_published_total{relay="good"}`, `feed_failures_total{relay="dead"}`, `feed_oldest_unpublished_seconds{relay="dead"}`} {
		if !strings.Contains(metrics, want) {
			t.Errorf("the metrics lack %s", want)
		}
	}
	if out, _ := run(t, 0, []string{"DATABASE_URL=" + url}, "status"); !strings.Contains(out, "relay dead") || strings.Contains(out+d.stderr.String(), "s3cret") {
		t.Errorf("the status does not tell of the dead relay, or it or the log tells its URL:\n%s", out)
	}
}

// TestPublishSecretIsRenewed changes what posts are signed with while a receiver waits for the next secret.
func TestPublishSecretIsRenewed(t *testing.T) {
	t.Parallel()
	file, next := filepath.Join(t.TempDir(), "publish"), fresh(t)
	write(t, file, publishSecret+"\n")
	var signed atomic.Pointer[string] // the secret that the last post was signed with
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		for _, secret := range []string{publishSecret, next} {
			if verifier, err := svix.NewWebhook(secret); err == nil && verifier.Verify(body, r.Header) == nil {
				signed.Store(&secret)
			}
		}
		w.WriteHeader(http.StatusServiceUnavailable) // so that it comes again
	}))
	t.Cleanup(site.Close)
	clerk := emulate(t, clerktest.Config{Users: 1})
	d := serve(t, clerk, environment(clerk, "sqlite:mirror.db", "CLERKSYNC_PUBLISH="+site.URL, "CLERKSYNC_PUBLISH_SECRET_FILE="+file,
		"CLERKSYNC_PUBLISH_INITIAL=true", "CLERKSYNC_RESOURCES=users"))
	by := func(secret string) func() bool {
		return func() bool { last := signed.Load(); return last != nil && *last == secret }
	}
	eventually(t, 20*time.Second, "a post", by(publishSecret))
	write(t, file, next)
	d.signal(syscall.SIGHUP)
	eventually(t, 20*time.Second, "a post that is signed with the next secret", by(next))
	d.signal(syscall.SIGTERM)
	d.wantExit(0, 25*time.Second)
	if log := d.stderr.String(); strings.Contains(log, next[6:]) || strings.Contains(log, publishSecret[6:]) {
		t.Error("the log holds a secret")
	}
}

// TestPublishAtNight has reconcile deliver what there is, with the objects, and fail when it cannot.
func TestPublishAtNight(t *testing.T) {
	t.Parallel()
	clerk := emulate(t, clerktest.Config{Users: 3})
	s := subscribe(t, 0)
	env := environment(clerk, "sqlite:"+t.TempDir()+"/mirror.db", "CLERKSYNC_PUBLISH="+s.URL, "CLERKSYNC_PUBLISH_SECRET="+publishSecret,
		"CLERKSYNC_PUBLISH_INITIAL=true", "CLERKSYNC_RESOURCES=users")
	run(t, 0, env, "reconcile", "--publish-data")
	got := s.messages()
	if len(got) != 3 || len(got[0].Data.Object) == 0 {
		t.Fatalf("the receiver got %d changes, want three users with their objects", len(got))
	}
	if _, err := clerk.CreateUser(clerktest.Fields{"first_name": "Grace"}); err != nil {
		t.Fatal(err)
	}
	s.Close()
	if _, stderr := run(t, 1, env, "reconcile"); !strings.Contains(stderr, "127.0.0.1-") {
		t.Errorf("the failure does not name the relay:\n%s", stderr)
	}
}

// TestPullChanges reads the feed from the admin listener, which asks who asks.
func TestPullChanges(t *testing.T) {
	t.Parallel()
	clerk := emulate(t, clerktest.Config{})
	d := serve(t, clerk, environment(clerk, "sqlite:mirror.db", "CLERKSYNC_ADMIN_TOKEN=a-token"))
	clerk.SetWebhookURL(d.webhook)
	id, err := clerk.CreateUser(clerktest.Fields{"first_name": "Ada"})
	if err != nil {
		t.Fatal(err)
	}
	token := []string{"Authorization", "Bearer a-token"}
	eventually(t, 20*time.Second, "the change", func() bool {
		code, body := get(t, d.admin+"/api/changes?after=0", token...)
		return code == http.StatusOK && strings.Contains(body, `"type":"com.clerk.user.created","subject":"`+id)
	})
	if code, _ := get(t, d.admin+"/api/changes"); code != http.StatusUnauthorized {
		t.Errorf("without the token: %d, want 401", code)
	}
}

// TestPublishToAnyHost publishes to hosts whose names are longer than a relay's may be, or of other letters: it begins as with any other, and
// tells that they cannot be reached.
func TestPublishToAnyHost(t *testing.T) {
	t.Parallel()
	clerk := emulate(t, clerktest.Config{Users: 1})
	long := strings.TrimSuffix(strings.Repeat("hook.", 45), ".") + ".invalid"
	fits := strings.Repeat("a", 40) + "." + strings.Repeat("b", 42) + ".invalid"
	_, stderr := run(t, 1, environment(clerk, "sqlite:"+t.TempDir()+"/mirror.db", "CLERKSYNC_PUBLISH_SECRET="+publishSecret, "CLERKSYNC_PUBLISH_INITIAL=true",
		"CLERKSYNC_PUBLISH=https://"+long+"/x,https://"+fits+"/x,https://b\u00fccher.invalid/x,https://[fe80::1%25none]/x"), "reconcile")
	for _, want := range []string{"hook.hook.", fits + "-", "b-cher.invalid-", "fe80::1-none-"} {
		if !strings.Contains(stderr, "delivering changes to "+want) {
			t.Errorf("nothing tells of the relay %s:\n%s", want, stderr)
		}
	}
}

func TestPublishMistakes(t *testing.T) {
	t.Parallel()
	for publish, want := range map[string]string{
		"http://example.com/hunter2":                      "number 1 must start with https://",
		"https://a.example/x,kafka://hunter2":             "number 2 must look like https://",
		"nats://localhost:4222":                           "number 1 must name the stream",
		"https://a.example/x,https://a.example/x":         "number 2 must differ",
		"https://a.example/x#a b":                         "number 1 has a name",
		"https://a.example/hunter2":                       "CLERKSYNC_PUBLISH_SECRET must be set",
		"https://a.example/x#one,nats://localhost/S#same": "CLERKSYNC_PUBLISH_SECRET must be set",
	} {
		_, stderr := run(t, 2, []string{"CLERK_SECRET_KEY=sk_test_x", "CLERKSYNC_PUBLISH=" + publish}, "serve")
		if !strings.Contains(stderr, want) || strings.Contains(stderr, "hunter2") {
			t.Errorf("%s: %s", publish, stderr)
		}
	}
	_, stderr := run(t, 2, []string{"CLERK_SECRET_KEY=sk_test_x", "CLERKSYNC_PUBLISH=https://a.example/x", "CLERKSYNC_PUBLISH_SECRET=" + publishSecret + ",hunter2"}, "serve")
	if !strings.Contains(stderr, "CLERKSYNC_PUBLISH_SECRET must be whsec_") || !strings.Contains(stderr, "number 2 of 2 is not: make one") || strings.Contains(stderr, "hunter2") {
		t.Errorf("a secret that is none: %s", stderr)
	}
}
