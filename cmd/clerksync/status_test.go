package main_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jmoiron/sqlx"

	main "github.com/clerksync/clerksync/cmd/clerksync"
	clerksync "github.com/clerksync/clerksync/sync"

	"github.com/clerksync/clerksync/internal/admin"
	"github.com/clerksync/clerksync/internal/lease"
	"github.com/clerksync/clerksync/internal/pgtest"
)

// TestStatus reads the status of a mirror in which nothing has happened, and then something.
func TestStatus(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		ctx := t.Context()
		m, err := clerksync.Open(ctx, db, clerksync.Config{InstanceID: "ins_1", Kinds: []clerksync.Kind{clerksync.Sessions, clerksync.Users}})
		if err != nil {
			t.Fatal(err)
		}
		empty, err := main.ReadStatus(ctx, m)
		want := admin.Status{
			InstanceID: "ins_1", Order: []string{"users", "sessions"},
			Resources: map[string]admin.Population{"users": {DeletionsAllowed: 10}, "sessions": {DeletionsAllowed: 10}}, Passes: map[string]admin.Pass{},
			Relays: map[string]admin.Relay{},
		}
		if diff := cmp.Diff(want, empty); diff != "" || err != nil {
			t.Errorf("an empty mirror (-want +got): %v\n%s", err, diff)
		}
		now := time.Now()
		event := func(id, instance, quarantine string) *clerksync.Event {
			return &clerksync.Event{ID: id, Type: "user.updated", InstanceID: instance, OccurredAt: now.Add(-time.Second), Quarantine: quarantine, Body: []byte("{}")}
		}
		user := []byte(`{"id":"user_1","object":"user","updated_at":1700000000000,"created_at":1700000000000}`)
		at := now.UnixMilli()
		_, err = m.Apply(ctx,
			clerksync.Evidence{Kind: clerksync.Users, Object: user, At: at, Source: clerksync.Webhook, Event: event("msg_1", "ins_1", "")},
			clerksync.Evidence{Kind: clerksync.Users, ID: "user_2", At: at, Source: clerksync.Webhook, Event: event("msg_2", "ins_1", "")},
			clerksync.Evidence{Kind: clerksync.Users, ID: "user_3", At: at, Source: clerksync.Webhook, Event: event("msg_3", "ins_1", "data has no id")},
			clerksync.Evidence{Kind: clerksync.Users, ID: "user_4", At: at, Source: clerksync.Webhook, Event: event("msg_4", "ins_other", "")},
		)
		if err != nil {
			t.Fatal(err)
		}
		db.MustExec(m.SQL(`INSERT INTO {passes} (kind, started_at, finished_at, complete, error) VALUES
('full', '2026-01-01T03:00:00.000Z', '2026-01-01T03:01:00.000Z', true, NULL),
('full', '2026-01-02T03:00:00.000Z', '2026-01-02T03:01:00.000Z', false, 'it broke'),
('delta', '2026-01-02T04:00:00.000Z', NULL, false, NULL)`))

		s, err := main.ReadStatus(ctx, m)
		if err != nil {
			t.Fatal(err)
		}
		if s.Resources["users"] != (admin.Population{Visible: 1, Hidden: 1, DeletionsAllowed: 10}) || s.Events.Quarantined != 1 {
			t.Errorf("status %+v", s)
		}
		if s.Events.Foreign == nil || s.Events.Foreign.Count != 1 || s.Events.Foreign.Last != "ins_other" {
			t.Errorf("foreign events %+v, want one of ins_other", s.Events.Foreign)
		}
		if s.Events.LastAt == nil || s.Events.LastType != "user.updated" || s.Events.LagSeconds == nil || *s.Events.LagSeconds < 0.9 {
			t.Errorf("last event %+v", s.Events)
		}
		instant := func(day, hour, minute int) *time.Time {
			at := time.Date(2026, 1, day, hour, minute, 0, 0, time.UTC)
			return &at
		}
		l, err := lease.Try(ctx, m, "lease:leader")
		if err != nil {
			t.Fatal(err)
		}
		if s, err := main.ReadStatus(ctx, m); err != nil || s.Leader == nil || *s.Leader != (admin.Leader{Replica: l.Holder(), Term: 1}) {
			t.Errorf("leader %+v, %v, want %s in its first term", s.Leader, err, l.Holder())
		}
		at = now.UnixMilli()
		heard := map[string]any{l.Holder(): map[string]any{"at": at}, "~/2": map[string]any{"at": at - 20_000}, "gone/3": map[string]any{"at": at - 31_000}}
		walk := map[string]any{"started": at, "saved": at, "scans": map[string]any{
			"users": map[string]any{"started": at - 4000, "counted": 100, "counts": map[string]any{"seen": 40}}, "roles": map[string]any{"done": true},
		}}
		for key, value := range map[string]any{"replicas": heard, "progress": walk} {
			if err := m.WriteState(ctx, key, value); err != nil {
				t.Fatal(err)
			}
		}
		if s, err := main.ReadStatus(ctx, m); err != nil || len(s.Replicas) != 2 || !s.Replicas[0].Leads || s.Replicas[1].Leads || s.Replicas[1].Name != "~/2" {
			t.Errorf("replicas %+v, %v", s.Replicas, err)
		} else if len(s.Progress) != 1 || s.Progress[0].Kind != "users" || s.Progress[0].Rate() != 10 || s.Progress[0].Remaining() != 6*time.Second {
			t.Errorf("progress %+v", s.Progress)
		}
		passes := map[string]admin.Pass{
			"full":  {StartedAt: *instant(2, 3, 0), FinishedAt: instant(2, 3, 1), Error: "it broke", LastCompleteAt: instant(1, 3, 0)},
			"delta": {StartedAt: *instant(2, 4, 0)},
		}
		if diff := cmp.Diff(passes, s.Passes); diff != "" {
			t.Errorf("passes (-want +got):\n%s", diff)
		}
	})
}
