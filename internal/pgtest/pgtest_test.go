package pgtest_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/clerksync/clerksync/internal/pgtest"
)

func TestMain(m *testing.M) {
	if os.Getenv("PGTEST_HOSTAGE") != "" {
		hostage()
	}
	pgtest.Main(m)
}

// TestTimesScan proves what the tables' column types promise: the same Go types read both databases.
func TestTimesScan(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		table := "clerk.passes"
		if db.DriverName() == "sqlite" {
			table = "clerk_passes"
		}
		_, err := db.Exec(`INSERT INTO `+table+` (kind, started_at, complete) VALUES ('full', $1, true)`, "2026-01-02T03:04:05.678Z")
		if err != nil {
			t.Fatal(err)
		}
		var pass struct {
			StartedAt  time.Time  `db:"started_at"`
			Started    *time.Time `db:"started"`
			FinishedAt *time.Time `db:"finished_at"`
			Complete   bool       `db:"complete"`
			DryRun     bool       `db:"dry_run"`
		}
		err = db.Get(&pass, `SELECT started_at, started_at AS started, finished_at, complete, dry_run FROM `+table)
		if err != nil {
			t.Fatal(err)
		}
		want := time.Date(2026, 1, 2, 3, 4, 5, 678e6, time.UTC)
		if !pass.StartedAt.Equal(want) || pass.Started == nil || !pass.Started.Equal(want) || pass.FinishedAt != nil {
			t.Errorf("times = %v, %v, %v, want %v twice and nil", pass.StartedAt, pass.Started, pass.FinishedAt, want)
		}
		if !pass.Complete || pass.DryRun {
			t.Errorf("complete, dry_run = %v, %v, want true, false", pass.Complete, pass.DryRun)
		}
	})
}

// TestFileOfATestWithoutAName has a file in a folder whose name an address would cut short, so that tests met in one file beside it.
func TestFileOfATestWithoutAName(t *testing.T) {
	t.Parallel()
	t.Run("", func(t *testing.T) {
		var file string
		if err := pgtest.SQLite(t).Get(&file, `SELECT file FROM pragma_database_list`); err != nil {
			t.Fatal(err)
		}
		if filepath.Base(file) != "clerksync.db" {
			t.Errorf("the file is %s", file)
		}
	})
}
