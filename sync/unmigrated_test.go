package sync_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/clerksync/clerksync/internal/pgtest"
	clerksync "github.com/clerksync/clerksync/sync"
)

// TestOpenUnmigrated says what to do where there are no tables, old ones, or such as somebody has changed, which no migration mends.
func TestOpenUnmigrated(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	owner := admin(t, db)
	cfg := clerksync.Config{Unprepared: pgtest.Unprepared()}
	check := func(what string) {
		t.Helper()
		_, err := clerksync.Open(t.Context(), db, cfg)
		if !errors.Is(err, clerksync.ErrUnavailable) || !strings.Contains(err.Error(), "migrations.Up") || !strings.Contains(err.Error(), "restore a backup or start over") {
			t.Errorf("%s: %v, want that it tells what to do", what, err)
		}
	}
	if !cfg.Unprepared { // statements are not looked at before they are used
		owner.MustExec(`ALTER TABLE clerk.users RENAME COLUMN external_id TO other`)
		check("a column that is missing")
	}
	owner.MustExec(`DROP SCHEMA clerk CASCADE`)
	check("a schema that is missing")
}
