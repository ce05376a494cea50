package sync_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/clerksync/clerksync/internal/pgtest"
	clerksync "github.com/clerksync/clerksync/sync"
)

// TestWhatIsKeptOfAPerson runs the query of docs/privacy.md for one of two people. It finds each row that holds his word or an id of his,
// and none of the other one's.
func TestWhatIsKeptOfAPerson(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/privacy.md")
	if err != nil {
		t.Fatal(err)
	}
	_, query, _ := strings.Cut(string(page), "WITH one AS (SELECT 'user_…' AS id)")
	query, _, found := strings.Cut(query, ";\n```")
	if !found {
		t.Fatal("docs/privacy.md has no such query any more")
	}
	db := pgtest.New(t)
	cfg := allOfIt
	cfg.EventPayloads = clerksync.PayloadsAll
	m := open(t, db, cfg)
	p, other := person{word: "quokka", born: past}, person{word: "wombat", born: past}
	p.arrive(t, m, past)
	other.arrive(t, m, past)
	secondAddress := strings.Replace(string(p.user(past+hour)), `"email_addresses":[`, `"email_addresses":[{"id":"idn_8","email_address":"second@quokka.example","verification":{"status":"verified"}},
{"id":"idn_9","email_address":"wombat@example.com","verification":{"status":"unverified"}},`, 1)
	invited := func(id, address string) []byte {
		return fmt.Appendf(nil, `{"object":"invitation","id":%q,"email_address":%q,"status":"pending","created_at":%d,"updated_at":%[3]d}`, id, address, past)
	}
	acted := fmt.Appendf(nil, `{"object":"session","id":"sess_as","user_id":%q,"status":"active","actor":{"sub":%q},"created_at":%d,"updated_at":%[3]d}`, other.id(), p.id(), past)
	made := fmt.Appendf(nil, `{"object":"organization","id":"org_made","name":"quokka","created_by":%q,"created_at":%d,"updated_at":%[2]d}`, p.id(), past)
	apply(t, m,
		tells("msg_second", clerksync.Users, p.id(), []byte(secondAddress), past+hour),
		tells("msg_inv_second", clerksync.Invitations, "", invited("inv_second", "Second@quokka.example"), past),
		tells("msg_as", clerksync.Sessions, "", acted, past),
		tells("msg_made", clerksync.Organizations, "", made, past))
	waitlisted := tells("msg_waitlist", "", "", nil, past)
	waitlisted.Event.Body = []byte(`{"type":"waitlistEntry.created","data":{"id":"wle_1","email_address":"quokka@example.com"}}`)
	apply(t, m, waitlisted)
	p.leave(t, m, past+2*hour)
	db.MustExec(`INSERT INTO clerk.plans (sha256, ids, term, created_at, expires_at) VALUES ('abc', jsonb_build_array($1::text), 1, now(), now())`, p.id())

	var shown int // as docs/privacy.md says of the views
	if err := db.Get(&shown, `SELECT count(*) FROM clerk.active_invitations WHERE email_address = $1`, p.address()); err != nil || shown != 1 {
		t.Errorf("the view shows %d invitations of somebody deleted, %v", shown, err)
	}

	var got []struct {
		Table   string `db:"table_name"`
		ID      string `db:"id"`
		Content string `db:"content"`
	}
	if err := db.Select(&got, "WITH one AS (SELECT '"+p.id()+"' AS id)"+query); err != nil {
		t.Fatal(err)
	}
	var rows []string
	for _, row := range got {
		rows = append(rows, row.Table+" "+row.ID)
		if strings.Contains(row.Content, other.word) && row.Table != "users" && row.ID != "msg_second" { // he claims the other one's address
			t.Errorf("%s %s tells of somebody else: %s", row.Table, row.ID, row.Content)
		}
	}
	slices.Sort(rows)
	var want []string
	for table, key := range map[string]string{
		"users": "id", "organizations": "id", "organization_memberships": "id", "organization_invitations": "id", "invitations": "id", "sessions": "id",
		"organization_domains": "id", "roles": "id", "permissions": "id", "events": "id", "changes": "seq::text", "audit": "seq::text", "passes": "id::text",
		"plans": "sha256", "relays": "name", "state": "key",
	} {
		content := "t::text"
		if table == "events" {
			content = "t::text || coalesce(convert_from(payload, 'UTF8'), '')"
		}
		var some []string
		err := db.Select(&some, `SELECT '`+table+` ' || `+key+` FROM clerk.`+table+` AS t WHERE `+content+` LIKE '%quokka%' OR `+content+` LIKE '%'||$1||'%' OR `+content+` LIKE '%sess_as%' OR `+content+` LIKE '%inv_second%'`, p.suffix())
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, some...)
	}
	slices.Sort(want)
	if diff := cmp.Diff(want, rows); diff != "" || len(want) < 25 {
		t.Errorf("%d rows (-kept +told)\n%s", len(want), diff)
	}
}

// TestFunctionsOfOthers does what a daemon does where somebody with few rights has made functions that fit better than PostgreSQL's own: they
// would run with the daemon's rights, and be given people's data.
func TestFunctionsOfOthers(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	pgtest.Shadow(t, pgtest.Superuser(t, db).DB, pgtest.Reader)
	m := open(t, db, allOfIt)
	p := person{word: "quokka", born: past}
	p.arrive(t, m, past)
	p.leave(t, m, past+2*hour)
	erased, err := m.Erase(t.Context(), clerksync.Erasure{Kind: clerksync.Users, ID: p.id()})
	if err != nil {
		t.Fatal(err)
	}
	if left, err := m.Remnants(t.Context(), true, erased); err != nil || len(left) > 0 {
		t.Errorf("after an erasure there is %v, %v", left, err)
	}
	var now int64
	if err := db.Get(&now, m.SQL(`SELECT {ms}`)); err != nil {
		t.Errorf("the database's clock: %v", err)
	}
}
