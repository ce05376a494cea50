package reconcile_test

import (
	"net/url"
	"strconv"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/clerksync/clerksync/reconcile"
	clerksync "github.com/clerksync/clerksync/sync"
)

// FuzzSchedule reads schedules: whatever is accepted comes, again and again, and each time later.
func FuzzSchedule(f *testing.F) {
	for _, spec := range []string{"off", "@nightly", "30 2 * * *", "@every 6h", "@every -5m", "TZ=UTC 0 3 * * *", "0 0 31 2 *", "*/5 0-23/2 1,15 * MON", "@yearly", "0 0 29 2 *"} {
		f.Add(spec)
	}
	f.Fuzz(func(t *testing.T, spec string) {
		if reconcile.CheckSchedule(spec) != nil {
			return
		}
		at := time.Now().UTC()
		for range 3 {
			next, err := reconcile.NextRun(spec, "ins_1", at)
			if err != nil {
				t.Fatalf("accepted, and then %v", err)
			}
			if next.IsZero() {
				return // off
			}
			if !next.After(at) {
				t.Fatalf("after %s it comes %s", at, next)
			}
			at = next
		}
	})
}

// FuzzPosition goes on from positions that a database may hold: each is asked for with parameters that Clerk can read, and a page leads
// to one that can be kept in its turn.
func FuzzPosition(f *testing.F) {
	for _, kept := range []string{`{}`, `{"way":1,"last":"user_2","earlier":"user_1","created":5}`, `{"way":2,"last":"user_2","created":5,"offset":500}`,
		`{"way":3,"offset":-1}`, `{"way":9,"created":-9223372036854775808}`, `{"way":2,"created":-9223372036854775808}`, `{"offset":9223372036854775807,"way":3}`} {
		f.Add([]byte(kept), "user_3", int64(7), uint8(3))
	}
	f.Fuzz(func(t *testing.T, kept []byte, id string, created int64, n uint8) {
		var p reconcile.Position
		if json.Unmarshal(kept, &p) != nil {
			return
		}
		page := make([]clerksync.Sighting, n)
		for i := range page {
			page[i] = sighting(id+strconv.Itoa(i), created)
		}
		all := append(p.Worse(int64(n)), p, p.AfterPage(page), p.Back(int(n)))
		for _, p := range all {
			q, err := url.ParseQuery(p.Query())
			if err != nil {
				t.Fatal(err)
			}
			if offset := q.Get("offset"); offset != "" && offset[0] == '-' {
				t.Errorf("%+v asks for the offset %s", p, offset)
			}
			text, err := json.Marshal(p)
			if err != nil {
				continue // an id that is no text in JSON is none of Clerk's
			}
			var again reconcile.Position
			if err := json.Unmarshal(text, &again); err != nil || again != p {
				t.Errorf("%+v is kept as %s and read as %+v, %v", p, text, again, err)
			}
		}
	})
}
