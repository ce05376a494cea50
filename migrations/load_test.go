package migrations_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/clerksync/clerksync/internal/pgtest"
	"github.com/clerksync/clerksync/internal/torture"
	"github.com/clerksync/clerksync/migrations"
)

// TestUpUnderLoad brings the tables up from each earlier version while clients of that version write and read every table that it
// has, in transactions that stay open for a while. None of them fails and, in the long form, none waits for a second.
//
// The clients are not an earlier binary, which a clone of one commit cannot build: they name the columns of their version in statements
// that were prepared before, as it would, and take the locks that it would take. What the present binary does while a later release
// migrates is told in TestNextMigration of the module's root.
func TestUpUnderLoad(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("postgres/0*.sql")
	if err != nil || len(files) < 2 {
		t.Fatal(files, err)
	}
	for n := range len(files) - 1 {
		t.Run(fmt.Sprint("from version ", n+1), func(t *testing.T) {
			t.Parallel()
			begun := time.Now()
			e := engine{migrations.Postgres, "postgres", pgtest.Empty(t)}
			db := e.open(t)
			upTo(t, db, files[:n+1])
			rows := torture.Size(t, 2_000, 200_000)
			exec(t, db, `INSERT INTO clerk.users (id, source, synced_at, created_at, deleted_at, _alive_at, _updated_at, _seen_at, _dead_at, _hash, _was_visible, _version, _changed)
SELECT 'user_' || i, 'webhook', now(), now(), CASE WHEN i % 2 = 0 THEN now() END, i, i, i, CASE WHEN i % 2 = 0 THEN i ELSE -1 END, '', true, 1, true FROM generate_series(1, $1) AS i`, rows)
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			clients, ready := load(ctx, t, e)
			ready()
			up(t, db, e.options(""))
			ready()
			stop()
			made, slowest, err := clients()
			if err != nil {
				t.Error(err)
			}
			wantCheck(t, db, e.options(""), nil)
			if torture.Long && slowest > time.Second {
				t.Errorf("a statement took %s, want a second at most", slowest)
			}
			torture.Record(t, begun, torture.Run{
				What: "Brings the tables up to the present version while clients of an earlier one write and read every table that it has.",
				Size: fmt.Sprintf("%d users, %d transactions", rows, made),
				Figures: []torture.Figure{
					{Name: "failed transactions", Value: "0", Bound: "0"},
					{Name: "slowest statement", Value: slowest.Round(time.Millisecond).String(), Bound: "1s"},
				},
			})
		})
	}
}

// upTo makes the tables of an earlier version, from its files.
func upTo(t *testing.T, db *sql.DB, files []string) {
	t.Helper()
	for i, file := range append([]string{"postgres/versions.sql"}, files...) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		exec(t, db, strings.ReplaceAll(string(text), "{schema}", "clerk"))
		if i > 0 {
			exec(t, db, `INSERT INTO clerk.migrations (version_id, is_applied) VALUES ($1, true)`, i)
		}
	}
}

// load has a client for each table work on it until the context is over. ready waits until each has made two transactions from begin to
// end; end returns how many they made in all, how long the slowest statement took, and what failed.
func load(ctx context.Context, t *testing.T, e engine) (end func() (made int64, slowest time.Duration, err error), ready func()) {
	t.Helper()
	db := e.open(t)
	tables := texts(t, db, `SELECT tablename FROM pg_tables WHERE schemaname = 'clerk' AND tablename NOT LIKE 'migrations%'`)
	if len(tables) < 4 {
		t.Fatalf("there are only %v", tables)
	}
	counts := make([]atomic.Int64, len(tables))
	var slowest atomic.Int64
	group, ctx := errgroup.WithContext(ctx)
	for i, table := range tables {
		group.Go(func() error {
			err := work(ctx, db, table, &counts[i], &slowest)
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("a client of the table %s: %w", table, err)
		})
	}
	end = func() (made int64, _ time.Duration, err error) {
		err = group.Wait()
		for i := range counts {
			made += counts[i].Load()
		}
		return made, time.Duration(slowest.Load()), err
	}
	ready = func() {
		t.Helper()
		begun := make([]int64, len(counts))
		for i := range counts {
			begun[i] = counts[i].Load()
		}
		for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
			behind := ""
			for i, table := range tables {
				if counts[i].Load() < begun[i]+2 {
					behind = table
				}
			}
			if behind == "" || ctx.Err() != nil { // end tells what failed
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("the client of the table %s does not get on", behind)
			}
		}
	}
	return end, ready
}

// work makes transactions on a table.
func work(ctx context.Context, db *sql.DB, table string, made, slowest *atomic.Int64) error {
	var columns string
	err := db.QueryRowContext(ctx, `SELECT string_agg(quote_ident(column_name), ', ' ORDER BY ordinal_position) FROM information_schema.columns
WHERE table_schema = 'clerk' AND table_name = $1 AND is_generated = 'NEVER' AND identity_generation IS DISTINCT FROM 'ALWAYS'`, table).Scan(&columns)
	if err != nil {
		return err
	}
	var statements []*sql.Stmt
	for _, query := range []string{
		`SELECT ` + columns + ` FROM clerk.` + table + ` LIMIT 1`,
		`INSERT INTO clerk.` + table + ` (` + columns + `) SELECT ` + columns + ` FROM clerk.` + table + ` WHERE false`, // takes the locks and leaves the rows
		`SELECT 1 FROM clerk.` + table + ` LIMIT 1 FOR UPDATE`,
	} {
		s, err := db.PrepareContext(ctx, query)
		if err != nil {
			return err
		}
		defer s.Close()
		statements = append(statements, s)
	}
	for ctx.Err() == nil {
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		for _, s := range statements {
			begun := time.Now()
			if _, err := tx.StmtContext(ctx, s).ExecContext(ctx); err != nil {
				return errors.Join(err, tx.Rollback())
			}
			if took := int64(time.Since(begun)); took > slowest.Load() {
				slowest.Store(took)
			}
		}
		if _, err := tx.ExecContext(ctx, `SELECT pg_sleep(0.02)`); err != nil { // it stays open for a while
			return errors.Join(err, tx.Rollback())
		}
		if err := tx.Commit(); err != nil {
			return err
		}
		made.Add(1)
	}
	return ctx.Err()
}
