package webhook_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/clerksync/clerksync/internal/pgtest"
	clerksync "github.com/clerksync/clerksync/sync"
	"github.com/clerksync/clerksync/webhook"
)

// TestStatus goes through the table of answers, but for 401 and what an outage answers.
func TestStatus(t *testing.T) {
	t.Parallel()
	e := serve(t, pgtest.SQLite(t), clerksync.Config{})
	now := time.Now()
	signed := func(body string) http.Header { return sign(secret, "msg_1", now, body) }
	encoded := func(body, encoding string) http.Header {
		h := signed(body)
		h.Set("Content-Encoding", encoding)
		return h
	}
	const plain = `{"type":"some.thing"}`
	padded := func(size int) string { return plain + strings.Repeat(" ", size-len(plain)) }
	streamed := func(body string) io.Reader { return io.MultiReader(strings.NewReader(body)) } // of unknown length
	tests := []struct {
		name   string
		method string
		header http.Header
		body   io.Reader
		code   int
		reason string
		answer [2]string // a header and its value
	}{
		{"event", "POST", signed(plain), strings.NewReader(plain), 204, "", [2]string{}},
		{"get", "GET", nil, nil, 405, "method", [2]string{"Allow", "POST"}},
		{"head", "HEAD", nil, nil, 405, "method", [2]string{"Allow", "POST"}},
		{"put", "PUT", signed(plain), strings.NewReader(plain), 405, "method", [2]string{"Allow", "POST"}},
		{"gzip", "POST", encoded(plain, "gzip"), strings.NewReader(plain), 415, "encoding", [2]string{}},
		{"identity, gzip", "POST", encoded(plain, "identity, gzip"), strings.NewReader(plain), 415, "encoding", [2]string{}},
		{"Identity", "POST", encoded(plain, "Identity"), strings.NewReader(plain), 204, "", [2]string{}},
		{"1 MiB", "POST", signed(padded(1 << 20)), strings.NewReader(padded(1 << 20)), 204, "", [2]string{}},
		{"1 MiB, streamed", "POST", signed(padded(1 << 20)), streamed(padded(1 << 20)), 204, "", [2]string{}},
		{"over 1 MiB", "POST", signed(padded(1<<20 + 1)), strings.NewReader(padded(1<<20 + 1)), 413, "oversized", [2]string{}},
		{"over 1 MiB, streamed", "POST", signed(padded(1<<20 + 1)), streamed(padded(1<<20 + 1)), 413, "oversized", [2]string{}},
		{"over 1 MiB, unsigned", "POST", nil, strings.NewReader(padded(1<<20 + 1)), 413, "oversized", [2]string{}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			response := e.send(test.method, test.header, test.body)
			if response.StatusCode != test.code {
				t.Errorf("answered %d, want %d", response.StatusCode, test.code)
			}
			if name := test.answer[0]; response.Header.Get(name) != test.answer[1] {
				t.Errorf("%s: %q, want %q", name, response.Header.Get(name), test.answer[1])
			}
			if d := e.last(); d.Reason != test.reason || d.Code != test.code {
				t.Errorf("observed %d %q, want %d %q", d.Code, d.Reason, test.code, test.reason)
			}
		})
	}
	if n := e.count("events", "true"); n != 1 {
		t.Errorf("%d events, want 1", n)
	}
}

// TestBehindMiddleware says what is wrong where a middleware has a limit of its own, which is not the handler's 1 MiB, or has read the body.
func TestBehindMiddleware(t *testing.T) {
	t.Parallel()
	e := serve(t, pgtest.SQLite(t), clerksync.Config{})
	const body = `{"type":"some.thing"}`
	reads := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.ReadAll(r.Body)
		e.handler.ServeHTTP(w, r)
	})
	for _, try := range []struct {
		site   http.Handler
		code   int
		reason string
		text   string
	}{
		{http.MaxBytesHandler(e.handler, int64(len(body))-1), 413, "oversized", "middleware"},
		{http.MaxBytesHandler(e.handler, int64(len(body))), 204, "", ""},
		{reads, 401, "signature", "verified"},
		{http.StripPrefix("/api", e.handler), 204, "", ""},
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/api/webhooks/clerk", strings.NewReader(body))
		r.Header = sign(secret, "msg_1", time.Now(), body)
		w := httptest.NewRecorder()
		try.site.ServeHTTP(w, r)
		if d := e.last(); w.Code != try.code || d.Reason != try.reason || !strings.Contains(w.Body.String(), try.text) {
			t.Errorf("%d %q, for the reason %q; want %+v", w.Code, w.Body, d.Reason, try)
		}
	}
}

// malformed are bodies that are no events, by what is wrong with them.
func malformed() map[string]string {
	return map[string]string{
		"nothing":                           "",
		"null":                              `null`,
		"an array":                          `[{"type":"user.created"}]`,
		"a text":                            `"user.created"`,
		"two objects":                       `{"type":"a.b"}{"type":"a.b"}`,
		"an object and more":                `{"type":"a.b"} x`,
		"an object cut off":                 `{"type":"a.b"`,
		"a trailing comma":                  `{"type":"a.b",}`,
		"a comment":                         `{"type":"a.b"/**/}`,
		"a byte order mark":                 "\xef\xbb\xbf" + `{"type":"a.b"}`,
		"not UTF-8":                         "{\"type\":\"a.b\",\"x\":\"\xff\"}",
		"UTF-16":                            "\x00{\x00}",
		"no type":                           `{"data":{"id":"user_1"}}`,
		"an empty type":                     `{"type":""}`,
		"a null type":                       `{"type":null}`,
		"a number for a type":               `{"type":7}`,
		"a type in another case":            `{"Type":"user.created"}`,
		"type twice":                        `{"type":"a.b","type":"a.b"}`,
		"type twice, by case":               `{"type":"user.updated","TYPE":"user.deleted"}`,
		"type twice, by escape":             `{"type":"user.updated","\u0074ype":"user.deleted"}`,
		"type twice, by long s":             `{"instance_id":"a","in\u017ftance_id":"b","type":"a.b"}`,
		"data twice":                        `{"type":"a.b","data":{},"data":{}}`,
		"an id of data twice":               `{"type":"user.deleted","data":{"id":"user_1","id":"user_2"}}`,
		"an id of data twice, by case":      `{"type":"user.deleted","data":{"id":"user_1","ID":"user_2"}}`,
		"a name of an ignored event twice":  `{"type":"a.b","data":{"x":1,"x":2}}`,
		"a control character within a text": "{\"type\":\"a.b\",\"x\":\"\n\"}",
	}
}

// TestUnverifiedIsNotParsed posts bodies that no parser gets past, signed by somebody else: all are answered like any forgery, and
// nothing is learned of them.
func TestUnverifiedIsNotParsed(t *testing.T) {
	t.Parallel()
	e := serve(t, pgtest.SQLite(t), clerksync.Config{})
	bodies := slices.AppendSeq(hostile(), maps.Values(malformed()))
	uniform := answerOf(e.post(http.Header{}, "{}"))
	for _, body := range bodies {
		if got := answerOf(e.post(sign(otherSecret, "msg_1", time.Now(), body), body)); got != uniform {
			t.Errorf("%.60q was answered %q, want %q", body, got, uniform)
		}
		if d := e.last(); d.Code != http.StatusUnauthorized || d.Reason != "signature" || d.Type != "" || !d.OccurredAt.IsZero() {
			t.Errorf("%.60q was observed as %+v", body, d)
		}
	}
	if log := e.logged(); strings.Contains(log, "user.") {
		t.Errorf("the log tells what an unverified body said:\n%.2000s", log)
	}
	e.empty()
}

// TestMalformed posts signed bodies that are no events.
func TestMalformed(t *testing.T) {
	t.Parallel()
	e := serve(t, pgtest.SQLite(t), clerksync.Config{})
	for name, body := range malformed() {
		t.Run(name, func(t *testing.T) {
			response := e.post(sign(secret, "msg_1", time.Now(), body), body)
			if response.StatusCode != http.StatusBadRequest {
				t.Errorf("answered %d, want 400", response.StatusCode)
			}
			if got := response.Header.Get("webhook-delivery"); got != "abort-message" {
				t.Errorf("webhook-delivery: %q, want abort-message", got)
			}
			if got := e.last(); got.Reason != "malformed" || got.Type != "" {
				t.Errorf("observed %+v", got)
			}
		})
	}
	e.empty()
}

// TestObserve compares what the observer learns about deliveries of several sorts.
func TestObserve(t *testing.T) {
	t.Parallel()
	e := serve(t, pgtest.SQLite(t), clerksync.Config{InstanceID: "ins_test"})
	at := time.Now().Add(-3 * time.Second)
	e.deliver("msg_1", envelope("user.created", ms(at), userJSON("user_1", ms(at))), 204)
	e.deliver("msg_2", `{"type":"sms.created","instance_id":"ins_test"}`, 204)
	e.deliver("msg_3", `{"type":"user.deleted","instance_id":"ins_other","data":{"id":"user_1"}}`, 204)
	e.deliver("msg_4", `{"type":"user.deleted","instance_id":"ins_test","data":{}}`, 204)
	e.post(nil, "")

	want := []webhook.Delivery{
		{Code: 204, Secret: 1, Type: "user.created", Outcome: clerksync.Created, OccurredAt: time.UnixMilli(ms(at)).UTC()},
		{Code: 204, Secret: 1, Type: "sms.created", Outcome: clerksync.Ignored},
		{Code: 204, Secret: 1, Type: "user.deleted", Outcome: clerksync.Ignored, Foreign: true},
		{Code: 204, Secret: 1, Type: "user.deleted", Outcome: clerksync.Quarantined},
		{Code: 401, Reason: "missing"},
	}
	got := e.deliveries
	for i := range got {
		if got[i].Duration <= 0 {
			t.Errorf("delivery %d took no time", i)
		}
		if known := !got[i].OccurredAt.IsZero(); known != (got[i].Lag > 0) || known && got[i].Lag < 3*time.Second {
			t.Errorf("delivery %d has a lag of %s", i, got[i].Lag)
		}
		got[i].Duration, got[i].Lag = 0, 0
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("observed (-want +got):\n%s", diff)
	}
}

// TestSilence looks for personal data and secrets where they must not be: in the log and in answers.
func TestSilence(t *testing.T) {
	t.Parallel()
	e := serve(t, pgtest.SQLite(t), clerksync.Config{})
	now := time.Now()
	personal := []string{`"first_name":"Zebedee"`, `"primary_email_address_id":"idn_1"`,
		`"email_addresses":[{"id":"idn_1","email_address":"zebedee@example.com"}]`}
	created := envelope("user.created", ms(now), userJSON("user_1", ms(now), personal...))
	bodies := map[string]int{
		created: 204,
		envelope("user.updated", ms(now), `{"id":"user_1","first_name":"Zebedee"}`):                                        204,
		envelope("user.updated", ms(now.Add(time.Hour)), userJSON("user_1", ms(now.Add(time.Hour)), personal...)):          204,
		envelope("email.created", ms(now), `{"id":"ema_1","to_email_address":"zebedee@example.com","otp_code":"Zebedee"}`): 204,
		`{"type":"user.updated","Zebedee":1,"zebedee@example.com":2,"zebedee@example.com":3}`:                              400,
		`{"type":"user.updated","data":{"first_name":"Zebedee"`:                                                            400,
	}
	for body, code := range bodies {
		response := e.post(sign(secret, "msg_1", now, body), body)
		text, _ := io.ReadAll(response.Body)
		if response.StatusCode != code || bytes.Contains(bytes.ToLower(text), []byte("zebedee")) {
			t.Errorf("answered %d %q, want %d and nothing personal", response.StatusCode, text, code)
		}
	}
	e.post(sign(otherSecret, "msg_1", now, created), created)
	log := e.logged()
	for _, hidden := range []string{"ebedee", "example.com", strings.TrimPrefix(secret, "whsec_")[:8]} {
		if strings.Contains(log, hidden) {
			t.Errorf("the log has %q:\n%s", hidden, log)
		}
	}
	if !strings.Contains(log, "event=msg_1") || !strings.Contains(log, "outcome=created") {
		t.Errorf("the log does not tell what became of the event:\n%s", log)
	}
}

// TestFloodLeavesTheLogUsable has somebody without a secret send as much as he can: the log tells of some of it and how much it leaves out,
// and of everything that is signed.
func TestFloodLeavesTheLogUsable(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		mirror, err := clerksync.Open(t.Context(), pgtest.SQLite(t), clerksync.Config{})
		if err != nil {
			t.Fatal(err)
		}
		var log bytes.Buffer
		h := webhook.NewHandler(webhook.Config{Mirror: mirror, Secrets: []string{secret}, Logger: slog.New(slog.NewJSONHandler(&log, nil))})
		send := func(method string, header http.Header, body string) int {
			r := httptest.NewRequestWithContext(t.Context(), method, "/", strings.NewReader(body))
			r.Header = header
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			return w.Code
		}
		flood := func() {
			for range 500 {
				send(http.MethodPost, http.Header{}, "{}")
				send(http.MethodGet, http.Header{}, "")
			}
		}
		// told returns how many lines there are since the last call, and how many more refusals they say there were.
		told := func() (lines, untold int) {
			for text := range strings.Lines(log.String()) {
				var line struct{ Untold int }
				if err := json.Unmarshal([]byte(text), &line); err != nil {
					t.Fatal(err)
				}
				lines, untold = lines+1, untold+line.Untold
			}
			log.Reset()
			return lines, untold
		}
		flood()
		if lines, untold := told(); lines != 100 || untold != 0 {
			t.Errorf("of 1000 refusals %d are told, and %d as left out; want 100 and none yet", lines, untold)
		}
		time.Sleep(10 * time.Second)
		flood()
		if lines, untold := told(); lines != 10 || untold != 900 {
			t.Errorf("ten seconds later %d of 1000 are told, and %d as left out; want 10 and 900", lines, untold)
		}
		const quarantined = `{"type":"user.updated","object":"event","data":{}}`
		for i := range 3 {
			if code := send(http.MethodPost, sign(secret, fmt.Sprint("msg_", i), time.Now(), quarantined), quarantined); code != http.StatusNoContent {
				t.Fatalf("a signed event is answered %d beside the flood", code)
			}
		}
		if got := strings.Count(log.String(), "event quarantined"); got != 3 {
			t.Errorf("%d of 3 events in quarantine are told:\n%s", got, &log)
		}
	})
}
