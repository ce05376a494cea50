package main

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/clerksync/clerksync/reconcile"
)

// maxDifferences is how many differences are printed.
const maxDifferences = 20

// compare compares mirror and emulator, object by object, and returns the differences: ids and members, no values. In the end a dry
// run has to agree.
func (d *demo) compare(ctx context.Context) (differences []string, err error) {
	for _, e := range exhibits {
		found, err := d.compareKind(ctx, e)
		if differences = append(differences, found...); err != nil || len(differences) >= maxDifferences {
			return head(differences, maxDifferences), err
		}
	}
	report, err := d.reconciler.Do(ctx, reconcile.Pass{DryRun: true})
	if err != nil {
		return differences, fmt.Errorf("checking: %w", err)
	}
	for _, kind := range inOrder(report.Resources) {
		n := report.Resources[kind]
		if open := n.Created + n.Updated + n.Deleted + n.Revived + n.Candidates + n.Pending + n.Quarantined; open > 0 {
			differences = append(differences, fmt.Sprintf("a dry run finds %d differences among %s", open, spaced(kind)))
		}
	}
	return differences, nil
}

// comparison compares the objects of one kind, in batches.
type comparison struct {
	*demo
	exhibit
	batch       []map[string]any // objects of the emulator
	matched     int
	differences []string
}

func (d *demo) compareKind(ctx context.Context, e exhibit) ([]string, error) {
	c := &comparison{demo: d, exhibit: e}
	for id, raw := range d.clerk.Objects(e.resource) {
		var o map[string]any
		if err := json.Unmarshal(raw, &o); err != nil {
			return nil, fmt.Errorf("reading %s of the emulator: %w", id, err)
		}
		if c.batch = append(c.batch, o); len(c.batch) == 500 {
			if err := c.flush(ctx); err != nil || len(c.differences) >= maxDifferences {
				return c.differences, err
			}
		}
	}
	if err := c.flush(ctx); err != nil {
		return nil, err
	}
	err := c.findExtra(ctx)
	return c.differences, err
}

// flush compares the batch with the mirror's rows.
func (c *comparison) flush(ctx context.Context) error {
	rows, err := c.rows(ctx)
	if err != nil {
		return err
	}
	c.matched += len(rows)
	for _, o := range c.batch {
		id, _ := o["id"].(string)
		row := rows[id]
		if row == nil {
			if !c.excused(o) {
				c.differ(id, "the mirror does not show it")
			}
			continue
		}
		for _, f := range c.facets {
			if !reflect.DeepEqual(f.clerks(o), f.ours(row[f.column])) {
				c.differ(id, f.column+" differs")
			}
		}
	}
	c.batch = c.batch[:0]
	return nil
}

func (c *comparison) differ(id, how string) { c.differences = append(c.differences, id+": "+how) }

// excused reports whether the mirror may lack an object: no list shows it, and it is older than the webhook.
func (c *comparison) excused(o map[string]any) bool {
	created, _ := o["created_at"].(float64)
	return c.hides(o) && int64(created) < c.began.UnixMilli()
}

// rows reads the mirror's rows of the batch.
func (c *comparison) rows(ctx context.Context) (map[string]map[string]any, error) {
	if len(c.batch) == 0 {
		return nil, nil
	}
	ids := make([]any, len(c.batch))
	for i, o := range c.batch {
		ids[i] = o["id"]
	}
	columns := "id"
	for _, f := range c.facets {
		columns += ", " + f.column
	}
	db := c.mirror.DB()
	query, args, err := sqlx.In(c.mirror.SQL(`SELECT `+columns+` FROM `+c.from+` WHERE id IN (?)`), ids)
	if err != nil {
		return nil, err
	}
	found, err := db.QueryxContext(ctx, db.Rebind(query), args...)
	if err != nil {
		return nil, fmt.Errorf("reading the mirror: %w", err)
	}
	defer found.Close()
	rows := make(map[string]map[string]any, len(ids))
	for found.Next() {
		row := map[string]any{}
		if err := found.MapScan(row); err != nil {
			return nil, fmt.Errorf("reading the mirror: %w", err)
		}
		id, _ := asText(row["id"]).(string)
		rows[id] = row
	}
	return rows, found.Err()
}

// findExtra finds objects that the mirror shows and Clerk does not have. What no list shows, a demo that was played here before may
// have left.
func (c *comparison) findExtra(ctx context.Context) error {
	var shown int
	if err := c.mirror.DB().GetContext(ctx, &shown, c.mirror.SQL(`SELECT count(*) FROM `+c.from)); err != nil {
		return fmt.Errorf("counting the mirror's rows: %w", err)
	}
	if shown == c.matched {
		return nil
	}
	var rows []struct {
		ID       string     `db:"id"`
		Created  *time.Time `db:"created_at"`
		Unlisted bool       `db:"unlisted"`
	}
	err := c.mirror.DB().SelectContext(ctx, &rows, c.mirror.SQL(`SELECT id, created_at, `+c.unlisted+` AS unlisted FROM `+c.from))
	if err != nil {
		return fmt.Errorf("reading the mirror: %w", err)
	}
	for _, row := range rows {
		left := row.Unlisted && row.Created != nil && row.Created.Before(c.began)
		if !left && c.clerk.Object(c.resource, row.ID) == nil {
			c.differ(row.ID, "the mirror shows it, and Clerk does not have it")
		}
	}
	return nil
}
