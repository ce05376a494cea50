package sync_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/clerksync/clerksync/internal/pgtest"
	clerksync "github.com/clerksync/clerksync/sync"
)

// exampleUser is the user of Clerk's published example, with another id and updated_at.
func exampleUser(b *testing.B) func(n int, updated int64) []byte {
	b.Helper()
	body, err := os.ReadFile("../clerktest/testdata/events/user.updated.json")
	if err != nil {
		b.Fatal(err)
	}
	var event struct{ Data json.RawMessage }
	if err := json.Unmarshal(body, &event); err != nil {
		b.Fatal(err)
	}
	return func(n int, updated int64) []byte {
		return []byte(strings.NewReplacer(`"user_`, fmt.Sprintf(`"user_%d_`, n), "1716883500000", fmt.Sprint(updated)).Replace(string(event.Data)))
	}
}

// BenchmarkInterpret decodes a user and works out its key.
func BenchmarkInterpret(b *testing.B) {
	user := exampleUser(b)(1, 1)
	b.SetBytes(int64(len(user)))
	b.ReportAllocs()
	now := time.Now()
	for b.Loop() {
		e := clerksync.Evidence{Kind: clerksync.Users, Object: user, Source: clerksync.Webhook}
		if m := clerksync.Interpret(clerksync.Config{Unprepared: pgtest.Unprepared()}, e, now); m.Result.Outcome == clerksync.Quarantined {
			b.Fatal(m.Result.Reason)
		}
	}
}

// BenchmarkMerge merges 100 users in one transaction, of whom all are there already.
func BenchmarkMerge(b *testing.B) {
	for name, open := range map[string]func(testing.TB) *sqlx.DB{"postgres": pgtest.New, "sqlite": pgtest.SQLite} {
		b.Run(name, func(b *testing.B) { benchmarkMerge(b, open(b)) })
	}
}

func benchmarkMerge(b *testing.B, db *sqlx.DB) {
	mirror, err := clerksync.Open(b.Context(), db, clerksync.Config{})
	if err != nil {
		b.Fatal(err)
	}
	user := exampleUser(b)
	at := time.Now().Add(-time.Hour).UnixMilli()
	for b.Loop() {
		at++
		evidence := make([]clerksync.Evidence, 100)
		for n := range evidence {
			evidence[n] = clerksync.Evidence{Kind: clerksync.Users, Object: user(n, at), At: at, Source: clerksync.Webhook}
		}
		if _, err := mirror.Apply(context.Background(), evidence...); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/100, "µs/user")
}

// BenchmarkHook changes 100 users in one transaction, with a hook that does nothing and without one: what a savepoint a call costs.
func BenchmarkHook(b *testing.B) {
	nothing := clerksync.Hooks{clerksync.Users: {OnUpdated: func(context.Context, *sqlx.Tx, clerksync.Transition) error { return nil }}}
	for name, hooks := range map[string]clerksync.Hooks{"none": nil, "empty": nothing} {
		b.Run(name, func(b *testing.B) {
			mirror, err := clerksync.Open(b.Context(), pgtest.New(b), clerksync.Config{Hooks: hooks, Unprepared: pgtest.Unprepared()})
			if err != nil {
				b.Fatal(err)
			}
			at := time.Now().Add(-time.Hour).UnixMilli()
			for b.Loop() {
				at++
				evidence := make([]clerksync.Evidence, 100)
				for n := range evidence {
					object := fmt.Sprintf(`{"id":"user_%d","object":"user","first_name":"%d","created_at":1,"updated_at":%[2]d}`, n, at)
					evidence[n] = clerksync.Evidence{Kind: clerksync.Users, Object: []byte(object), At: at, Source: clerksync.Webhook}
				}
				if _, err := mirror.Apply(context.Background(), evidence...); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/100, "µs/user")
		})
	}
}
