package main_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/clerksync/clerksync/clerktest"
	"github.com/clerksync/clerksync/internal/admin"
	"github.com/clerksync/clerksync/internal/pgtest"
	clerksync "github.com/clerksync/clerksync/sync"
)

// balancer is a transport that hands each delivery to one of several replicas, and to another one if that one is gone.
type balancer struct {
	mu    sync.Mutex
	next  int
	hosts []string
}

// RoundTrip implements http.RoundTripper.
func (b *balancer) RoundTrip(req *http.Request) (*http.Response, error) {
	b.mu.Lock()
	b.next++
	hosts := slices.Concat(b.hosts[b.next%len(b.hosts):], b.hosts[:b.next%len(b.hosts)])
	b.mu.Unlock()
	var errs []error
	for _, host := range hosts {
		moved := req.Clone(req.Context())
		moved.URL.Host, moved.Host = host, host
		if req.GetBody != nil {
			body, err := req.GetBody()
			if err != nil {
				return nil, err
			}
			moved.Body = body
		}
		resp, err := client.Transport.RoundTrip(moved)
		if err == nil {
			return resp, nil
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

// replicas are daemons that share a database, a stream of events that they take, and the receivers of their change feed.
type replicas struct {
	t           *testing.T
	clerk       *clerktest.Server
	db          *sqlx.DB
	env         []string
	balancer    *balancer
	daemons     []*daemon
	good, flaky *subscriber
	stream      func() []told
}

// hooked is the variable that has a process note every change by a hook in its transaction.
const hooked = "TEST_HOOKS"

// notingHooks write a row for every change of a user, and would write a second one if they were called twice.
func notingHooks() clerksync.Hooks {
	note := func(ctx context.Context, tx *sqlx.Tx, t clerksync.Transition) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO noted (object_id, version, op) VALUES ($1, $2, $3)`, t.ObjectID, t.Version, string(t.Op))
		return err
	}
	return clerksync.Hooks{clerksync.Users: {
		OnCreated: note, OnUpdated: note, OnDeleted: note, OnRevived: note, OnErased: note, Initial: true,
	}}
}

// wantNoted compares what hooks noted with the feed.
func (r *replicas) wantNoted() {
	r.t.Helper()
	var wrong []string
	err := r.db.SelectContext(r.t.Context(), &wrong, `SELECT object_id || ' ' || version || ' ' || op || ' ' || count(noted) || ' times'
FROM (SELECT object_id, version, op, 1 AS noted FROM noted UNION ALL SELECT object_id, version, op, NULL FROM clerk.changes WHERE resource = 'users') AS e
GROUP BY object_id, version, op HAVING count(noted) <> 1 OR count(*) <> 2`)
	if err != nil {
		r.t.Fatal(err)
	}
	if len(wrong) > 0 {
		r.t.Errorf("hooks were called another number of times than once: %v", wrong)
	}
	r.t.Logf("hooks noted %d changes in their transactions", count(r.t, r.db, `SELECT count(*) FROM noted`))
}

// replicate starts n replicas.
func replicate(t *testing.T, n int, more ...string) *replicas {
	t.Helper()
	r := &replicas{t: t, balancer: &balancer{}, good: subscribe(t, 0), flaky: subscribe(t, 2)}
	stream, read := jetStream(t)
	r.stream = read
	url := pgtest.URL(t)
	r.db = connect(t, url)
	pgtest.Superuser(t, r.db).MustExec(`CREATE TABLE noted (object_id text, version bigint, op text); GRANT ALL ON noted TO PUBLIC`)
	r.clerk = emulate(t, clerktest.Config{Users: 40, Concurrency: 8, HTTPClient: &http.Client{Transport: r.balancer}})
	publish := strings.Join([]string{r.good.URL + "#good", r.flaky.URL + "#flaky", stream}, ",")
	r.env = environment(r.clerk, url, append(more, "CLERKSYNC_PUBLISH_SECRET="+publishSecret, "CLERKSYNC_PUBLISH="+publish, hooked+"=1")...)
	for range n {
		r.daemons = append(r.daemons, serve(t, r.clerk, r.env))
	}
	r.balance()
	r.clerk.SetWebhookURL("http://the.replicas/api/webhooks/clerk")
	return r
}

// balance sends deliveries to the replicas that there are now.
func (r *replicas) balance() {
	r.balancer.mu.Lock()
	defer r.balancer.mu.Unlock()
	r.balancer.hosts = nil
	for _, d := range r.daemons {
		host, _, _ := strings.Cut(strings.TrimPrefix(d.webhook, "http://"), "/")
		r.balancer.hosts = append(r.balancer.hosts, host)
	}
}

// reigned returns the last term in which a replica led, as its log tells; 0 if it never did.
func (d *daemon) reigned() (term int) {
	for line := range strings.Lines(d.stderr.String()) {
		var entry struct {
			Msg  string
			Term int
		}
		if json.Unmarshal([]byte(line), &entry) == nil && entry.Msg == "this replica leads" {
			term = entry.Term
		}
	}
	return term
}

// leader waits until a replica leads under a later term than one, and returns it.
func (r *replicas) leader(after int) (leader *daemon) {
	r.t.Helper()
	eventually(r.t, time.Minute, "a replica leads", func() bool {
		for _, d := range r.daemons {
			if d.reigned() > after {
				leader = d
			}
		}
		return leader != nil
	})
	return leader
}

// hasten lets all leases run out, so that the test need not wait for it.
func (r *replicas) hasten() {
	r.db.MustExec(`UPDATE clerk.state SET value = jsonb_set(value, '{expires}', '1') WHERE key LIKE 'lease%'`)
}

// without takes a replica out of those that get deliveries.
func (r *replicas) without(gone *daemon) {
	r.daemons = slices.DeleteFunc(r.daemons, func(d *daemon) bool { return d == gone })
	r.balance()
}

// wantAll stops the replicas once everything is delivered, and compares the mirror with Clerk and the receivers with the feed.
func (r *replicas) wantAll() {
	t := r.t
	t.Helper()
	if counts, err := r.clerk.Wait(t.Context()); err != nil || counts.Failed > 0 {
		t.Errorf("deliveries: %+v, %v", counts, err)
	}
	eventually(t, 2*time.Minute, "a pass that finds nothing more", func() bool {
		p := start(t, r.mirrorAlone(), "reconcile", "--max-deletes", "100000", "--max-delete-percent", "100")
		<-p.exited
		return p.cmd.ProcessState.ExitCode() == 0
	})
	total := 0
	eventually(t, 2*time.Minute, "every change delivered", func() bool {
		total = count(t, r.db, `SELECT count(*) FROM clerk.changes WHERE NOT initial`)
		return distinct(r.good.messages()) >= total && distinct(r.flaky.messages()) >= total && distinct(r.stream()) >= total
	})
	for _, d := range r.daemons {
		d.signal(syscall.SIGTERM)
	}
	for _, d := range r.daemons {
		d.wantExit(0, 25*time.Second)
	}
	run(t, 0, r.mirrorAlone(), "check")
	if got, want := count(t, r.db, `SELECT count(*) FROM clerk.active_users`), r.clerk.Count(); got != want {
		t.Errorf("the mirror shows %d users, Clerk has %d", got, want)
	}
	r.wantNoted()
	wantFeed(t, r.db, "the good receiver", r.good.messages())
	wantFeed(t, r.db, "the flaky receiver", r.flaky.messages())
	wantFeed(t, r.db, "JetStream", r.stream())
	t.Logf("%d changes; the receivers got %d, %d and %d messages", total, len(r.good.messages()), len(r.flaky.messages()), len(r.stream()))
}

// mirrorAlone is the environment of the replicas without the receivers of their feed.
func (r *replicas) mirrorAlone() []string {
	return slices.DeleteFunc(slices.Clone(r.env), func(v string) bool { return strings.HasPrefix(v, "CLERKSYNC_PUBLISH=") })
}

func distinct(all []told) int {
	ids := map[string]bool{}
	for _, m := range all {
		ids[m.ID] = true
	}
	return len(ids)
}

// TestWhyNobodyLeads has a lease that cannot be read: the log says so at its default level.
func TestWhyNobodyLeads(t *testing.T) {
	t.Parallel()
	clerk := emulate(t, clerktest.Config{})
	url := pgtest.URL(t)
	connect(t, url).MustExec(`INSERT INTO clerk.state (key, value, updated_at) VALUES ('lease:leader', '"nonsense"', now())`)
	d := serve(t, clerk, environment(clerk, url, "CLERKSYNC_LOG_LEVEL="), "--no-migrate")
	eventually(t, 20*time.Second, "the log tells why nobody leads", func() bool {
		return strings.Contains(d.stderr.String(), `"whether another replica leads cannot be told now"`)
	})
	if _, body := get(t, d.admin+"/api/status"); !strings.Contains(body, "lease") {
		t.Errorf("the status tells %s", body)
	}
}

// TestReplicas stops the leader of three replicas and lets it go on once another one leads, kills that one, and lets events go on all
// the while: one replica leads at a time, the mirror equals Clerk, and every change is delivered in order.
func TestReplicas(t *testing.T) {
	t.Parallel()
	r := replicate(t, 3, "CLERKSYNC_POLL_INTERVAL=1s")
	first := r.leader(0)
	stop, done := make(chan struct{}), make(chan error, 1)
	end := sync.OnceFunc(func() { close(stop) })
	defer end()
	go func() { done <- storm(r.clerk, 100*time.Millisecond, stop) }()

	first.signal(syscall.SIGSTOP)
	stopped := first.reigned()
	r.without(first)
	r.hasten()
	second := r.leader(stopped)
	first.signal(syscall.SIGCONT)
	eventually(t, 30*time.Second, "the leader that was stopped gives way", func() bool {
		return strings.Contains(first.stderr.String(), "this replica no longer leads")
	})
	r.daemons = append(r.daemons, first)
	r.balance()
	leaders := 0
	for _, d := range r.daemons {
		if _, body := get(t, d.admin+"/metrics"); strings.Contains(body, "\nclerksync_leader 1\n") {
			leaders++
		}
	}
	if leaders != 1 {
		t.Errorf("%d of 3 replicas say that they lead, want 1", leaders)
	}
	if out, _ := run(t, 0, r.mirrorAlone(), "status"); !strings.Contains(out, ", term ") {
		t.Errorf("the status does not tell who leads:\n%s", out)
	}
	eventually(t, time.Minute, "the leader has one name in the whole status", func() bool {
		var s admin.Status
		_, body := get(t, first.admin+"/api/status")
		return json.Unmarshal([]byte(body), &s) == nil && s.Leader != nil &&
			slices.ContainsFunc(s.Replicas, func(r admin.Replica) bool { return r.Leads && r.Name == s.Leader.Replica })
	})

	r.without(second)
	second.kill()
	r.hasten()
	if third := r.leader(second.reigned()); third == second {
		t.Error("the replica that was killed leads")
	}
	end()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	r.wantAll()
}
