package reconcile

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/jmoiron/sqlx"

	clerksync "github.com/clerksync/clerksync/sync"
)

// allows returns how many deletions of a kind the guard lets pass where so many of its objects are visible.
func (c Config) allows(visible int64) int64 {
	return clerksync.Limits{MaxDeletes: c.MaxDeletes, MaxDeletePercent: c.MaxDeletePercent}.Allows(visible)
}

// planTime is how long an operator may take to approve a plan.
const planTime = time.Hour

// withhold takes deletions into the plan that the guard refuses, excess beyond those given. A plan names users by their ids, and
// all else by kind and id: "organizations/org_…".
func (l *leg) withhold(ids []string, excess int64) {
	l.report.Refused = append(l.report.Refused, l.kind)
	l.partial = l.partial || excess > 0
	for _, id := range ids {
		if l.kind != clerksync.Users {
			id = string(l.kind) + "/" + id
		}
		l.refused = append(l.refused, id)
	}
}

// plan writes down what the pass decided: that it looked at everything, and the deletions that the guard refused, named by a
// digest. A plan that is not whole, or that a dry run made, cannot be approved and is only named.
func (p *pass) plan(ctx context.Context) error {
	if len(p.report.Refused) > 0 {
		p.report.Plan = planDigest(p.refused)
	}
	looked := p.order.Kind == Full && p.report.Complete
	if p.order.DryRun || p.report.Plan == "" && !looked {
		return nil
	}
	return p.inTransaction(ctx, "writing the deletion plan", func(tx *sqlx.Tx) error {
		if looked {
			if err := (verdict{p.term}).note(ctx, p.mirror, tx); err != nil {
				return err
			}
		}
		if p.report.Plan == "" {
			return nil
		}
		if !p.partial {
			if err := p.keepPlan(ctx, tx); err != nil {
				return err
			}
		}
		detail := "plan=" + p.report.Plan
		for _, l := range p.legs {
			if slices.Contains(p.report.Refused, l.kind) {
				detail += fmt.Sprintf(" %s=%d", l.kind, l.counts.Candidates)
			}
		}
		return p.mirror.Record(ctx, tx, clerksync.AuditEntry{Action: clerksync.AuditRefused, Source: clerksync.Reconcile, Detail: detail})
	})
}

// keepPlan keeps the plan for an operator. The same deletions have the same name, so a later pass that refuses them again makes its
// plan anew; an earlier one, which has woken up late, does not.
func (p *pass) keepPlan(ctx context.Context, tx *sqlx.Tx) error {
	list, err := json.Marshal(p.refused)
	if err != nil {
		return err
	}
	now := time.Now()
	_, err = tx.ExecContext(ctx, p.mirror.SQL(`INSERT INTO {plans} AS p (sha256, ids, term, created_at, expires_at, pass_id)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (sha256) DO UPDATE SET ids = excluded.ids, term = excluded.term, created_at = excluded.created_at, expires_at = excluded.expires_at,
  pass_id = excluded.pass_id, used_at = NULL
WHERE p.term < excluded.term`), p.report.Plan, string(list), p.term, stamp(now), stamp(now.Add(planTime)), p.row)
	return err
}

// prunePlans removes the plans that expired as long ago as passes are remembered. The audit log keeps their names.
func prunePlans(ctx context.Context, m *clerksync.Mirror) (removed int64, err error) {
	result, err := m.DB().ExecContext(ctx, m.SQL(`DELETE FROM {plans} WHERE expires_at < $1`), stamp(time.Now().Add(-pastTime)))
	if err != nil {
		return 0, fmt.Errorf("pruning the deletion plans: %w", err)
	}
	return result.RowsAffected()
}

// planDigest is the SHA-256 of the ids in order, one a line. It sorts them.
func planDigest(ids []string) string {
	slices.Sort(ids)
	sum := sha256.Sum256([]byte(strings.Join(ids, "\n")))
	return hex.EncodeToString(sum[:])
}
