package upkeep_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/clerksync/clerksync/clerktest"
	"github.com/clerksync/clerksync/internal/pgtest"
	clerksync "github.com/clerksync/clerksync/sync"
	"github.com/clerksync/clerksync/upkeep"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

const day = 24 * time.Hour

func open(t *testing.T, db *sqlx.DB) *clerksync.Mirror {
	t.Helper()
	m, err := clerksync.Open(t.Context(), db, clerksync.Config{
		ReadMargin: -1, Unprepared: pgtest.Unprepared(), Kinds: []clerksync.Kind{clerksync.Users, clerksync.Sessions}})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// old is an instant as the tables have it.
func old(days int) string {
	return time.Now().Add(-time.Duration(days) * day).UTC().Format("2006-01-02T15:04:05.000Z")
}

// fill makes two rows of each sort: one that is old by the defaults, and one that is not.
func fill(t *testing.T, m *clerksync.Mirror) {
	t.Helper()
	const bookkeeping = `'webhook', '2026-01-01T00:00:00.000Z', 1, 1, 1, -9223372036854775808, '', false, 1, true`
	for query, ages := range map[string][]int{
		`INSERT INTO {events} (id, type, received_at, outcome, attempts) VALUES
('msg_1', 'user.updated', $1, 'updated', 1), ('msg_2', 'user.updated', $2, 'updated', 1)`: {31, 29},
		`INSERT INTO {changes} (resource, object_id, op, version, created_at) VALUES
('users', 'user_1', 'created', 1, $1), ('users', 'user_1', 'updated', 2, $2)`: {8, 6},
		`INSERT INTO {passes} (kind, started_at, finished_at, complete) VALUES ('full', $1, $1, true), ('full', $2, $2, true)`: {91, 1},
		`INSERT INTO {sessions} (id, status, created_at, source, synced_at, _alive_at, _updated_at, _seen_at, _dead_at, _hash, _was_visible,
_version, _changed) VALUES ('sess_1', 'ended', $1, ` + bookkeeping + `), ('sess_2', 'ended', $2, ` + bookkeeping + `)`: {366, 364},
	} {
		m.DB().MustExecContext(t.Context(), m.SQL(query), old(ages[0]), old(ages[1]))
	}
}

// left counts what fill made and is still there.
func left(t *testing.T, m *clerksync.Mirror) (n [4]int) {
	t.Helper()
	for i, table := range []string{"events", "changes", "sessions", "passes"} {
		if err := m.DB().GetContext(t.Context(), &n[i], m.SQL(`SELECT count(*) FROM {`+table+`}`)); err != nil {
			t.Fatal(err)
		}
	}
	return n
}

// TestRunOnce removes what is old by the defaults, all of it, and by other settings none.
func TestRunOnce(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		m := open(t, db)
		fill(t, m)
		kept, err := upkeep.New(upkeep.Config{Mirror: m, EventRetention: -1, ChangeRetention: -1, SessionRetention: -1}).RunOnce(t.Context())
		if err != nil || kept.Events+kept.Changes+kept.Sessions != 0 || left(t, m) != [4]int{2, 2, 2, 1} {
			t.Errorf("for ever: %+v, %v, left %v", kept, err, left(t, m))
		}
		var seen upkeep.Report
		r, err := upkeep.New(upkeep.Config{Mirror: m, Observe: func(r upkeep.Report) { seen = r }}).RunOnce(t.Context())
		if err != nil || r.Events != 1 || r.Changes != 1 || r.Sessions != 1 || r.Lost != 0 || left(t, m) != [4]int{1, 1, 1, 1} {
			t.Errorf("%+v, %v, left %v", r, err, left(t, m))
		}
		if seen.Events != r.Events {
			t.Errorf("the observer was told %+v", seen)
		}
	})
}

// TestRelayBehind keeps for a relay what it has not delivered, up to four times as long; then it is removed, and told as lost.
func TestRelayBehind(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		m := open(t, db)
		fill(t, m)
		db.MustExec(m.SQL(`INSERT INTO {relays} (name, seq, term, moved_at) VALUES ('slow', 0, 1, {now})`))
		var log bytes.Buffer
		keeper := upkeep.New(upkeep.Config{Mirror: m, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		if r, err := keeper.RunOnce(t.Context()); err != nil || r.Changes != 0 || r.Lost != 0 {
			t.Errorf("after a week: %+v, %v", r, err)
		}
		db.MustExec(m.SQL(`UPDATE {changes} SET created_at = $1 WHERE version = 1`), old(29))
		if r, err := keeper.RunOnce(t.Context()); err != nil || r.Changes != 1 || r.Lost != 1 || left(t, m)[1] != 1 {
			t.Errorf("after four: %+v, %v", r, err)
		}
		if !strings.Contains(log.String(), "a relay had not delivered") {
			t.Errorf("the log does not tell of it: %s", log.String())
		}
	})
}

// TestNumbersBehindTheirRows has the rows of a feed without what numbers them, as logical replication brings them: an operator is told once
// there are changes that no relay delivers.
func TestNumbersBehindTheirRows(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		m := open(t, db)
		var log bytes.Buffer
		keeper := upkeep.New(upkeep.Config{Mirror: m, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		for step, insert := range []string{
			`INSERT INTO {changes} (seq, resource, object_id, op, version, created_at) VALUES (5000, 'users', 'user_1', 'created', 1, $1)`,
			`INSERT INTO {changes} (seq, resource, object_id, op, version, created_at) VALUES (1, 'users', 'user_2', 'created', 1, $1)`,
		} {
			if db.DriverName() != "sqlite" {
				insert = strings.Replace(insert, ` VALUES`, ` OVERRIDING SYSTEM VALUE VALUES`, 1)
			}
			db.MustExec(m.SQL(insert), old(1-step))
			if _, err := keeper.RunOnce(t.Context()); err != nil {
				t.Error(err)
			}
			if told := strings.Contains(log.String(), "numbers below those of older ones"); told != (step == 1) {
				t.Errorf("after %d changes the log says: %s", step+1, log.String())
			}
		}
	})
}

// TestRun erases at once, and ends with its context, or with another instance's key.
func TestRun(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		there := clerktest.NewServer(t, clerktest.Config{Users: 1})
		m := open(t, db)
		api, err := clerksync.NewAPI(clerksync.APIConfig{
			SecretKey: there.SecretKey(), URL: there.URL(), RateLimit: -1, Transport: &http.Transport{DisableKeepAlives: true}})
		if err != nil {
			t.Fatal(err)
		}
		past := time.Now().Add(-time.Hour)
		told := func(id string, object []byte, at time.Time) {
			if _, err := m.Apply(t.Context(), clerksync.Evidence{Kind: clerksync.Users, ID: id, Object: object, At: at.UnixMilli(),
				Source: clerksync.Webhook, Event: &clerksync.Event{ID: "msg_" + at.String()}}); err != nil {
				t.Fatal(err)
			}
		}
		for id, object := range there.Users() {
			told(id, object, past)
			if err := there.DeleteUser(id); err != nil {
				t.Fatal(err)
			}
			told(id, nil, past.Add(time.Minute))
		}
		ctx, stop := context.WithCancel(t.Context())
		var report upkeep.Report
		cfg := upkeep.Config{Mirror: m, Clerk: api, EraseAfter: -1, Observe: func(r upkeep.Report) { report = r; stop() }}
		if err := upkeep.New(cfg).Run(ctx); err != nil || report.Erasure.Total() != 1 {
			t.Errorf("Run: %+v, %v", report, err)
		}
		other := open(t, db)
		if err := other.Pin(t.Context(), there.InstanceID()); err != nil {
			t.Fatal(err)
		}
		db.MustExec(other.SQL(`UPDATE {state} SET value = '{"id":"ins_other"}' WHERE key = 'instance'`))
		db.MustExec(other.SQL(`UPDATE {users} SET erased_at = NULL, data = '{}'`))
		cfg.Mirror, cfg.Observe = open(t, db), nil
		if err := upkeep.New(cfg).Run(t.Context()); !errors.Is(err, clerksync.ErrWrongInstance) {
			t.Errorf("with another instance's key: %v", err)
		}
	})
}

// TestRunWithoutDatabase tells the logger, and goes on.
func TestRunWithoutDatabase(t *testing.T) {
	t.Parallel()
	db := pgtest.SQLite(t)
	m := open(t, db)
	db.Close()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	told := make(chan struct{})
	go func() {
		<-told
		stop()
	}()
	if err := upkeep.New(upkeep.Config{Mirror: m, Logger: slog.New(teller{told})}).Run(ctx); err != nil {
		t.Errorf("Run: %v", err)
	}
	if _, err := upkeep.New(upkeep.Config{Mirror: m}).RunOnce(t.Context()); !errors.Is(err, clerksync.ErrUnavailable) {
		t.Errorf("RunOnce: %v", err)
	}
}

// teller tells that a line was logged.
type teller struct{ told chan struct{} }

func (h teller) Enabled(context.Context, slog.Level) bool  { return true }
func (h teller) Handle(context.Context, slog.Record) error { close(h.told); return nil }
func (h teller) WithAttrs([]slog.Attr) slog.Handler        { return h }
func (h teller) WithGroup(string) slog.Handler             { return h }

// TestMistakes removes nothing, and says what is wrong, however it is run.
func TestMistakes(t *testing.T) {
	t.Parallel()
	m := open(t, pgtest.SQLite(t))
	fill(t, m)
	ctx, stop := context.WithTimeout(t.Context(), 10*time.Second)
	defer stop()
	for want, cfg := range map[string]upkeep.Config{"Config.Mirror is missing": {}, "shred": {Mirror: m, Policy: "shred"}} {
		keeper := upkeep.New(cfg)
		if _, err := keeper.RunOnce(ctx); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("RunOnce: %v, want %s", err, want)
		}
		if err := keeper.Run(ctx); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Run: %v, want %s", err, want)
		}
	}
	if left(t, m) != [4]int{2, 2, 2, 2} {
		t.Errorf("left %v", left(t, m))
	}
}
