package webhook_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/clerksync/clerksync/internal/pgtest"
	clerksync "github.com/clerksync/clerksync/sync"
	"github.com/clerksync/clerksync/webhook"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// secret and otherSecret sign deliveries in these tests.
var (
	secret      = "whsec_" + base64.StdEncoding.EncodeToString([]byte("the signing key of these tests"))
	otherSecret = "whsec_" + base64.StdEncoding.EncodeToString([]byte("another endpoint's signing key"))
)

// endpoint is a mirror with the real handler on a real server.
type endpoint struct {
	t       *testing.T
	db      *sqlx.DB
	mirror  *clerksync.Mirror
	handler *webhook.Handler
	server  *httptest.Server

	mu         sync.Mutex
	deliveries []webhook.Delivery
	log        bytes.Buffer
}

// serve opens a mirror in db and serves its webhook endpoint until the test ends.
func serve(t *testing.T, db *sqlx.DB, cfg clerksync.Config, change ...func(*webhook.Config)) *endpoint {
	t.Helper()
	cfg.Unprepared = pgtest.Unprepared()
	mirror, err := clerksync.Open(t.Context(), db, cfg)
	if err != nil {
		t.Fatal(err)
	}
	e := &endpoint{t: t, db: db, mirror: mirror}
	config := webhook.Config{
		Mirror: mirror, Secrets: []string{secret}, Observe: e.observe,
		Logger: slog.New(slog.NewTextHandler(e, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	for _, c := range change {
		c(&config)
	}
	if e.handler, err = webhook.New(config); err != nil {
		t.Fatal(err)
	}
	e.server = httptest.NewServer(e.handler)
	t.Cleanup(e.server.Close)
	return e
}

func (e *endpoint) observe(d webhook.Delivery) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.deliveries = append(e.deliveries, d)
}

// Write takes the log.
func (e *endpoint) Write(line []byte) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.log.Write(line)
}

func (e *endpoint) logged() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.log.String()
}

// last returns what was observed of the last delivery.
func (e *endpoint) last() webhook.Delivery {
	e.t.Helper()
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.deliveries) == 0 {
		e.t.Fatal("no delivery was observed")
	}
	return e.deliveries[len(e.deliveries)-1]
}

// post sends a request as it is and returns its answer, whose body is read.
func (e *endpoint) post(header http.Header, body string) *http.Response {
	e.t.Helper()
	return e.send(http.MethodPost, header, strings.NewReader(body))
}

func (e *endpoint) send(method string, header http.Header, body io.Reader) *http.Response {
	e.t.Helper()
	r, err := http.NewRequestWithContext(e.t.Context(), method, e.server.URL, body)
	if err != nil {
		e.t.Fatal(err)
	}
	maps.Copy(r.Header, header)
	response, err := e.server.Client().Do(r)
	if err != nil {
		e.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		e.t.Fatal(err)
	}
	response.Body = io.NopCloser(bytes.NewReader(text))
	return response
}

// deliver sends a signed body and expects a status.
func (e *endpoint) deliver(id, body string, want int) {
	e.t.Helper()
	if got := e.post(sign(secret, id, time.Now(), body), body).StatusCode; got != want {
		e.t.Fatalf("delivery %s was answered %d, want %d", id, got, want)
	}
}

// sign returns the headers that Svix's documentation describes, by its text and not by Svix's library.
func sign(secret, id string, at time.Time, body string) http.Header {
	return http.Header{
		"Svix-Id":        {id},
		"Svix-Timestamp": {strconv.FormatInt(at.Unix(), 10)},
		"Svix-Signature": {"v1," + signature(secret, id, strconv.FormatInt(at.Unix(), 10), body)},
	}
}

func signature(secret, id, timestamp, body string) string {
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	if err != nil {
		panic(err)
	}
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "%s.%s.%s", id, timestamp, body)
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// count returns how many rows of a table a condition holds for.
func (e *endpoint) count(table, where string, args ...any) int {
	e.t.Helper()
	var n int
	if err := e.db.GetContext(e.t.Context(), &n, e.mirror.SQL("SELECT count(*) FROM {"+table+"} WHERE "+where), args...); err != nil {
		e.t.Fatal(err)
	}
	return n
}

// empty fails the test unless the mirror has no row that a delivery could have made.
func (e *endpoint) empty() {
	e.t.Helper()
	for _, table := range []string{"users", "events", "changes"} {
		if n := e.count(table, "true"); n != 0 {
			e.t.Errorf("%d rows in %s, want none", n, table)
		}
	}
}

// eventRow is what the tests look at in the events table.
type eventRow struct {
	Type     string
	Object   string `db:"object_id"`
	Outcome  clerksync.Outcome
	Error    string
	Attempts int
	Kept     bool // there is a payload
}

func (e *endpoint) event(id string) eventRow {
	e.t.Helper()
	var row eventRow
	err := e.db.GetContext(e.t.Context(), &row, e.mirror.SQL(`SELECT type, coalesce(object_id, '') AS object_id, outcome,
coalesce(error, '') AS error, attempts, payload IS NOT NULL AS kept FROM {events} WHERE id = $1`), id)
	if err != nil {
		e.t.Fatalf("reading event %s: %v", id, err)
	}
	return row
}

// user returns a user of the mirror.
func (e *endpoint) user(id string) (u clerksync.User, found, visible bool) {
	e.t.Helper()
	u, err := e.mirror.User(e.t.Context(), id)
	if err != nil && !errors.Is(err, clerksync.ErrDeleted) && !errors.Is(err, clerksync.ErrNotFound) {
		e.t.Fatal(err)
	}
	return u, !errors.Is(err, clerksync.ErrNotFound), err == nil
}

// contents returns every value of every table of the mirror as text.
func (e *endpoint) contents() string {
	e.t.Helper()
	var all strings.Builder
	for _, table := range []string{"users", "events", "changes", "passes", "plans", "state"} {
		rows, err := e.db.QueryxContext(e.t.Context(), e.mirror.SQL("SELECT * FROM {"+table+"}"))
		if err != nil {
			e.t.Fatal(err)
		}
		for rows.Next() {
			values, err := rows.SliceScan()
			if err != nil {
				e.t.Fatal(err)
			}
			for _, v := range values {
				if b, ok := v.([]byte); ok {
					v = string(b)
				}
				fmt.Fprintln(&all, v)
			}
		}
		if err := rows.Err(); err != nil {
			e.t.Fatal(err)
		}
		rows.Close()
	}
	return all.String()
}

// ms is a time as Clerk writes it.
func ms(t time.Time) int64 { return t.UnixMilli() }

// envelope is the body of an event of the instance ins_test.
func envelope(typ string, timestamp int64, data string) string {
	return fmt.Sprintf(`{"data":%s,"object":"event","type":%q,"timestamp":%d,"instance_id":"ins_test"}`, data, typ, timestamp)
}

// userJSON is a user, with further members such as `"banned":true`.
func userJSON(id string, updated int64, members ...string) string {
	return fmt.Sprintf(`{"id":%q,"object":"user","created_at":1700000000000,"updated_at":%d%s}`,
		id, updated, strings.Join(append([]string{""}, members...), ","))
}

func deletedJSON(id string) string {
	return fmt.Sprintf(`{"deleted":true,"id":%q,"object":"user"}`, id)
}
