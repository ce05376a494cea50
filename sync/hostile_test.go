package sync_test

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/jmoiron/sqlx"

	"github.com/clerksync/clerksync/internal/pgtest"
	clerksync "github.com/clerksync/clerksync/sync"
)

// hostile are values that users can write into their metadata and that one database or the other refuses.
var hostile = []struct{ name, value string }{
	{"NUL", `{"a":"b\u0000c"}`},
	{"NUL in a name", `{"b\u0000c":1}`},
	{"half a surrogate", `{"a":"\ud800"}`},
	{"the other half", `["\udc00\ud800"]`},
	{"half a surrogate in a name", `{"\udfff":1}`},
	{"a huge number", `{"a":[1e400000]}`},
	{"a huge negative number", `-1e400000`},
	{"a number of many digits", `{"a":1` + strings.Repeat("0", 140_000) + `}`},
	{"deep arrays", strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000)},
	{"deep objects", strings.Repeat(`{"a":`, 20_000) + "1" + strings.Repeat("}", 20_000)},
	{"as deep as is refused", strings.Repeat("[", 513) + strings.Repeat("]", 513)},
}

// TestHostileMetadata stores the rest of a user whose metadata no database takes, and his ban.
func TestHostileMetadata(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		m := open(t, db, clerksync.Config{InstanceID: instance, PrivateMetadata: true})
		for i, h := range hostile {
			for _, member := range []string{"public_metadata", "unsafe_metadata", "private_metadata"} {
				u := user{ID: fmt.Sprintf("user_%d_%s", i, member), Updated: past, Name: "Ada",
					More: `,"` + member + `":` + h.value + `,"unknown":` + h.value + `,"last_name":"Love"`}
				for _, banned := range []bool{false, true} {
					u.Banned = banned
					u.Updated++
					results := apply(t, m, told(u, u.Updated))
					if got := results[0].Outcome; got != map[bool]clerksync.Outcome{false: clerksync.Created, true: clerksync.Updated}[banned] {
						t.Fatalf("%s in %s: %+v", h.name, member, results)
					}
					checkStored(t, m, h.name, u, member)
				}
			}
		}
	})
}

func checkStored(t *testing.T, m *clerksync.Mirror, name string, u user, member string) {
	t.Helper()
	got, err := m.User(t.Context(), u.ID)
	if err != nil {
		t.Fatalf("%s in %s: %v", name, member, err)
	}
	if got.Banned == nil || *got.Banned != u.Banned || got.FirstName == nil || *got.FirstName != "Ada" || got.LastName == nil {
		t.Errorf("%s in %s: banned, first and last name = %v, %v, %v", name, member, got.Banned, got.FirstName, got.LastName)
	}
	if v := text(t, m.DB(), m.SQL(`SELECT `+member+` FROM {users} WHERE id = $1`), u.ID); v != "<null>" && v != "null" {
		t.Errorf("%s in %s: stored %.80s", name, member, v)
	}
	unstorable := strings.Split(text(t, m.DB(), m.SQL(`SELECT unstorable FROM {users} WHERE id = $1`), u.ID), ",")
	if unstorable[0] != member || len(unstorable) > 2 {
		t.Errorf("%s in %s: unstorable %q", name, member, unstorable)
	}
}

// TestStorableMetadata keeps what looks hostile and is not.
func TestStorableMetadata(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		m := pinned(t, db)
		for i, value := range []string{
			`{"a":"\\u0000"}`, `{"a":"\ud83d\ude00"}`, `{"a":1e308,"b":-1e-300}`, `{"a":0.1000000000000000055511151231257827}`,
			`{"a":"\u001f\u2028\u0080\"\\\/"}`, `{"$.a":1,"":2,"{users}":3}`, `[]`, `"text"`, `7`, `true`,
			strings.Repeat("[", 512) + strings.Repeat("]", 512),
		} {
			u := user{ID: fmt.Sprint("user_", i), Updated: past, More: `,"public_metadata":` + value}
			if got := apply(t, m, told(u, past))[0]; got.Outcome != clerksync.Created {
				t.Fatalf("%.80s: %+v", value, got)
			}
			got, err := m.User(t.Context(), u.ID)
			if err != nil || got.PublicMetadata == nil {
				t.Fatalf("%.80s: stored %v, %v", value, got.PublicMetadata, err)
			}
			if !sameJSON(t, *got.PublicMetadata, value) {
				t.Errorf("stored %.80s, want %.80s", *got.PublicMetadata, value)
			}
			if v := text(t, db, m.SQL(`SELECT unstorable FROM {users} WHERE id = $1`), u.ID); v != "<null>" {
				t.Errorf("%.80s: unstorable %q", value, v)
			}
		}
	})
}

// TestHostileText shows what is left of text that cannot be stored as it is.
func TestHostileText(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		m := pinned(t, db)
		tests := []struct{ name, more, column, want string }{
			{"NUL", `,"last_name":"a\u0000b"`, "last_name", "a\uFFFDb"},
			{"half a surrogate", `,"last_name":"a\ud800"`, "last_name", "a\uFFFD"},
			{"a whole one", `,"last_name":"\ud83d\ude00"`, "last_name", "\U0001F600"},
			{"quotes and backslashes", `,"last_name":"O\"\\'{users}$1"`, "last_name", `O"\'{users}$1`},
			{"NUL in the e-mail", `,"primary_email_address_id":"i","email_addresses":[{"id":"i","email_address":"a\u0000@b"}]`, "email", "a\uFFFD@b"},
			{"NUL in an unknown member", `,"x\u0000y":{"a":["\u0000"]},"last_name":"z"`, "last_name", "z"},
			{"a huge number in an unknown member", `,"x":[1e400000],"last_name":"z"`, "last_name", "z"},
			{"an unknown member too deep", `,"x":` + strings.Repeat("[", 9000) + strings.Repeat("]", 9000) + `,"last_name":"z"`, "last_name", "z"},
			{"a long username", `,"username":"` + noise(20_000) + `","last_name":"z"`, "last_name", "z"},
			{"a long external_id", `,"external_id":"` + noise(20_000) + `","last_name":"z"`, "last_name", "z"},
			{"a long e-mail", `,"primary_email_address_id":"i","email_addresses":[{"id":"i","email_address":"` + noise(20_000) + `"}],"last_name":"z"`, "last_name", "z"},
		}
		for i, test := range tests {
			u := user{ID: fmt.Sprint("user_", i), Updated: past, More: test.more}
			if got := apply(t, m, told(u, past))[0]; got.Outcome != clerksync.Created {
				t.Errorf("%s: %+v", test.name, got)
				continue
			}
			if got := text(t, db, m.SQL(`SELECT `+test.column+` FROM {users} WHERE id = $1`), u.ID); got != test.want {
				t.Errorf("%s: %s = %q, want %q", test.name, test.column, got, test.want)
			}
		}
	})
}

// noise is text that does not compress.
func noise(n int) string {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	b := make([]byte, n)
	x := uint64(88172645463325252)
	for i := range b {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		b[i] = letters[x%64]
	}
	return string(b)
}

// TestOddTypes gives every column a value of a type that Clerk never sends: it is null, and the rest is there.
func TestOddTypes(t *testing.T) {
	t.Parallel()
	columns := map[string]string{
		"external_id": "external_id", "username": "username", "first_name": "first_name", "last_name": "last_name", "image_url": "image_url",
		"banned": "banned", "locked": "locked", "created_at": "created_at", "last_sign_in_at": "last_sign_in_at",
		"last_active_at": "last_active_at", "email_addresses": "email", "phone_numbers": "phone", "primary_email_address_id": "email",
	}
	values := []string{
		`{}`, `[]`, `[[]]`, `[{}]`, `[{"id":"i","email_address":7,"phone_number":null,"verification":[]}]`, `1.5`, `-1`, `1e400`, `1e18`,
		fmt.Sprint(math.MaxInt64), fmt.Sprint(math.MinInt64), `253402300800000`, `null`,
	}
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		m := pinned(t, db)
		for member, column := range columns {
			for i, value := range values {
				id := fmt.Sprint("user_", member, i)
				e := told(user{ID: id}, past)
				e.Object = fmt.Appendf(nil, `{"id":%q,"object":"user","updated_at":%d,"primary_phone_number_id":"i",%q:%s}`, id, past, member, value)
				if got := apply(t, m, e)[0]; got.Outcome != clerksync.Created {
					t.Errorf("%s = %s: %+v", member, value, got)
					continue
				}
				if got := text(t, db, m.SQL(`SELECT `+column+` FROM {users} WHERE id = $1`), id); got != "<null>" {
					t.Errorf("%s = %s: stored as %s = %s, want null", member, value, column, got)
				}
			}
		}
	})
}

// TestExtremes carries the ends of 64 bits, and what no calendar has, through both databases.
func TestExtremes(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		m := pinned(t, db)
		tests := []struct {
			updated, at int64
			want        clerksync.Outcome
			column      string
		}{
			{0, 0, clerksync.Created, "1970"},
			{-1, -1, clerksync.Created, "<nul"},
			{math.MinInt64 + 1, math.MinInt64 + 1, clerksync.Created, "<nul"},
			{past, math.MinInt64, clerksync.Created, "2026"},
			{math.MaxInt64, past, clerksync.Deferred, ""},
			{past, math.MaxInt64, clerksync.Deferred, ""},
			{math.MinInt64, past, clerksync.Quarantined, ""}, // it proves no existence at any time
		}
		for i, test := range tests {
			u := user{ID: fmt.Sprint("user_", i), Updated: test.updated}
			if got := apply(t, m, told(u, test.at))[0]; got.Outcome != test.want {
				t.Errorf("updated_at %d, event at %d: %+v, want %s", test.updated, test.at, got, test.want)
			}
			r, found := rows(t, m)[u.ID]
			if found != (test.column != "") {
				t.Errorf("updated_at %d, event at %d: found %t", test.updated, test.at, found)
			}
			if !found {
				continue
			}
			if seen := max(test.at, test.at*0); test.at != 0 && r.Seen != test.at || r.Alive != test.updated || r.Dead != math.MinInt64 || seen < 0 {
				t.Errorf("row %+v, want alive %d, seen %d, dead %d", r, test.updated, test.at, int64(math.MinInt64))
			}
			if got := text(t, db, m.SQL(`SELECT substr(cast(updated_at AS text), 1, 4) FROM {users} WHERE id = $1`), u.ID); got != test.column && got != "<null>"[:min(6, len(got))] {
				t.Errorf("updated_at %d: stored as %q", test.updated, got)
			}
		}
	})
}

// TestPrivateMetadata keeps private metadata only on request, and says nothing of a change when the request does.
func TestPrivateMetadata(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		omit := pinned(t, db)
		store := open(t, db, clerksync.Config{InstanceID: instance, PrivateMetadata: true})
		u := user{ID: "user_1", Updated: past, More: `,"private_metadata":{"stripe":"cus_1"}`}
		steps := []struct {
			mirror *clerksync.Mirror
			want   clerksync.Outcome
			kept   bool
		}{
			{omit, clerksync.Created, false}, {store, clerksync.Refreshed, true}, {omit, clerksync.Refreshed, false},
		}
		for i, step := range steps {
			if got := apply(t, step.mirror, read(u, past+int64(i)))[0]; got.Outcome != step.want {
				t.Errorf("step %d: %+v, want %s", i, got, step.want)
			}
			column := text(t, db, omit.SQL(`SELECT private_metadata FROM {users}`))
			data := text(t, db, omit.SQL(`SELECT data FROM {users}`))
			if (column != "<null>") != step.kept || strings.Contains(data, "cus_1") != step.kept {
				t.Errorf("step %d: private_metadata %s, data %s; want kept %t", i, column, data, step.kept)
			}
		}
		if got := changes(t, omit, 0); len(got) != 1 {
			t.Errorf("the feed has %+v, want one row", got)
		}
	})
}
