package sync_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jmoiron/sqlx"

	clerksync "github.com/clerksync/clerksync/sync"

	"github.com/clerksync/clerksync/internal/pgtest"
)

func TestPopulations(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		m := open(t, db, clerksync.Config{InstanceID: instance, Kinds: []clerksync.Kind{clerksync.Roles, clerksync.Users, clerksync.Organizations}})
		at := time.Now().Add(-time.Hour).UnixMilli()
		object := func(k clerksync.Kind, id string) clerksync.Evidence {
			return clerksync.Evidence{Kind: k, Source: clerksync.Webhook, At: at, Event: &clerksync.Event{ID: "msg_" + id, InstanceID: instance},
				Object: fmt.Appendf(nil, `{"object":%q,"id":%q,"created_at":%d,"updated_at":%d}`, k.Singular(), id, at, at)}
		}
		gone := object(clerksync.Organizations, "org_3")
		gone.ID, gone.Object = "org_3", nil
		apply(t, m, object(clerksync.Users, "user_1"), object(clerksync.Organizations, "org_1"), object(clerksync.Organizations, "org_2"), gone)

		got, err := m.Populations(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		want := []clerksync.Population{
			{Kind: clerksync.Users, Visible: 1, Allowed: 10}, {Kind: clerksync.Organizations, Visible: 2, Hidden: 1, Allowed: 10}, {Kind: clerksync.Roles, Allowed: 10},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("populations differ (-want +got):\n%s", diff)
		}
		for _, c := range []struct {
			id             string
			known, visible bool
		}{{"org_1", true, true}, {"org_3", true, false}, {"org_4", false, false}} {
			known, visible, err := m.Find(t.Context(), clerksync.Organizations, c.id)
			if err != nil || known != c.known || visible != c.visible {
				t.Errorf("%s: known %t, visible %t, %v; want %t, %t", c.id, known, visible, err, c.known, c.visible)
			}
		}
		if _, _, err := m.Find(t.Context(), "teams; --", "team_1"); err == nil {
			t.Error("there is no such kind, and it was looked for")
		}
	})
}

func TestIntake(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		m := pinned(t, db)
		empty, err := m.Intake(t.Context())
		if diff := cmp.Diff(clerksync.Intake{}, empty); diff != "" || err != nil {
			t.Errorf("an empty mirror (-want +got): %v\n%s", err, diff)
		}
		fill(t, m)
		apply(t, m, received("msg_9", "user.created", "user_9", 0, func(e *clerksync.Evidence) { e.Event.InstanceID = "ins_other" }))
		in, err := m.Intake(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if in.Quarantined != 2 || in.Deferred != 1 || in.Last == nil || in.Last.ID != "msg_8" {
			t.Errorf("intake %+v, the last one %+v", in, in.Last)
		}
		if in.Foreign == nil || in.Foreign.Count != 1 || in.Foreign.Last != "ins_other" {
			t.Errorf("foreign events %+v", in.Foreign)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		_, err = m.Intake(t.Context())
		_, otherErr := m.Log(t.Context(), clerksync.LogQuery{})
		if !errors.Is(err, clerksync.ErrUnavailable) || !errors.Is(otherErr, clerksync.ErrUnavailable) {
			t.Errorf("without a database: %v, %v", err, otherErr)
		}
	})
}
