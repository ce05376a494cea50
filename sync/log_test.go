package sync_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jmoiron/sqlx"

	clerksync "github.com/clerksync/clerksync/sync"

	"github.com/clerksync/clerksync/internal/pgtest"
)

// received makes a piece of evidence whose event was received some hours ago.
func received(id, typ, object string, hours int, change func(*clerksync.Evidence)) clerksync.Evidence {
	at := time.Now().Add(-time.Duration(hours) * time.Hour)
	e := clerksync.Evidence{
		Kind: clerksync.Users, Source: clerksync.Webhook, At: at.UnixMilli(),
		Object: fmt.Appendf(nil, `{"object":"user","id":%q,"created_at":1,"updated_at":%d}`, object, at.UnixMilli()),
		Event:  &clerksync.Event{ID: id, Type: typ, ObjectID: object, InstanceID: instance, OccurredAt: at, ReceivedAt: at, Body: []byte(`{"a":1}`)},
	}
	if change != nil {
		change(&e)
	}
	return e
}

func quarantine(e *clerksync.Evidence) { e.Event.Quarantine = "data has no id" }

func future(e *clerksync.Evidence) { e.At = time.Now().Add(time.Hour).UnixMilli() }

func logged(t testing.TB, m *clerksync.Mirror, q clerksync.LogQuery) (ids []string) {
	t.Helper()
	events, err := m.Log(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range events {
		ids = append(ids, e.ID)
	}
	return ids
}

// fill applies events of every sort, the oldest last.
func fill(t testing.TB, m *clerksync.Mirror) {
	t.Helper()
	nothing := func(e *clerksync.Evidence) { e.Kind, e.Object = "", nil }
	apply(t, m,
		received("msg_8", "user.created", "user_1", 1, nil),
		received("msg_7", "user.updated", "user_2", 2, future),
		received("msg_6", "userX.created", "user_1", 3, nothing),
		received("msg_5", "email.created", "ema_1", 40, nothing),
		received("msg_4", "user.deleted", "user_4", 50, quarantine),
		received("msg_3", "user.created", "user_3", 60, nil),
		received("msg_2", "100%_sure", "", 24*8, quarantine),
		received("msg_1", "user.created", "user_5", 24*9, nil),
	)
}

func TestLog(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		m := pinned(t, db)
		fill(t, m)
		hoursAgo := func(n int) time.Time { return time.Now().Add(-time.Duration(n) * time.Hour) }
		for _, c := range []struct {
			name  string
			query clerksync.LogQuery
			want  []string
		}{
			{"all", clerksync.LogQuery{}, []string{"msg_8", "msg_7", "msg_6", "msg_5", "msg_4", "msg_3", "msg_2", "msg_1"}},
			{"the last two", clerksync.LogQuery{Limit: 2}, []string{"msg_8", "msg_7"}},
			{"a type", clerksync.LogQuery{Type: "user.created"}, []string{"msg_8", "msg_3", "msg_1"}},
			{"types of an object", clerksync.LogQuery{Type: "user.*"}, []string{"msg_8", "msg_7", "msg_4", "msg_3", "msg_1"}},
			{"types by their end", clerksync.LogQuery{Type: "*.Created"}, []string{"msg_8", "msg_6", "msg_5", "msg_3", "msg_1"}},
			{"the signs of LIKE are signs", clerksync.LogQuery{Type: "user_.created"}, nil},
			{"percent", clerksync.LogQuery{Type: "100%_*"}, []string{"msg_2"}},
			{"no exclamation", clerksync.LogQuery{Type: "user!*"}, nil},
			{"an object", clerksync.LogQuery{ObjectID: "user_1"}, []string{"msg_8", "msg_6"}},
			{"an outcome", clerksync.LogQuery{Outcome: clerksync.Quarantined}, []string{"msg_4", "msg_2"}},
			{"since", clerksync.LogQuery{Since: hoursAgo(2).Add(-time.Minute)}, []string{"msg_8", "msg_7"}},
			{"until", clerksync.LogQuery{Until: hoursAgo(60).Add(time.Minute)}, []string{"msg_3", "msg_2", "msg_1"}},
			{"ids", clerksync.LogQuery{IDs: []string{"msg_1", "msg_5", "msg_9"}}, []string{"msg_5", "msg_1"}},
			{"everything at once", clerksync.LogQuery{
				IDs: []string{"msg_7", "msg_8"}, Type: "user.*", ObjectID: "user_1", Outcome: clerksync.Created, Since: hoursAgo(3), Until: hoursAgo(0), Limit: 1,
			}, []string{"msg_8"}},
		} {
			if diff := cmp.Diff(c.want, logged(t, m, c.query)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", c.name, diff)
			}
		}
	})
}

// TestLogEntry looks at all that the log tells of an event.
func TestLogEntry(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		m := pinned(t, db)
		fill(t, m)
		events, err := m.Log(t.Context(), clerksync.LogQuery{IDs: []string{"msg_4", "msg_7", "msg_8"}})
		if err != nil {
			t.Fatal(err)
		}
		for i := range events {
			e := &events[i]
			if ago := time.Since(e.ReceivedAt); ago < 59*time.Minute || ago > 51*time.Hour || e.ReceivedAt.Location() != time.UTC {
				t.Errorf("%s was received %s ago, at %s", e.ID, ago, e.ReceivedAt)
			}
			if e.OccurredAt == nil || !e.OccurredAt.Equal(e.ReceivedAt) || (e.DueAt == nil) != (e.Outcome != clerksync.Deferred) {
				t.Errorf("%s occurred at %v and is due at %v", e.ID, e.OccurredAt, e.DueAt)
			}
			e.OccurredAt, e.DueAt, e.ReceivedAt = nil, nil, time.Time{}
		}
		want := []clerksync.Logged{
			{ID: "msg_8", Type: "user.created", ObjectID: "user_1", InstanceID: instance, Outcome: clerksync.Created, Attempts: 1},
			{ID: "msg_7", Type: "user.updated", ObjectID: "user_2", InstanceID: instance, Outcome: clerksync.Deferred, Attempts: 1,
				Error: "dated in the future", BodySize: 7},
			{ID: "msg_4", Type: "user.deleted", ObjectID: "user_4", InstanceID: instance, Outcome: clerksync.Quarantined, Attempts: 1,
				Error: "data has no id", BodySize: 7},
		}
		if diff := cmp.Diff(want, events); diff != "" {
			t.Errorf("the log differs (-want +got):\n%s", diff)
		}
	})
}

// TestDrop gives up what waits, and nothing else.
func TestDrop(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		m := pinned(t, db)
		fill(t, m)
		poison := clerksync.Witness(clerksync.Evidence{
			Kind: clerksync.Users, Source: clerksync.Reconcile, At: time.Now().UnixMilli(), Object: []byte(`{"id":"user_9","object":"user"}`),
		}, 0, false)
		apply(t, m, poison)
		for _, c := range []struct {
			id   string
			want bool
		}{{"msg_4", true}, {"msg_4", false}, {"msg_7", true}, {"msg_8", false}, {"msg_9", false}, {"read:users:user_9", true}} {
			if got, err := m.Drop(t.Context(), c.id); err != nil || got != c.want {
				t.Errorf("dropping %s: %t, %v, want %t", c.id, got, err, c.want)
			}
		}
		kept := events(t, m)
		for _, id := range []string{"msg_4", "msg_7"} {
			if e := kept[id]; e.Outcome != clerksync.Ignored || e.Payload != nil || e.Due {
				t.Errorf("%s was dropped and is %+v", id, e)
			}
		}
		if kept["msg_8"].Outcome != clerksync.Created {
			t.Errorf("an applied event became %s", kept["msg_8"].Outcome)
		}
		if _, found := kept["read:users:user_9"]; found {
			t.Error("a dropped read is still there")
		}
		if r := apply(t, m, poison)[0]; r.Outcome != clerksync.Quarantined || events(t, m)["read:users:user_9"].Payload == nil {
			t.Errorf("a read that cannot be stored yet again is %s and does not show", r.Outcome)
		}
	})
}

// TestPrune clears old events away, but none that waits for somebody.
func TestPrune(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		m := pinned(t, db)
		fill(t, m)
		for _, c := range []struct {
			retention time.Duration
			removed   int64
			want      []string
		}{
			{0, 0, []string{"msg_8", "msg_7", "msg_6", "msg_5", "msg_4", "msg_3", "msg_2", "msg_1"}},
			{45 * time.Hour, 2, []string{"msg_8", "msg_7", "msg_6", "msg_5", "msg_4", "msg_2"}},
			{time.Minute, 3, []string{"msg_7", "msg_4", "msg_2"}},
		} {
			removed, err := m.Prune(t.Context(), c.retention)
			if err != nil || removed != c.removed {
				t.Errorf("pruning to %s removed %d events (%v), want %d", c.retention, removed, err, c.removed)
			}
			if diff := cmp.Diff(c.want, logged(t, m, clerksync.LogQuery{})); diff != "" {
				t.Errorf("pruning to %s (-want +got):\n%s", c.retention, diff)
			}
		}
		kept := events(t, m)
		if kept["msg_2"].Payload != nil || kept["msg_4"].Payload == nil || kept["msg_7"].Payload == nil {
			t.Error("a body of 8 days in quarantine must go, younger ones and deferred ones stay")
		}
	})
}

// TestPruneMany removes more than a batch.
func TestPruneMany(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		m := pinned(t, db)
		const rows = 2500
		db.MustExec(m.SQL(`INSERT INTO {events} (id, type, received_at, outcome, attempts)
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2500)
SELECT 'msg_' || cast(i AS text), 'user.updated', '2020-01-01T00:00:00.000Z', 'updated', 1 FROM n`))
		if removed, err := m.Prune(t.Context(), time.Hour); err != nil || removed != rows {
			t.Errorf("removed %d of %d events: %v", removed, rows, err)
		}
	})
}

// TestPruneUnpinned keeps what tells whose mirror it is, so that another instance's key is refused for ever.
func TestPruneUnpinned(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		m := open(t, db, clerksync.Config{})
		fill(t, m)
		if removed, err := m.Prune(t.Context(), time.Minute); err != nil || removed != 4 {
			t.Errorf("removed %d events, want 4: %v", removed, err)
		}
		if err := m.Pin(t.Context(), "ins_2another"); err == nil {
			t.Error("a mirror whose events are forgotten let itself be pinned to another instance")
		}
		if err := m.Pin(t.Context(), instance); err != nil {
			t.Fatal(err)
		}
		if removed, err := m.Prune(t.Context(), time.Minute); err != nil || removed != 1 {
			t.Errorf("pinned, it removed %d events, want the last one: %v", removed, err)
		}
	})
}

// TestPruneWaitsForNobody prunes beside a transaction that holds a row.
func TestPruneWaitsForNobody(t *testing.T) {
	t.Parallel()
	m := pinned(t, pgtest.New(t))
	fill(t, m)
	tx := m.DB().MustBegin()
	defer tx.Rollback()
	tx.MustExec(m.SQL(`SELECT id FROM {events} WHERE id = 'msg_8' FOR UPDATE`))
	if removed, err := m.Prune(t.Context(), time.Minute); err != nil || removed != 4 {
		t.Errorf("removed %d events beside a locked one, want 4: %v", removed, err)
	}
}
