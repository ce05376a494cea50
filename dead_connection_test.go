package clerksync_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/clerksync/clerksync/feed"
	"github.com/clerksync/clerksync/internal/pgtest"
	"github.com/clerksync/clerksync/internal/pipes"
	clerksync "github.com/clerksync/clerksync/sync"
)

// mortal is a connection that may die without a word: what is written to it never arrives.
type mortal struct {
	net.Conn
	dead *atomic.Bool
}

func (c mortal) Write(b []byte) (int, error) {
	if c.dead.Load() {
		return len(b), nil
	}
	return c.Conn.Write(b)
}

// TestConnectionDiesSilently has a NAT forget the one connection on which HTTP/2 puts all requests: the next one is made within seconds,
// and not once TCP has given the first one up, a quarter of an hour later.
func TestConnectionDiesSilently(t *testing.T) { // not in parallel, since the transport is everybody's
	for name, build := range map[string]func(t *testing.T, address string) func(context.Context) error{
		"login": func(t *testing.T, address string) func(context.Context) error {
			api, err := clerksync.NewAPI(clerksync.APIConfig{SecretKey: "sk_test_key", URL: address, RateLimit: -1})
			if err != nil {
				t.Fatal(err)
			}
			m, err := clerksync.Open(t.Context(), pgtest.SQLite(t), clerksync.Config{})
			if err != nil {
				t.Fatal(err)
			}
			r := clerksync.NewReader(m, api, clerksync.Login)
			return func(ctx context.Context) error { _, err := r.Get(ctx, clerksync.Users, "user_1"); return err }
		},
		"relay": func(t *testing.T, address string) func(context.Context) error {
			r, err := feed.NewHTTP(feed.HTTPConfig{URL: address, Secrets: []string{"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}})
			if err != nil {
				t.Fatal(err)
			}
			return func(ctx context.Context) error { return r.Send(ctx, feed.Message{ID: "1", Event: []byte("{}")}) }
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var dead atomic.Bool
				var made atomic.Int64
				there := pipes.Listen("example.com:443")
				s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if r.ProtoMajor != 2 {
						t.Error("the request came by", r.Proto)
					}
					if r.URL.Path == "/v1/instance" {
						_, _ = io.WriteString(w, `{"object":"instance","id":"ins_1"}`)
						return
					}
					if r.Method == http.MethodGet {
						w.WriteHeader(http.StatusNotFound)
						_, _ = io.WriteString(w, `{"errors":[{"code":"resource_not_found"}]}`)
					}
				}))
				s.Listener.Close()
				s.Listener, s.EnableHTTP2, s.Config.ErrorLog = there, true, log.New(io.Discard, "", 0)
				s.StartTLS()
				defer s.Close()

				was := http.DefaultTransport
				defer func() { http.DefaultTransport = was }()
				known := x509.NewCertPool()
				known.AddCert(s.Certificate())
				standard := was.(*http.Transport).Clone()
				standard.TLSClientConfig = &tls.Config{RootCAs: known}
				standard.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
					here, err := there.Dial(ctx)
					if err == nil && made.Add(1) == 1 {
						here = mortal{here, &dead}
					}
					return here, err
				}
				http.DefaultTransport = standard
				ask := build(t, "https://example.com")
				if err := ask(t.Context()); err != nil {
					t.Fatal(err)
				}
				dead.Store(true)
				since := time.Now()
				for ask(t.Context()) != nil {
					if time.Since(since) > time.Minute {
						t.Fatal("no request has got through since, for a minute")
					}
				}
				if n := made.Load(); n != 2 {
					t.Errorf("%d connections were made", n)
				}
			})
		})
	}
}
