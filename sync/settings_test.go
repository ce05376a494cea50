package sync_test

import (
	"errors"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jmoiron/sqlx"

	"github.com/clerksync/clerksync/internal/pgtest"
	"github.com/clerksync/clerksync/migrations"
	clerksync "github.com/clerksync/clerksync/sync"
)

// TestSettings gives the mirror's user settings by which PostgreSQL reads and writes texts, and finds the same rows as without. By one of them
// it would store other ones, or none: the mirror does not open.
func TestSettings(t *testing.T) {
	t.Parallel()
	with := func(options string) *sqlx.DB {
		db, err := sqlx.Open("postgres", pgtest.Direct(t)+"&options="+url.PathEscape(options))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { db.Close() })
		return db
	}
	var want []string
	for _, options := range []string{"", "-c DateStyle=German,DMY -c IntervalStyle=sql_standard -c TimeZone=Asia/Kathmandu -c bytea_output=escape -c standard_conforming_strings=off -c plan_cache_mode=force_custom_plan"} {
		m := open(t, with(options), clerksync.Config{InstanceID: instance})
		apply(t, m, backfill()...)
		apply(t, m, at(1, "better").told(), user{ID: "user_alone", Updated: past, Created: past - hour, Active: past, Name: `Zoë "Z"`, More: allMembers}.told())
		var got []string
		if err := pgtest.Superuser(t, m.DB()).Select(&got, m.SQL(`SELECT to_jsonb(u) FROM {users} AS u ORDER BY id`)); err != nil {
			t.Fatal(err)
		}
		if want == nil {
			want = got
		} else if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("rows with %s (-without +with):\n%s", options, diff)
		}
	}

	_, err := clerksync.Open(t.Context(), with("-c array_nulls=off"), clerksync.Config{InstanceID: instance})
	if err == nil || errors.Is(err, clerksync.ErrUnavailable) || !strings.Contains(err.Error(), "array_nulls") {
		t.Errorf("a mirror whose nulls are texts: %v", err)
	}
}

// TestMemory opens a mirror in the memory of one connection, and none in those of several, which would find the tables in one of them.
func TestMemory(t *testing.T) {
	t.Parallel()
	for _, try := range []struct {
		address     string
		connections int
		opens       bool
	}{{":memory:", 1, true}, {":memory:", 0, false}, {":memory:", 2, false}, {"file:shared?mode=memory&cache=shared", 0, true}} {
		db, err := sqlx.Open("sqlite", try.address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { db.Close() })
		db.SetMaxOpenConns(try.connections)
		if err := migrations.Up(t.Context(), db.DB, migrations.Options{Dialect: migrations.SQLite}); err != nil {
			t.Fatal(err)
		}
		_, err = clerksync.Open(t.Context(), db, clerksync.Config{})
		if try.opens != (err == nil) || !try.opens && (errors.Is(err, clerksync.ErrUnavailable) || !strings.Contains(err.Error(), "SetMaxOpenConns(1)")) {
			t.Errorf("%s by %d connections: %v", try.address, try.connections, err)
		}
	}
}
