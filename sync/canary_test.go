package sync_test

import (
	"cmp"
	"database/sql"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/clerksync/clerksync/internal/pgtest"
	clerksync "github.com/clerksync/clerksync/sync"
)

// everything is a mirror of all kinds, which keeps all that it may.
func everything(t testing.TB, db *sqlx.DB) *clerksync.Mirror {
	t.Helper()
	return open(t, db, allOfIt)
}

var allOfIt = clerksync.Config{
	InstanceID: instance, PrivateMetadata: true, SessionActivity: clerksync.ActivityFull,
	Kinds: []clerksync.Kind{
		clerksync.Users, clerksync.Organizations, clerksync.OrganizationMemberships, clerksync.OrganizationInvitations,
		clerksync.Invitations, clerksync.Sessions, clerksync.OrganizationDomains, clerksync.Roles, clerksync.Permissions,
	},
}

// person is somebody whose every value holds one word, which nothing else in a database holds.
type person struct {
	word string
	born int64  // in Unix milliseconds
	key  string // what the ids are made of; empty means the word
}

func (p person) id() string { return "user_" + p.suffix() }

func (p person) suffix() string { return fmt.Sprintf("%x", cmp.Or(p.key, p.word)) }

// address is an e-mail address of the person; escapes hide the word from nobody.
func (p person) address() string { return p.word + "@example.com" }

// user is Clerk's JSON of the person.
func (p person) user(updated int64) []byte {
	return fmt.Appendf(nil, `{"object":"user","id":%[1]q,"external_id":"ext %[2]s","username":"%[2]s_name","first_name":"First %[2]s","last_name":"%[2]s",
"image_url":"https://img.clerk.com/%[2]s","primary_email_address_id":"idn_1","primary_phone_number_id":"idn_2",
"email_addresses":[{"id":"idn_1","email_address":"%[2]s@example.com","verification":{"status":"verified"}}],
"phone_numbers":[{"id":"idn_2","phone_number":"+49 %[2]s"}],"web3_wallets":[{"id":"idn_3","web3_wallet":"0x %[2]s"}],
"external_accounts":[{"id":"eac_1","email_address":"%[2]s@example.org","label":"%[2]s"}],
"public_metadata":{"%[2]s":1},"private_metadata":{"a":["%[2]s"]},"unsafe_metadata":{"b":{"c":"%[2]s"}},
"last_sign_in_at":%[4]d,"created_at":%[3]d,"updated_at":%[4]d}`, p.id(), p.word, p.born, updated)
}

// belonging is what belongs to the person, by kind: Clerk's JSON of one object each.
func (p person) belonging(updated int64) map[clerksync.Kind][]byte {
	return map[clerksync.Kind][]byte{
		clerksync.OrganizationMemberships: fmt.Appendf(nil, `{"object":"organization_membership","id":"orgmem_%[1]s","organization":{"id":"org_1"},
"public_user_data":{"user_id":%[2]q,"identifier":"%[3]s@example.com"},"role":"org:%[3]s","role_name":"%[3]s","permissions":["%[3]s"],
"public_metadata":{"k":"%[3]s"},"private_metadata":{"k":"%[3]s"},"created_at":%[4]d,"updated_at":%[5]d}`, p.suffix(), p.id(), p.word, p.born, updated),
		clerksync.Sessions: fmt.Appendf(nil, `{"object":"session","id":"sess_%[1]s","user_id":%[2]q,"client_id":"client_%[1]s","status":"active",
"actor":{"sub":"%[3]s"},"latest_activity":{"ip_address":"%[3]s","city":"%[3]s","country":"%[3]s","browser_name":"%[3]s"},
"last_active_at":%[5]d,"created_at":%[4]d,"updated_at":%[5]d}`, p.suffix(), p.id(), p.word, p.born, updated),
		clerksync.Invitations: fmt.Appendf(nil, `{"object":"invitation","id":"inv_%[1]s","email_address":"%[3]s@example.com","status":"accepted",
"public_metadata":{"k":"%[3]s"},"created_at":%[4]d,"updated_at":%[5]d}`, p.suffix(), p.id(), p.word, p.born, updated),
		clerksync.OrganizationInvitations: fmt.Appendf(nil, `{"object":"organization_invitation","id":"orginv_%[1]s","organization_id":"org_1","user_id":%[2]q,
"email_address":"%[3]s@example.com","role":"%[3]s","status":"accepted","public_metadata":{"k":"%[3]s"},"created_at":%[4]d,"updated_at":%[5]d}`,
			p.suffix(), p.id(), p.word, p.born, updated),
	}
}

// tells is an event about an object.
func tells(message string, k clerksync.Kind, id string, object []byte, at int64) clerksync.Evidence {
	return clerksync.Evidence{
		Kind: k, ID: id, Object: object, At: at, Source: clerksync.Webhook, Event: &clerksync.Event{
			ID: message, Type: k.Singular() + ".told", ObjectID: id, InstanceID: instance, OccurredAt: time.UnixMilli(at),
			Body: fmt.Appendf(nil, `{"type":"x","data":%s}`, object),
		},
	}
}

// saw is a read of an object, or of its absence.
func saw(k clerksync.Kind, id string, object []byte, at int64) clerksync.Evidence {
	return clerksync.Witness(clerksync.Evidence{Kind: k, ID: id, Object: object, At: at, Source: clerksync.Reconcile}, 2*time.Minute, false)
}

// arrive applies all that there is to tell about a person.
func (p person) arrive(t testing.TB, m *clerksync.Mirror, updated int64) {
	t.Helper()
	evidence := []clerksync.Evidence{tells("msg_user_"+p.suffix(), clerksync.Users, p.id(), p.user(updated), updated)}
	for k, object := range p.belonging(updated) {
		evidence = append(evidence, tells("msg_"+string(k)+p.suffix(), k, "", object, updated))
	}
	apply(t, m, evidence...)
}

// leave applies the event of the person's deletion.
func (p person) leave(t testing.TB, m *clerksync.Mirror, at int64) {
	t.Helper()
	apply(t, m, tells("msg_gone_"+p.suffix(), clerksync.Users, p.id(), nil, at))
}

// hits lists where a word is: in which columns of which tables, and how often. It reads every column of every table as text.
func hits(t testing.TB, m *clerksync.Mirror, word string) map[string]int {
	t.Helper()
	db := m.DB()
	query := `SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'clerk' AND c.relkind = 'r' AND has_table_privilege(c.oid, 'SELECT')`
	prefix := "clerk."
	if db.DriverName() == "sqlite" {
		query, prefix = `SELECT name FROM sqlite_master WHERE type = 'table' AND name LIKE 'clerk%'`, ""
	}
	var tables []string
	if err := db.SelectContext(t.Context(), &tables, query); err != nil {
		t.Fatal(err)
	}
	if len(tables) < 14 {
		t.Fatalf("the catalogue lists only %q", tables)
	}
	found := map[string]int{}
	for _, table := range tables {
		rows, err := db.QueryxContext(t.Context(), `SELECT * FROM `+prefix+table)
		if err != nil {
			t.Fatal(err)
		}
		for rows.Next() {
			row := map[string]any{}
			if err := rows.MapScan(row); err != nil {
				t.Fatal(err)
			}
			for column, v := range row {
				text := fmt.Sprint(v)
				if b, ok := v.([]byte); ok {
					text = string(b)
				}
				if strings.Contains(text, word) {
					found[strings.TrimPrefix(table, "clerk_")+"."+column]++
				}
			}
		}
		if err := rows.Close(); err != nil || rows.Err() != nil {
			t.Fatal(err, rows.Err())
		}
	}
	return found
}

// admin is who may do to the mirror's tables what the mirror itself must not.
func admin(t testing.TB, db *sqlx.DB) *sqlx.DB {
	t.Helper()
	if db.DriverName() == "sqlite" {
		return db
	}
	return pgtest.Superuser(t, db)
}

// erase erases a person, and expects that it can be done and that nothing is left.
func (p person) erase(t testing.TB, m *clerksync.Mirror, policy clerksync.Policy) clerksync.Erased {
	t.Helper()
	done := erase(t, m, clerksync.Erasure{Kind: clerksync.Users, ID: p.id(), Policy: policy})
	if found := hits(t, m, p.word); len(found) > 0 {
		t.Fatalf("%s is left in %v", p.word, found)
	}
	return done
}

// erase carries out an order, and expects that it can be done and that no values are left elsewhere.
func erase(t testing.TB, m *clerksync.Mirror, order clerksync.Erasure) clerksync.Erased {
	t.Helper()
	done, err := m.Erase(t.Context(), order)
	if err != nil {
		t.Fatal(err)
	}
	if left, err := m.Remnants(t.Context(), true, done); err != nil || len(left) > 0 {
		t.Fatalf("%s is left in %+v, %v", order.ID, left, err)
	}
	return done
}

// nullable reads a row's values of some columns as texts, with - for null.
func values(t testing.TB, m *clerksync.Mirror, k clerksync.Kind, id string, columns ...string) string {
	t.Helper()
	into := make([]any, len(columns))
	for i := range into {
		into[i] = new(sql.NullString)
	}
	err := m.DB().QueryRowContext(t.Context(), m.SQL(`SELECT `+strings.Join(columns, ", ")+` FROM {`+string(k)+`} WHERE id = $1`), id).Scan(into...)
	if err != nil {
		t.Fatalf("%s %s: %v", k, id, err)
	}
	var texts []string
	for _, v := range into {
		s := v.(*sql.NullString)
		if !s.Valid {
			s.String = "-"
		}
		texts = append(texts, s.String)
	}
	return strings.Join(texts, " ")
}
