package clerksync_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"
	"golang.org/x/sync/errgroup"

	"github.com/clerksync/clerksync/clerktest"
	"github.com/clerksync/clerksync/internal/pgtest"
	"github.com/clerksync/clerksync/internal/torture"
	"github.com/clerksync/clerksync/migrations"
	"github.com/clerksync/clerksync/reconcile"
	clerksync "github.com/clerksync/clerksync/sync"
	"github.com/clerksync/clerksync/upsert"
	"github.com/clerksync/clerksync/webhook"
)

// nextMigration is what a later release may do to the tables while processes of this one run: more columns, tables and indexes.
var nextMigration = []string{
	`ALTER TABLE {users} ADD COLUMN next_column text`,
	`ALTER TABLE {events} ADD COLUMN next_column text`,
	`ALTER TABLE {changes} ADD COLUMN next_column text`,
	`ALTER TABLE {state} ADD COLUMN next_column text`,
	`ALTER TABLE {passes} ADD COLUMN next_column bigint NOT NULL DEFAULT 0`,
	`CREATE TABLE {next_table} (id text PRIMARY KEY)`,
	`CREATE INDEX next_index ON {events} (id, next_column)`,
	`INSERT INTO {migrations} (version_id, is_applied) VALUES (99999, true)`,
}

// TestNextMigration has a later release migrate while events are told, passes run and people log in. This release goes on without one
// failure, and refuses to begin anew on tables that are newer than itself.
func TestNextMigration(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		begun := time.Now()
		clerk := clerktest.NewServer(t, clerktest.Config{Seed: 9, Users: 20})
		m, err := clerksync.Open(t.Context(), db, clerksync.Config{ReadMargin: -1, InstanceID: clerk.InstanceID(), Unprepared: pgtest.Unprepared()})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		w := newWorkers(ctx)
		for name, do := range duties(t, m, clerk) {
			w.start(name, do)
		}
		w.rounds(t, 3)
		options := migrations.Options{Dialect: migrations.Postgres}
		owner := db
		if db.DriverName() == "sqlite" {
			options.Dialect = migrations.SQLite
		} else {
			owner = pgtest.Superuser(t, db)
		}
		for _, statement := range nextMigration {
			if _, err := owner.ExecContext(t.Context(), m.SQL(statement)); err != nil {
				t.Fatal(err)
			}
			w.rounds(t, 1)
		}
		w.rounds(t, 3)
		stop()
		if err := w.Wait(); err != nil {
			t.Error(err)
		}
		slowest := time.Duration(w.slowest.Load())
		if torture.Long && slowest > time.Second {
			t.Errorf("a request took %s, want a second at most", slowest)
		}
		if err := migrations.Check(t.Context(), db.DB, options); !errors.Is(err, migrations.ErrNewer) {
			t.Errorf("Check = %v, want ErrNewer", err)
		}
		torture.Record(t, begun, torture.Run{
			What: "Has a later release migrate while this one takes events, runs passes and lets people log in.",
			Size: fmt.Sprintf("%d statements, %d requests", len(nextMigration), w.made.Load()),
			Figures: []torture.Figure{
				{Name: "failed requests", Value: "0", Bound: "0"},
				{Name: "slowest request", Value: slowest.Round(time.Millisecond).String(), Bound: "1s"},
			},
		})
	})
}

// duties are what a daemon does all day.
func duties(t *testing.T, m *clerksync.Mirror, clerk *clerktest.Server) map[string]func(ctx context.Context, n int) error {
	t.Helper()
	api, err := clerksync.NewAPI(clerksync.APIConfig{SecretKey: clerk.SecretKey(), URL: clerk.URL(), RateLimit: -1})
	if err != nil {
		t.Fatal(err)
	}
	logins, err := upsert.New(upsert.Config{Mirror: m, Clerk: api, MaxAge: time.Nanosecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(logins.Close)
	handler := webhook.NewHandler(webhook.Config{Mirror: m, Secrets: []string{clerk.WebhookSecret()}})
	passes := reconcile.New(reconcile.Config{Mirror: m, Clerk: api})
	var somebody string
	for id := range clerk.Users() {
		somebody = id
		break
	}
	return map[string]func(ctx context.Context, n int) error{
		"webhook": func(ctx context.Context, n int) error {
			now := time.Now().UnixMilli()
			body := fmt.Sprintf(`{"object":"event","type":"user.updated","timestamp":%[1]d,"instance_id":%[2]q,"data":
{"id":"user_told","object":"user","created_at":1,"updated_at":%[1]d,"first_name":"Ada %[3]d","email_addresses":[]}}`, now, clerk.InstanceID(), n)
			r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/", strings.NewReader(body))
			r.Header = clerk.Sign(fmt.Sprint("msg_", n), time.Now(), []byte(body))
			answer := httptest.NewRecorder()
			if handler.ServeHTTP(answer, r); answer.Code != http.StatusNoContent {
				return fmt.Errorf("answered %d", answer.Code)
			}
			return nil
		},
		"login": func(ctx context.Context, _ int) error {
			_, err := logins.UpsertOnLogin(ctx, somebody)
			return err
		},
		"pass": func(ctx context.Context, _ int) error {
			_, err := passes.RunOnce(ctx)
			return err
		},
	}
}

// workers do something again and again until their context is over or one of them fails.
type workers struct {
	*errgroup.Group
	ctx           context.Context
	counts        []*atomic.Int64
	made, slowest atomic.Int64
}

func newWorkers(ctx context.Context) *workers {
	group, ctx := errgroup.WithContext(ctx)
	return &workers{Group: group, ctx: ctx}
}

func (w *workers) start(name string, do func(ctx context.Context, n int) error) {
	count := new(atomic.Int64)
	w.counts = append(w.counts, count)
	w.Go(func() error {
		for n := 0; w.ctx.Err() == nil; n++ {
			begun := time.Now()
			if err := do(w.ctx, n); err != nil && w.ctx.Err() == nil {
				return fmt.Errorf("%s %d: %w", name, n, err)
			}
			w.slowest.Store(max(w.slowest.Load(), int64(time.Since(begun))))
			w.made.Add(1)
			count.Add(1)
		}
		return nil
	})
}

// rounds waits until each has done it so often from now on, or one has failed.
func (w *workers) rounds(t *testing.T, n int64) {
	t.Helper()
	for _, count := range w.counts {
		want := count.Load() + n + 1 // the one that is on its way began before
		settle(t, "everybody gets on", func() bool { return count.Load() >= want || w.ctx.Err() != nil })
	}
}
