package sync_test

import (
	"flag"
	"testing"

	"github.com/jmoiron/sqlx"

	"github.com/clerksync/clerksync/internal/pgtest"
	clerksync "github.com/clerksync/clerksync/sync"
)

func TestMain(m *testing.M) {
	if err := flag.Set("rapid.checks", "2000"); err != nil { // a history costs microseconds; the command line still wins
		panic(err)
	}
	pgtest.Main(m)
}

// instance is the Clerk instance that the tests' mirrors are pinned to.
const instance = "ins_2mirror"

// pinned opens a mirror that copies [instance].
func pinned(t testing.TB, db *sqlx.DB) *clerksync.Mirror {
	t.Helper()
	return open(t, db, clerksync.Config{InstanceID: instance})
}

func open(t testing.TB, db *sqlx.DB, cfg clerksync.Config) *clerksync.Mirror {
	t.Helper()
	cfg.Unprepared = cfg.Unprepared || pgtest.Unprepared()
	m, err := clerksync.Open(t.Context(), db, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// apply merges evidence and returns what became of each piece.
func apply(t testing.TB, m *clerksync.Mirror, evidence ...clerksync.Evidence) []clerksync.Result {
	t.Helper()
	results, err := m.Apply(t.Context(), evidence...)
	if err != nil {
		t.Fatal(err)
	}
	return results
}
