package main_test

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/clerksync/clerksync/internal/torture"
)

// delivery is one post as its sender saw it.
type delivery struct {
	id   string // of the message, which may be delivered again
	sent time.Time
	took time.Duration
	code int // 0 where no answer came
}

// recorder is a transport that sends deliveries to wherever the daemon listens now, and the history of what was sent and answered.
type recorder struct {
	via http.RoundTripper // nil = the client's

	mu         sync.Mutex
	host       string
	deliveries []delivery
	answered   map[string]bool // the messages that were answered 204
}

func newRecorder() *recorder { return &recorder{answered: map[string]bool{}} }

func (r *recorder) to(endpoint string) {
	u, err := url.Parse(endpoint)
	if err != nil {
		panic(err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.host = u.Host
}

// RoundTrip implements http.RoundTripper.
func (r *recorder) RoundTrip(req *http.Request) (*http.Response, error) {
	r.mu.Lock()
	host := r.host
	r.mu.Unlock()
	if host == "" {
		return nil, errors.New("the daemon is down")
	}
	moved := req.Clone(req.Context())
	moved.URL.Host, moved.Host = host, host
	d := delivery{id: req.Header.Get("Svix-Id"), sent: time.Now()}
	via := r.via
	if via == nil {
		via = client.Transport
	}
	resp, err := via.RoundTrip(moved)
	d.took = time.Since(d.sent)
	if err == nil {
		d.code = resp.StatusCode
	}
	r.note(d)
	return resp, err
}

func (r *recorder) note(d delivery) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.deliveries = append(r.deliveries, d)
	if d.code == http.StatusNoContent {
		r.answered[d.id] = true
	}
}

// count returns how many messages were answered 204.
func (r *recorder) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.answered)
}

// since returns the deliveries that were sent after an instant.
func (r *recorder) since(at time.Time) []delivery {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(r.deliveries), func(d delivery) bool { return d.sent.Before(at) })
}

// verdict is what the checker found in a history.
type verdict struct {
	answered   int            // messages that were answered 204
	lost       int            // of these, those that the database does not have
	codes      map[int]int    // deliveries by answer
	unexpected map[int]string // answers that there should not be, with a message each
	holes      []string       // objects whose changes are not numbered 1, 2, 3 … up to their row's version
}

// check compares a history with a PostgreSQL database.
func (r *recorder) check(t *testing.T, db *sqlx.DB) verdict {
	t.Helper()
	return r.checkIn(t, db, "clerk.")
}

// checkIn compares a history with the tables of a prefix.
func (r *recorder) checkIn(t *testing.T, db *sqlx.DB, prefix string) verdict {
	t.Helper()
	v := verdict{codes: map[int]int{}, unexpected: map[int]string{}}
	for _, d := range r.since(time.Time{}) {
		v.codes[d.code]++
		if d.code != 0 && d.code != http.StatusNoContent && d.code != http.StatusServiceUnavailable {
			v.unexpected[d.code] = d.id
		}
	}
	var kept []string
	if err := db.SelectContext(t.Context(), &kept, `SELECT id FROM `+prefix+`events`); err != nil {
		t.Fatal(err)
	}
	there := map[string]bool{}
	for _, id := range kept {
		there[id] = true
	}
	r.mu.Lock()
	v.answered = len(r.answered)
	for id := range r.answered {
		if !there[id] {
			v.lost++
		}
	}
	r.mu.Unlock()
	if err := db.SelectContext(t.Context(), &v.holes, `SELECT u.id FROM `+prefix+`users AS u JOIN `+prefix+`changes AS c ON c.object_id = u.id AND c.resource = 'users'
GROUP BY u.id, u._version HAVING count(*) <> u._version OR max(c.version) <> u._version OR min(c.version) <> 1`); err != nil {
		t.Fatal(err)
	}
	return v
}

// want fails the test unless a history is as it has to be.
func (v verdict) want(t *testing.T) {
	t.Helper()
	if v.lost > 0 {
		t.Errorf("%d of %d messages that were answered 204 are missing", v.lost, v.answered)
	}
	if len(v.unexpected) > 0 {
		t.Errorf("there were other answers than 204 and 503: %v", v.unexpected)
	}
	if len(v.holes) > 0 {
		t.Errorf("the changes of these users are not numbered 1, 2, 3 …: %v", v.holes)
	}
}

// figures are what a suite tells of its history, with some of its own, once the mirror was found equal to Clerk.
func (v verdict) figures(own ...torture.Figure) []torture.Figure {
	return slices.Concat([]torture.Figure{
		{Name: "events answered 204", Value: fmt.Sprint(v.answered)},
		{Name: "of these lost", Value: fmt.Sprint(v.lost), Bound: "0"},
		{Name: "deliveries by answer", Value: v.String(), Bound: "204, 503, none"},
	}, own, []torture.Figure{{Name: "differences from Clerk after a pass", Value: "0", Bound: "0"}})
}

// String tells the answers.
func (v verdict) String() string {
	var all []string
	for _, code := range slices.Sorted(maps.Keys(v.codes)) {
		name := fmt.Sprint(code)
		if code == 0 {
			name = "none"
		}
		all = append(all, fmt.Sprintf("%s × %d", name, v.codes[code]))
	}
	return strings.Join(all, ", ")
}
