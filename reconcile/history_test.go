package reconcile_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jmoiron/sqlx"

	clerksync "github.com/clerksync/clerksync/sync"

	"github.com/clerksync/clerksync/internal/pgtest"
	"github.com/clerksync/clerksync/reconcile"
)

// TestHistory writes passes by hand, so that each has its time, and reads them back.
func TestHistory(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		m, err := clerksync.Open(t.Context(), db, clerksync.Config{Unprepared: pgtest.Unprepared()})
		if err != nil {
			t.Fatal(err)
		}
		if none, err := reconcile.History(t.Context(), m, 5); err != nil || len(none) != 0 {
			t.Errorf("a mirror without a pass has the history %v, %v", none, err)
		}
		for _, values := range []string{
			`('full', 'ins_1', '2026-01-01T03:00:00.000Z', '2026-01-01T03:10:00.000Z', true, false, '{"users":{"seen":7,"created":7}}', 9, 1, NULL, NULL)`,
			`('full', 'ins_1', '2026-01-02T03:00:00.000Z', '2026-01-02T03:10:00.000Z', false, false, '{"users":{"seen":5}}', 9, 1, 'abc', 'the guard')`,
			`('full', 'ins_1', '2026-01-03T03:00:00.000Z', NULL, false, false, '{}', 0, 0, NULL, NULL)`,
			`('full', 'ins_1', '2026-01-04T03:00:00.000Z', '2026-01-04T03:10:00.000Z', true, true, '{}', 9, 1, NULL, NULL)`,
			`('delta', NULL, '2026-01-03T04:00:00.000Z', '2026-01-03T04:00:01.000Z', true, false, NULL, 1, 0, NULL, NULL)`,
			`('delta', NULL, '2026-01-03T04:05:00.000Z', '2026-01-03T04:05:01.000Z', true, false, NULL, 1, 0, NULL, NULL)`,
		} {
			db.MustExec(m.SQL(`INSERT INTO {passes}
(kind, instance_id, started_at, finished_at, complete, dry_run, counts, requests, retries, plan, error) VALUES ` + values))
		}
		past, err := reconcile.History(t.Context(), m, 1)
		if err != nil {
			t.Fatal(err)
		}
		day := func(day, hour, minute, second int) time.Time {
			return time.Date(2026, 1, day, hour, minute, second, 0, time.UTC)
		}
		first := reconcile.Past{ID: 1, Report: reconcile.Report{
			Fills: true, Kind: reconcile.Full, InstanceID: "ins_1", Complete: true, StartedAt: day(1, 3, 0, 0), FinishedAt: day(1, 3, 10, 0),
			Resources: map[clerksync.Kind]reconcile.Counts{clerksync.Users: {Seen: 7, Created: 7}}, Requests: 9, Retries: 1,
		}}
		running := reconcile.Past{ID: 3, Report: reconcile.Report{
			Kind: reconcile.Full, InstanceID: "ins_1", StartedAt: day(3, 3, 0, 0), Resources: map[clerksync.Kind]reconcile.Counts{},
		}}
		delta := reconcile.Past{ID: 6, Report: reconcile.Report{
			Kind: reconcile.Delta, Complete: true, StartedAt: day(3, 4, 5, 0), FinishedAt: day(3, 4, 5, 1),
			Resources: map[clerksync.Kind]reconcile.Counts{}, Requests: 1,
		}}
		if diff := cmp.Diff([]reconcile.Past{running, first, delta}, past); diff != "" {
			t.Errorf("the last passes (-want +got):\n%s", diff)
		}
		all, err := reconcile.History(t.Context(), m, 100)
		if err != nil || len(all) != 5 || all[1].Plan != "abc" || all[1].Error != "the guard" {
			t.Errorf("all passes but the dry run: %v, %v", all, err)
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := reconcile.History(ended, m, 1); err == nil {
			t.Error("nobody asked the database, and it answered")
		}
	})
}

// TestPrune removes passes and plans of more than 90 days ago, but never what a delta pass starts from.
func TestPrune(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		m, err := clerksync.Open(t.Context(), db, clerksync.Config{Unprepared: pgtest.Unprepared()})
		if err != nil {
			t.Fatal(err)
		}
		for i, p := range []struct {
			kind             string
			days             int
			complete, dryRun bool
		}{
			{"full", 200, true, false}, {"full", 190, true, false}, {"full", 180, false, false}, {"full", 170, false, false},
			{"full", 160, true, true}, {"delta", 150, true, false}, {"delta", 89, true, false},
		} {
			began := time.Now().AddDate(0, 0, -p.days).UTC().Format("2006-01-02T15:04:05.000Z")
			db.MustExec(m.SQL(`INSERT INTO {passes} (kind, started_at, complete, dry_run, requests, retries) VALUES ($1, $2, $3, $4, $5, 0)`),
				p.kind, began, p.complete, p.dryRun, i)
		}
		for name, days := range map[string]int{"old": 91, "recent": 89, "valid": 0} {
			expires := time.Now().AddDate(0, 0, -days).Add(time.Minute).UTC().Format("2006-01-02T15:04:05.000Z")
			db.MustExec(m.SQL(`INSERT INTO {plans} (sha256, ids, term, created_at, expires_at) VALUES ($1, '[]', 1, $2, $2)`), name, expires)
		}
		removed, err := reconcile.Prune(t.Context(), m)
		if err != nil || removed != 5 {
			t.Errorf("%d removed, %v; want 5", removed, err)
		}
		var plans []string
		if err := db.Select(&plans, m.SQL(`SELECT sha256 FROM {plans} ORDER BY sha256`)); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"recent", "valid"}, plans); diff != "" {
			t.Errorf("plans that are left (-want +got)\n%s", diff)
		}
		var left []int
		if err := db.Select(&left, m.SQL(`SELECT requests FROM {passes} ORDER BY id`)); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]int{1, 3, 6}, left); diff != "" {
			t.Errorf("left are the last complete full pass, the last one, and the young delta pass (-want +got)\n%s", diff)
		}
	})
}

// TestHistoryOfManyPasses has a poll every five minutes for months: the status asks for the last ones every few seconds.
func TestHistoryOfManyPasses(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	m, err := clerksync.Open(t.Context(), db, clerksync.Config{Unprepared: pgtest.Unprepared()})
	if err != nil {
		t.Fatal(err)
	}
	db.MustExec(m.SQL(`INSERT INTO {passes} (kind, started_at, complete) SELECT CASE WHEN i % 288 = 0 THEN 'full' ELSE 'delta' END, now() - i * interval '5 minutes', true
FROM generate_series(1, 25000) AS i`))
	var plan []string
	query := strings.NewReplacer("$1", "'delta'", "$2", "20").Replace(m.SQL(reconcile.PastSQL))
	if err := db.SelectContext(t.Context(), &plan, "EXPLAIN "+query); err != nil {
		t.Fatal(err)
	}
	if text := strings.Join(plan, "\n"); strings.Contains(text, "Seq Scan on passes p") {
		t.Errorf("the status reads all passes:\n%s", text)
	}
}
