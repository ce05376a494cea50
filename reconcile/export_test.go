package reconcile

import (
	"context"
	"time"

	clerksync "github.com/clerksync/clerksync/sync"
)

// What the tests of the pure parts see of them.
var (
	Enough     = enough
	PlanDigest = planDigest
	NewLedger  = newLedger
	Passed     = passed
	Start      = start
)

// PastSQL selects the last passes of a kind.
const PastSQL = pastSQL

type (
	Ledger   = ledger
	Position = position
)

func (l *ledger) Note(page []clerksync.Sighting) { l.note(page) }
func (l *ledger) Row(r clerksync.Row)            { l.row(r, maxSuspects) }
func (l *ledger) Close(through int64)            { l.close(through) }

// WithPageSize makes pages smaller than Clerk's limit, so that few users fill many, and has progress written after each.
func (c Config) WithPageSize(n int) Config {
	c.pageSize, c.saveInterval = n, 1
	return c
}

// WithKeepDone sets for how long a list counts as read that another pass has read whole.
func (c Config) WithKeepDone(d time.Duration) Config {
	c.keepDone = d
	return c
}

// WithMaxSuspects makes the bound of a ledger smaller.
func (c Config) WithMaxSuspects(n int) Config {
	c.maxSuspects = n
	return c
}

func (c Config) Allows(visible int64) int64 { return New(c).cfg.allows(visible) }

func (p position) Query() string { return p.query(pageSize).Encode() }

func (p position) AfterPage(page []clerksync.Sighting) Position { return p.after(page) }

// Worse returns the position reached by each way that is worse than the cursor.
func (p position) Worse(seen int64) (all []Position) {
	for w := byEarlier; w < noWay; w++ {
		all = append(all, p.by(w, seen))
	}
	return all
}

func (p position) Joins(page []clerksync.Sighting) bool { return p.joins(page) }

func (p position) Back(size int) Position { return p.back(size) }

// NextRun returns when a schedule comes after an instant.
func NextRun(spec, instance string, after time.Time) (time.Time, error) {
	s, err := parseSchedule(spec, func() string { return instance })
	if err != nil || s == nil {
		return time.Time{}, err
	}
	return s.Next(after), nil
}

// DoLate runs a late pass about the given rows.
func (r *Reconciler) DoLate(ctx context.Context, ids []string) (Report, error) {
	p := newPass(r.cfg, Pass{Kind: Late})
	p.pending[clerksync.Users] = ids
	err := r.do(ctx, p)
	return p.report, err
}

// DoLateOf runs a late pass about rows of several kinds.
func (r *Reconciler) DoLateOf(ctx context.Context, pending map[clerksync.Kind][]string) (Report, error) {
	p := newPass(r.cfg, Pass{Kind: Late})
	p.pending = pending
	err := r.do(ctx, p)
	return p.report, err
}
