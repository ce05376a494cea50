package webhook_test

import (
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/clerksync/clerksync/internal/pgtest"
	clerksync "github.com/clerksync/clerksync/sync"
	"github.com/clerksync/clerksync/webhook"
)

// TestSeedAttack is the attack that this handler was written against: an endpoint that believes what it is told makes an
// administrator of anybody.
func TestSeedAttack(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		e := serve(t, db, clerksync.Config{})
		const body = `{"type":"user.created","data":{"id":"fake_user_123","email":"hacker@evil.com","role":"admin"}}`
		if got := e.post(http.Header{"Content-Type": {"application/json"}}, body).StatusCode; got != http.StatusUnauthorized {
			t.Errorf("answered %d, want 401", got)
		}
		e.empty()
	})
}

// TestUnverified posts an event that would make a row in every way that must not verify.
func TestUnverified(t *testing.T) {
	t.Parallel()
	now := time.Now()
	body := envelope("user.created", ms(now), userJSON("user_1", ms(now)))
	good := func() http.Header { return sign(secret, "msg_1", now, body) }
	with := func(name string, values ...string) http.Header {
		h := good()
		h[name] = values
		return h
	}
	without := func(name string) http.Header {
		h := good()
		delete(h, name)
		return h
	}
	standard := func(id string) http.Header {
		h := http.Header{}
		for name, values := range sign(secret, id, now, body) {
			h["Webhook-"+strings.TrimPrefix(name, "Svix-")] = values
		}
		return h
	}
	both := func(first, second http.Header) http.Header {
		h := first.Clone()
		for name, values := range second {
			h[name] = values
		}
		return h
	}
	stamp := func(timestamp string) http.Header {
		h := good()
		h["Svix-Timestamp"] = []string{timestamp}
		h["Svix-Signature"] = []string{"v1," + signature(secret, "msg_1", timestamp, body)}
		return h
	}
	named := func(id string) http.Header { return sign(secret, id, now, body) }

	tests := []struct {
		name   string
		header http.Header
		body   string
		reason string
	}{
		{"without headers", http.Header{}, body, "missing"},
		{"without id", without("Svix-Id"), body, "missing"},
		{"without timestamp", without("Svix-Timestamp"), body, "missing"},
		{"without signature", without("Svix-Signature"), body, "missing"},
		{"forged", with("Svix-Signature", "v1,"+base64.StdEncoding.EncodeToString(make([]byte, 32))), body, "signature"},
		{"no signature of version 1", with("Svix-Signature", strings.Replace(good().Get("Svix-Signature"), "v1,", "v1a,", 1)), body, "signature"},
		{"signed with another secret", sign(otherSecret, "msg_1", now, body), body, "signature"},
		{"signed for another id", with("Svix-Id", "msg_2"), body, "signature"},
		{"signed for another time", with("Svix-Timestamp", "1700000000"), body, "old"},
		{"altered by a byte", good(), strings.Replace(body, "user_1", "user_2", 1), "signature"},
		{"cut by a byte", good(), body[:len(body)-1], "signature"},
		{"longer by a blank", good(), body + " ", "signature"},
		{"without body", good(), "", "signature"},
		{"expired", sign(secret, "msg_1", now.Add(-6*time.Minute), body), body, "old"},
		{"from the future", sign(secret, "msg_1", now.Add(6*time.Minute), body), body, "future"},
		{"timestamp with a sign", stamp("+" + good().Get("Svix-Timestamp")), body, "timestamp"},
		{"timestamp with a zero in front", stamp("0" + good().Get("Svix-Timestamp")), body, "timestamp"},
		{"timestamp with a fraction", stamp(good().Get("Svix-Timestamp") + ".0"), body, "timestamp"},
		{"timestamp in hexadecimal", stamp("0x68000000"), body, "timestamp"},
		{"timestamp without end", stamp(strings.Repeat("9", 400)), body, "timestamp"},
		{"timestamp in milliseconds", stamp(good().Get("Svix-Timestamp") + "000"), body, "timestamp"},
		{"timestamp zero", stamp("0"), body, "timestamp"},
		{"id with a dot", named("msg.1"), body, "id"},
		{"id with a blank", named("msg 1"), body, "id"},
		{"id in another script", named("msg_é"), body, "id"},
		{"id of 65 characters", named(strings.Repeat("m", 65)), body, "id"},
		{"id twice", with("Svix-Id", "msg_1", "msg_1"), body, "duplicate"},
		{"id twice, differing", with("Svix-Id", "msg_1", "msg_2"), body, "duplicate"},
		{"timestamp twice", with("Svix-Timestamp", good().Get("Svix-Timestamp"), "1"), body, "duplicate"},
		{"signature twice", with("Svix-Signature", good().Get("Svix-Signature"), "v1,AAAA"), body, "duplicate"},
		{"standard id twice", both(good(), http.Header{"Webhook-Id": {"msg_1", "msg_1"}}), body, "duplicate"},
		{"an id that nobody signed beside a signed triple", both(standard("msg_1"), http.Header{"Svix-Id": {"msg_2"}}), body, "conflict"},
		{"an empty id beside a signed triple", both(standard("msg_1"), http.Header{"Svix-Id": {""}}), body, "conflict"},
		{"the same id beside a signed triple", both(standard("msg_1"), http.Header{"Svix-Id": {"msg_1"}}), body, "conflict"},
		{"two signed triples", both(standard("msg_1"), named("msg_2")), body, "conflict"},
		{"two families that share an id", both(good(), http.Header{"Webhook-Id": {"msg_1"}}), body, "conflict"},
	}
	e := serve(t, pgtest.SQLite(t), clerksync.Config{})
	uniform := answerOf(e.post(http.Header{}, body))
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			response := e.post(test.header, test.body)
			if response.StatusCode != http.StatusUnauthorized {
				t.Errorf("answered %d, want 401", response.StatusCode)
			}
			if got := answerOf(response); got != uniform {
				t.Errorf("answer %q differs from that to other failures, %q", got, uniform)
			}
			if got := e.last().Reason; got != test.reason {
				t.Errorf("reason %q, want %q", got, test.reason)
			}
		})
	}
	e.empty()
}

// answerOf returns all of a response that a sender sees, but the date.
func answerOf(response *http.Response) string {
	var b strings.Builder
	response.Header.Del("Date")
	_ = response.Header.Write(&b)
	_, _ = io.Copy(&b, response.Body)
	return b.String()
}

// TestVerified posts the same event in every way that must verify.
func TestVerified(t *testing.T) {
	t.Parallel()
	e := serve(t, pgtest.SQLite(t), clerksync.Config{}, func(c *webhook.Config) {
		c.Secrets = []string{secret, strings.TrimPrefix(otherSecret, "whsec_")}
	})
	now := time.Now()
	body := envelope("user.created", ms(now), userJSON("user_1", ms(now)))
	tests := []struct {
		name   string
		header func(id string) http.Header
	}{
		{"Svix's headers", func(id string) http.Header { return sign(secret, id, now, body) }},
		{"four minutes late", func(id string) http.Header { return sign(secret, id, now.Add(-4*time.Minute), body) }},
		{"four minutes early", func(id string) http.Header { return sign(secret, id, now.Add(4*time.Minute), body) }},
		{"the second secret", func(id string) http.Header { return sign(otherSecret, id, now, body) }},
		{"the headers of Standard Webhooks", func(id string) http.Header {
			h := sign(secret, id, now, body)
			return http.Header{"Webhook-Id": h["Svix-Id"], "Webhook-Timestamp": h["Svix-Timestamp"], "Webhook-Signature": h["Svix-Signature"]}
		}},
		{"both, identical", func(id string) http.Header {
			h := sign(secret, id, now, body)
			h["Webhook-Id"], h["Webhook-Timestamp"], h["Webhook-Signature"] = h["Svix-Id"], h["Svix-Timestamp"], h["Svix-Signature"]
			return h
		}},
		{"two signatures in one header", func(id string) http.Header {
			h := sign(secret, id, now, body)
			h.Set("Svix-Signature", "v1,AAAA "+h.Get("Svix-Signature"))
			return h
		}},
		{"a signature of an unknown version", func(id string) http.Header {
			h := sign(secret, id, now, body)
			h.Set("Svix-Signature", "v1a,AAAA "+h.Get("Svix-Signature"))
			return h
		}},
		{"declared as not encoded", func(id string) http.Header {
			h := sign(secret, id, now, body)
			h.Set("Content-Encoding", "identity")
			return h
		}},
	}
	for i, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			id := "msg_" + strings.Repeat("x", i+1)
			if got := e.post(test.header(id), body).StatusCode; got != http.StatusNoContent {
				t.Errorf("answered %d, want 204; reason %q", got, e.last().Reason)
			}
			e.event(id)
		})
	}
	if n := e.count("users", "true"); n != 1 {
		t.Errorf("%d users, want 1", n)
	}
	if n := e.count("changes", "true"); n != 1 {
		t.Errorf("%d changes, want 1", n)
	}
}

// TestReplay posts the very same request again: nothing changes but a count.
func TestReplay(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		e := serve(t, db, clerksync.Config{})
		now := time.Now()
		body := envelope("user.created", ms(now), userJSON("user_1", ms(now), `"first_name":"Ada"`))
		header := sign(secret, "msg_1", now, body)
		for range 3 {
			if got := e.post(header, body).StatusCode; got != http.StatusNoContent {
				t.Fatalf("answered %d, want 204", got)
			}
		}
		want := eventRow{Type: "user.created", Object: "user_1", Outcome: clerksync.Created, Attempts: 3}
		if got := e.event("msg_1"); got != want {
			t.Errorf("event %+v, want %+v", got, want)
		}
		for _, table := range []string{"users", "events", "changes"} {
			if n := e.count(table, "true"); n != 1 {
				t.Errorf("%d rows in %s, want 1", n, table)
			}
		}
	})
}

func TestSecrets(t *testing.T) {
	t.Parallel()
	mirror, err := clerksync.Open(t.Context(), pgtest.SQLite(t), clerksync.Config{})
	if err != nil {
		t.Fatal(err)
	}
	long := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("k", 24)))
	short := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("k", 23)))
	tests := []struct {
		name    string
		secrets []string
		says    string // "" means that it is accepted
	}{
		{"24 bytes", []string{"whsec_" + long}, ""},
		{"without prefix", []string{long}, ""},
		{"none", nil, "there is none"},
		{"empty", []string{""}, "0 bytes"},
		{"prefix alone", []string{"whsec_"}, "0 bytes"},
		{"23 bytes", []string{"whsec_" + short}, "23 bytes"},
		{"the second one is short", []string{"whsec_" + long, "whsec_" + short}, "secret 2 of 2"},
		{"an empty one beside a good one", []string{"whsec_" + long, ""}, "secret 2 of 2"},
		{"not base64", []string{"whsec_" + long[:31] + "*"}, "not base64"},
		{"prefix twice", []string{"whsec_whsec_" + long}, "not base64"},
		{"a blank in front", []string{" whsec_" + long}, "white space"},
		{"a line end behind", []string{"whsec_" + long + "\n"}, "white space"},
		{"two in one", []string{"whsec_" + long + ",whsec_" + long}, "not base64"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := webhook.New(webhook.Config{Mirror: mirror, Secrets: test.secrets})
			if test.says == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if err == nil {
				t.Fatal("accepted")
			}
			if !strings.Contains(err.Error(), test.says) || !strings.Contains(err.Error(), "Clerk's dashboard") {
				t.Errorf("error %q does not say %q and where secrets are", err, test.says)
			}
			if strings.Contains(err.Error(), long[:8]) {
				t.Errorf("error %q quotes the secret", err)
			}
		})
	}
	if _, err := webhook.New(webhook.Config{Secrets: []string{secret}}); err == nil {
		t.Error("a handler without a mirror was accepted")
	}
	defer func() {
		if said, _ := recover().(string); !strings.Contains(said, "there is none") {
			t.Errorf("NewHandler without a secret said %q", said)
		}
	}()
	webhook.NewHandler(webhook.Config{Mirror: mirror})
}

// TestRotation replaces the secrets of a handler at work, and tells which one verified a delivery.
func TestRotation(t *testing.T) {
	t.Parallel()
	e := serve(t, pgtest.SQLite(t), clerksync.Config{})
	body := envelope("user.created", ms(time.Now()), userJSON("user_1", ms(time.Now())))
	for i, c := range []struct {
		secrets   []string // nil = as they were
		by        string
		code, nth int
	}{
		{nil, secret, 204, 1},
		{nil, otherSecret, 401, 0},
		{[]string{secret, otherSecret}, otherSecret, 204, 2},
		{[]string{secret, otherSecret}, secret, 204, 1},
		{[]string{otherSecret, "whsec_short"}, secret, 204, 1}, // refused
		{[]string{}, secret, 204, 1},                           // refused
		{[]string{otherSecret}, secret, 401, 0},
		{nil, otherSecret, 204, 1},
	} {
		if c.secrets != nil {
			err := e.handler.SetSecrets(c.secrets)
			if refused := len(c.secrets) == 0 || strings.HasSuffix(c.secrets[len(c.secrets)-1], "short"); (err != nil) != refused {
				t.Errorf("%d: SetSecrets = %v", i, err)
			}
		}
		got := e.post(sign(c.by, "msg_"+strings.Repeat("r", i+1), time.Now(), body), body).StatusCode
		if got != c.code || e.last().Secret != c.nth {
			t.Errorf("%d: answered %d by secret %d, want %d by %d", i, got, e.last().Secret, c.code, c.nth)
		}
	}
}

// TestConfigHidesItsSecrets prints the configuration and the handler in every way there is.
func TestConfigHidesItsSecrets(t *testing.T) {
	t.Parallel()
	mirror, err := clerksync.Open(t.Context(), pgtest.SQLite(t), clerksync.Config{})
	if err != nil {
		t.Fatal(err)
	}
	cfg := webhook.Config{Mirror: mirror, Secrets: []string{secret}}
	h, err := webhook.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range []any{cfg, &cfg, struct{ C webhook.Config }{cfg}, h} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			if text := fmt.Sprintf(verb, v); strings.Contains(text, secret[6:20]) || strings.Contains(text, fmt.Sprintf("%x", secret[6:20])) {
				t.Errorf("%s of %T shows the secret: %s", verb, v, text)
			}
		}
	}
}
