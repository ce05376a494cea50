package sync_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/cespare/xxhash/v2"
	"github.com/jmoiron/sqlx"

	"github.com/clerksync/clerksync/internal/pgtest"
	clerksync "github.com/clerksync/clerksync/sync"
)

// TestReadsThatNameNobody has reads show an accepted invitation without the person, whom an event has named. All else that they show is
// taken over: what changes without a new updated_at, and what the mirror keeps since its configuration changed. Then they have nothing to tell.
func TestReadsThatNameNobody(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		private := everything(t, db)
		cfg := allOfIt
		cfg.PrivateMetadata = false
		public := open(t, db, cfg)
		invitation := func(more string) []byte {
			return fmt.Appendf(nil, `{"object":"organization_invitation","id":"orginv_1","organization_id":"org_1","email_address":"ada@example.com","status":"accepted",
"private_metadata":{"seat":1},"created_at":%d,"updated_at":%[1]d%s}`, past, more)
		}
		apply(t, public, tells("msg_1", clerksync.OrganizationInvitations, "orginv_1", invitation(`,"user_id":"user_1","role_name":"Guest"`), past))
		for i, step := range []struct {
			mirror *clerksync.Mirror
			more   string
			want   clerksync.Outcome
			kept   string
		}{
			{public, `,"user_id":null,"role_name":"Member"`, clerksync.Refreshed, "user_1 Member -"},
			{public, `,"user_id":null,"role_name":"Member"`, clerksync.Unchanged, "user_1 Member -"},
			{private, `,"role_name":"Member"`, clerksync.Refreshed, `user_1 Member {"seat":1}`},
			{public, `,"role_name":"Member"`, clerksync.Refreshed, "user_1 Member -"},
			{public, `,"role_name":"Member","user_id":"user_2"`, clerksync.Refreshed, "user_2 Member -"},
		} {
			read := saw(clerksync.OrganizationInvitations, "orginv_1", invitation(step.more), past+int64(i+1)*hour)
			if got := apply(t, step.mirror, read)[0]; got.Outcome != step.want {
				t.Errorf("read %d is %s, want %s", i, got.Outcome, step.want)
			}
			kept := values(t, public, clerksync.OrganizationInvitations, "orginv_1", "user_id", "role_name", "private_metadata")
			if strings.ReplaceAll(kept, ": ", ":") != step.kept {
				t.Errorf("read %d: the row has %s, want %s", i, kept, step.kept)
			}
			if data := values(t, public, clerksync.OrganizationInvitations, "orginv_1", "data"); !strings.Contains(data, step.kept[:6]) {
				t.Errorf("read %d: the person is missing in %s", i, data)
			}
		}
	})
}

// TestRowsWithoutIDs has a pass read memberships of which an earlier release, under another setting, kept neither of the two ids in its JSON:
// they come in, or else a hook could not tell who left what, and would be told that both changed. The feed says nothing of it.
func TestRowsWithoutIDs(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		cfg := allOfIt
		cfg.SessionActivity = clerksync.ActivityCoarse
		m := open(t, db, cfg)
		membership := fmt.Appendf(nil, `{"object":"organization_membership","id":"orgmem_1","role":"org:member","organization":{"id":"org_1"},"public_user_data":{"user_id":"user_1"},"created_at":%d,"updated_at":%[1]d}`, past)
		read := func(at int64) clerksync.Result {
			return apply(t, m, saw(clerksync.OrganizationMemberships, "orgmem_1", membership, at))[0]
		}
		read(past + hour)
		db.MustExec(m.SQL(`UPDATE {organization_memberships} SET data = '{"object":"organization_membership","id":"orgmem_1"}', _digest = $1`), ^int64(xxhash.Sum64(membership)+uint64(clerksync.ActivityOmitted)))
		for i, want := range []clerksync.Outcome{clerksync.Refreshed, clerksync.Unchanged} {
			if got := read(past + int64(i+2)*hour); got.Outcome != want {
				t.Errorf("read %d is %s, want %s", i, got.Outcome, want)
			}
		}
		if data := values(t, m, clerksync.OrganizationMemberships, "orgmem_1", "data"); !strings.Contains(data, "org_1") || !strings.Contains(data, "user_1") {
			t.Errorf("kept is %s", data)
		}
		if got, err := m.Changes(t.Context(), 0, 10); len(got) != 1 || err != nil {
			t.Errorf("the feed has %+v, %v; want one row", got, err)
		}
	})
}

// TestRowsWithCodes has a pass meet rows from a release that stored the backup codes of phone numbers, be it under other settings: those are
// taken out, once and without a word to anybody.
func TestRowsWithCodes(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		cfg := allOfIt
		cfg.SessionActivity = clerksync.ActivityCoarse
		m := open(t, db, cfg)
		for _, before := range []clerksync.Activity{clerksync.ActivityCoarse, clerksync.ActivityFull, clerksync.ActivityOmitted} {
			id := fmt.Sprint("user_", before)
			user := fmt.Appendf(nil, `{"object":"user","id":%q,"phone_numbers":[{"id":"idn_1","phone_number":"+15555550100","backup_codes":["opensesame"]}],"created_at":%d,"updated_at":%[2]d}`, id, past)
			read := func(at int64) clerksync.Result {
				return apply(t, m, saw(clerksync.Users, id, user, at))[0]
			}
			read(past + hour)
			db.MustExec(m.SQL(`UPDATE {users} SET data = $1, _digest = $2 WHERE id = $3`), string(user), ^int64(xxhash.Sum64(user)+uint64(before)), id)
			for i, want := range []clerksync.Outcome{clerksync.Refreshed, clerksync.Unchanged} {
				if got := read(past + int64(i+2)*hour); got.Outcome != want {
					t.Errorf("read %d of %s is %s, want %s", i, id, got.Outcome, want)
				}
			}
			if data := values(t, m, clerksync.Users, id, "data"); strings.Contains(data, "opensesame") || !strings.Contains(data, "+15555550100") {
				t.Errorf("kept is %s", data)
			}
		}
		if got, err := m.Changes(t.Context(), 0, 10); len(got) != 3 || err != nil {
			t.Errorf("the feed has %+v, %v; want a row each", got, err)
		}
	})
}

// TestRowsWithInviters has a pass meet rows from a release that stored who invited somebody and who verified a domain: their names and
// addresses are taken out, once and without a word to anybody, or else they would outlive those people's erasure.
func TestRowsWithInviters(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		m := everything(t, db)
		for _, c := range []struct {
			kind clerksync.Kind
			id   string
			text string
		}{
			{clerksync.OrganizationInvitations, "orginv_1", `{"object":"organization_invitation","id":"orginv_1","email_address":"b@example.com","organization_id":"org_1","inviter_id":"user_1",
"public_inviter_data":{"user_id":"user_1","first_name":"opensesame","identifier":"opensesame@example.com"},"status":"pending","created_at":%d,"updated_at":%[1]d}`},
			{clerksync.OrganizationDomains, "orgdmn_1", `{"object":"organization_domain","id":"orgdmn_1","name":"example.com","organization_id":"org_1",
"affiliation_email_address":"opensesame@example.com","affiliation_verification":{"status":"verified"},"created_at":%d,"updated_at":%[1]d}`},
		} {
			object := fmt.Appendf(nil, c.text, past)
			read := func(at int64) clerksync.Result { return apply(t, m, saw(c.kind, c.id, object, at))[0] }
			read(past + hour)
			db.MustExec(m.SQL(`UPDATE {`+string(c.kind)+`} SET data = $1, _digest = $2`), string(object), ^int64(xxhash.Sum64(object)+uint64(clerksync.ActivityFull)))
			for i, want := range []clerksync.Outcome{clerksync.Refreshed, clerksync.Unchanged} {
				if got := read(past + int64(i+2)*hour); got.Outcome != want {
					t.Errorf("read %d of %s is %s, want %s", i, c.id, got.Outcome, want)
				}
			}
			if data := values(t, m, c.kind, c.id, "data"); strings.Contains(data, "opensesame") || !strings.Contains(data, c.id) {
				t.Errorf("kept is %s", data)
			}
		}
		if got, err := m.Changes(t.Context(), 0, 10); len(got) != 2 || err != nil {
			t.Errorf("the feed has %+v, %v; want a row each", got, err)
		}
	})
}
