package sync_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/clerksync/clerksync/internal/pgtest"
	clerksync "github.com/clerksync/clerksync/sync"
)

// near is a Clerk without a network, for a bubble of testing/synctest: real sockets would keep its time from passing. It answers
// GET /v1/instance itself and hands every other request to answer.
type near struct {
	instance string
	skew     time.Duration // of its clock
	answer   func(r *http.Request) (*http.Response, error)

	mu    sync.Mutex
	asked []request
}

// request is one that came: its path below /v1, and when.
type request struct {
	path string
	at   time.Time
}

func (n *near) RoundTrip(r *http.Request) (*http.Response, error) {
	path := strings.TrimPrefix(r.URL.Path, "/v1")
	n.mu.Lock()
	n.asked = append(n.asked, request{path, time.Now()})
	id, skew := n.instance, n.skew
	n.mu.Unlock()
	date := time.Now().Add(skew).UTC().Format(http.TimeFormat)
	if path == "/instance" && id != "" {
		return says(200, `{"object":"instance","id":"`+id+`"}`, "Date", date), nil
	}
	resp, err := n.answer(r)
	if resp != nil {
		resp.Header.Set("Date", date)
	}
	return resp, err
}

// takes returns the requests that came since it was last called.
func (n *near) takes() (asked []request) {
	n.mu.Lock()
	defer n.mu.Unlock()
	asked, n.asked = n.asked, nil
	return asked
}

func (n *near) paths() (paths []string) {
	for _, r := range n.takes() {
		paths = append(paths, r.path)
	}
	return paths
}

// says makes an answer. Headers come in pairs.
func says(status int, body string, headers ...string) *http.Response {
	h := http.Header{}
	for i := 0; i < len(headers); i += 2 {
		h.Set(headers[i], headers[i+1])
	}
	return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body))}
}

// fails is the body of one of Clerk's error answers.
func fails(code string) string {
	return fmt.Sprintf(`{"errors":[{"message":"m","long_message":"l","code":%q}],"clerk_trace_id":"t"}`, code)
}

// cutOff is an answer whose connection breaks in the middle of the body.
func cutOff(body string) *http.Response {
	resp := says(200, body)
	resp.Body = io.NopCloser(io.MultiReader(bytes.NewReader([]byte(body)[:len(body)/2]), broken{}))
	return resp
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// stalled is an answer whose body never ends.
func stalled(r *http.Request) *http.Response {
	resp := says(200, "")
	resp.Body, resp.ContentLength = io.NopCloser(waiting{r}), -1
	return resp
}

type waiting struct{ r *http.Request }

func (w waiting) Read([]byte) (int, error) {
	<-w.r.Context().Done()
	return 0, w.r.Context().Err()
}

// bubble runs f with a mirror on SQLite and a near Clerk, where time is what the test makes of it.
func bubble(t *testing.T, f func(t *testing.T, m *clerksync.Mirror, n *near)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(time.UnixMilli(past).Add(24 * time.Hour))) // a bubble begins in the year 2000
		f(t, open(t, pgtest.SQLite(t), clerksync.Config{InstanceID: instance}), &near{instance: instance})
	})
}

// client opens the API of a near Clerk.
func client(t *testing.T, n *near, cfg clerksync.APIConfig) *clerksync.API {
	t.Helper()
	cfg.SecretKey, cfg.Transport = "sk_test_key", n
	api, err := clerksync.NewAPI(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return api
}
