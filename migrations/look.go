package migrations

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"time"
)

// found is what a database holds where a mirror's tables go.
type found struct {
	relations map[string]bool // every name that is taken, and whether it has the column made_by
	applied   map[int64]time.Time
}

// own tells clerksync's version table from one of that name that something else made.
const own = "made_by"

// look reads what there is, of a database that may hold a mirror. It takes the names before the versions: a table that another process
// makes between the two is not among the names yet, and one that is among them has its version recorded.
func (t *tables) look(ctx context.Context, db *sql.DB) (found, error) {
	f := found{relations: map[string]bool{}, applied: map[int64]time.Time{}}
	if err := t.universal(ctx, db); err != nil {
		return f, err
	}
	query := `SELECT c.relname, EXISTS (SELECT 1 FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = $2)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1`
	within := t.schema
	if t.dialect == SQLite {
		query = `SELECT lower(substr(m.name, 1 + length($1))), EXISTS (SELECT 1 FROM pragma_table_info(m.name) WHERE name = $2)
FROM sqlite_master m WHERE lower(substr(m.name, 1, length($1))) = $1`
		within = t.name("")
	}
	err := each(ctx, db, query, []any{within, own}, func(rows *sql.Rows) error {
		var name string
		var marked bool
		err := rows.Scan(&name, &marked)
		f.relations[name] = marked
		return err
	})
	if err != nil {
		return f, fmt.Errorf("reading the catalog of schema %q: %w", t.schema, err)
	}
	if !f.relations["migrations"] {
		return f, nil
	}
	query = `SELECT version_id, tstamp FROM ` + t.name("migrations") + ` WHERE version_id > 0`
	err = each(ctx, db, query, nil, func(rows *sql.Rows) error {
		var version int64
		var at time.Time
		err := rows.Scan(&version, &at)
		f.applied[version] = at.UTC()
		return err
	})
	if err != nil {
		return f, fmt.Errorf("reading the versions of schema %q: %w", t.schema, err)
	}
	return f, nil
}

// universal returns [ErrEncoding] unless every text can be stored: others than UTF8 cannot hold every name, and SQL_ASCII refuses as JSON
// what it holds.
func (t *tables) universal(ctx context.Context, db *sql.DB) error {
	if t.dialect == SQLite {
		return nil
	}
	var encoding string
	if err := db.QueryRowContext(ctx, `SELECT current_setting('server_encoding')`).Scan(&encoding); err != nil {
		return fmt.Errorf("reading the database's encoding: %w", err)
	}
	if encoding != "UTF8" {
		return fmt.Errorf("%w but %s: make a database with createdb -T template0 -E UTF8 NAME, and let DATABASE_URL name it", ErrEncoding, encoding)
	}
	return nil
}

func each(ctx context.Context, db *sql.DB, query string, args []any, scan func(*sql.Rows) error) error {
	rows, err := db.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

func (t *tables) compare(f found) error {
	missing := 0
	for _, s := range t.steps {
		if _, ok := f.applied[s.Version]; !ok {
			missing++
		}
	}
	switch {
	case len(f.applied)+missing > len(t.steps):
		return ErrNewer
	case missing > 0:
		return ErrPending
	}
	return nil
}

// refuse tells whether a missing migration would run into what something else made.
func (t *tables) refuse(f found) error {
	var taken []string
	claim := func(relation string) {
		if _, ok := f.relations[relation]; ok {
			taken = append(taken, t.name(relation))
		}
	}
	if !f.relations["migrations"] {
		claim("migrations")
		claim("migrations_lock")
	}
	for _, s := range t.steps {
		if _, ok := f.applied[s.Version]; ok {
			continue
		}
		for _, relation := range s.creates {
			claim(relation)
		}
	}
	if len(taken) == 0 {
		return nil
	}
	return fmt.Errorf("%s: %w stand in the way; set CLERKSYNC_SCHEMA to a name that nothing else uses",
		strings.Join(taken, ", "), ErrForeign)
}

// merge lists the known steps with the times at which they were applied, and those that only a later release knows.
func (t *tables) merge(f found) []Step {
	var all []Step
	for _, s := range t.steps {
		s.AppliedAt = f.applied[s.Version]
		delete(f.applied, s.Version)
		all = append(all, s.Step)
	}
	for version, at := range f.applied {
		all = append(all, Step{Version: version, AppliedAt: at})
	}
	slices.SortFunc(all, func(a, b Step) int { return int(a.Version - b.Version) })
	return all
}
