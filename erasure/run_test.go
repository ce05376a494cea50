package erasure_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jmoiron/sqlx"

	"github.com/clerksync/clerksync/clerktest"
	"github.com/clerksync/clerksync/erasure"
	"github.com/clerksync/clerksync/internal/pgtest"
	clerksync "github.com/clerksync/clerksync/sync"
)

// TestRunOnce erases whom Clerk does not have any more, and nobody else.
func TestRunOnce(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		h := open(t, db)
		gone, forged, lives := h.user("Ada"), h.user("Bob"), h.user("Cleo")
		session, err := h.clerk.CreateSession(gone)
		must(t, err)
		h.tell(clerksync.Sessions, session, h.clerk.Object("sessions", session), time.Now())
		h.leave(gone)
		h.deleted(forged) // Clerk still has him
		h.cfg.After = time.Minute
		if report := h.run(); report.Total() != 0 {
			t.Errorf("within the hold-back, %+v", report)
		}
		h.want(map[string]string{gone: "hidden", forged: "hidden", lives: "visible"})
		h.cfg.After = -1
		h.cfg.Policy = clerksync.Hide
		if report := h.run(); report.Total() != 0 {
			t.Errorf("hide erased %+v", report)
		}
		h.cfg.Policy = ""
		want := erasure.Report{
			Objects: map[clerksync.Kind]int64{clerksync.Users: 1}, Rows: map[clerksync.Kind]int64{clerksync.Users: 1, clerksync.Sessions: 1}, Spared: 1,
		}
		if diff := cmp.Diff(want, h.run()); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
		h.want(map[string]string{gone: "erased", forged: "visible", lives: "visible"})
		if report := h.run(); report.Total() != 0 || report.Spared != 0 {
			t.Errorf("once more: %+v", report)
		}
	})
}

// TestWithoutKey lets age alone decide where nobody can be asked.
func TestWithoutKey(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		h := open(t, db)
		forged := h.user("Bob")
		h.deleted(forged)
		h.cfg.Clerk = nil
		if report := h.run(); report.Total() != 1 {
			t.Errorf("%+v", report)
		}
		h.want(map[string]string{forged: "erased"})
	})
}

// TestMistakes erase nothing.
func TestMistakes(t *testing.T) {
	t.Parallel()
	h := open(t, pgtest.SQLite(t))
	gone := h.user("Bob")
	h.deleted(gone)
	for says, cfg := range map[string]erasure.Config{"Config.Mirror is missing": {}, `"shred"`: {Mirror: h.mirror, Policy: "shred", After: -1}} {
		e := erasure.New(cfg)
		_, ran := e.RunOnce(t.Context())
		_, erased := e.Erase(t.Context(), erasure.Order{Kind: clerksync.Users, ID: gone})
		_, restored := e.Restore(t.Context(), erasure.Order{Kind: clerksync.Users, ID: gone})
		for _, err := range []error{ran, erased, restored} {
			if err == nil || !strings.Contains(err.Error(), says) {
				t.Errorf("%v, want that it says %s", err, says)
			}
		}
	}
	h.want(map[string]string{gone: "hidden"})
}

// TestUndecided leaves for the next run what Clerk does not tell, or what its clock makes worthless.
func TestUndecided(t *testing.T) {
	t.Parallel()
	for name, faults := range map[string]clerktest.Faults{
		"unauthorized": {Unauthorized: true}, "skewed": {Skew: 5 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
				h := open(t, db)
				gone := h.user("Ada")
				h.leave(gone)
				must(t, h.clerk.SetFaults(faults))
				if report := h.run(); report.Total() != 0 || report.Waiting != 1 {
					t.Errorf("%+v", report)
				}
				h.want(map[string]string{gone: "hidden"})
				must(t, h.clerk.SetFaults(clerktest.Faults{}))
				if report := h.run(); report.Total() != 1 {
					t.Errorf("when Clerk answers again: %+v", report)
				}
			})
		})
	}
}

// TestRowThatATriggerKeeps erases everybody but the one whom a trigger of the team's keeps, of this kind and of the next.
func TestRowThatATriggerKeeps(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		h := open(t, db)
		h.tell(clerksync.Organizations, "org_gone", fmt.Appendf(nil, `{"object":"organization","id":"org_gone","created_at":1,"updated_at":%d}`, week.UnixMilli()), week)
		h.tell(clerksync.Organizations, "org_gone", nil, week.Add(time.Hour))
		var gone []string
		for i := range 12 {
			id := h.user(fmt.Sprint("Ada ", i))
			h.leave(id)
			gone = append(gone, id)
		}
		kept := gone[0]
		if db.DriverName() == "sqlite" {
			db.MustExec(`CREATE TRIGGER keep BEFORE UPDATE ON clerk_users WHEN NEW.erased_at IS NOT NULL AND NEW.id = '` + kept + `' BEGIN SELECT RAISE(ABORT, 'no'); END`)
		} else {
			pgtest.Superuser(t, db).MustExec(`CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
IF NEW.erased_at IS NOT NULL AND NEW.id = '` + kept + `' THEN RAISE unique_violation; END IF; RETURN NULL; END $$;
CREATE TRIGGER keep AFTER UPDATE ON clerk.users FOR EACH ROW EXECUTE FUNCTION keep()`)
		}
		report := h.run()
		if report.Objects[clerksync.Users] != 11 || report.Objects[clerksync.Organizations] != 1 || report.Waiting != 1 {
			t.Errorf("%+v", report)
		}
		h.want(map[string]string{kept: "hidden", gone[1]: "erased", gone[11]: "erased"})
		_, err := h.mirror.Erase(t.Context(), clerksync.Erasure{Kind: clerksync.Users, ID: kept})
		if !errors.Is(err, clerksync.ErrConstraint) || errors.Is(err, clerksync.ErrUnavailable) {
			t.Errorf("erasing the one who is kept: %v, want ErrConstraint", err)
		}
	})
}

// TestRowThatSomebodyHolds erases those behind one of whom a program of the team's holds a session's row, as one does for days that has forgotten
// to commit, and comes to an end.
func TestRowThatSomebodyHolds(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	h := open(t, db)
	var gone []string
	for i := range 12 {
		id := h.user(fmt.Sprint("Ada ", i))
		h.tell(clerksync.Sessions, "sess_"+id, fmt.Appendf(nil, `{"object":"session","id":"sess_%s","user_id":%[1]q,"status":"ended","created_at":1,"updated_at":%d}`, id, week.UnixMilli()), week)
		h.leave(id)
		gone = append(gone, id)
	}
	tx := pgtest.Superuser(t, db).MustBegin()
	defer tx.Rollback()
	tx.MustExec(`SELECT 1 FROM clerk.sessions WHERE user_id = $1 FOR UPDATE`, gone[0])
	ended := make(chan erasure.Report, 1)
	go func() { ended <- h.run() }()
	select {
	case report := <-ended:
		if report.Objects[clerksync.Users] != 11 || report.Waiting != 1 {
			t.Errorf("%+v", report)
		}
	case <-time.After(time.Minute):
		t.Error("it does not end")
		tx.Rollback()
		<-ended
	}
	h.want(map[string]string{gone[0]: "hidden", gone[1]: "erased", gone[11]: "erased"})
}

// TestReturnedBesideDoubts empties what came back to somebody who is erased, however many deletions cannot be confirmed.
func TestReturnedBesideDoubts(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		h := open(t, db)
		erased := h.user("Ada")
		h.tell(clerksync.Sessions, "sess_1", fmt.Appendf(nil, `{"object":"session","id":"sess_1","user_id":%q,"status":"ended","created_at":1,"updated_at":%d}`, erased, week.UnixMilli()), week)
		h.leave(erased)
		if report := h.run(); report.Total() != 1 {
			t.Fatalf("%+v", report)
		}
		pgtest.Superuser(t, db).MustExec(h.mirror.SQL(`UPDATE {sessions} SET erased_at = NULL, city = 'Ada'`))
		for i := range 25 {
			h.leave(h.user(fmt.Sprint("Bob ", i)))
		}
		must(t, h.clerk.SetFaults(clerktest.Faults{Unauthorized: true}))
		h.run()
		var left int
		must(t, db.Get(&left, h.mirror.SQL(`SELECT count(*) FROM {sessions} WHERE city IS NOT NULL`)))
		if left > 0 {
			t.Error("what came back is still there")
		}
	})
}

// TestInvitationToAFormerAddress empties the invitation that names a user by his id, whatever his address is by now, and leaves it empty.
func TestInvitationToAFormerAddress(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		h := open(t, db)
		h.cfg.Clerk = nil
		invite := func(id, of string, at time.Time) {
			h.tell(clerksync.OrganizationInvitations, id, fmt.Appendf(nil, `{"object":"organization_invitation","id":%q,"organization_id":"org_1",
"user_id":%q,"email_address":"quokka@work.example","status":"accepted","created_at":1,"updated_at":%d}`, id, of, at.UnixMilli()), at)
		}
		h.tell(clerksync.Users, "user_1", fmt.Appendf(nil, `{"object":"user","id":"user_1","primary_email_address_id":"idn_1",
"email_addresses":[{"id":"idn_1","email_address":"new@private.example"}],"created_at":1,"updated_at":%d}`, week.UnixMilli()), week)
		invite("orginv_1", "user_1", week)
		invite("orginv_2", "user_2", week)
		h.deleted("user_1")
		if report := h.run(); report.Objects[clerksync.Users] != 1 {
			t.Errorf("%+v", report)
		}
		invite("orginv_1", "user_1", week.Add(time.Hour))
		invite("orginv_3", "user_1", week.Add(time.Hour)) // which comes late, for the first time
		var named []string
		must(t, db.Select(&named, h.mirror.SQL(`SELECT id FROM {organization_invitations} WHERE email_address IS NOT NULL OR user_id IS NOT NULL OR data IS NOT NULL`)))
		if !slices.Equal(named, []string{"orginv_2"}) {
			t.Errorf("%q still name somebody, want orginv_2 alone", named)
		}
	})
}

// TestInvitationAfterAPass has a pass read an invitation that was accepted: its list does not tell by whom, which an event has told. When
// he is erased, the invitation is, although he has another address by now.
func TestInvitationAfterAPass(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		h := open(t, db)
		user := h.user("Ada")
		org, err := h.clerk.CreateOrganization(clerktest.Fields{"name": "Acme"})
		must(t, err)
		invitation, err := h.clerk.InviteToOrganization(org, clerktest.Fields{"email_address": "quokka@work.example", "role": "org:member"})
		must(t, err)
		_, err = h.clerk.AcceptOrganizationInvitation(invitation, user)
		must(t, err)
		listed := h.clerk.Object("organization_invitations", invitation)
		var at struct {
			Updated int64 `json:"updated_at"`
		}
		must(t, json.Unmarshal(listed, &at))
		accepted := bytes.Replace(listed, []byte(`{`), fmt.Appendf(nil, `{"user_id":%q,`, user), 1)
		h.tell(clerksync.OrganizationInvitations, invitation, accepted, time.UnixMilli(at.Updated-1)) // or a read within the same millisecond is no newer
		for _, want := range []clerksync.Outcome{clerksync.Refreshed, clerksync.Unchanged} {
			page, err := clerksync.NewReader(h.mirror, h.api(), clerksync.Reconcile).List(t.Context(), clerksync.OrganizationInvitations, nil)
			must(t, err)
			if len(page) != 1 || bytes.Contains(page[0].Object, []byte(`"user_id"`)) {
				t.Fatalf("the list shows %d invitations, or tells who accepted", len(page))
			}
			if results, err := h.mirror.Apply(t.Context(), page[0].Evidence); err != nil || results[0].Outcome != want {
				t.Errorf("%+v, %v", results, err)
			}
		}
		h.leave(user)
		h.run()
		h.want(map[string]string{user: "erased"})
		var named []string
		must(t, db.Select(&named, h.mirror.SQL(`SELECT id FROM {organization_invitations} WHERE email_address IS NOT NULL OR user_id IS NOT NULL OR data IS NOT NULL`)))
		if len(named) != 0 {
			t.Errorf("%q still name somebody", named)
		}
	})
}

// TestDeletionsOfUnknownMembers erases a membership behind many deletions of such as the mirror never had, of which Clerk cannot be asked.
func TestDeletionsOfUnknownMembers(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		h := open(t, db)
		user := h.user("Ada")
		org, err := h.clerk.CreateOrganization(clerktest.Fields{"name": "Acme", "created_by": user})
		must(t, err)
		for i := range 30 {
			h.tell(clerksync.OrganizationMemberships, fmt.Sprintf("orgmem_unknown%02d", i), nil, time.Now().Add(-3*time.Hour))
		}
		h.tell(clerksync.OrganizationMemberships, "orgmem_known", fmt.Appendf(nil, `{"object":"organization_membership","id":"orgmem_known",
"organization":{"id":%q},"public_user_data":{"user_id":%q},"role":"org:member","created_at":1,"updated_at":%d}`, org, user, week.UnixMilli()), week)
		h.tell(clerksync.OrganizationMemberships, "orgmem_known", nil, time.Now().Add(-time.Hour))
		if report := h.run(); report.Objects[clerksync.OrganizationMemberships] != 31 || report.Waiting != 0 {
			t.Errorf("%+v", report)
		}
		if report := h.run(); report.Total() != 0 || report.Waiting != 0 {
			t.Errorf("once more: %+v", report)
		}
	})
}

// TestOrderForAnUnknownMember tells that there is nothing to erase where Clerk cannot be asked, since the mirror never had the membership.
func TestOrderForAnUnknownMember(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		h := open(t, db)
		must(t, h.mirror.Pin(t.Context(), h.clerk.InstanceID()))
		h.tell(clerksync.OrganizationMemberships, "orgmem_tombstone", nil, time.Now().Add(-time.Hour))
		for id, want := range map[string]error{"orgmem_nobody": erasure.ErrUnknown, "orgmem_tombstone": nil} {
			if _, err := erasure.New(h.cfg).Erase(t.Context(), erasure.Order{Kind: clerksync.OrganizationMemberships, ID: id}); !errors.Is(err, want) {
				t.Errorf("%s: %v, want %v", id, err, want)
			}
		}
	})
}

// TestMembersOfUnknownOrganizations erases memberships whose organization came and went without the mirror hearing of it.
func TestMembersOfUnknownOrganizations(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		h := open(t, db)
		user := h.user("Ada")
		for i := range 3 {
			id := fmt.Sprintf("orgmem_%d", i)
			h.tell(clerksync.OrganizationMemberships, id, fmt.Appendf(nil, `{"object":"organization_membership","id":%q,
"organization":{"id":"org_gone%d"},"public_user_data":{"user_id":%q},"role":"org:member","created_at":1,"updated_at":%d}`, id, i, user, week.UnixMilli()), week)
			h.tell(clerksync.OrganizationMemberships, id, nil, time.Now().Add(-time.Hour))
		}
		if report := h.run(); report.Objects[clerksync.OrganizationMemberships] != 3 || report.Waiting != 0 {
			t.Errorf("%+v", report)
		}
	})
}

// TestWrongInstance erases nothing with another instance's key, which gets a 404 for everybody; not even by force.
func TestWrongInstance(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		h := open(t, db)
		forged := h.user("Bob")
		h.deleted(forged)
		must(t, h.mirror.Pin(t.Context(), h.clerk.InstanceID()))
		h.clerk = clerktest.NewServer(t, clerktest.Config{InstanceID: "ins_other"})
		h.cfg.Clerk = h.api()
		e := erasure.New(h.cfg)
		_, runErr := e.RunOnce(t.Context())
		_, eraseErr := e.Erase(t.Context(), erasure.Order{Kind: clerksync.Users, ID: forged, Force: true})
		_, restoreErr := e.Restore(t.Context(), erasure.Order{Kind: clerksync.Users, ID: forged})
		for _, err := range []error{runErr, eraseErr, restoreErr} {
			if !errors.Is(err, clerksync.ErrWrongInstance) {
				t.Errorf("with another instance's key: %v", err)
			}
		}
		h.want(map[string]string{forged: "hidden"})
	})
}

// TestMembers erases a member who left, as the organization's list confirms, and leaves one who did not.
func TestMembers(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		h := open(t, db)
		ada, bob := h.user("Ada"), h.user("Bob")
		organization, err := h.clerk.CreateOrganization(clerktest.Fields{"name": "Acme", "created_by": ada})
		must(t, err)
		left, err := h.clerk.AddMember(organization, bob, "org:member")
		must(t, err)
		var stays string
		for id, raw := range h.clerk.Objects("organization_memberships") {
			if id != left {
				stays = id
			}
			h.tell(clerksync.OrganizationMemberships, id, raw, week)
		}
		must(t, h.clerk.RemoveMember(organization, bob))
		for _, id := range []string{left, stays} {
			h.tell(clerksync.OrganizationMemberships, id, nil, time.Now().Add(-time.Second))
		}
		if report := h.run(); report.Objects[clerksync.OrganizationMemberships] > 1 {
			t.Errorf("%+v", report)
		}
		var erased []string
		must(t, h.db.Select(&erased, h.mirror.SQL(`SELECT id FROM {organization_memberships} WHERE erased_at IS NOT NULL AND role IS NULL`)))
		if diff := cmp.Diff([]string{left}, erased); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
	})
}

// TestRunRemains has a run find what it left where nobody thought of it, and tell it from what others have in common with the erased;
// these it looks for only where they are few.
func TestRunRemains(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		h := open(t, db)
		for i, c := range []struct {
			whole int64
			alike int64 // the first name, in its column and in the object
		}{{0, 2}, {1, 0}} {
			h.cfg = h.cfg.WithWholeSearch(c.whole)
			name := fmt.Sprint("Zebediah", i)
			gone, lives := h.user(name), h.user(name)
			h.leave(gone)
			if report := h.run(); report.Total() != 1 || report.Alike != c.alike {
				t.Errorf("up to %d: %+v, want 1 object and %d values that are alike", c.whole, report, c.alike)
			}
			h.want(map[string]string{gone: "erased", lives: "visible"})
		}
		must(t, db.Get(new(int64), h.mirror.SQL(`INSERT INTO {events} (id, type, object_id, received_at, outcome, attempts, payload)
VALUES ('msg_other', 'user.updated', 'user_other', '2026-01-02T03:04:05.000Z', 'quarantined', 1, $1) RETURNING 1`), []byte(`{"first_name":"Zebediah9"}`)))
		namesake := h.user("Zebediah9")
		h.leave(namesake)
		if report := h.run(); report.Total() != 1 || report.Alike != 1 {
			t.Errorf("beside an event about somebody of the same name: %+v", report)
		}
		admin := pgtest.Superuser(t, db)
		admin.MustExec(h.mirror.SQL(`CREATE TABLE {notes} (note text)`))
		if db.DriverName() != "sqlite" {
			admin.MustExec(`GRANT SELECT ON clerk.notes TO PUBLIC`)
		}
		admin.MustExec(h.mirror.SQL(`INSERT INTO {notes} VALUES ('call Zebediah')`))
		gone := h.user("Zebediah")
		h.leave(gone)
		_, err := erasure.New(h.cfg).RunOnce(t.Context())
		if !errors.Is(err, erasure.ErrRemains) || strings.Contains(err.Error(), "Zebediah") || !strings.Contains(err.Error(), "column note of the table notes") {
			t.Errorf("%v, want ErrRemains with the place and without the value", err)
		}
	})
}
