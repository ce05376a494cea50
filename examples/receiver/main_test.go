package main

import (
	"fmt"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/clerksync/clerksync/feed"
	"github.com/clerksync/clerksync/internal/pgtest"
	clerksync "github.com/clerksync/clerksync/sync"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// TestWelcome delivers a sign-up and a suspicious sign-in, and all of it again: there is one welcome and one alarm.
func TestWelcome(t *testing.T) {
	t.Parallel()
	const secret, other = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_bmV4dG5leHRuZXh0bmV4dG5leHRuZXh0"
	if _, err := newReceiver("", nil, nil); err == nil {
		t.Error("a receiver without a secret was made")
	}
	var welcomed, alarms []string
	h, err := newReceiver(secret, func(id string) { welcomed = append(welcomed, id) }, func(id string) { alarms = append(alarms, id) })
	if err != nil {
		t.Fatal(err)
	}
	site := httptest.NewServer(h)
	defer site.Close()
	mirror, err := clerksync.Open(t.Context(), pgtest.SQLite(t), clerksync.Config{InstanceID: "ins_2test", Kinds: []clerksync.Kind{clerksync.Users, clerksync.Sessions}})
	if err != nil {
		t.Fatal(err)
	}
	for n := range 2 {
		now := time.Now().UnixMilli()
		_, err := mirror.Apply(t.Context(), clerksync.Evidence{
			Kind: clerksync.Users, At: now, Source: clerksync.Webhook, Event: &clerksync.Event{ID: fmt.Sprint("msg_", n), InstanceID: "ins_2test"},
			Object: fmt.Appendf(nil, `{"id":"user_1","object":"user","first_name":"Ada %d","created_at":%d,"updated_at":%d}`, n, now, now+int64(n)),
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	now := time.Now().UnixMilli()
	if _, err := mirror.Apply(t.Context(), clerksync.Evidence{
		Kind: clerksync.Sessions, At: now, Source: clerksync.Webhook, Event: &clerksync.Event{ID: "msg_session", InstanceID: "ins_2test"},
		Object: fmt.Appendf(nil, `{"id":"sess_1","object":"session","user_id":"user_1","status":"active","actor":{"sub":"user_2"},"created_at":%d,"updated_at":%d}`, now, now),
	}); err != nil {
		t.Fatal(err)
	}
	deliver := func(name, secret string) error {
		post, err := feed.NewHTTP(feed.HTTPConfig{URL: site.URL, Secrets: []string{secret}})
		if err != nil {
			t.Fatal(err)
		}
		defer post.Close()
		f, err := feed.New(feed.Config{Mirror: mirror, Relays: []feed.Relay{{Name: name, Receiver: post}}})
		if err != nil {
			t.Fatal(err)
		}
		return f.RunOnce(t.Context())
	}
	if err := deliver("forger", other); err == nil || len(welcomed) > 0 {
		t.Errorf("posts signed with another secret: %v, and %v are welcomed", err, welcomed)
	}
	for _, name := range []string{"first", "again"} { // a relay of another name begins anew
		if err := deliver(name, secret); err != nil {
			t.Error(err)
		}
	}
	if len(welcomed) != 1 || welcomed[0] != "user_1" {
		t.Errorf("welcomed %v, want user_1 once", welcomed)
	}
	if len(alarms) != 1 || alarms[0] != "sess_1" {
		t.Errorf("alarms for %v, want sess_1 once", alarms)
	}
}
