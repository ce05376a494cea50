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

	clerksync "github.com/clerksync/clerksync/sync"
)

// guardFloor is how many deletions a small mirror may have in one pass, whatever percentage of it they are.
const guardFloor = 10

// allows returns how many deletions of a kind the guard lets pass where so many of its objects are visible.
func (c Config) allows(visible int64) int64 {
	percent := visible * int64(max(c.MaxDeletePercent, 0)) / 100
	return min(int64(max(c.MaxDeletes, 0)), max(guardFloor, percent))
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

// plan writes down the deletions that the guard refused, and names them by a digest. A plan that is not whole, or that a dry run
// made, cannot be approved and is only named.
func (p *pass) plan(ctx context.Context) error {
	if len(p.report.Refused) == 0 {
		return nil
	}
	digest := planDigest(p.refused)
	p.report.Plan = digest
	if p.order.DryRun || p.partial {
		return nil
	}
	list, err := json.Marshal(p.refused)
	if err != nil {
		return fmt.Errorf("writing the deletion plan: %w", err)
	}
	now := time.Now()
	_, err = p.mirror.DB().ExecContext(ctx, p.mirror.SQL(`INSERT INTO {plans} (sha256, ids, term, created_at, expires_at, pass_id)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (sha256) DO UPDATE SET term = excluded.term, created_at = excluded.created_at, expires_at = excluded.expires_at,
  pass_id = excluded.pass_id, used_at = NULL`), digest, string(list), p.term, stamp(now), stamp(now.Add(planTime)), p.row)
	if err != nil {
		return fmt.Errorf("writing the deletion plan: %w", err)
	}
	return nil
}

// planDigest is the SHA-256 of the ids in order, one a line. It sorts them.
func planDigest(ids []string) string {
	slices.Sort(ids)
	sum := sha256.Sum256([]byte(strings.Join(ids, "\n")))
	return hex.EncodeToString(sum[:])
}
