package sync_test

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jmoiron/sqlx"

	clerksync "github.com/clerksync/clerksync/sync"

	"github.com/clerksync/clerksync/internal/pgtest"
)

// TestSuspicion signs one user in from many places, in the order of time and, with a batch a sign-in or one for all, also at once.
func TestSuspicion(t *testing.T) {
	signIns := []struct {
		after                    time.Duration
		country, device, browser string
		actor                    string
		want                     string
	}{
		{0, "DE", "desktop", "Firefox", "null", ""},
		{24 * time.Hour, "FR", "desktop", "Firefox", "null", ""}, // too few sign-ins for a habit
		{48 * time.Hour, "DE", "mobile", "Safari", "null", ""},
		{72 * time.Hour, "IT", "desktop", "Firefox", "null", `["new_country"]`},
		{96 * time.Hour, "DE", "tablet", "Chrome", "null", `["new_device"]`},
		{120 * time.Hour, "DE", "desktop", "Firefox", "null", ""},
		{120*time.Hour + 30*time.Minute, "FR", "desktop", "Firefox", "null", `["far_apart"]`},
		{144 * time.Hour, "DE", "desktop", "Firefox", `{"sub":"user_admin"}`, `["impersonation"]`},
		{168 * time.Hour, "", "", "", "null", ""},
		{192 * time.Hour, "JP", "watch", "Opera", `{"sub":"user_admin"}`, `["new_country","new_device","impersonation"]`},
	}
	for _, together := range []bool{false, true} {
		t.Run(fmt.Sprintf("together=%t", together), func(t *testing.T) {
			t.Parallel()
			pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
				m, err := clerksync.Open(t.Context(), db, clerksync.Config{Unprepared: pgtest.Unprepared(), Kinds: []clerksync.Kind{clerksync.Users, clerksync.Sessions}})
				if err != nil {
					t.Fatal(err)
				}
				start := time.Now().Add(-300 * time.Hour).UnixMilli()
				var batch []clerksync.Evidence
				for i, s := range signIns {
					at := start + s.after.Milliseconds()
					batch = append(batch, clerksync.Evidence{
						Kind: clerksync.Sessions, At: at, Source: clerksync.Webhook,
						Event: &clerksync.Event{ID: fmt.Sprintf("msg_%d", i), Type: "session.created", InstanceID: "ins_a"},
						Object: fmt.Appendf(nil, `{"object":"session","id":"sess_%02d","user_id":"user_1","status":"active","actor":%s,`+
							`"latest_activity":{"country":%q,"device_type":%q,"browser_name":%q,"ip_address":"192.0.2.7"},"created_at":%d,"updated_at":%d}`,
							i, s.actor, s.country, s.device, s.browser, at, at),
					})
				}
				step := 1
				if together {
					step = len(batch)
				}
				for i := 0; i < len(batch); i += step {
					if _, err := m.Apply(t.Context(), batch[i:i+step]...); err != nil {
						t.Fatal(err)
					}
				}
				want, got := map[string]string{}, map[string]string{}
				for i, s := range signIns {
					if s.want != "" {
						want[fmt.Sprintf("sess_%02d", i)] = s.want
					}
				}
				if together { // both of the pair arrive when the other is there
					want["sess_05"] = `["far_apart"]`
				}
				rows, err := db.Query(m.SQL(`SELECT object_id, reasons FROM {changes} WHERE op = 'suspicious'`))
				if err != nil {
					t.Fatal(err)
				}
				defer rows.Close()
				for rows.Next() {
					var id, reasons string
					if err := rows.Scan(&id, &reasons); err != nil {
						t.Fatal(err)
					}
					got[id] = compact(reasons)
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("suspicious sign-ins (-want +got):\n%s", diff)
				}
				var addresses int
				if err := db.Get(&addresses, m.SQL(`SELECT count(*) FROM {sessions} WHERE ip_address IS NOT NULL OR cast(data AS text) LIKE '%192.0.2.7%'`)); err != nil || addresses != 0 {
					t.Errorf("%d rows hold the address (%v), want none", addresses, err)
				}
			})
		})
	}
}

// TestSuspicionOfAProgram has a user of thousands of sign-ins, as one who signs in by a program: a few of them tell whether the next one is as usual.
func TestSuspicionOfAProgram(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	m := pinned(t, db)
	owner := admin(t, db)
	owner.MustExec(`INSERT INTO clerk.sessions (id, user_id, country, device_type, browser_name, created_at, source, synced_at, _alive_at, _updated_at, _seen_at, _dead_at, _hash, _was_visible, _version, _changed)
SELECT 'sess_' || i, 'user_' || i % 2, 'FR', 'desktop', 'Firefox', now() - i * interval '1 minute', 'webhook', now(), 1, 1, 1, 0, '', true, 1, true
FROM generate_series(1, 20000) AS i; ANALYZE clerk.sessions`)
	at := time.Now().UTC()
	around := []string{at.Format(time.RFC3339), at.Add(-time.Hour).Format(time.RFC3339), at.Add(time.Hour).Format(time.RFC3339)}
	signIns := map[string][]string{
		"as usual":                  {"sess_x", "user_1", "FR", "desktop", "Firefox"},
		"of which nothing is known": {"sess_x", "user_1", "NULL", "NULL", "NULL"},
	}
	for name, values := range signIns {
		var plan, literals []string
		for i, v := range append(values, around...) {
			literals = append(literals, fmt.Sprintf("$%d", i+1), "'{"+v+"}'")
		}
		if err := owner.Select(&plan, `EXPLAIN (ANALYZE, TIMING OFF) `+strings.NewReplacer(literals...).Replace(m.PastSQL())); err != nil {
			t.Fatal(err)
		}
		text := strings.Join(plan, "\n")
		read := 0
		for _, n := range regexp.MustCompile(`(?:actual rows=|Removed by Filter: )(\d+)`).FindAllStringSubmatch(text, -1) {
			rows, _ := strconv.Atoi(n[1])
			read += rows
		}
		if read > 500 {
			t.Errorf("a sign-in %s reads %d rows:\n%s", name, read, text)
		}
	}
}

// compact takes the white space out that PostgreSQL writes into JSON.
func compact(json string) string { return strings.ReplaceAll(json, ", ", ",") }
