package reconcile

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/go-json-experiment/json"

	clerksync "github.com/clerksync/clerksync/sync"
)

// timeFormat writes instants as the mirror's tables hold them: SQLite keeps the text, and sorts by it.
const timeFormat = "2006-01-02T15:04:05.000Z"

func stamp(t time.Time) string { return t.UTC().Format(timeFormat) }

// saveRow writes the pass's row: first at its start, so that one which is killed is seen to have no end.
func (p *pass) saveRow(ctx context.Context) error {
	counts, err := json.Marshal(p.report.Resources)
	if err != nil {
		return fmt.Errorf("writing the pass's row: %w", err)
	}
	r := p.report
	finished := ""
	if !r.FinishedAt.IsZero() {
		finished = stamp(r.FinishedAt)
	}
	values := []any{string(r.Kind), text(r.InstanceID), stamp(r.StartedAt), text(finished), r.Complete, r.DryRun, string(counts),
		r.Requests, r.Retries, text(r.Plan), text(r.Error)}
	if p.row == 0 {
		err = p.mirror.DB().GetContext(ctx, &p.row, p.mirror.SQL(`INSERT INTO {passes}
(kind, instance_id, started_at, finished_at, complete, dry_run, counts, requests, retries, plan, error)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) RETURNING id`), values...)
	} else {
		_, err = p.mirror.DB().ExecContext(ctx, p.mirror.SQL(`UPDATE {passes} SET
kind = $1, instance_id = $2, started_at = $3, finished_at = $4, complete = $5, dry_run = $6, counts = $7,
requests = $8, retries = $9, plan = $10, error = $11 WHERE id = $12`), append(values, p.row)...)
	}
	if err != nil {
		return fmt.Errorf("writing the pass's row: %w", err)
	}
	return nil
}

func text(s string) sql.NullString { return sql.NullString{String: s, Valid: s != ""} }

// The time that a pass which has ended gives the database to take its row: a restart of the server, but when the process is asked
// to stop only as long as it is patient.
const (
	rowPatience     = 30 * time.Second
	rowLastPatience = 5 * time.Second
	rowPause        = time.Second / 4 // between tries
)

// saveLastRow writes the row of a pass that has ended, whatever ended it.
func (p *pass) saveLastRow(ctx context.Context) error {
	within, cancel := context.WithTimeout(context.WithoutCancel(ctx), rowPatience)
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(rowLastPatience, cancel) })()
	for {
		err := p.saveRow(within)
		if err == nil {
			return nil
		}
		if wait(within, rowPause); within.Err() != nil {
			return err
		}
	}
}

// lastFull returns when the last complete full pass began.
func lastFull(ctx context.Context, m *clerksync.Mirror) (began time.Time, found bool, err error) {
	err = m.DB().GetContext(ctx, &began, m.SQL(`SELECT started_at FROM {passes}
WHERE kind = 'full' AND complete AND NOT dry_run ORDER BY started_at DESC LIMIT 1`))
	if errors.Is(err, sql.ErrNoRows) {
		return time.Time{}, false, nil
	}
	if err != nil {
		return time.Time{}, false, fmt.Errorf("looking for the last complete pass: %w", err)
	}
	return began, true, nil
}
