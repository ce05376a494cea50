// Package lease gives a duty to one process of many: it is a row of the state table that a process takes, renews while it works and
// gives back. No session holds it, since poolers share sessions; all times are the database's, so processes' clocks do not matter.
//
// A process that was stopped and goes on may believe for a moment that it still holds the lease. What must not be done on an old
// term is written where the term stands beside it, and refused there if a later one has written.
package lease

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/jmoiron/sqlx"

	clerksync "github.com/clerksync/clerksync/sync"
)

// A lease lasts Time unless it is renewed, which its holder does every Renewal. So a duty whose holder died goes on after Time at most.
const (
	Time    = 15 * time.Second
	Renewal = 5 * time.Second
	look    = 250 * time.Millisecond // between looks at a lease that another one holds
)

var (
	// ErrHeld means that another holder, here or in another process, has the lease.
	ErrHeld = errors.New("another process holds the lease")

	// ErrLost means that the lease ran out, and that another process may have taken it.
	ErrLost = errors.New("the lease ran out, and another process may have taken it")
)

// row is the value of the lease's key of the state table.
type row struct {
	Holder  string `json:"holder"`
	Term    int64  `json:"term"`    // counts the times that the lease was taken
	Expires int64  `json:"expires"` // by the database's clock, in Unix milliseconds
}

func parse(raw string) (r row, err error) {
	err = json.Unmarshal([]byte(raw), &r)
	return r, err
}

// lasts reports whether the lease is held at an instant. An end too far away was written before the database's clock was set back.
func (r row) lasts(now int64) bool {
	left := time.Duration(r.Expires-now) * time.Millisecond
	return left > 0 && left <= 2*Time
}

// Lease is the right to do a duty.
type Lease struct {
	mirror *clerksync.Mirror
	key    string
	row    row
	begun  time.Time
	until  atomic.Int64 // nanoseconds after begun, by our monotonic clock: when the row expires, or a little earlier
}

// Try takes the lease under a key of the state table. The error is [ErrHeld] if another one has it.
func Try(ctx context.Context, m *clerksync.Mirror, key string) (*Lease, error) {
	l := newLease(m, key)
	taken, _, err := l.try(ctx)
	if err == nil && !taken {
		err = ErrHeld
	}
	if err != nil {
		return nil, fmt.Errorf("taking the lease: %w", err)
	}
	return l, nil
}

// Take is like [Try], but watches a lease that is held: its holder is alive if it renews it within [Renewal], and only then the
// error is [ErrHeld]; if it does not, the lease is waited for until it runs out.
func Take(ctx context.Context, m *clerksync.Mirror, key string) (*Lease, error) {
	l := newLease(m, key)
	watched := ""
	for {
		taken, holds, err := l.try(ctx)
		if err == nil && !taken && watched != "" && holds != watched {
			err = ErrHeld
		}
		if err != nil {
			return nil, fmt.Errorf("taking the lease: %w", err)
		}
		if taken {
			return l, nil
		}
		watched = holds
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("taking the lease: %w", ctx.Err())
		case <-time.After(look):
		}
	}
}

func newLease(m *clerksync.Mirror, key string) *Lease {
	return &Lease{mirror: m, key: key, row: row{Holder: Self()}, begun: time.Now()}
}

// Self returns this process's name, which no other one has and which tells operators the machine. Leases that one process takes have it
// in common: what tells them apart is their term.
func Self() string { return self() }

var self = sync.OnceValue(func() string {
	host, _ := os.Hostname() // without one the rest still tells processes apart
	return host + "/" + rand.Text()[:13]
})

// Holder names the holder: see [Self].
func (l *Lease) Holder() string { return l.row.Holder }

// Term counts the times that the lease was taken: a later holder has a greater one.
func (l *Lease) Term() int64 { return l.row.Term }

// Held reports whether the lease is sure to be held. It asks nobody, so it can be asked before every act.
func (l *Lease) Held() bool { return l.left() > 0 }

// left is how long the lease is sure to be held unless it is renewed.
func (l *Lease) left() time.Duration { return time.Duration(l.until.Load()) - time.Since(l.begun) }

// last notes that the lease was written at an instant of our clock.
func (l *Lease) last(asked time.Time) { l.until.Store(int64(asked.Sub(l.begun) + Time)) }

// try takes the lease unless it is held; holds is the row that holds it.
func (l *Lease) try(ctx context.Context) (taken bool, holds string, err error) {
	asked := time.Now()
	raw, now, err := l.look(ctx)
	if err != nil {
		return false, "", err
	}
	var held row
	if raw != "" {
		if held, err = parse(raw); err != nil {
			return false, "", err
		}
		if held.lasts(now) {
			return false, raw, nil
		}
	}
	next := row{Holder: l.row.Holder, Term: held.Term + 1, Expires: now + Time.Milliseconds()}
	if taken, err = l.swap(ctx, raw, next); taken {
		l.row = next
		l.last(asked)
	}
	return taken, raw, err
}

// look returns the row as it is, "" if there is none, and the database's time.
func (l *Lease) look(ctx context.Context) (raw string, now int64, err error) {
	var found struct {
		Now   int64          `db:"now"`
		Value sql.NullString `db:"value"`
	}
	err = l.mirror.DB().GetContext(ctx, &found, l.mirror.SQL(
		`SELECT {ms} AS now, (SELECT value FROM {state} WHERE key = $1) AS value`), l.key)
	return found.Value.String, found.Now, err
}

// swap replaces the row if it still is what it was.
func (l *Lease) swap(ctx context.Context, raw string, next row) (swapped bool, err error) {
	value, err := json.Marshal(next)
	if err != nil {
		return false, err
	}
	defer l.mirror.Turn()()
	var result sql.Result
	if raw == "" {
		result, err = l.mirror.DB().ExecContext(ctx, l.mirror.SQL(
			`INSERT INTO {state} (key, value, updated_at) VALUES ($1, $2, {now}) ON CONFLICT (key) DO NOTHING`), l.key, string(value))
	} else {
		result, err = l.mirror.DB().ExecContext(ctx, l.mirror.SQL(
			`UPDATE {state} SET value = $1, updated_at = {now} WHERE key = $2 AND value = $3`), string(value), l.key, raw)
	}
	if err != nil {
		return false, err
	}
	n, err := result.RowsAffected()
	return n == 1, err
}

// Write runs a transaction that commits only under this term: until it has ended nobody else can take the lease, and if somebody has
// taken it, nothing is written and the error is [ErrLost]. So a process that was stopped, and goes on long after, changes nothing.
func (l *Lease) Write(ctx context.Context, write func(*sqlx.Tx) error) error {
	defer l.mirror.Turn()()
	tx, err := l.mirror.DB().BeginTxx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	var raw string
	err = tx.GetContext(ctx, &raw, l.mirror.SQL(`UPDATE {state} SET updated_at = updated_at WHERE key = $1 RETURNING value`), l.key) // locks it
	if errors.Is(err, sql.ErrNoRows) {
		return ErrLost
	}
	if err != nil {
		return err
	}
	if held, err := parse(raw); err != nil || held.Holder != l.row.Holder || held.Term != l.row.Term {
		return errors.Join(err, ErrLost)
	}
	if err := write(tx); err != nil {
		return err
	}
	return tx.Commit()
}

// Holding tells who has a lease.
type Holding struct {
	Holder string // as [Lease.Holder]; empty if nobody has it now
	Term   int64  // the last one; 0 if nobody ever had it
}

// Look tells who has the lease under a key.
func Look(ctx context.Context, m *clerksync.Mirror, key string) (Holding, error) {
	raw, now, err := newLease(m, key).look(ctx)
	if err != nil || raw == "" {
		return Holding{}, err
	}
	held, err := parse(raw)
	if err != nil {
		return Holding{}, err
	}
	h := Holding{Term: held.Term}
	if held.lasts(now) {
		h.Holder = held.Holder
	}
	return h, nil
}
