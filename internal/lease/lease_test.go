package lease_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"
	"golang.org/x/sync/errgroup"

	"github.com/clerksync/clerksync/internal/lease"
	"github.com/clerksync/clerksync/internal/pgtest"
	clerksync "github.com/clerksync/clerksync/sync"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func open(t *testing.T, db *sqlx.DB) *clerksync.Mirror {
	t.Helper()
	m, err := clerksync.Open(t.Context(), db, clerksync.Config{Unprepared: pgtest.Unprepared()})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// state is a lease as it is stored.
type state struct {
	Holder  string `json:"holder"`
	Term    int64  `json:"term"`
	Expires int64  `json:"expires"`
}

func read(t *testing.T, m *clerksync.Mirror, key string) (s state) {
	t.Helper()
	if _, err := m.ReadState(t.Context(), key, &s); err != nil {
		t.Fatal(err)
	}
	return s
}

func write(t *testing.T, m *clerksync.Mirror, key string, s state) {
	t.Helper()
	if err := m.WriteState(t.Context(), key, s); err != nil {
		t.Fatal(err)
	}
}

// TestOneHolder lets many processes race for each of two leases: one gets it, the others are told at once, and it can be had again
// when it is given back, under the next term.
func TestOneHolder(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		m := open(t, db)
		for _, key := range []string{"lease:a", "lease:b"} {
			var racers errgroup.Group
			var holder atomic.Pointer[lease.Lease]
			var taken atomic.Int32
			for range 8 {
				racers.Go(func() error {
					l, err := lease.Try(t.Context(), m, key)
					if err == nil {
						holder.Store(l)
						taken.Add(1)
					} else if !errors.Is(err, lease.ErrHeld) {
						return err
					}
					return nil
				})
			}
			if err := racers.Wait(); err != nil || taken.Load() != 1 {
				t.Fatalf("%s was taken %d times (%v), want once", key, taken.Load(), err)
			}
			l := holder.Load()
			if l.Term() != 1 || !l.Held() {
				t.Errorf("term %d, held %t, want the first term, held", l.Term(), l.Held())
			}
			err := l.Hold(t.Context(), func(context.Context) error {
				if _, err := lease.Try(t.Context(), m, key); !errors.Is(err, lease.ErrHeld) {
					t.Errorf("while it is held: %v, want ErrHeld", err)
				}
				return errors.ErrUnsupported
			})
			if !errors.Is(err, errors.ErrUnsupported) {
				t.Errorf("Hold returned %v, want the duty's error", err)
			}
			if next, err := lease.Try(t.Context(), m, key); err != nil || next.Term() != 2 {
				t.Errorf("after it was given back: %v, want the second term", err)
			}
		}
	})
}

// TestLost takes the lease away from its holder, who must hear of it, and must leave it to the other one.
func TestLost(t *testing.T) {
	t.Parallel()
	m := open(t, pgtest.New(t))
	l, err := lease.Take(t.Context(), m, "lease:a")
	if err != nil {
		t.Fatal(err)
	}
	other := state{Holder: "another", Term: 2, Expires: time.Now().Add(time.Hour).UnixMilli()}
	write(t, m, "lease:a", other)
	err = l.Hold(t.Context(), func(ctx context.Context) error {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(20 * time.Second):
			return nil
		}
	})
	if !errors.Is(err, lease.ErrLost) {
		t.Errorf("the duty ended with %v, want ErrLost", err)
	}
	if got := read(t, m, "lease:a"); got != other {
		t.Errorf("the lease is %+v, want that of the other holder", got)
	}
}

// TestHangs has a renewal hang, and what gives the lease back: the holder hears in time that the lease has run out, one that had no
// renewal yet as well, and neither is kept from ending.
func TestHangs(t *testing.T) {
	t.Parallel()
	for name, left := range map[string]time.Duration{"before a renewal": 100 * time.Millisecond, "in a renewal": lease.Renewal + 500*time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := open(t, pgtest.SQLite(t))
			l, err := lease.Try(t.Context(), m, "lease:a")
			if err != nil {
				t.Fatal(err)
			}
			defer m.Turn()() // nothing is written any more, whatever its context
			l.EndIn(left)
			began := time.Now()
			held := make(chan error, 1)
			go func() {
				held <- l.Hold(t.Context(), func(ctx context.Context) error {
					<-ctx.Done()
					if late := time.Since(began) - left; late < 0 || late > 2*time.Second {
						t.Errorf("the holder hears of it %s after the end", late)
					}
					return context.Cause(ctx)
				})
			}()
			select {
			case err := <-held:
				if !errors.Is(err, lease.ErrLost) {
					t.Errorf("the duty ended with %v, want ErrLost", err)
				}
			case <-time.After(left + lease.Renewal + 5*time.Second):
				t.Error("the duty ends only when the renewal does")
			}
		})
	}
}

// TestWrite writes under a term, and no longer once it is another holder's.
func TestWrite(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		m := open(t, db)
		if h, err := lease.Look(t.Context(), m, "lease:a"); err != nil || h != (lease.Holding{}) {
			t.Errorf("of a lease that nobody ever had: %+v, %v", h, err)
		}
		l, err := lease.Try(t.Context(), m, "lease:a")
		if err != nil {
			t.Fatal(err)
		}
		if h, err := lease.Look(t.Context(), m, "lease:a"); err != nil || h != (lease.Holding{Holder: l.Holder(), Term: 1}) {
			t.Errorf("of a lease that is held: %+v, %v, want its holder %s and term 1", h, err, l.Holder())
		}
		note := func(what string) error {
			return l.Write(t.Context(), func(tx *sqlx.Tx) error {
				_, err := tx.ExecContext(t.Context(), m.SQL(`INSERT INTO {state} (key, value, updated_at) VALUES ($1, '1', {now})`), what)
				return err
			})
		}
		if err := note("under the term"); err != nil {
			t.Errorf("under the term: %v", err)
		}
		if err := note("under the term"); err == nil || errors.Is(err, lease.ErrLost) {
			t.Errorf("what cannot be written: %v, want the database's error", err)
		}
		write(t, m, "lease:a", state{Holder: "another", Term: 2, Expires: 1})
		if err := note("afterwards"); !errors.Is(err, lease.ErrLost) {
			t.Errorf("on an old term: %v, want ErrLost", err)
		}
		var n int
		if found, err := m.ReadState(t.Context(), "afterwards", &n); err != nil || found {
			t.Errorf("found what was written on an old term: %t, %v", found, err)
		}
		if h, err := lease.Look(t.Context(), m, "lease:a"); err != nil || h != (lease.Holding{Term: 2}) {
			t.Errorf("of a lease that ran out: %+v, %v, want nobody and term 2", h, err)
		}
	})
}

// TestRunsOut waits for the lease of a process that died, and takes one whose end cannot be true at once.
func TestRunsOut(t *testing.T) {
	t.Parallel()
	m := open(t, pgtest.New(t))
	write(t, m, "lease:a", state{Holder: "dead", Term: 7, Expires: time.Now().Add(time.Second).UnixMilli()})
	if _, err := lease.Try(t.Context(), m, "lease:a"); !errors.Is(err, lease.ErrHeld) {
		t.Errorf("a lease that has not run out: %v, want ErrHeld", err)
	}
	if l, err := lease.Take(t.Context(), m, "lease:a"); err != nil || l.Term() != 8 {
		t.Errorf("a lease that ran out: %v, want its next term", err)
	}
	write(t, m, "lease:a", state{Holder: "future", Term: 9, Expires: time.Now().Add(time.Hour).UnixMilli()})
	if l, err := lease.Try(t.Context(), m, "lease:a"); err != nil || l.Term() != 10 {
		t.Errorf("a lease from before the clock was set back: %v, want its next term", err)
	}
}
