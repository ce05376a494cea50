package webhook_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/jmoiron/sqlx"

	"github.com/clerksync/clerksync/internal/pgtest"
	clerksync "github.com/clerksync/clerksync/sync"
	"github.com/clerksync/clerksync/webhook"
)

// hostile are bodies that try to make the handler fail for ever.
func hostile() []string {
	const user = `{"type":"user.updated","timestamp":1716883200000,"data":{"id":"user_1","object":"user","updated_at":1716883200000,%s}}`
	member := func(json string) string { return fmt.Sprintf(user, json) }
	deep := func(open, close string, n int) string {
		return strings.Repeat(open, n) + "1" + strings.Repeat(close, n)
	}
	deeper := 100_000
	return []string{
		``, `{}`, `{"type":"a"}`, `{"type":"user.created"}`, `{"type":"user.deleted","data":{"id":"user_1"}}`,
		`{"type":"user.deleted","timestamp":9223372036854775807,"data":{"id":"user_1"}}`,
		`{"type":"user.deleted","timestamp":-9223372036854775808,"data":{"id":"user_1"}}`,
		`{"type":"user.deleted","data":{"id":"` + strings.Repeat("u", 300) + `"}}`,
		`{"type":"user.deleted","data":{"id":"user\u0000"}}`,
		`{"type":"user.deleted","data":{"id":"user` + "\uFFFF" + `"}}`,
		`{"type":"\ud800","instance_id":"\u0000","data":{"id":"\udfff"}}`,
		`{"type":"user.updated","data":{"id":"user_1","object":"user","updated_at":-9223372036854775808}}`,
		`{"type":"user.updated","data":{"id":"user_1","object":"user","updated_at":9223372036854775807}}`,
		`{"type":"user.updated","timestamp":-1,"data":{"id":"user_1","object":"user","updated_at":-1}}`,
		`{"type":"user.updated","data":` + deep(`[`, `]`, deeper) + `}`,
		`{"type":"user.updated","x":` + deep(`{"a":`, `}`, deeper) + `}`,
		`{"type":"session.created","data":{"id":"sess_1","user":` + deep(`{"user":`, `}`, deeper) + `}}`,
		member(`"public_metadata":` + deep(`[`, `]`, deeper)),
		member(`"public_metadata":` + deep(`{"a":`, `}`, 600)),
		member(`"public_metadata":` + deep(`[`, `]`, 511)),
		member(`"email_addresses":` + deep(`[`, `]`, deeper)),
		member(`"email_addresses":[{"id":"\u0000","email_address":"\ud800","verification":{"status":"\u0000"}}],"primary_email_address_id":"\u0000"`),
		member(`"public_metadata":{"a":1e400000,"b":-1e-400000,"c":` + strings.Repeat("9", 200_000) + `}`),
		member(`"public_metadata":0.` + strings.Repeat("0", 200_000) + `1`),
		member(`"public_metadata":"\ud800","unsafe_metadata":"\u0000","private_metadata":1e999999`),
		member(`"\u0000":1,"\ud800":2,"` + strings.Repeat("n", 100_000) + `":3`),
		member(`"created_at":1e300,"last_sign_in_at":-1,"last_active_at":253402300800000,"banned":[],"image_url":{}`),
		member(`"first_name":"` + strings.Repeat(`\u0000`, 100_000) + `"`),
		member(`"first_name":"` + strings.Repeat("\U0001F600", 100_000) + `"`),
		member(`"external_id":"` + strings.Repeat("ab", 200_000) + `"`),
		member(`"username":"` + random(900_000) + `"`),
		member(`"external_id":"` + random(100_000) + `"`),
		member(many(`"m%d":%[1]d`, 6_000)),
		member(`"public_metadata":{` + many(`"m%d":%[1]d`, 6_000) + `}`),
		member(`"email_addresses":[` + many(`{"id":"idn_%d"}`, 6_000) + `],"primary_email_address_id":"idn_5999"`),
		"{\"type\":\"\xff\"}", "\xef\xbb\xbf{}", `{"type":"a","type":"b"}`, `{"type":"a","Type":"b"}`,
		`{"type":"a","data":{"k":1,"` + "\u212a" + `":2}}`,
	}
}

// many lists members or elements.
func many(format string, n int) string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf(format, i)
	}
	return strings.Join(all, ",")
}

// random is a text that does not compress, so that its size is what an index sees.
func random(n int) string {
	var b strings.Builder
	for x := uint64(88172645463325252); b.Len() < n; {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		b.WriteString(strconv.FormatUint(x, 36))
	}
	return b.String()[:n]
}

// handle opens a mirror in db and returns its handler, without a server.
func handle(t testing.TB, db *sqlx.DB) (*webhook.Handler, *clerksync.Mirror) {
	t.Helper()
	mirror, err := clerksync.Open(t.Context(), db, clerksync.Config{Unprepared: pgtest.Unprepared()})
	if err != nil {
		t.Fatal(err)
	}
	h, err := webhook.New(webhook.Config{Mirror: mirror, Secrets: []string{secret}})
	if err != nil {
		t.Fatal(err)
	}
	return h, mirror
}

func post(h http.Handler, header http.Header, body []byte) int {
	r := httptest.NewRequest("POST", "/", bytes.NewReader(body))
	r.Header = header
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code
}

// TestHostile posts hostile bodies to both databases, and again while it is told to come again: each is answered for good.
func TestHostile(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		h, _ := handle(t, db)
		for i, body := range hostile() {
			code := 503
			for try := 0; code == 503 && try < 5; try++ { // a machine that is busy with other tests may be too slow for the largest ones
				code = post(h, sign(secret, fmt.Sprint("msg_", i), time.Now(), body), []byte(body))
			}
			if code != 204 && code != 400 {
				t.Errorf("answered %d to %.200s", code, body)
			}
		}
	})
}

// FuzzBody posts signed bodies: whatever they hold, they are kept or refused for good, and only an event is kept.
func FuzzBody(f *testing.F) {
	for _, body := range hostile() {
		if len(body) < 4096 { // mutating the large ones, which TestHostile posts, takes minutes
			f.Add([]byte(body))
		}
	}
	h, _ := handle(f, pgtest.SQLite(f))
	f.Fuzz(func(t *testing.T, body []byte) {
		if len(body) > 1<<20 {
			return
		}
		code := post(h, sign(secret, "msg_1", time.Now(), string(body)), body)
		var event map[string]json.RawMessage
		isObject := utf8.Valid(body) && json.Unmarshal(body, &event) == nil && event != nil
		var typ string
		hasType := json.Unmarshal(event["type"], &typ) == nil && typ != ""
		switch {
		case code != 204 && code != 400:
			t.Errorf("answered %d", code)
		case code == 204 && !(isObject && hasType) && !tooDeep(body):
			t.Error("kept what is no event")
		}
	})
}

// tooDeep reports whether encoding/json gives up on a body for its nesting, of which it takes 10,000 levels.
func tooDeep(body []byte) bool {
	return bytes.Count(body, []byte("["))+bytes.Count(body, []byte("{")) > 9_000
}

// FuzzVerifyHeaders posts an event under all sorts of headers. It verifies only where a plain reading of the rules says so.
func FuzzVerifyHeaders(f *testing.F) {
	f.Add("msg_1", "", int16(0), "", uint16(0b01))
	f.Add("msg_1", "", int16(299), "v1,AAAA ", uint16(0b10))
	f.Add("msg_1", "", int16(-301), "", uint16(0b11))
	f.Add("msg_1", "+0", int16(0), "", uint16(0b101))
	f.Add("msg 1", " ", int16(0), "v1a,", uint16(0b1011))
	f.Add("é", "0", int16(0), "v1", uint16(0b11_0001))
	for bit := range 11 {
		f.Add("msg_1", "", int16(0), "", uint16(0b11|1<<bit))
		f.Add("msg_1", "", int16(0), "", uint16(0b01|1<<bit))
	}
	h, _ := handle(f, pgtest.SQLite(f))
	f.Fuzz(func(t *testing.T, id, zeros string, late int16, decoy string, shape uint16) {
		header, want := disguise(id, zeros, int64(late), decoy, shape)
		got := post(h, header, []byte(fuzzedBody)) == http.StatusNoContent
		if edge := max(late, -late); edge > 297 && edge < 303 {
			return // the clock may tick in between
		}
		if got != want {
			t.Errorf("verified %v, want %v, with %q", got, want, header)
		}
	})
}

const fuzzedBody = `{"type":"a.b"}`

// disguise makes headers, and tells whether they verify. The bits of shape: 0 and 1 send the two families; 2 to 4 take a header
// out of the first; 5 to 7 send one of the second's twice; 8 changes one of the second; 9 signs with another secret; 10 signs
// another body.
func disguise(id, zeros string, late int64, decoy string, shape uint16) (http.Header, bool) {
	bit := func(n int) bool { return shape>>n&1 == 1 }
	timestamp := zeros + strconv.FormatInt(time.Now().Unix()-late, 10)
	key, body := secret, fuzzedBody
	if bit(9) {
		key = otherSecret
	}
	if bit(10) {
		body += " "
	}
	triple := []string{id, timestamp, decoy + "v1," + signature(key, id, timestamp, body)}
	fields := []string{"Id", "Timestamp", "Signature"}
	first, second := http.Header{}, http.Header{}
	for i, field := range fields {
		if bit(0) && !bit(2+i) {
			first["Svix-"+field] = []string{triple[i]}
		}
		if bit(1) {
			second["Webhook-"+field] = []string{triple[i]}
			if bit(5 + i) {
				second["Webhook-"+field] = []string{triple[i], triple[i]}
			}
		}
	}
	if bit(8) && bit(1) {
		second["Webhook-Id"][0] += "x"
	}
	header := maps.Clone(first)
	maps.Copy(header, second)

	whole := len(first) == 3 && len(second) == 0 || len(first) == 0 && len(second) == 3 ||
		len(first) == 3 && len(second) == 3 && !bit(8)
	once := !slices.ContainsFunc(slices.Collect(maps.Values(header)), func(v []string) bool { return len(v) > 1 })
	plain := regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`).MatchString(id) &&
		regexp.MustCompile(`^[1-9][0-9]{0,11}$`).MatchString(timestamp)
	seconds, _ := strconv.ParseInt(timestamp, 10, 64)
	away := time.Since(time.Unix(seconds, 0)).Abs()
	separate := decoy == "" || strings.HasSuffix(decoy, " ")
	signed := !bit(9) && !bit(10) && !(bit(8) && bit(1)) && separate
	return header, whole && once && plain && signed && away <= 5*time.Minute
}
