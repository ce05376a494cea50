package reconcile

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/jmoiron/sqlx"

	clerksync "github.com/clerksync/clerksync/sync"
)

// ErrPlan means that a deletion plan cannot be approved: it is unknown, too old, used, or not the last word. Nothing was deleted.
var ErrPlan = errors.New("the deletion plan cannot be approved")

// A plan names what one pass wanted to delete, and an operator looks at it before he says yes. So approving it deletes that and
// nothing else, once, and only while it is the last word: the term of the lease under which a plan was made is part of it, and a
// full pass that read every list to its end notes its own term as the verdict. A plan of an earlier term is refused, whether a later
// pass has looked again since, or the plan was written by a process that had stalled, lost its lease and woke up.

// verdict is the value of the key of that name of the state table.
type verdict struct {
	Term int64 `json:"term"` // of the last full pass that was complete; it never falls
}

// note writes the verdict, unless there is a later one.
func (v verdict) note(ctx context.Context, m *clerksync.Mirror, tx *sqlx.Tx) error {
	value, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, m.SQL(`INSERT INTO {state} AS s (key, value, updated_at) VALUES ('verdict', $1, {now})
ON CONFLICT (key) DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at
WHERE cast(s.value ->> 'term' AS bigint) < cast(excluded.value ->> 'term' AS bigint)`), string(value))
	return err
}

// planRow is a row of the plans table.
type planRow struct {
	Digest    string     `db:"sha256"`
	List      string     `db:"ids"`
	Term      int64      `db:"term"`
	ExpiresAt time.Time  `db:"expires_at"`
	Expired   bool       `db:"expired"`
	UsedAt    *time.Time `db:"used_at"`
}

// approved deletes what a plan names, without the guard: an operator has looked in its stead. Everything else that keeps the
// living from being deleted holds, so each object is asked for again, and only what Clerk answers with a 404 is deleted.
func (p *pass) approved(ctx context.Context) error {
	row, err := p.findPlan(ctx)
	if err != nil {
		return err
	}
	planned, n, err := p.read(row)
	if err != nil {
		return err
	}
	if err := p.use(ctx, row, n); err != nil {
		return err
	}
	p.report.Plan = row.Digest
	var errs []error
	for _, l := range p.legs {
		candidates, err := l.withoutOrphans(ctx, planned[l.kind])
		if err == nil {
			l.counts.Candidates = int64(len(candidates))
			err = l.confirm(ctx, candidates)
		}
		errs = append(errs, err)
		if ctx.Err() != nil || errors.Is(err, clerksync.ErrWrongInstance) {
			break
		}
	}
	err = errors.Join(errs...)
	p.report.Complete = err == nil
	return err
}

// findPlan returns the plan that was approved, if it may be.
func (p *pass) findPlan(ctx context.Context) (planRow, error) {
	var row planRow
	err := p.mirror.DB().GetContext(ctx, &row, p.mirror.SQL(`SELECT sha256, ids, term, expires_at, expires_at <= {now} AS expired, used_at
FROM {plans} WHERE sha256 = $1`), p.order.Approve)
	if errors.Is(err, sql.ErrNoRows) {
		return row, fmt.Errorf("there is no plan %.64q: a plan has the name that the refused pass told, unless that was a dry run: %w", p.order.Approve, ErrPlan)
	}
	if err != nil {
		return row, fmt.Errorf("reading the deletion plan: %w", err)
	}
	var last verdict
	if _, err := p.mirror.ReadState(ctx, "verdict", &last); err != nil {
		return row, err
	}
	switch {
	case row.UsedAt != nil:
		err = fmt.Errorf("the plan was approved at %s already, and a plan is good for one time: run a pass for what is left: %w", row.UsedAt.UTC().Format(time.RFC3339), ErrPlan)
	case row.Term < last.Term:
		err = fmt.Errorf("a full pass has looked again since the plan was made, so the plan is not the last word: look at that pass, and approve its own plan if it has one: %w", ErrPlan)
	case row.Expired:
		err = fmt.Errorf("the plan could be approved until %s: run a pass, and approve its plan within an hour: %w", row.ExpiresAt.UTC().Format(time.RFC3339), ErrPlan)
	}
	return row, err
}

// read returns the objects that a plan names, by kind, and how many they are.
func (p *pass) read(row planRow) (planned map[clerksync.Kind][]string, n int, err error) {
	var list []string
	if err := json.Unmarshal([]byte(row.List), &list); err != nil {
		return nil, 0, fmt.Errorf("reading the deletion plan: %w", err)
	}
	if planDigest(list) != row.Digest {
		return nil, 0, fmt.Errorf("somebody has changed the plan since it was made: run a pass, and approve its plan: %w", ErrPlan)
	}
	planned = map[clerksync.Kind][]string{}
	for _, name := range list {
		kind, id := clerksync.Users, name
		if of, rest, found := strings.Cut(name, "/"); found {
			kind, id = clerksync.Kind(of), rest
		}
		if !p.mirror.Mirrors(kind) {
			return nil, 0, fmt.Errorf("the plan names %s, which are not mirrored any more: run a pass, and approve its plan: %w", kind, ErrPlan)
		}
		planned[kind] = append(planned[kind], id)
	}
	return planned, len(list), nil
}

// use takes the one approval that a plan is good for, and records who gave it.
func (p *pass) use(ctx context.Context, row planRow, n int) error {
	if p.order.DryRun {
		return nil
	}
	return p.inTransaction(ctx, "using the deletion plan", func(tx *sqlx.Tx) error {
		result, err := tx.ExecContext(ctx, p.mirror.SQL(`UPDATE {plans} SET used_at = {now} WHERE sha256 = $1 AND term = $2 AND used_at IS NULL`),
			row.Digest, row.Term)
		if err != nil {
			return err
		}
		if used, err := result.RowsAffected(); err != nil || used == 0 {
			return errors.Join(err, fmt.Errorf("somebody else has approved the plan at this moment: %w", ErrPlan))
		}
		return p.mirror.Record(ctx, tx, clerksync.AuditEntry{
			Action: clerksync.AuditApproved, Source: clerksync.Operator, Detail: fmt.Sprintf("plan=%s objects=%d", row.Digest, n),
		})
	})
}

// inTransaction runs do in a transaction.
func (p *pass) inTransaction(ctx context.Context, doing string, do func(*sqlx.Tx) error) error {
	tx, err := p.mirror.DB().BeginTxx(ctx, nil)
	if err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	defer tx.Rollback()
	if err := do(tx); err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	return nil
}
