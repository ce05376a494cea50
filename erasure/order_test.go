package erasure_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jmoiron/sqlx"

	"github.com/clerksync/clerksync/clerktest"
	"github.com/clerksync/clerksync/erasure"
	"github.com/clerksync/clerksync/internal/pgtest"
	clerksync "github.com/clerksync/clerksync/sync"
)

// erase carries out an order and expects an error.
func (h *house) erase(id string, force bool, want error) erasure.Outcome {
	h.t.Helper()
	out, err := erasure.New(h.cfg).Erase(h.t.Context(), erasure.Order{Kind: clerksync.Users, ID: id, Force: force})
	if !errors.Is(err, want) || want == nil && err != nil {
		h.t.Errorf("erasing %s: %v, want %v", id, err, want)
	}
	return out
}

// TestEraseByOrder erases whom Clerk does not have, and whom it has by force alone.
func TestEraseByOrder(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		h := open(t, db)
		lives, forged, gone, unannounced := h.user("Ada"), h.user("Bob"), h.user("Cleo"), h.user("Dora")
		h.deleted(forged)
		must(t, h.clerk.DeleteUser(gone))
		h.deleted(gone)
		must(t, h.clerk.DeleteUser(unannounced))

		h.erase(lives, false, erasure.ErrLives)
		h.erase(forged, false, erasure.ErrLives)
		h.erase("user_nobody", false, erasure.ErrUnknown)
		h.want(map[string]string{lives: "visible", forged: "visible", gone: "hidden"})
		if _, known, err := h.mirror.Find(t.Context(), clerksync.Users, "user_nobody"); known || err != nil {
			t.Error("a 404 for somebody unknown left a tombstone")
		}
		h.erase(gone, false, nil)
		h.erase(unannounced, false, nil)
		h.erase(lives, true, nil)
		h.want(map[string]string{lives: "erased", gone: "erased", unannounced: "erased"})

		h.cfg.Clerk = nil
		h.erase(forged, false, clerksync.ErrVisible)
		h.erase(forged, true, nil)
		h.want(map[string]string{forged: "erased"})
	})
}

// TestEraseWhatBelongsToAStranger empties the membership of somebody of whom the mirror has no row, and does not call him unknown.
func TestEraseWhatBelongsToAStranger(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		h := open(t, db)
		member := func(at time.Time) {
			h.tell(clerksync.OrganizationMemberships, "orgmem_1", fmt.Appendf(nil, `{"object":"organization_membership","id":"orgmem_1",
"organization":{"id":"org_1"},"public_user_data":{"user_id":"user_1"},"role":"org:member","created_at":1,"updated_at":%d}`, at.UnixMilli()), at)
		}
		member(week)
		if out := h.erase("user_1", false, nil); out.Rows[clerksync.OrganizationMemberships] != 1 {
			t.Errorf("%+v", out)
		}
		member(week.Add(time.Hour))
		var filled int
		must(t, db.Get(&filled, h.mirror.SQL(`SELECT count(*) FROM {organization_memberships} WHERE data IS NOT NULL`)))
		if filled != 0 {
			t.Error("an event that comes late fills it again")
		}
	})
}

// TestOrdersAboutWhatIsKeptNoMore has a mirror that kept organizations once. One that Clerk does not have any more is erased by order all
// the same, and one that it has is not; nor is any restored, and neither order says that trying again would help.
func TestOrdersAboutWhatIsKeptNoMore(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		h := open(t, db)
		found := func(name string) string {
			id, err := h.clerk.CreateOrganization(clerktest.Fields{"name": name, "created_at": week.UnixMilli()})
			must(t, err)
			h.tell(clerksync.Organizations, id, h.clerk.Object("organizations", id), week)
			return id
		}
		gone, lives, hidden := found("Ada's"), found("Bob's"), found("Cleo's")
		h.tell(clerksync.Organizations, hidden, nil, time.Now())
		must(t, h.clerk.DeleteOrganization(gone))
		users, err := clerksync.Open(t.Context(), db, clerksync.Config{Unprepared: pgtest.Unprepared(), ReadMargin: -1})
		must(t, err)
		h.cfg.Mirror = users
		order := func(id string) erasure.Order { return erasure.Order{Kind: clerksync.Organizations, ID: id} }
		if _, err := erasure.New(h.cfg).Erase(t.Context(), order(lives)); !errors.Is(err, erasure.ErrLives) {
			t.Errorf("erasing what Clerk has: %v", err)
		}
		if out, err := erasure.New(h.cfg).Erase(t.Context(), order(gone)); err != nil || out.Rows[clerksync.Organizations] != 1 {
			t.Errorf("erasing what Clerk does not have: %+v, %v", out, err)
		}
		if restored, err := erasure.New(h.cfg).Restore(t.Context(), order(hidden)); restored || err == nil || errors.Is(err, erasure.ErrRecent) {
			t.Errorf("restored %t: %v", restored, err)
		}
		var named []string
		must(t, db.Select(&named, h.mirror.SQL(`SELECT name FROM {organizations} WHERE name IS NOT NULL ORDER BY name`)))
		if diff := cmp.Diff([]string{"Bob's", "Cleo's"}, named); diff != "" {
			t.Errorf("names (-want +got):\n%s", diff)
		}
	})
}

// TestEraseRemains tells where something is left that the erasure did not know of.
func TestEraseRemains(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		h := open(t, db)
		gone := h.user("Zebediah")
		must(t, h.clerk.DeleteUser(gone))
		h.deleted(gone)
		h.user("Zebediah") // another one of that name
		notes := h.db
		if db.DriverName() != "sqlite" {
			notes = pgtest.Superuser(t, db)
		}
		notes.MustExec(h.mirror.SQL(`CREATE TABLE {notes} (note text)`))
		if db.DriverName() != "sqlite" {
			notes.MustExec(`GRANT SELECT ON clerk.notes TO PUBLIC`)
		}
		notes.MustExec(h.mirror.SQL(`INSERT INTO {notes} VALUES ('call Zebediah')`))
		out := h.erase(gone, false, erasure.ErrRemains)
		h.want(map[string]string{gone: "erased"})
		places := map[string]bool{}
		for _, l := range out.Left {
			places[l.Table+"."+l.Column] = l.Other
		}
		if other, found := places["notes.note"]; !found || other {
			t.Errorf("left: %v", out.Left)
		}
		if other, found := places["users.first_name"]; !found || !other {
			t.Errorf("left: %v", out.Left)
		}
	})
}

// TestRestore undoes a deletion that was none, and says why it cannot undo another.
func TestRestore(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		h := open(t, db)
		lives, forged, gone := h.user("Ada"), h.user("Bob"), h.user("Cleo")
		h.deleted(forged)
		must(t, h.clerk.DeleteUser(gone))
		h.deleted(gone)
		restore := func(id string, want bool, wantErr error) {
			t.Helper()
			restored, err := erasure.New(h.cfg).Restore(t.Context(), erasure.Order{Kind: clerksync.Users, ID: id})
			if restored != want || !errors.Is(err, wantErr) || wantErr == nil && err != nil {
				t.Errorf("restoring %s: %t, %v; want %t, %v", id, restored, err, want, wantErr)
			}
		}
		restore(lives, false, nil)
		restore("user_nobody", false, erasure.ErrUnknown)
		restore(gone, false, erasure.ErrGone)
		h.want(map[string]string{lives: "visible", gone: "hidden", forged: "hidden"})
		restore(forged, true, nil)
		restore(forged, false, nil)
		h.want(map[string]string{forged: "visible"})
		var audited []string
		must(t, h.db.Select(&audited, h.mirror.SQL(`SELECT source FROM {audit} WHERE action = 'restored' AND object_id = $1`), forged))
		if len(audited) != 1 || audited[0] != string(clerksync.Operator) {
			t.Errorf("audited: %v", audited)
		}
	})
}
