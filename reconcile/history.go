package reconcile

import (
	"context"
	"fmt"
	"time"

	"github.com/go-json-experiment/json"

	clerksync "github.com/clerksync/clerksync/sync"
)

// Past is a pass of the past, or one that is running. Its Unannounced is nil, since that is not kept; its FinishedAt is zero while
// the pass runs, or if it was killed.
type Past struct {
	ID int64 // the row of the passes table
	Report
}

// pastSQL selects the last $2 passes of a kind and the last complete one. One list holds the ids of both: asked whether an id is in either
// of two, PostgreSQL reads all passes, and there is a row for every poll of 90 days.
const pastSQL = `SELECT id, NOT EXISTS (SELECT 1 FROM {passes} AS earlier
WHERE earlier.kind = 'full' AND earlier.complete AND NOT earlier.dry_run AND earlier.id < p.id) AS fills, kind, coalesce(instance_id, '') AS instance_id, started_at, finished_at,
complete, coalesce(counts, '{}') AS counts, requests, retries, coalesce(plan, '') AS plan, coalesce(error, '') AS error FROM {passes} AS p
WHERE id IN (SELECT id FROM (SELECT id FROM {passes} WHERE kind = $1 AND NOT dry_run ORDER BY started_at DESC, id DESC LIMIT $2) AS latest
UNION SELECT id FROM (SELECT id FROM {passes} WHERE kind = $1 AND NOT dry_run AND complete ORDER BY started_at DESC, id DESC LIMIT 1) AS whole)
ORDER BY started_at DESC, id DESC`

// History returns the last n passes of each kind and, if it is none of these, the last complete one: kind by kind, the latest first.
// Dry runs are left out. Any error means that the database did not answer as it should.
func History(ctx context.Context, m *clerksync.Mirror, n int) ([]Past, error) {
	var all []Past
	for _, kind := range []Kind{Full, Delta, Approved, Late} {
		var rows []pastRow
		err := m.DB().SelectContext(ctx, &rows, m.SQL(pastSQL), string(kind), n)
		if err != nil {
			return nil, fmt.Errorf("reading the last passes: %w", err)
		}
		for _, r := range rows {
			past, err := r.past()
			if err != nil {
				return nil, fmt.Errorf("reading pass %d: %w", r.ID, err)
			}
			all = append(all, past)
		}
	}
	return all, nil
}

type pastRow struct {
	ID         int64      `db:"id"`
	Fills      bool       `db:"fills"`
	Kind       Kind       `db:"kind"`
	InstanceID string     `db:"instance_id"`
	StartedAt  time.Time  `db:"started_at"`
	FinishedAt *time.Time `db:"finished_at"`
	Complete   bool       `db:"complete"`
	Counts     string     `db:"counts"`
	Requests   int64      `db:"requests"`
	Retries    int64      `db:"retries"`
	Plan       string     `db:"plan"`
	Error      string     `db:"error"`
}

func (r pastRow) past() (Past, error) {
	p := Past{ID: r.ID, Report: Report{
		Fills: r.Fills, Kind: r.Kind, InstanceID: r.InstanceID, Complete: r.Complete, StartedAt: r.StartedAt.UTC(),
		Requests: r.Requests, Retries: r.Retries, Plan: r.Plan, Error: r.Error,
	}}
	if r.FinishedAt != nil {
		p.FinishedAt = r.FinishedAt.UTC()
	}
	return p, json.Unmarshal([]byte(r.Counts), &p.Resources)
}

// pastTime is how long passes are remembered, but for the last ones of each kind.
const pastTime = 90 * 24 * time.Hour

// Prune removes the rows of passes that began more than 90 days ago, but for the last one of each kind and the last complete one, which
// is what a delta pass starts from, and deletion plans as old, which nobody can approve any more. It returns how many rows it removed,
// also beside an error.
func Prune(ctx context.Context, m *clerksync.Mirror) (removed int64, err error) {
	const last = `(SELECT max(id) FROM {passes} WHERE NOT dry_run`
	result, err := m.DB().ExecContext(ctx, m.SQL(`DELETE FROM {passes} WHERE started_at < $1
AND id NOT IN `+last+` GROUP BY kind) AND id NOT IN `+last+` AND complete GROUP BY kind)`), stamp(time.Now().Add(-pastTime)))
	if err != nil {
		return 0, fmt.Errorf("pruning the passes: %w", err)
	}
	if removed, err = result.RowsAffected(); err != nil {
		return 0, fmt.Errorf("pruning the passes: %w", err)
	}
	plans, err := prunePlans(ctx, m)
	return removed + plans, err
}
