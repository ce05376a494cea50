package sync_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sync/errgroup"

	"github.com/clerksync/clerksync/internal/pgtest"
	clerksync "github.com/clerksync/clerksync/sync"
)

// inTurn answers one request after another; the last answer stays.
func inTurn(answers ...func(*http.Request) (*http.Response, error)) func(*http.Request) (*http.Response, error) {
	var mu sync.Mutex
	return func(r *http.Request) (*http.Response, error) {
		mu.Lock()
		answer := answers[0]
		if len(answers) > 1 {
			answers = answers[1:]
		}
		mu.Unlock()
		return answer(r)
	}
}

func always(status int, body string, headers ...string) func(*http.Request) (*http.Response, error) {
	return func(*http.Request) (*http.Response, error) { return says(status, body, headers...), nil }
}

func never(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

// TestTriesAgain has a request fail in every way that may pass. The evidence is dated by the try that was answered.
func TestTriesAgain(t *testing.T) {
	t.Parallel()
	object := string(at(0, "a").JSON())
	good := always(200, object)
	tests := []struct {
		name      string
		bad       func(*http.Request) (*http.Response, error)
		pass      time.Duration // how long a pass waits at least, and at most a minute longer
		loginToo  bool          // whether a login gets over it, within 5 seconds
		exhausted bool          // whether a pass gives up when it never ends
	}{
		{"an error", always(500, "<html>"), 0, true, true},
		{"a bad gateway", always(502, ""), 0, true, true},
		{"a service that is down", always(503, fails("service_unavailable")), 0, true, true},
		{"a refused connection", func(*http.Request) (*http.Response, error) { return nil, errors.New("connection refused") }, 0, true, true},
		{"a body that is cut off", func(*http.Request) (*http.Response, error) { return cutOff(object), nil }, 0, true, true},
		{"no answer", never, 30 * time.Second, true, true},
		{"a body that never ends", func(r *http.Request) (*http.Response, error) { return stalled(r), nil }, 30 * time.Second, true, true},
		{"too many requests", always(429, fails("too_many_requests"), "Retry-After", "7"), 7 * time.Second, false, true},
		{"too many requests without a date", always(429, ""), time.Second, false, true},
		{"too many requests for ever", always(429, "", "Retry-After", "99999999"), time.Minute, false, true},
		{"too many requests for more seconds than there are nanoseconds", always(429, "", "Retry-After", "9223372037"), time.Minute, false, true},
		{"too many requests for more seconds than a number holds", always(429, "", "Retry-After", "99999999999999999999"), time.Minute, false, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, m *clerksync.Mirror, n *near) {
				api := client(t, n, clerksync.APIConfig{RateLimit: -1})
				passes, logins := clerksync.NewReader(m, api, clerksync.Reconcile), clerksync.NewReader(m, api, clerksync.Login)
				if _, err := logins.Instance(t.Context()); err != nil {
					t.Fatal(err)
				}
				n.takes()

				n.answer = inTurn(test.bad, good)
				began := time.Now()
				e, err := logins.Get(t.Context(), clerksync.Users, "user_1")
				if (err == nil) != test.loginToo || err != nil && !errors.Is(err, clerksync.ErrUnavailable) {
					t.Errorf("a login's Get = %v, want no error %t", err, test.loginToo)
				}
				if took := time.Since(began); took > 5*time.Second {
					t.Errorf("a login waited %v", took)
				}

				n.takes()
				n.answer = inTurn(test.bad, good)
				began = time.Now()
				e, err = passes.Get(t.Context(), clerksync.Users, "user_1")
				if err != nil {
					t.Fatalf("a pass's Get = %v", err)
				}
				if took := time.Since(began); took < test.pass || took > test.pass+time.Minute {
					t.Errorf("a pass waited %v, want %v", took, test.pass)
				}
				if asked := n.takes(); len(asked) != 2 || e.At != asked[1].at.UnixMilli() {
					t.Errorf("the evidence is dated %d by %d tries: %v", e.At, len(asked), asked)
				}

				n.answer = test.bad
				began = time.Now()
				if _, err = passes.Get(t.Context(), clerksync.Users, "user_1"); !errors.Is(err, clerksync.ErrUnavailable) {
					t.Errorf("a pass's Get of what never comes = %v, want ErrUnavailable", err)
				}
				if took := time.Since(began); took > 5*time.Minute {
					t.Errorf("a pass waited %v for what never comes", took)
				}
			})
		})
	}
}

// TestRequestsAreCounted counts tries, and those that repeat.
func TestRequestsAreCounted(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, m *clerksync.Mirror, n *near) {
		var observed []string
		api := client(t, n, clerksync.APIConfig{RateLimit: -1, Observe: func(endpoint string, status int) {
			observed = append(observed, fmt.Sprint(endpoint, " ", status))
		}})
		n.answer = inTurn(always(503, ""), func(*http.Request) (*http.Response, error) { return nil, errors.New("no") }, always(200, string(at(0, "a").JSON())))
		r := clerksync.NewReader(m, api, clerksync.Reconcile)
		if _, err := r.Get(t.Context(), clerksync.Users, "user_1"); err != nil {
			t.Fatal(err)
		}
		if requests, retries := r.Requests(); requests != 4 || retries != 2 {
			t.Errorf("%d requests, %d of them repeats; want 4 and 2", requests, retries)
		}
		want := []string{"/instance 200", "/users/{id} 503", "/users/{id} 0", "/users/{id} 200"}
		if diff := cmp.Diff(want, observed); diff != "" {
			t.Errorf("observed (-want +got)\n%s", diff)
		}
	})
}

// TestSlowAnswer dates evidence by the start of the read.
func TestSlowAnswer(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, m *clerksync.Mirror, n *near) {
		for _, body := range []string{string(at(0, "a").JSON()), ""} {
			n.answer = func(*http.Request) (*http.Response, error) {
				time.Sleep(2 * time.Second)
				if body == "" {
					return says(404, fails("resource_not_found")), nil
				}
				return says(200, body), nil
			}
			r := clerksync.NewReader(m, client(t, n, clerksync.APIConfig{RateLimit: -1}), clerksync.Login)
			if _, err := r.Instance(t.Context()); err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			e, err := r.Get(t.Context(), clerksync.Users, "user_1")
			if err != nil || e.At != began.UnixMilli() {
				t.Errorf("evidence of %d, %v; the read began at %d", e.At, err, began.UnixMilli())
			}
		}
	})
}

// TestRetryAfterHoldsAllPasses keeps every reader of a pass back for as long as Clerk asks one of them to wait, but no login.
func TestRetryAfterHoldsAllPasses(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, m *clerksync.Mirror, n *near) {
		n.answer = inTurn(always(429, "", "Retry-After", "9"), always(200, `[]`))
		api := client(t, n, clerksync.APIConfig{RateLimit: -1})
		logins := clerksync.NewReader(m, api, clerksync.Login)
		if _, err := logins.Instance(t.Context()); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		var group errgroup.Group
		for i := range 3 {
			group.Go(func() error {
				time.Sleep(time.Duration(i) * time.Second)
				_, err := clerksync.NewReader(m, api, clerksync.Reconcile).List(t.Context(), clerksync.Users, nil)
				if waited := time.Since(began); waited < 9*time.Second {
					t.Errorf("a pass went on after %v", waited)
				}
				return err
			})
		}
		time.Sleep(3 * time.Second)
		if _, err := logins.List(t.Context(), clerksync.Users, nil); err != nil || time.Since(began) != 3*time.Second {
			t.Errorf("a login waited until %v: %v", time.Since(began), err)
		}
		if err := group.Wait(); err != nil {
			t.Error(err)
		}
	})
}

// TestRateLimit counts the requests of passes and logins in every window of 10 seconds.
func TestRateLimit(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ limit, share, passes int }{{100, 50, 50}, {100, 0, 50}, {100, 10, 10}, {1000, 30, 300}, {20, 100, 20}} {
		t.Run(fmt.Sprintf("%d with a share of %d", test.limit, test.share), func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, m *clerksync.Mirror, n *near) {
				n.answer = func(r *http.Request) (*http.Response, error) { return says(200, `[]`), nil }
				api := client(t, n, clerksync.APIConfig{RateLimit: test.limit, Share: test.share})
				end := time.Now().Add(time.Minute)
				var group errgroup.Group
				for range 8 { // a pass that takes all it can get
					group.Go(func() error {
						r := clerksync.NewReader(m, api, clerksync.Reconcile)
						for time.Now().Before(end) {
							if _, err := r.List(t.Context(), clerksync.Users, nil); err != nil {
								return err
							}
						}
						return nil
					})
				}
				if test.share < 100 {
					group.Go(func() error { // and now and then a login
						r := clerksync.NewReader(m, api, clerksync.Login)
						for time.Now().Before(end) {
							began := time.Now()
							if _, err := r.List(t.Context(), clerksync.Users, nil); err != nil {
								return err
							}
							if waited := time.Since(began); waited > time.Second {
								t.Errorf("a login waited %v behind a pass", waited)
							}
							time.Sleep(1100 * time.Millisecond)
						}
						return nil
					})
				}
				if err := group.Wait(); err != nil {
					t.Error(err)
				}
				checkWindows(t, n.takes(), test.limit, test.passes)
			})
		})
	}
}

func checkWindows(t *testing.T, asked []request, limit, passes int) {
	t.Helper()
	slices.SortFunc(asked, func(a, b request) int { return a.at.Compare(b.at) })
	least := len(asked)
	for i, first := range asked {
		n := 0
		for _, r := range asked[i:] {
			if r.at.Sub(first.at) < 10*time.Second {
				n++
			}
		}
		// Ten logins fall into a window beside the pass.
		if n > min(limit, passes+10) {
			t.Fatalf("%d requests in the 10 seconds after %v", n, first.at)
		}
		if asked[len(asked)-1].at.Sub(first.at) > 10*time.Second {
			least = min(least, n)
		}
	}
	if least < passes*8/10 {
		t.Errorf("only %d requests in some 10 seconds: the share of %d is not used", least, passes)
	}
}

// TestCancelledRead ends a read with its caller.
func TestCancelledRead(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, m *clerksync.Mirror, n *near) {
		n.answer = never
		r := clerksync.NewReader(m, client(t, n, clerksync.APIConfig{RateLimit: -1}), clerksync.Reconcile)
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		began := time.Now()
		if _, err := r.Get(ctx, clerksync.Users, "user_1"); !errors.Is(err, clerksync.ErrUnavailable) || time.Since(began) != 3*time.Second {
			t.Errorf("Get = %v after %v", err, time.Since(began))
		}
	})
}

func TestNewAPIRefuses(t *testing.T) {
	t.Parallel()
	tests := []struct {
		cfg  clerksync.APIConfig
		says string
	}{
		{clerksync.APIConfig{}, "sk_test_"},
		{clerksync.APIConfig{SecretKey: "pk_test_hush"}, "sk_test_"},
		{clerksync.APIConfig{SecretKey: "sk_test_hush", URL: "clerk"}, "https://"},
		{clerksync.APIConfig{SecretKey: "sk_test_hush", URL: "http://%zz"}, "https://"},
		{clerksync.APIConfig{SecretKey: "sk_test_hush\n"}, "line end"},
		{clerksync.APIConfig{SecretKey: "sk_hush"}, "sk_test_"},
		{clerksync.APIConfig{SecretKey: "sk_test_hush", URL: "http://api.example.com"}, "the secret key is sent there"},
		{clerksync.APIConfig{SecretKey: "sk_test_hush", URL: "https://me:hush@api.clerk.com"}, "must look like"},
		{clerksync.APIConfig{SecretKey: "sk_test_hush", URL: "ftp://api.clerk.com"}, "must look like"},
		{clerksync.APIConfig{SecretKey: "sk_test_hush", Share: 101}, "percentage"},
		{clerksync.APIConfig{SecretKey: "sk_test_hush", Share: -1}, "percentage"},
	}
	for _, test := range tests {
		_, err := clerksync.NewAPI(test.cfg)
		if err == nil || !strings.Contains(err.Error(), test.says) || strings.Contains(err.Error(), "hush") {
			t.Errorf("NewAPI(%+v) = %v, want it to say %q", test.cfg, err, test.says)
		}
	}
}

// TestCertificatesAreVerified asks a server that proves with a certificate of its own making that it is Clerk: it never sees the key.
func TestCertificatesAreVerified(t *testing.T) {
	t.Parallel()
	asked := make(chan string, 100)
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { asked <- r.Header.Get("Authorization") }))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	defer s.Close()
	api, err := clerksync.NewAPI(clerksync.APIConfig{SecretKey: "sk_test_key", URL: s.URL})
	if err != nil {
		t.Fatal(err)
	}
	m, err := clerksync.Open(t.Context(), pgtest.SQLite(t), clerksync.Config{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond) // it tries again and again
	defer cancel()
	if id, err := clerksync.NewReader(m, api, clerksync.Login).Instance(ctx); err == nil || len(asked) > 0 {
		t.Errorf("%s, %v; asked %d times with the key", id, err, len(asked))
	}
}

// TestRedirectsAreNotFollowed has Clerk's address answer that Clerk is elsewhere: the key does not go there, be it the same host without
// encryption, and nobody who answers there is believed.
func TestRedirectsAreNotFollowed(t *testing.T) {
	t.Parallel()
	for _, to := range []string{"http://api.clerk.com/v1/users/user_1", "https://elsewhere.example.com/v1/users/user_1", "/v1/users/user_1/"} {
		bubble(t, func(t *testing.T, m *clerksync.Mirror, n *near) {
			var keys []string
			n.answer = func(r *http.Request) (*http.Response, error) {
				if keys = append(keys, r.URL.String()+" "+r.Header.Get("Authorization")); len(keys) == 1 {
					return says(301, "", "Location", to), nil
				}
				return says(404, fails("resource_not_found")), nil
			}
			r := clerksync.NewReader(m, client(t, n, clerksync.APIConfig{RateLimit: -1}), clerksync.Reconcile)
			e, err := r.Get(t.Context(), clerksync.Users, "user_1")
			if !errors.Is(err, clerksync.ErrUnavailable) || !strings.Contains(err.Error(), "301") || len(keys) != 1 {
				t.Errorf("to %s: %+v, %v; asked %q, want only the first and no evidence", to, e, err, keys)
			}
		})
	}
}
