package clerksync_test

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/clerksync/clerksync/clerktest"
	"github.com/clerksync/clerksync/internal/pgtest"
	"github.com/clerksync/clerksync/internal/torture"
	clerksync "github.com/clerksync/clerksync/sync"
)

// act is something that clerksync does, of which every call of the database fails once.
type act struct {
	name string

	// begin makes something to do while the database works, and returns how to do it, what must hold also in the middle of it, and what
	// must hold once it is done. do is called until it returns nil; its error must be one that trying again may cure, and all that it
	// answers otherwise must be true.
	begin func(*stage) (do func() error, always, end func())
}

// stage is where acts take place: two mirrors of one emulated Clerk in one database, of which one meets faults.
type stage struct {
	*world // works
	faults *pgtest.Faulty
	ill    *clerksync.Mirror
	api    *clerksync.API
	round  int
}

func newStage(t *testing.T, db *pgtest.Faulty, kinds ...clerksync.Kind) *stage {
	t.Helper()
	cfg := clerktest.Config{Seed: 7, Users: 3}
	if len(kinds) > 1 {
		cfg.Organizations, cfg.Members, cfg.Invitations = 2, 2, 2
	}
	w := &world{t: t, db: db.Well, clerk: clerktest.NewServer(t, cfg)}
	s := &stage{world: w, faults: db}
	for to, in := range map[**clerksync.Mirror]*sqlx.DB{&w.mirror: db.Well, &s.ill: db.DB} {
		var err error
		*to, err = clerksync.Open(t.Context(), in, clerksync.Config{Kinds: kinds, ReadMargin: -1, PrivateMetadata: true, InstanceID: w.clerk.InstanceID()})
		if err != nil {
			t.Fatal(err)
		}
	}
	var err error
	s.api, err = clerksync.NewAPI(clerksync.APIConfig{SecretKey: w.clerk.SecretKey(), URL: w.clerk.URL(), RateLimit: -1})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestEveryCallFails has every call of the database fail, the first one, the second one and so on until none is left, while an event is
// told, a pass runs, somebody logs in, the feed is delivered and somebody is erased. What was answered is true, nothing is done half,
// and nothing leaks; done again, all of it ends as it would have ended without the fault.
func TestEveryCallFails(t *testing.T) {
	t.Parallel()
	begun, total := time.Now(), new(atomic.Int64)
	t.Cleanup(func() {
		torture.Record(t, begun, torture.Run{
			What:    "Has every call of the database fail once, while an event is told, a pass runs, somebody logs in, the feed is delivered and somebody is erased: the connection breaks before the call or after it (also after COMMIT), or the disk is full.",
			Size:    fmt.Sprintf("%d calls of PostgreSQL and SQLite in %d ways each", total.Load(), len(pgtest.Ways)),
			Figures: []torture.Figure{{Name: "things half done, wrong answers, connections or goroutines left", Value: "0", Bound: "0"}},
		})
	})
	for _, a := range acts {
		t.Run(a.name, func(t *testing.T) {
			t.Parallel()
			pgtest.BothFaulty(t, func(t *testing.T, db *pgtest.Faulty) {
				s := newStage(t, db, faultyKinds...)
				goroutines := runtime.NumGoroutine()
				step, first := step(db.DriverName())
				failed, struck := 0, true
				for n := first; struck && n < 1000; n += step {
					struck = false
					for i, way := range pgtest.Ways {
						if everyWay || i == n%len(pgtest.Ways) {
							struck = s.fail(a, n, way) || struck
						}
					}
					if t.Failed() {
						return
					}
					failed++
				}
				t.Logf("%d calls failed, in %d rounds", failed-1, s.round)
				total.Add(int64(failed - 1))
				if everyWay && failed < 10 {
					t.Error("the test tries too little")
				}
				settle(t, "the goroutines end", func() bool { return runtime.NumGoroutine() <= goroutines+leeway })
			})
		})
	}
}

// step tells which calls fail on a database: all of them in make torture, and a few in make test, other ones each time. There the race
// detector makes SQLite, which is in this process, many times slower.
func step(driver string) (step, first int) {
	switch {
	case everyWay:
		return 1, 1
	case driver == "sqlite":
		step = 16
	default:
		step = 8
	}
	return step, 1 + rand.IntN(step)
}

// leeway is how many goroutines may come and go beside an act: those of connections that idle.
const leeway = 20

// fail makes an act whose n-th call fails, and makes it again until it is done. It reports whether there was such a call.
func (s *stage) fail(a act, n int, way pgtest.Way) (struck bool) {
	s.t.Helper()
	s.round++
	s.hasten() // the last round may not have been able to give one back
	do, always, end := a.begin(s)
	s.faults.Fail(n, way)
	err := do()
	call := s.faults.Heal()
	what := fmt.Sprintf("call %d (%s), %s", n, call, way)
	if err != nil && call == "" {
		s.t.Errorf("%s: %v", what, err)
	}
	settle(s.t, "the connections are given back after "+what, func() bool { return s.faults.Stats().InUse == 0 })
	always()
	if err != nil {
		s.hasten()
		if err := do(); err != nil {
			s.t.Errorf("after %s, it failed again: %v", what, err)
		}
		always()
	}
	end()
	s.wantFeed()
	if s.t.Failed() {
		s.t.Log("this came of ", what)
	}
	return call != ""
}

// hasten lets all leases run out that could not be given back.
func (s *stage) hasten() {
	s.t.Helper()
	set := "jsonb_set(value, '{expires}', '1')"
	if s.db.DriverName() == "sqlite" {
		set = "json_set(value, '$.expires', 1)"
	}
	_, err := s.db.Exec(s.mirror.SQL(`UPDATE {state} SET value = `) + set + ` WHERE key LIKE 'lease%'`)
	s.must(err)
}

// wantFeed checks that the changes of each object are numbered 1, 2, 3 … and that its row has the last number, and that nothing was
// quarantined for the database's sake.
func (s *stage) wantFeed() {
	s.t.Helper()
	var wrong []string
	for _, kind := range faultyKinds {
		err := s.db.SelectContext(s.t.Context(), &wrong, s.mirror.SQL(`SELECT r.id FROM {`+string(kind)+`} AS r LEFT JOIN {changes} AS c
ON c.object_id = r.id AND c.resource = $1 AND c.op <> 'suspicious' GROUP BY r.id, r._version
HAVING count(c.seq) > 0 AND (count(c.seq) <> r._version OR max(c.version) <> r._version OR min(c.version) <> 1)`), string(kind))
		if err != nil {
			s.t.Fatal(err)
		}
		if len(wrong) > 0 {
			s.t.Errorf("the changes of these %s are not numbered as they should be: %v", kind, wrong)
		}
	}
	if n := s.number(`SELECT count(*) FROM {events} WHERE outcome = 'quarantined'`); n > 0 {
		s.t.Errorf("%d events were quarantined, want none", n)
	}
}

func (s *stage) number(query string, args ...any) (n int) {
	s.t.Helper()
	if err := s.db.GetContext(s.t.Context(), &n, s.mirror.SQL(query), args...); err != nil {
		s.t.Fatal(err)
	}
	return n
}

// settle waits until something holds.
func settle(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("waited in vain until ", what)
		}
	}
}
