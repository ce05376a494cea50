//go:build check

package feed_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/clerksync/clerksync/internal/npmtest"
	"github.com/clerksync/clerksync/internal/pgtest"
)

// TestOtherVerifiers lets libraries in another language, by other people, verify what the relay signs. It needs node, npm and npm's
// registry.
func TestOtherVerifiers(t *testing.T) {
	t.Parallel()
	type post struct {
		Headers map[string]string `json:"headers"`
		Body    string            `json:"body"`
	}
	posts := make(chan post, 10)
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		p := post{Headers: map[string]string{}, Body: string(body)}
		for name := range r.Header {
			p.Headers[name] = r.Header.Get(name)
		}
		posts <- p
	}))
	defer s.Close()
	m := open(t, pgtest.SQLite(t))
	b := &inbox{t: t, server: s}
	apply(t, m, user("user_1", time.Now()))
	run(t, m, b.relay("box"))
	text, err := json.Marshal(<-posts)
	if err != nil {
		t.Fatal(err)
	}
	got := npmtest.Run(t, "testdata/verify.cjs", []string{"SECRET=" + secret, "POST=" + string(text)}, "svix@2.5.0", "standardwebhooks@1.1.1")
	const want = "svix com.clerk.user.created\nstandard com.clerk.user.created\nsvix refuses the altered\nstandard refuses the altered\n"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("verified (-want +got):\n%s", diff)
	}
}
