// Package migrations makes the tables of a mirror and keeps them at the version that this binary expects: on PostgreSQL in a
// schema of their own, on SQLite behind a prefix. The SQL is embedded, commented for the operator, and comes in versions that are
// only ever added to. [Up] runs what is missing, [Check] tells whether anything is, [Status] lists it, and [Print] writes it for
// teams that migrate with a tool of their own.
//
// There is no way down: a release reads the tables of the release before it, and a restored backup is the way back.
package migrations

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/pressly/goose/v3"
)

// Dialect is the kind of database. It is not derived from the driver, since several drivers speak each.
type Dialect string

// The databases that clerksync can keep a mirror in.
const (
	Postgres Dialect = "postgres" // version 13 or later
	SQLite   Dialect = "sqlite"   // version 3.38 or later
)

// Options say where the tables are.
type Options struct {
	// Dialect is the kind of database. It must be set.
	Dialect Dialect
	// Schema is the PostgreSQL schema of the tables, or their prefix without the underscore on SQLite: lower-case letters, digits
	// and underscores, at most 40. The zero value means "clerk". Operators set it as CLERKSYNC_SCHEMA.
	Schema string
}

// Step is one version of the tables.
type Step struct {
	Version   int64
	Name      string    // empty if only a later release knows it
	AppliedAt time.Time // the zero time if it is missing from the database
}

var (
	// ErrPending means that the tables are missing, or older than this binary: [Up] brings them to its version.
	ErrPending = errors.New("the tables are not at the version of this clerksync: run clerksync migrate up")
	// ErrNewer means that a later release has migrated the tables. This one must not write them.
	ErrNewer = errors.New("the tables were migrated by a later release: run that release of clerksync or a later one")
	// ErrForeign means that relations stand where clerksync's would go and that something else made them. They are left alone.
	ErrForeign = errors.New("relations that clerksync did not make")
	// ErrEncoding means that a PostgreSQL database does not store texts in UTF-8, so that it could not hold everybody's name.
	ErrEncoding = errors.New("the database's encoding is not UTF8")
)

// Up brings the tables to the version of this binary and makes the schema if there is none. Where everything is in place it
// changes nothing and takes no lock. It fails with [ErrForeign],
// [ErrNewer] or [ErrEncoding] before it has written anything.
//
// Several processes may call it at once: one migrates, the others wait for it for up to five minutes. On PostgreSQL the one that
// migrates holds a lease, which a crash leaves behind for at most 30 seconds. One connection is enough.
func Up(ctx context.Context, db *sql.DB, o Options) error {
	t, err := o.tables()
	if err != nil {
		return err
	}
	return whileBusy(ctx, func() error { return t.up(ctx, db) })
}

func (t *tables) up(ctx context.Context, db *sql.DB) error {
	if _, err := t.pending(ctx, db); !errors.Is(err, ErrPending) {
		return err
	}
	if err := t.prepare(ctx, db); err != nil {
		return fmt.Errorf("preparing schema %q: %w", t.schema, err)
	}
	unlock, err := t.lock(ctx, db)
	if err != nil {
		return fmt.Errorf("waiting for another process to migrate schema %q: %w", t.schema, err)
	}
	return errors.Join(t.apply(ctx, db), unlock())
}

// Check returns nil if the tables are exactly at the version of this binary, [ErrPending] if they are missing or older, [ErrNewer] if
// they are newer, and [ErrEncoding] wherever they must not be. It writes nothing.
func Check(ctx context.Context, db *sql.DB, o Options) error {
	t, err := o.tables()
	if err != nil {
		return err
	}
	found, err := t.look(ctx, db)
	if err != nil {
		return err
	}
	return t.compare(found)
}

// Status lists every version that this binary or the database knows, oldest first. It writes nothing.
func Status(ctx context.Context, db *sql.DB, o Options) ([]Step, error) {
	t, err := o.tables()
	if err != nil {
		return nil, err
	}
	found, err := t.look(ctx, db)
	if err != nil {
		return nil, err
	}
	return t.merge(found), nil
}

// apply runs the missing migrations. On SQLite nothing keeps processes apart but the transaction of each migration: the one that
// comes second fails on a table that is there by then, having changed nothing, and goes on from what the first one did.
func (t *tables) apply(ctx context.Context, db *sql.DB) error {
	provider, err := goose.NewProvider(t.engine(), db, t.files, goose.WithTableName(t.name("migrations")),
		goose.WithDisableGlobalRegistry(true), goose.WithLogger(goose.NopLogger()))
	if err != nil {
		return fmt.Errorf("reading migrations: %w", err)
	}
	for {
		before, err := t.pending(ctx, db)
		if !errors.Is(err, ErrPending) {
			return err
		}
		if _, err = provider.Up(ctx); err == nil {
			return nil
		}
		after, lookErr := t.look(ctx, db)
		if lookErr != nil || len(after.applied) == len(before.applied) {
			return fmt.Errorf("migrating schema %q: %w", t.schema, err)
		}
	}
}

// pending returns [ErrPending] only if the missing migrations may run.
func (t *tables) pending(ctx context.Context, db *sql.DB) (found, error) {
	f, err := t.look(ctx, db)
	if err != nil {
		return f, err
	}
	if err := t.refuse(f); err != nil {
		return f, err
	}
	return f, t.compare(f)
}

var validSchema = regexp.MustCompile(`^[a-z_][a-z0-9_]{0,39}$`)

func (o Options) tables() (*tables, error) {
	if o.Schema == "" {
		o.Schema = "clerk"
	}
	reserved := map[Dialect]string{Postgres: "pg_", SQLite: "sqlite"}[o.Dialect]
	switch {
	case reserved == "":
		return nil, fmt.Errorf("unknown database dialect %q: it is %q or %q", o.Dialect, Postgres, SQLite)
	case !validSchema.MatchString(o.Schema) || strings.HasPrefix(o.Schema, reserved):
		return nil, fmt.Errorf("%q cannot name a schema: set CLERKSYNC_SCHEMA to lower-case letters, digits and underscores, "+
			"at most 40, not beginning with a digit or %q", o.Schema, reserved)
	}
	return newTables(o.Dialect, o.Schema)
}
