package feed_test

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cenkalti/backoff/v5"
	svix "github.com/svix/svix-webhooks/go"

	"github.com/clerksync/clerksync/feed"
	"github.com/clerksync/clerksync/internal/pipes"
	clerksync "github.com/clerksync/clerksync/sync"
)

var message = feed.Message{ID: "abc-1", Event: []byte(`{"specversion":"1.0"}`), Change: clerksync.Change{Seq: 1, Kind: clerksync.Users}}

// TestAnswers holds what counts as taken: any 2xx and nothing else. A redirect is not followed.
func TestAnswers(t *testing.T) {
	t.Parallel()
	for code, taken := range map[int]bool{200: true, 202: true, 204: true, 301: false, 307: false, 400: false, 410: false, 429: false, 500: false, 503: false} {
		followed := false
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			followed = followed || r.URL.Path == "/elsewhere"
			w.Header().Set("Location", "/elsewhere")
			w.Header().Set("Retry-After", "7")
			w.WriteHeader(code)
		}))
		defer s.Close()
		err := httpReceiver(t, s.URL).Send(t.Context(), message)
		if (err == nil) != taken || followed {
			t.Errorf("an answer %d: %v, followed %t, want taken %t", code, err, followed, taken)
		}
		var later *backoff.RetryAfterError
		if !taken && (!errors.As(err, &later) || later.Duration != 7*time.Second) {
			t.Errorf("an answer %d: %v does not say when to try again", code, err)
		}
	}
}

// TestReceiverThatMoves has the name of a receiver lead to another machine, while the one before keeps its connections and refuses what comes.
func TestReceiverThatMoves(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(*httptest.Server){"HTTP/1": (*httptest.Server).Start, "HTTP/2": func(s *httptest.Server) {
		s.EnableHTTP2 = true
		s.StartTLS()
	}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var moved atomic.Bool
			before := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				if moved.Load() {
					http.Error(w, "we have moved", http.StatusServiceUnavailable)
				}
			}))
			start(before)
			defer before.Close()
			after := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
			start(after)
			defer after.Close()
			transport := before.Client().Transport.(*http.Transport).Clone()
			transport.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
				address := before.Listener.Addr()
				if moved.Load() {
					address = after.Listener.Addr()
				}
				return (&net.Dialer{}).DialContext(ctx, network, address.String())
			}
			r, err := feed.NewHTTP(feed.HTTPConfig{URL: before.URL, Secrets: []string{secret}, Transport: transport})
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			if err := r.Send(t.Context(), message); err != nil {
				t.Fatal(err)
			}
			moved.Store(true)
			if err := r.Send(t.Context(), message); err == nil {
				t.Fatal("a connection is not used again, so this test shows nothing")
			}
			if err := r.Send(t.Context(), message); err != nil {
				t.Errorf("a receiver is looked for where it was: %v", err)
			}
		})
	}
}

// TestRetryAfterForms reads both forms that HTTP has for it; a date that is over, and what is neither, ask for nothing.
func TestRetryAfterForms(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{
		"90": 90 * time.Second, "9223372037": math.MaxInt32 * time.Second, "99999999999999999999": math.MaxInt32 * time.Second, "-99999999999999999999": 0, "0": 0, "-1": 0, "soon": 0, "": 0,
		time.Now().Add(time.Hour).UTC().Format(http.TimeFormat):  time.Hour,
		time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat): 0,
	} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", text)
			w.WriteHeader(http.StatusTooManyRequests)
		}))
		defer s.Close()
		var got time.Duration
		var later *backoff.RetryAfterError
		if errors.As(httpReceiver(t, s.URL).Send(t.Context(), message), &later) {
			got = later.Duration
		}
		if off := want - got; off < 0 || off > time.Minute || want == 0 && got != 0 {
			t.Errorf("Retry-After: %s is taken for %s, want %s", text, got, want)
		}
	}
}

// TestRetryAfter waits as long as a receiver asks for.
func TestRetryAfter(t *testing.T) {
	t.Parallel()
	m := open(t, sqlite(t))
	apply(t, m, user("user_1", time.Now()))
	var first time.Time
	box := newInbox(t, func(n int64, w http.ResponseWriter) bool {
		if n == 1 {
			first = time.Now()
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusTooManyRequests)
		}
		return n == 1
	})
	run(t, m, box.relay("box"))
	eventually(t, "the second try", func() bool { return len(box.events()) == 1 })
	if waited := time.Since(first); waited < time.Second {
		t.Errorf("tried again after %s, want a second", waited)
	}
}

// TestSigned verifies what is sent with each of the secrets, and not with another one.
func TestSigned(t *testing.T) {
	t.Parallel()
	const next, other = "whsec_bmV4dG5leHRuZXh0bmV4dG5leHRuZXh0", "whsec_b3RoZXJvdGhlcm90aGVyb3RoZXJvdGhlcm90"
	var header http.Header
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { header = r.Header }))
	defer s.Close()
	r, err := feed.NewHTTP(feed.HTTPConfig{URL: s.URL, Secrets: []string{secret, next}, Transport: &http.Transport{DisableKeepAlives: true}})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Send(t.Context(), message); err != nil {
		t.Fatal(err)
	}
	verify := func(want map[string]bool) {
		t.Helper()
		for key, good := range want {
			verifier, err := svix.NewWebhook(key)
			if err != nil {
				t.Fatal(err)
			}
			if err := verifier.Verify(message.Event, header); (err == nil) != good {
				t.Errorf("verified with %s: %v, want it to succeed: %t", key, err, good)
			}
		}
	}
	verify(map[string]bool{secret: true, next: true, other: false})
	if err := r.SetSecrets([]string{"whsec_c2hvcnQ="}); err == nil {
		t.Error("a short secret is accepted")
	}
	if err := r.SetSecrets([]string{other}); err != nil {
		t.Fatal(err)
	}
	if err := r.Send(t.Context(), message); err != nil {
		t.Fatal(err)
	}
	verify(map[string]bool{secret: false, next: false, other: true})
	if got := header.Get("Content-Type"); got != "application/cloudevents+json" {
		t.Errorf("Content-Type %q", got)
	}
}

// TestAnswerWithoutEnd answers that each message is taken, and goes on talking: the next one is posted all the same, and the connection that
// waits for the end of the answer is given up.
func TestAnswerWithoutEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		there := pipes.Listen("127.0.0.1:80")
		s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			for tick := time.Tick(100 * time.Millisecond); ; {
				if _, err := io.WriteString(w, "."); err != nil || http.NewResponseController(w).Flush() != nil {
					return
				}
				select {
				case <-tick:
				case <-r.Context().Done():
					return
				}
			}
		}))
		s.Listener.Close()
		s.Listener = there
		s.Start()
		defer s.Close()
		transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return there.Dial(ctx) }}
		r, err := feed.NewHTTP(feed.HTTPConfig{URL: "http://127.0.0.1", Secrets: []string{secret}, Transport: transport})
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		began := time.Now()
		for range 3 {
			if err := r.Send(t.Context(), message); err != nil {
				t.Error("a message that was taken: ", err)
			}
		}
		if took := time.Since(began); took > 5*time.Second { // by the bubble's clock
			t.Errorf("three messages took %s", took)
		}
	})
}

// TestErrorsTellNoSecret fails in many ways: no error tells the URL, which may hold a password or a token.
func TestErrorsTellNoSecret(t *testing.T) {
	t.Parallel()
	broken := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	defer broken.Close()
	closed := httptest.NewServer(nil)
	closed.Close()
	slow := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // only then the server sees that the client has gone
		<-r.Context().Done()
	}))
	defer slow.Close()
	urls := []string{broken.URL, closed.URL, slow.URL}
	for _, before := range []string{"", "HTTP/1.1 ", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nContent-Length: ", "HTTP/1.1 200 OK\r\nTransfer-Encoding: ", "HTTP/1.1 200 OK\r\n "} {
		echo := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			fmt.Fprintf(conn, "%s%s %s %s\r\n\r\n", before, r.Method, r.RequestURI, r.Proto)
		}))
		defer echo.Close()
		urls = append(urls, echo.URL)
	}
	for _, url := range urls {
		r := httpReceiver(t, strings.Replace(url, "http://", "http://user:hunter2@", 1)+"/T0KEN?key=hunter2")
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		err := r.Send(ctx, message)
		cancel()
		if err == nil || strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "T0KEN") {
			t.Errorf("error %v", err)
		}
	}
}

// traced is what programs wrap a transport in.
type traced struct{ http.RoundTripper }

func (t traced) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Traceparent", "here")
	return t.RoundTripper.RoundTrip(r)
}

// TestWrappedTransport makes a receiver in a program that has wrapped Go's default transport: it posts by that.
func TestWrappedTransport(t *testing.T) { // not in parallel, since the transport is everybody's
	asked := ""
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { asked = r.Header.Get("Traceparent") }))
	defer s.Close()
	defer func(was http.RoundTripper) { http.DefaultTransport = was }(http.DefaultTransport)
	http.DefaultTransport = traced{http.DefaultTransport}
	if err := httpReceiver(t, s.URL).Send(t.Context(), message); err != nil || asked != "here" {
		t.Errorf("%v, and the post was traced %q, want %q", err, asked, "here")
	}
}

// TestCertificatesAreVerified posts to a server that proves with a certificate of its own making who it is: it is told nothing.
func TestCertificatesAreVerified(t *testing.T) {
	t.Parallel()
	asked := false
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked = true }))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	defer s.Close()
	var unknown x509.UnknownAuthorityError
	if err := httpReceiver(t, s.URL).Send(t.Context(), message); !errors.As(err, &unknown) || asked {
		t.Errorf("%v, want an error about the certificate; told it all the same: %t", err, asked)
	}
}

func TestHTTPMistakes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		url, secret, want string
	}{
		{"https://example.com/hook", secret, ""},
		{"http://127.0.0.1:1/hook", secret, ""},
		{"http://localhost/hook", secret, ""},
		{"http://example.com/hook", secret, "https://"},
		{"example.com", secret, "must look like"},
		{"ftp://example.com", secret, "must look like"},
		{"https://example.com/\x7fhunter2", secret, "must look like"},
		{"https://example.com", "whsec_c2hvcnQ=", "24 bytes"},
		{"https://example.com", "whsec_", "24 bytes"},
		{"https://example.com", "not base64, hunter2", "24 bytes"},
	} {
		_, err := feed.NewHTTP(feed.HTTPConfig{URL: c.url, Secrets: []string{c.secret}})
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s: %v", c.url, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "hunter2")):
			t.Errorf("%s: error %v, want one about %q", c.url, err, c.want)
		}
	}
	if _, err := feed.NewHTTP(feed.HTTPConfig{URL: "https://example.com"}); err == nil {
		t.Error("a receiver without a secret is accepted")
	}
}
