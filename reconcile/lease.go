package reconcile

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/go-json-experiment/json"

	clerksync "github.com/clerksync/clerksync/sync"
)

// A lease lasts leaseTime and is renewed every leaseRenewal. All times are the database's, so processes' clocks do not matter.
// It is a row and no lock of a session, since poolers share sessions.
const (
	leaseTime    = 15 * time.Second
	leaseRenewal = 5 * time.Second
	leaseLook    = 250 * time.Millisecond // between looks at a lease that another one holds
)

var errLeaseLost = fmt.Errorf("the lease of this pass ran out and another pass may have begun: %w", ErrBusy)

// leaseRow is the value of the key "lease" of the state table.
type leaseRow struct {
	Holder  string `json:"holder"`
	Term    int64  `json:"term"`    // counts the leases ever taken
	Expires int64  `json:"expires"` // by the database's clock, in Unix milliseconds
}

// lease is the right to run a pass.
type lease struct {
	mirror *clerksync.Mirror
	row    leaseRow
	until  time.Time // by our monotonic clock: when the row expires, or a little earlier
}

// takeLease takes the lease. One that is held is watched: its holder is alive if it renews it, and then the error is [ErrBusy];
// if it does not, the lease runs out.
func takeLease(ctx context.Context, m *clerksync.Mirror) (*lease, error) {
	l := &lease{mirror: m, row: leaseRow{Holder: rand.Text()}}
	watched := ""
	for {
		taken, holds, err := l.try(ctx)
		if err != nil {
			return nil, fmt.Errorf("taking the lease: %w", err)
		}
		if taken {
			return l, nil
		}
		if watched != "" && holds != watched {
			return nil, ErrBusy
		}
		watched = holds
		if wait(ctx, leaseLook); ctx.Err() != nil {
			return nil, fmt.Errorf("taking the lease: %w", ctx.Err())
		}
	}
}

// try takes the lease unless it is held; holds is the row that holds it.
func (l *lease) try(ctx context.Context) (taken bool, holds string, err error) {
	asked := time.Now()
	raw, now, err := l.look(ctx)
	if err != nil {
		return false, "", err
	}
	var held leaseRow
	if raw != "" {
		if err := json.Unmarshal([]byte(raw), &held); err != nil {
			return false, "", err
		}
		left := time.Duration(held.Expires-now) * time.Millisecond
		if left > 0 && left <= 2*leaseTime { // more than that was written before the database's clock was set back
			return false, raw, nil
		}
	}
	next := leaseRow{Holder: l.row.Holder, Term: held.Term + 1, Expires: now + leaseTime.Milliseconds()}
	if taken, err = l.swap(ctx, raw, next); taken {
		l.row, l.until = next, asked.Add(leaseTime)
	}
	return taken, raw, err
}

// look returns the row as it is, "" if there is none, and the database's time.
func (l *lease) look(ctx context.Context) (raw string, now int64, err error) {
	var row struct {
		Now   int64          `db:"now"`
		Value sql.NullString `db:"value"`
	}
	err = l.mirror.DB().GetContext(ctx, &row, l.mirror.SQL(
		`SELECT {ms} AS now, (SELECT value FROM {state} WHERE key = 'lease') AS value`))
	return row.Value.String, row.Now, err
}

// swap replaces the row if it still is what it was.
func (l *lease) swap(ctx context.Context, raw string, next leaseRow) (swapped bool, err error) {
	value, err := json.Marshal(next)
	if err != nil {
		return false, err
	}
	var result sql.Result
	if raw == "" {
		result, err = l.mirror.DB().ExecContext(ctx, l.mirror.SQL(
			`INSERT INTO {state} (key, value, updated_at) VALUES ('lease', $1, {now}) ON CONFLICT (key) DO NOTHING`), string(value))
	} else {
		result, err = l.mirror.DB().ExecContext(ctx, l.mirror.SQL(
			`UPDATE {state} SET value = $1, updated_at = {now} WHERE key = 'lease' AND value = $2`), string(value), raw)
	}
	if err != nil {
		return false, err
	}
	n, err := result.RowsAffected()
	return n == 1, err
}

// hold runs a pass while it renews the lease, and then gives it back. A pass whose lease is lost is cancelled; evidence that it
// still applies is as good as ever, so nothing is worse for it than wasted requests.
func (l *lease) hold(ctx context.Context, run func(context.Context) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := l.keep(ctx); err != nil {
			cancel(err)
		}
	}()
	err := run(ctx)
	cancel(nil)
	<-ended
	release, cancelRelease := context.WithTimeout(context.WithoutCancel(ctx), leaseRenewal)
	defer cancelRelease()
	_ = l.set(release, 0) // or else it runs out
	return err
}

// keep renews the lease until the context ends. The error says that it is lost.
func (l *lease) keep(ctx context.Context) error {
	ticker := time.NewTicker(leaseRenewal)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		renewal, cancel := context.WithDeadline(ctx, l.until)
		err := l.renew(renewal)
		cancel()
		if errors.Is(err, errLeaseLost) || !time.Now().Before(l.until) {
			return errLeaseLost
		}
	}
}

func (l *lease) renew(ctx context.Context) error {
	asked := time.Now()
	_, now, err := l.look(ctx)
	if err != nil {
		return err
	}
	if err := l.set(ctx, now+leaseTime.Milliseconds()); err != nil {
		return err
	}
	l.until = asked.Add(leaseTime)
	return nil
}

// set moves the end of the lease that this one holds.
func (l *lease) set(ctx context.Context, expires int64) error {
	raw, _, err := l.look(ctx)
	if err != nil {
		return err
	}
	var held leaseRow
	if err := json.Unmarshal([]byte(raw), &held); err != nil {
		return err
	}
	if held.Holder != l.row.Holder || held.Term != l.row.Term {
		return errLeaseLost
	}
	next := l.row
	next.Expires = expires
	swapped, err := l.swap(ctx, raw, next)
	if err == nil && !swapped {
		return errLeaseLost
	}
	return err
}
