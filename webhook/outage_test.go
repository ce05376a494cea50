package webhook_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/clerksync/clerksync/internal/pgtest"
	clerksync "github.com/clerksync/clerksync/sync"
	"github.com/clerksync/clerksync/webhook"
)

// refusedFor checks that a delivery is answered 503 with Retry-After.
func (e *endpoint) refusedFor(reason string, header http.Header, body string) {
	e.t.Helper()
	response := e.post(header, body)
	if response.StatusCode != http.StatusServiceUnavailable || response.Header.Get("Retry-After") != "5" {
		e.t.Errorf("answered %d, Retry-After %q, want 503 and 5", response.StatusCode, response.Header.Get("Retry-After"))
	}
	if got := e.last().Reason; got != reason {
		e.t.Errorf("reason %q, want %q", got, reason)
	}
}

// serveCluster serves an endpoint on a PostgreSQL server of its own.
func serveCluster(t *testing.T) (*endpoint, *pgtest.Cluster) {
	t.Helper()
	cluster := pgtest.Own(t, pgtest.Options{})
	db := pgtest.Migrated(t, cluster)
	return serve(t, db, clerksync.Config{}), cluster
}

// TestServerKilled kills PostgreSQL under the endpoint and starts it again.
func TestServerKilled(t *testing.T) {
	t.Parallel()
	e, cluster := serveCluster(t)
	now := ms(time.Now())
	body := func(i int) string { return envelope("user.created", now, userJSON(fmt.Sprint("user_", i), now)) }
	id := func(i int) string { return fmt.Sprint("msg_", i) }
	e.deliver(id(0), body(0), 204)
	if err := cluster.Kill(); err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		e.refusedFor("unavailable", sign(secret, id(i), time.Now(), body(i)), body(i))
	}
	if err := cluster.Restart(); err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		e.deliver(id(i), body(i), 204)
	}
	if n := e.count("users", "deleted_at IS NULL"); n != 5 {
		t.Errorf("%d users, want 5", n)
	}
}

// TestStandby makes the server a read-only standby, as a failover may, and promotes it again.
func TestStandby(t *testing.T) {
	t.Parallel()
	e, cluster := serveCluster(t)
	if err := cluster.Kill(); err != nil {
		t.Fatal(err)
	}
	folder, _ := cluster.Socket()
	if err := os.WriteFile(filepath.Join(folder, "data", "standby.signal"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := cluster.Restart(); err != nil {
		t.Fatal(err)
	}
	now := ms(time.Now())
	body := envelope("user.created", now, userJSON("user_1", now))
	for range 2 {
		e.refusedFor("unavailable", sign(secret, "msg_1", time.Now(), body), body)
	}
	if e.count("users", "pg_is_in_recovery()") != 0 || e.count("state", "pg_is_in_recovery()") == 0 {
		t.Error("the server is no standby without users")
	}
	e.exec("SELECT pg_promote()")
	e.deliver("msg_1", body, 204)
	if _, _, visible := e.user("user_1"); !visible {
		t.Error("the event was lost")
	}
}

// TestReadOnly makes SQLite refuse writes.
func TestReadOnly(t *testing.T) {
	t.Parallel()
	db := pgtest.SQLite(t)
	db.SetMaxOpenConns(1) // so that a setting of the connection holds for all
	e := serve(t, db, clerksync.Config{})
	now := ms(time.Now())
	body := envelope("user.created", now, userJSON("user_1", now))
	e.exec("PRAGMA query_only = on")
	for range 2 {
		e.refusedFor("unavailable", sign(secret, "msg_1", time.Now(), body), body)
	}
	e.exec("PRAGMA query_only = off")
	e.empty()
	e.deliver("msg_1", body, 204)
	if _, _, visible := e.user("user_1"); !visible {
		t.Error("the event was lost")
	}
}

// TestPoolClosed closes the pool under the endpoint.
func TestPoolClosed(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		e := serve(t, db, clerksync.Config{})
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		body := `{"type":"a.b"}`
		e.refusedFor("unavailable", sign(secret, "msg_1", time.Now(), body), body)
		if _, err := webhook.Retry(t.Context(), e.mirror); err == nil {
			t.Error("retrying without a database is no error")
		}
	})
}

func TestDrain(t *testing.T) {
	t.Parallel()
	e := serve(t, pgtest.SQLite(t), clerksync.Config{})
	body := `{"type":"a.b"}`
	e.deliver("msg_1", body, 204)
	e.handler.Drain()
	e.refusedFor("draining", sign(secret, "msg_2", time.Now(), body), body)
	if n := e.count("events", "true"); n != 1 {
		t.Errorf("%d events, want 1", n)
	}
}

// TestOverload fills the only slot with a delivery that waits for a lock.
func TestOverload(t *testing.T) {
	t.Parallel()
	e := serve(t, pgtest.New(t), clerksync.Config{}, func(c *webhook.Config) { c.MaxInFlight = 1 })
	now := ms(time.Now())
	body := envelope("user.created", now, userJSON("user_1", now))
	unlock := e.lock()
	answered := make(chan int, 1)
	go func() { answered <- post(e.handler, sign(secret, "msg_1", time.Now(), body), []byte(body)) }()
	poll(t, e.waits)
	e.refusedFor("overload", sign(secret, "msg_2", time.Now(), body), body)
	if got := e.post(sign(otherSecret, "msg_2", time.Now(), body), body).StatusCode; got != 401 {
		t.Errorf("an unverified request is answered %d, want 401: it takes no slot", got)
	}
	unlock()
	if got := <-answered; got != 204 {
		t.Errorf("the delivery that held the slot was answered %d, want 204", got)
	}
	e.deliver("msg_2", body, 204)
}

// TestTrickle lets strangers send as many bodies of unknown length as may be read at once, without an end: each may take more than a
// mebibyte, and deploy/kubernetes.yaml has room for that many.
func TestTrickle(t *testing.T) {
	t.Parallel()
	e := serve(t, pgtest.SQLite(t), clerksync.Config{})
	body := `{"type":"a.b"}`
	header := sign(secret, "msg_1", time.Now(), body)
	var strangers sync.WaitGroup
	const readers = 64
	trickles := make([]*trickle, readers)
	for i := range trickles {
		trickles[i] = &trickle{begun: make(chan struct{}), end: make(chan struct{})}
		strangers.Go(func() {
			r := httptest.NewRequest("POST", "/", trickles[i])
			r.Header, r.ContentLength = sign(otherSecret, "msg_2", time.Now(), body), -1
			e.handler.ServeHTTP(httptest.NewRecorder(), r)
		})
	}
	for _, one := range trickles {
		<-one.begun
	}
	if got := e.post(header, body).StatusCode; got != 204 {
		t.Errorf("a body of the usual size was answered %d, want 204", got)
	}
	if got := e.send("POST", header, io.MultiReader(strings.NewReader(body))).StatusCode; got != 503 || e.last().Reason != "overload" {
		t.Errorf("one more body of unknown length was answered %d, want 503", got)
	}
	for _, one := range trickles {
		close(one.end)
	}
	strangers.Wait()
	if got := e.send("POST", header, io.MultiReader(strings.NewReader(body))).StatusCode; got != 204 {
		t.Errorf("a body of unknown length was answered %d, want 204", got)
	}
}

// trickle is a body that tells when it is first read, and comes to nothing in the end.
type trickle struct{ begun, end chan struct{} }

func (b *trickle) Read([]byte) (int, error) {
	close(b.begun)
	<-b.end
	return 0, io.EOF
}

// lock makes writes to the users wait until unlock.
func (e *endpoint) lock() (unlock func()) {
	e.t.Helper()
	tx := e.db.MustBegin()
	tx.MustExec(e.mirror.SQL("LOCK TABLE {users}"))
	e.t.Cleanup(func() { tx.Rollback() })
	return func() { tx.Rollback() }
}

// waits reports whether somebody waits for a lock.
func (e *endpoint) waits() bool {
	var n int
	err := e.db.Get(&n, "SELECT count(*) FROM pg_locks WHERE NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())")
	if err != nil {
		e.t.Fatal(err)
	}
	return n > 0
}

// behind delivers an event that waits for another transaction, until goOn, which returns what it is answered.
func (e *endpoint) behind(id, body string) (goOn func() int) {
	e.t.Helper()
	unlock := e.lock()
	answer := make(chan int, 1)
	go func() { answer <- post(e.handler, sign(secret, id, time.Now(), body), []byte(body)) }()
	poll(e.t, e.waits)
	return func() int {
		unlock()
		return <-answer
	}
}

// TestGone lets a client go while its event waits for the commit of another one.
func TestGone(t *testing.T) {
	t.Parallel()
	e := serve(t, pgtest.New(t), clerksync.Config{})
	now := ms(time.Now())
	body := func(user string) string { return envelope("user.created", now, userJSON(user, now)) }
	goOn := e.behind("msg_1", body("user_1"))

	ctx, leave := context.WithCancel(t.Context())
	leave()
	r := httptest.NewRequestWithContext(ctx, "POST", "/", strings.NewReader(body("user_2")))
	r.Header = sign(secret, "msg_2", time.Now(), body("user_2"))
	w := httptest.NewRecorder()
	e.handler.ServeHTTP(w, r)
	if got := e.last(); got.Code != 499 || got.Reason != "gone" || w.Body.Len() != 0 {
		t.Errorf("observed %d %q, answered %q, want 499, gone and nothing", got.Code, got.Reason, w.Body)
	}
	if got := goOn(); got != 204 {
		t.Errorf("the one who stayed was answered %d, want 204", got)
	}
	e.deliver("msg_2", body("user_2"), 204)
	if n := e.count("users", "deleted_at IS NULL"); n != 2 {
		t.Errorf("%d users, want 2", n)
	}
}

// TestImpatience ends the contexts of requests early, as middleware and a server's BaseContext may, while the database hangs: Clerk,
// which is still there, must not take silence for success.
func TestImpatience(t *testing.T) {
	t.Parallel()
	e := serve(t, pgtest.New(t), clerksync.Config{})
	now := ms(time.Now())
	body := func(user string) string { return envelope("user.created", now, userJSON(user, now)) }
	goOn := e.behind("msg_1", body("user_1"))

	e.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), 50*time.Millisecond)
		defer cancel()
		e.handler.ServeHTTP(w, r.WithContext(ctx))
	}))
	t.Cleanup(e.server.Close)
	e.refusedFor("gone", sign(secret, "msg_2", time.Now(), body("user_2")), body("user_2"))
	if got := goOn(); got != 204 {
		t.Errorf("the patient one was answered %d, want 204", got)
	}
}

// TestBrokenBody sends a body that cannot be read to its end by a client that stays.
func TestBrokenBody(t *testing.T) {
	t.Parallel()
	e := serve(t, pgtest.SQLite(t), clerksync.Config{})
	conn, err := net.Dial("tcp", e.server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var head strings.Builder
	_ = sign(secret, "msg_1", time.Now(), "").Write(&head)
	if _, err := io.WriteString(conn, "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"+head.String()+"\r\nno length\r\n"); err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("answered %d, want 503", response.StatusCode)
	}
	e.empty()
}

// TestHangUp closes the connection within a body.
func TestHangUp(t *testing.T) {
	t.Parallel()
	e := serve(t, pgtest.SQLite(t), clerksync.Config{})
	conn, err := net.Dial("tcp", e.server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	var head strings.Builder
	_ = sign(secret, "msg_1", time.Now(), "").Write(&head)
	if _, err := io.WriteString(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n"+head.String()+"\r\n{"); err != nil {
		t.Fatal(err)
	}
	conn.Close()
	poll(t, func() bool { return e.observed(499, "gone") })
	e.empty()
}

func (e *endpoint) observed(code int, reason string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, d := range e.deliveries {
		if d.Code == code && d.Reason == reason {
			return true
		}
	}
	return false
}

// poll waits until a condition holds.
func poll(t *testing.T, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("waited in vain")
		}
	}
}

// TestSlowBody sends a body that does not end, in a bubble of its own time.
func TestSlowBody(t *testing.T) {
	mirror, err := clerksync.Open(t.Context(), pgtest.SQLite(t), clerksync.Config{})
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		var observed webhook.Delivery
		h, err := webhook.New(webhook.Config{
			Mirror: mirror, Secrets: []string{secret}, Observe: func(d webhook.Delivery) { observed = d },
		})
		if err != nil {
			t.Fatal(err)
		}
		client, conn := net.Pipe()
		server := http.Server{Handler: h}
		served := make(chan error, 1)
		go func() { served <- server.Serve(&oneConn{conn: conn, closed: make(chan struct{})}) }()

		header := sign(secret, "msg_1", time.Now(), "")
		header.Set("Content-Length", "100")
		var head strings.Builder
		_ = header.Write(&head)
		if _, err := io.WriteString(client, "POST / HTTP/1.1\r\nHost: x\r\n"+head.String()+"\r\n{"); err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		response, err := http.ReadResponse(bufio.NewReader(client), nil)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if took := time.Since(begun); response.StatusCode != 408 || took != 10*time.Second {
			t.Errorf("answered %d after %s, want 408 after 10s", response.StatusCode, took)
		}
		if observed.Reason != "slow" {
			t.Errorf("reason %q, want slow", observed.Reason)
		}
		client.Close()
		server.Close()
		if err := <-served; err == nil {
			t.Error("the server ended without telling why")
		}
	})
}

// oneConn is a listener that accepts one connection.
type oneConn struct {
	conn   net.Conn
	closed chan struct{}
}

func (l *oneConn) Accept() (net.Conn, error) {
	if conn := l.conn; conn != nil {
		l.conn = nil
		return conn, nil
	}
	<-l.closed
	return nil, net.ErrClosed
}

func (l *oneConn) Close() error {
	select {
	case <-l.closed:
	default:
		close(l.closed)
	}
	return nil
}

func (l *oneConn) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }
