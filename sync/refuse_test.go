package sync_test

import (
	"encoding/hex"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jmoiron/sqlx"

	"github.com/clerksync/clerksync/internal/pgtest"
	clerksync "github.com/clerksync/clerksync/sync"
)

// unmergeable are objects that cannot be merged, and the reasons that operators are told.
var unmergeable = []struct{ name, object, reason string }{
	{"no JSON", `{"id":"user_1"`, "the object is not a JSON object with unique names"},
	{"an array", `[]`, "the object is not a JSON object with unique names"},
	{"null", `null`, "the object is not a JSON object with unique names"},
	{"twins", `{"id":"user_1","object":"user","updated_at":1,"banned":false,"banned":true}`, "the object is not a JSON object with unique names"},
	{"twins by case", `{"id":"user_1","object":"user","updated_at":1,"banned":true,"Banned":false}`, "the object is not a JSON object with unique names"},
	{"no id", `{"object":"user","updated_at":1}`, "the object has no id"},
	{"a null id", `{"id":null,"object":"user","updated_at":1}`, "the object has no id"},
	{"an empty id", `{"id":"","object":"user","updated_at":1}`, "the object has no id"},
	{"an id that is a number", `{"id":7,"object":"user","updated_at":1}`, "the object has no id"},
	{"an id with a NUL", `{"id":"user\u0000","object":"user","updated_at":1}`, "the object has no id"},
	{"an id with half a surrogate", `{"id":"user\ud800","object":"user","updated_at":1}`, "the object has no id"},
	{"an id that is too long", `{"id":"` + strings.Repeat("u", 256) + `","object":"user","updated_at":1}`, "the object has no id"},
	{"no type", `{"id":"user_1","updated_at":1}`, "the object is of another kind"},
	{"another type", `{"id":"user_1","object":"session","updated_at":1}`, "the object is of another kind"},
	{"no updated_at", `{"id":"user_1","object":"user"}`, "the object has no updated_at in milliseconds"},
	{"a null updated_at", `{"id":"user_1","object":"user","updated_at":null}`, "the object has no updated_at in milliseconds"},
	{"a text as updated_at", `{"id":"user_1","object":"user","updated_at":"1"}`, "the object has no updated_at in milliseconds"},
	{"a fraction as updated_at", `{"id":"user_1","object":"user","updated_at":1.5}`, "the object has no updated_at in milliseconds"},
	{"an updated_at beyond 64 bits", `{"id":"user_1","object":"user","updated_at":9223372036854775808}`, "the object has no updated_at in milliseconds"},
}

// TestUnmergeable is P8 for what is no evidence: it is kept, with its body, and moves nothing.
func TestUnmergeable(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		m := pinned(t, db)
		for _, test := range unmergeable {
			e := clerksync.Evidence{Kind: clerksync.Users, Object: []byte(test.object), At: past, Source: clerksync.Webhook, Event: event("user.updated", "")}
			want := []clerksync.Result{{Outcome: clerksync.Quarantined, Reason: test.reason}}
			if diff := cmp.Diff(want, apply(t, m, e)); diff != "" {
				t.Errorf("%s: (-want +got)\n%s", test.name, diff)
			}
			row := events(t, m)[e.Event.ID]
			if row.Outcome != clerksync.Quarantined || row.Error == nil || *row.Error != test.reason || string(row.Payload) != string(e.Event.Body) {
				t.Errorf("%s: kept as %+v", test.name, row)
			}
			seen := clerksync.Witness(clerksync.Evidence{Kind: clerksync.Users, Object: []byte(test.object), At: past, Source: clerksync.Reconcile}, margin, false)
			if diff := cmp.Diff(want, apply(t, m, seen)); diff != "" {
				t.Errorf("%s, read: (-want +got)\n%s", test.name, diff)
			}
		}
		if got := rows(t, m); len(got) != 0 {
			t.Errorf("rows: %+v", got)
		}
		for id, row := range events(t, m) {
			whole := row.Error != nil && !strings.Contains(*row.Error, "not a JSON object") // what is none, cannot be kept without its secrets
			if row.Outcome != clerksync.Quarantined || whole && len(row.Payload) == 0 {
				t.Errorf("%s: %+v", id, row)
			}
		}
	})
}

// TestGoneWithoutID is P8 for deletions that name nobody, or nobody who could be: no tombstone.
func TestGoneWithoutID(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		m := pinned(t, db)
		for _, id := range []string{"", strings.Repeat("u", 256), "user\x00", "user\uFFFD", "user\xff"} {
			results := apply(t, m, toldGone(id, past))
			if results[0].Outcome != clerksync.Quarantined {
				t.Errorf("%q is gone: %+v, want it quarantined", id, results[0])
			}
		}
		if got := rows(t, m); len(got) != 0 {
			t.Errorf("rows: %+v", got)
		}
	})
}

// TestFuture defers what is dated later than the clocks may differ, until its time has come.
func TestFuture(t *testing.T) {
	t.Parallel()
	now := time.UnixMilli(past)
	latest := past + clerksync.ClockError.Milliseconds()
	tests := []struct {
		name        string
		updated, at int64
		due         time.Duration // 0 means that the evidence is merged at once
	}{
		{"the latest updated_at", latest, past, 0},
		{"one millisecond later", latest + 1, past, time.Millisecond},
		{"an event of the latest date", past, latest, 0},
		{"an event dated one millisecond later", past, latest + 1, time.Millisecond},
		{"the greatest number", 1<<63 - 1, past, 100 * 365 * 24 * time.Hour},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			m := clerksync.Interpret(clerksync.Config{}, told(user{ID: "user_1", Updated: test.updated}, test.at), now)
			if deferred := m.Result.Outcome == clerksync.Deferred; deferred != (test.due > 0) || deferred != m.Settled {
				t.Fatalf("result %+v", m.Result)
			}
			if test.due > 0 && m.Due.Sub(now) != test.due {
				t.Errorf("due in %v, want %v", m.Due.Sub(now), test.due)
			}
		})
	}
}

// TestReadOfALongID keeps an object in quarantine whose id no index takes, and stores what was read with it.
func TestReadOfALongID(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		m := pinned(t, db)
		noise := make([]byte, 64<<10)
		_, _ = rand.NewChaCha8([32]byte{}).Read(noise) // an index compresses what repeats
		id := "user_" + hex.EncodeToString(noise)
		r := apply(t, m, read(user{ID: id, Updated: past}, past), read(user{ID: "user_1", Updated: past}, past))
		if r[0].Outcome != clerksync.Quarantined || r[1].Outcome != clerksync.Created {
			t.Errorf("they are %+v", r)
		}
	})
}
