package sync_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jmoiron/sqlx"

	"github.com/clerksync/clerksync/internal/pgtest"
	clerksync "github.com/clerksync/clerksync/sync"
)

const day = 24 * 60 * 60 * 1000

// long is an instant far enough in the past for all that happens after it.
func long() int64 { return time.Now().UnixMilli() - 10*day }

// TestErase erases one of two people, by each policy, with all that belongs to him. Ids stay, and so does the other one.
func TestErase(t *testing.T) {
	t.Parallel()
	for _, policy := range []clerksync.Policy{clerksync.Anonymize, clerksync.Hard} {
		t.Run(string(policy), func(t *testing.T) {
			t.Parallel()
			pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
				m := everything(t, db)
				start := long()
				gone, stays := person{word: "quokka", born: start}, person{word: "wombat", born: start}
				gone.arrive(t, m, start)
				stays.arrive(t, m, start)
				apply(t, m, saw(clerksync.OrganizationInvitations, "", fmt.Appendf(nil, `{"object":"organization_invitation","id":"orginv_sent","organization_id":"org_1",
"email_address":"guest@example.com","public_inviter_data":{"user_id":%q,"identifier":%q},"created_at":%d,"updated_at":%[3]d}`, gone.id(), gone.address(), start), start+day))
				apply(t, m, saw(clerksync.OrganizationDomains, "", fmt.Appendf(nil, `{"object":"organization_domain","id":"orgdmn_1","organization_id":"org_1",
"name":"example.com","affiliation_email_address":%q,"created_at":%d,"updated_at":%[2]d}`, gone.address(), start), start+day))
				gone.leave(t, m, start+day)
				before := hits(t, m, stays.word)
				if len(before) < 20 {
					t.Fatalf("of somebody there is only %v", before)
				}

				done := gone.erase(t, m, policy)
				want := map[clerksync.Kind]int64{
					clerksync.Users: 1, clerksync.OrganizationMemberships: 1, clerksync.Sessions: 1, clerksync.Invitations: 1,
					clerksync.OrganizationInvitations: 1,
				}
				if diff := cmp.Diff(want, done.Rows); diff != "" || !done.Known {
					t.Errorf("known %t; rows (-want +got)\n%s", done.Known, diff)
				}
				if diff := cmp.Diff(before, hits(t, m, stays.word)); diff != "" {
					t.Errorf("the other one (-before +after)\n%s", diff)
				}
				if got := values(t, m, clerksync.Users, gone.id(), "created_at"); (got == "-") != (policy == clerksync.Hard) {
					t.Errorf("by %s, %s is left of created_at", policy, got)
				}
				if got := values(t, m, clerksync.Sessions, "sess_"+gone.suffix(), "user_id", "client_id", "status", "data"); got != gone.id()+" - - -" {
					t.Errorf("a session keeps %q", got)
				}
				checkVersions(t, m)
				if ops := ops(t, m, gone.id()); ops != "created deleted erased" {
					t.Errorf("the feed tells %q", ops)
				}
				if again := gone.erase(t, m, policy); len(again.Rows) > 0 || again.Events > 0 || !again.Known {
					t.Errorf("erasing again did %+v", again)
				}
			})
		})
	}
}

// ops are what the feed tells about an object.
func ops(t testing.TB, m *clerksync.Mirror, id string) string {
	t.Helper()
	var all []string
	if err := m.DB().SelectContext(t.Context(), &all, m.SQL(`SELECT op FROM {changes} WHERE object_id = $1 ORDER BY seq`), id); err != nil {
		t.Fatal(err)
	}
	return strings.Join(all, " ")
}

// TestEraseVisible refuses to erase somebody who is not deleted, unless it must; later evidence shows him again, whole.
func TestEraseVisible(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		m := everything(t, db)
		start := long()
		p := person{word: "quokka", born: start}
		p.arrive(t, m, start)
		before := hits(t, m, p.word)
		order := clerksync.Erasure{Kind: clerksync.Users, ID: p.id()}
		if _, err := m.Erase(t.Context(), order); !errors.Is(err, clerksync.ErrVisible) {
			t.Fatalf("erasing a visible user: %v", err)
		}
		if diff := cmp.Diff(before, hits(t, m, p.word)); diff != "" {
			t.Errorf("a refused erasure (-before +after)\n%s", diff)
		}
		order.Force = true
		if _, err := m.Erase(t.Context(), order); err != nil {
			t.Fatal(err)
		}
		if found := hits(t, m, p.word); len(found) > 0 {
			t.Errorf("%v is left", found)
		}
		apply(t, m, tells("msg_again", clerksync.Users, p.id(), p.user(start), start)) // the same once more is not newer
		if got := values(t, m, clerksync.Users, p.id(), "data", "deleted_at IS NULL"); !strings.HasPrefix(got, "- f") && got != "- 0" {
			t.Errorf("a resent event brought back %q", got)
		}
		apply(t, m, saw(clerksync.Users, p.id(), p.user(start), start+day))
		if u, err := m.User(t.Context(), p.id()); err != nil || *u.Email != p.address() {
			t.Errorf("a later read shows %+v, %v", u, err)
		}
		if ops := ops(t, m, p.id()); ops != "created deleted erased revived" {
			t.Errorf("the feed tells %q", ops)
		}
		checkVersions(t, m)
	})
}

// TestErasedStays tells everything again and late about somebody who was erased, and of things that nobody had told before: nothing
// of it is kept. When he comes back, what is told about what belongs to him is kept again.
func TestErasedStays(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		m := everything(t, db)
		start := long()
		p := person{word: "quokka", born: start}
		apply(t, m, tells("msg_first", clerksync.Users, p.id(), p.user(start), start))
		p.leave(t, m, start+2*day)
		p.erase(t, m, clerksync.Anonymize)

		late := []clerksync.Evidence{tells("msg_late", clerksync.Users, p.id(), p.user(start+day), start+day)}
		belonging := []clerksync.Kind{clerksync.OrganizationMemberships, clerksync.Sessions}
		for _, k := range belonging { // invitations that nobody knew can be anybody's
			late = append(late, tells("msg_late_"+string(k), k, "", p.belonging(start + day)[k], start+day))
		}
		bad := tells("msg_bad", clerksync.Users, p.id(), p.user(start+day), start+day)
		bad.Event.Quarantine = "a test"
		session := tells("msg_bad_session", clerksync.Sessions, "sess_x", p.belonging(start + day)[clerksync.Sessions], start+day)
		session.Event.Quarantine = "a test"
		future := tells("msg_future", clerksync.Users, p.id(), p.user(start+day), time.Now().UnixMilli()+day)
		unread := saw(clerksync.Users, p.id(), []byte(`{"object":"user","id":"`+p.id()+`","first_name":"`+p.word+`"}`), start+day)
		results := apply(t, m, append(late, bad, session, future, unread)...)
		for i, want := range []clerksync.Outcome{clerksync.Stale, clerksync.Created, clerksync.Created, clerksync.Ignored, clerksync.Ignored, clerksync.Ignored, clerksync.Ignored} {
			if results[i].Outcome != want {
				t.Errorf("evidence %d: %+v, want %s", i, results[i], want)
			}
		}
		if found := hits(t, m, p.word); len(found) > 0 {
			t.Errorf("late evidence left %v", found)
		}
		if r := rows(t, m)[p.id()]; r.Updated != start+day || string(r.Hash) != strings.Repeat("\xff", 32) {
			t.Errorf("late evidence moved the key to %d, %x", r.Updated, r.Hash)
		}
		if got := values(t, m, clerksync.Sessions, "sess_"+p.suffix(), "user_id", "data", "ip_address"); got != p.id()+" - -" {
			t.Errorf("a session that arrives late keeps %q", got)
		}
		if n := len(events(t, m)); n != 8 {
			t.Errorf("%d events are logged, want 8: a read leaves none", n)
		}

		back := []clerksync.Evidence{saw(clerksync.Users, p.id(), p.user(start+3*day), start+4*day)}
		for _, k := range belonging {
			back = append(back, tells("msg_back_"+string(k), k, "", p.belonging(start + 4*day)[k], start+4*day))
		}
		apply(t, m, back...)
		for _, k := range append(belonging, clerksync.Users) {
			id := map[clerksync.Kind]string{clerksync.Users: "user_", clerksync.Sessions: "sess_", clerksync.OrganizationMemberships: "orgmem_"}[k] + p.suffix()
			if got := values(t, m, k, id, "erased_at", "data"); !strings.HasPrefix(got, "- {") || !strings.Contains(got, p.word) {
				t.Errorf("%s came back as %q", k, got)
			}
		}
		if ops := ops(t, m, "sess_"+p.suffix()); ops != "created suspicious updated" {
			t.Errorf("the feed tells of the session %q", ops)
		}
	})
}

// TestEraseEvents empties what waits about the one who is erased, however it names him, and nothing else.
func TestEraseEvents(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		m := everything(t, db)
		start := long()
		p := person{word: "quokka", born: start}
		p.arrive(t, m, start)
		waits := func(id, object string, body string) {
			e := tells(id, clerksync.Users, object, nil, start)
			e.Event.Quarantine, e.Event.Body = "a test", []byte(body)
			apply(t, m, e)
		}
		waits("msg_own", p.id(), `{"data":{"first_name":"quokka"}}`)
		waits("msg_inside", "sess_9", `{"data":{"user":{"id":"`+p.id()+`","first_name":"quokka"}}}`)
		waits("msg_address", "", `{"data":{"email":"quokka@example.com"}}`)
		waits("msg_escaped", "", `{"data":{"email":"quokka@example\u002ecom","id":"sess_`+p.suffix()+`"}}`)
		waits("msg_longer", "user_x", `{"data":{"id":"`+p.id()+`x","email":"xquokka@example.com"}}`)
		waits("msg_other", "user_y", `{"data":{"id":"user_y","first_name":"wombat"}}`)
		waits("msg_founded", "org_1", `{"data":{"id":"org_1","created_by":"`+p.id()+`"}}`)
		waits("msg_heir", "user_z", `{"data":{"id":"user_z","email_addresses":[{"email_address":"quokka@example.com"}]}}`)
		for id, similar := range map[string]string{"msg_dot": "big.quokka@example.com", "msg_plus": "big+quokka@example.com", "msg_dash": "big-quokka@example.com", "msg_country": "quokka@example.com.au"} {
			waits(id, "", `{"data":{"email":"`+similar+`"}}`)
		}
		apply(t, m, tells("msg_future", clerksync.Users, p.id(), p.user(start), time.Now().UnixMilli()+day))
		p.leave(t, m, start+day)
		done, err := m.Erase(t.Context(), clerksync.Erasure{Kind: clerksync.Users, ID: p.id()})
		if err != nil || done.Events != 5 {
			t.Errorf("%d events were emptied, want 5; %v", done.Events, err)
		}
		for id, kept := range map[string]bool{"msg_own": false, "msg_inside": false, "msg_address": false, "msg_escaped": false, "msg_future": false,
			"msg_longer": true, "msg_other": true, "msg_founded": true, "msg_heir": true, "msg_dot": true, "msg_plus": true, "msg_dash": true, "msg_country": true} {
			e := events(t, m)[id]
			if (e.Payload != nil) != kept || (e.Outcome == clerksync.Quarantined) != kept || e.Due {
				t.Errorf("%s is %s with %q, due %t; want it kept: %t", id, e.Outcome, e.Payload, e.Due, kept)
			}
		}
		waits("msg_own", p.id(), `{"data":{"first_name":"quokka"}}`)
		waits("msg_address", "", `{"data":{"email":"quokka@example.com"}}`) // by which nobody knows him any more
		for _, id := range []string{"msg_own", "msg_address"} {
			if e := events(t, m)[id]; e.Payload != nil || e.Outcome != clerksync.Ignored {
				t.Errorf("%s came again, and is %s with %q", id, e.Outcome, e.Payload)
			}
		}
	})
}

// TestEventAboutWhatTheErasedMade has events wait, and be held, that name an erased person as their object's founder alone.
func TestEventAboutWhatTheErasedMade(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		cfg := allOfIt
		cfg.HoldDeletes, cfg.Limits = true, clerksync.Limits{MaxDeletes: 1}
		cfg.Hooks = clerksync.Hooks{clerksync.Organizations: {OnUpdated: func(context.Context, *sqlx.Tx, clerksync.Transition) error { return errors.New("no") }}}
		m := open(t, db, cfg)
		founder := person{word: "quokka", born: past}
		for _, p := range []person{founder, {word: "wombat", born: past}, {word: "bilby", born: past}} {
			p.arrive(t, m, past)
		}
		founded := func(at int64) []byte {
			return fmt.Appendf(nil, `{"object":"organization","id":"org_acme","name":"%d","created_by":%q,"created_at":%d,"updated_at":%[1]d}`, at, founder.id(), past)
		}
		apply(t, m, tells("msg_founded", clerksync.Organizations, "org_acme", founded(past), past))
		founder.leave(t, m, past+hour)
		founder.erase(t, m, clerksync.Anonymize)

		r := apply(t, m, tells("msg_refused", clerksync.Organizations, "org_acme", founded(past+2*hour), past+2*hour))
		if e := events(t, m)["msg_refused"]; r[0].Outcome != clerksync.Quarantined || e.Payload == nil || !e.Due {
			t.Errorf("what a hook refused is %+v, %+v", r[0], e)
		}
		for _, word := range []string{"wombat", "bilby"} {
			id := "orgmem_" + person{word: word}.suffix()
			gone := tells("msg_"+word, clerksync.OrganizationMemberships, id, nil, past+2*hour)
			gone.Event.Body = fmt.Appendf(nil, `{"type":"organizationMembership.deleted","data":{"id":%q,"organization":{"id":"org_1","created_by":%q}}}`, id, founder.id())
			apply(t, m, gone)
		}
		if n := heldOf(t, m); n != 1 {
			t.Errorf("%d deletions are held, want 1", n)
		}
	})
}

// TestMetadataThatNamesTheErased has people name an erased person in their metadata, which they and programs write as they like. Their own
// events that wait are not given up for that: one may tell of a ban.
func TestMetadataThatNamesTheErased(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		m := everything(t, db)
		p := person{word: "quokka", born: past}
		p.arrive(t, m, past)
		soon := time.Now().Add(time.Hour).UnixMilli()
		waits := func(name, more string) {
			body := fmt.Appendf(nil, `{"object":"user","id":"user_%s","banned":true,"created_at":1,"updated_at":%d,%s}`, name, soon, more)
			if r := apply(t, m, tells("msg_"+name, clerksync.Users, "user_"+name, body, soon)); r[0].Outcome != clerksync.Deferred {
				t.Errorf("%s: %+v", name, r[0])
			}
		}
		const unsafe, public, text = `"unsafe_metadata":{"a":[{"user_id":%q}]}`, `"public_metadata":{"id":%q}`, `"unsafe_metadata":{"a":"\"b\u005d}"},"last_name":"{\"id\":\"%s\"}"`
		waits("before", fmt.Sprintf(unsafe, p.id()))
		waits("text_before", fmt.Sprintf(text, p.id()))
		p.leave(t, m, past+hour)
		if done := p.erase(t, m, clerksync.Anonymize); done.Events != 0 {
			t.Errorf("erasing did %+v", done)
		}
		waits("after", fmt.Sprintf(unsafe, p.id()))
		waits("public", fmt.Sprintf(public, p.id()))
		odd := tells("msg_odd", clerksync.Users, "", nil, past)
		odd.Event.Body, odd.Event.Quarantine = []byte(`{"type":"x","data":{"id":"\u0000","user_id":"\ud800","organization_id":7}}`), "a test"
		apply(t, m, odd)
		escaped := tells("msg_escaped", clerksync.Users, "", nil, past)
		escaped.Event.Body, escaped.Event.Quarantine = []byte(`{"type":"x","data":{"user_id":"`+strings.Replace(p.id(), "_", `\u005f`, 1)+`"}}`), "a test"
		if r := apply(t, m, escaped); r[0].Outcome != clerksync.Ignored {
			t.Errorf("an event that spells the erased one's id otherwise is %+v", r[0])
		}
		for _, name := range []string{"before", "after", "public"} {
			if e := events(t, m)["msg_"+name]; e.Outcome != clerksync.Deferred || e.Payload == nil {
				t.Errorf("%s: the event is %+v", name, e)
			}
		}
	})
}

// TestEraseUnknown erases somebody of whom only an event speaks.
func TestEraseUnknown(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		m := everything(t, db)
		p := person{word: "quokka", born: long()}
		e := tells("msg_1", clerksync.Users, p.id(), p.user(long()), long())
		e.Event.Quarantine = "a test"
		apply(t, m, e)
		if done := p.erase(t, m, clerksync.Anonymize); done.Known || done.Events != 1 {
			t.Errorf("erasing did %+v", done)
		}
	})
}

// TestEraseOfManyNames empties the events that name any of an organization's many members, and no other.
func TestEraseOfManyNames(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		m := everything(t, db)
		start := long()
		apply(t, m, tells("msg_org", clerksync.Organizations, "org_big", fmt.Appendf(nil, `{"object":"organization","id":"org_big","created_at":1,"updated_at":%d}`, start), start))
		for i := range 12 {
			id := fmt.Sprintf("orgmem_%02d", i)
			apply(t, m, tells("msg_"+id, clerksync.OrganizationMemberships, id, fmt.Appendf(nil, `{"object":"organization_membership","id":%q,
"organization":{"id":"org_big"},"public_user_data":{"user_id":"user_%d"},"created_at":1,"updated_at":%d}`, id, i, start), start))
			db.MustExec(m.SQL(`INSERT INTO {events} (id, type, object_id, received_at, outcome, attempts, payload) VALUES ($1, 'x', 'user_x', {now}, 'quarantined', 1, $2)`),
				"msg_names_"+id, fmt.Appendf(nil, `{"id":%q}`, id))
		}
		db.MustExec(m.SQL(`INSERT INTO {events} (id, type, object_id, received_at, outcome, attempts, payload) VALUES ('msg_other', 'x', 'user_x', {now}, 'quarantined', 1, $1)`),
			[]byte(`{"id":"orgmem_012"}`))
		apply(t, m, tells("msg_gone", clerksync.Organizations, "org_big", nil, start+day))
		if _, err := m.Erase(t.Context(), clerksync.Erasure{Kind: clerksync.Organizations, ID: "org_big"}); err != nil {
			t.Fatal(err)
		}
		var left []string
		if err := db.Select(&left, m.SQL(`SELECT id FROM {events} WHERE payload IS NOT NULL`)); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(left, []string{"msg_other"}) {
			t.Errorf("%q keep their content, want msg_other alone", left)
		}
	})
}

// TestRemnants finds what an erasure leaves, in columns that nobody has heard of, and tells whose it is.
func TestRemnants(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		m := everything(t, db)
		start := long()
		p, again := person{word: "quokka", born: start}, person{word: "wombat", born: start}
		p.arrive(t, m, start)
		p.leave(t, m, start+day)
		object := []byte(strings.ReplaceAll(string(again.user(start)), "wombat@example.com", "Quokka@EXAMPLE.com quokka@example.com"))
		apply(t, m, tells("msg_again", clerksync.Users, again.id(), object, start))
		done, err := m.Erase(t.Context(), clerksync.Erasure{Kind: clerksync.Users, ID: p.id()})
		if err != nil {
			t.Fatal(err)
		}
		notes := admin(t, db)
		for _, statement := range []string{
			`CREATE TABLE {notes} (id text, note varchar(100), raw bytea)`,
			`INSERT INTO {relays} (name, seq, term, moved_at) VALUES ('quokka', 0, 1, {now})`,
			`ALTER TABLE {relays} ADD COLUMN note text DEFAULT 'asked for by quokka@example.com'`,
			`INSERT INTO {notes} VALUES ('1', 'a letter to quokka@example.com!', NULL), ('2', 'quokkas are no quokka', NULL)`,
			`UPDATE {users} SET username = 'First quokka' WHERE id = '` + p.id() + `'`,
			`UPDATE {events} SET payload = cast('{"a":"quokka@example.com"}' AS bytea) WHERE id = 'msg_again'`,
		} {
			if db.DriverName() == "sqlite" {
				statement = strings.ReplaceAll(statement, "cast('{\"a\":\"quokka@example.com\"}' AS bytea)", "cast('{\"a\":\"quokka@example.com\"}' AS blob)")
			}
			if _, err := notes.Exec(m.SQL(statement)); err != nil {
				t.Fatal(err)
			}
		}
		if db.DriverName() != "sqlite" {
			notes.MustExec(`GRANT SELECT ON clerk.notes TO PUBLIC`)
		}
		want := map[clerksync.Remnant]bool{
			{Table: "notes", Column: "note", Rows: 2}:                  true,
			{Table: "relays", Column: "note", Rows: 1}:                 true,
			{Table: "users", Column: "username", Rows: 1}:              true,
			{Table: "events", Column: "payload", Rows: 1, Other: true}: true,
			{Table: "users", Column: "email", Rows: 1, Other: true}:    true,
			{Table: "users", Column: "data", Rows: 1, Other: true}:     true,
		}
		for _, everywhere := range []bool{true, false} {
			left, err := m.Remnants(t.Context(), everywhere, done)
			if err != nil {
				t.Fatal(err)
			}
			got := map[clerksync.Remnant]bool{}
			for _, r := range left {
				got[r] = true
			}
			if !everywhere {
				for r := range want {
					if r.Other && r.Table == "users" {
						delete(want, r)
					}
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("everywhere %t (-want +got)\n%s", everywhere, diff)
			}
		}
	})
}

// TestRemnantsOfWords erases a person whose names are words of the mirror's own: where the mirror tells what it did, nothing is left of
// that person.
func TestRemnantsOfWords(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		m := everything(t, db)
		start := long()
		sms := tells("msg_sms", clerksync.Users, "sms_1", nil, start)
		sms.Event.Type, sms.Event.Quarantine = "sms.created", "data has no milliseconds"
		apply(t, m, sms)
		for _, statement := range []string{
			`INSERT INTO {relays} (name, seq, term, moved_at) VALUES ('concert', 0, 1, {now})`,
			`INSERT INTO {passes} (kind, instance_id, started_at, counts, plan, error) VALUES ('full', 'ins_1', {now}, '{"memo":1}', 'abacus', 'reading page 3')`,
			`INSERT INTO {plans} (sha256, ids, term, created_at, expires_at) VALUES ('abacus', '[]', 1, {now}, {now})`,
			`INSERT INTO {state} (key, value, updated_at) VALUES ('lease:leader', '{"holder":"berlin-1"}', {now})`,
			`INSERT INTO {changes} (resource, object_id, op, version, reasons) VALUES ('sessions', 'sess_1', 'suspicious', 1, '["impersonation"]')`,
		} {
			if _, err := admin(t, db).Exec(m.SQL(statement)); err != nil {
				t.Fatal(err)
			}
		}
		words := `"milliseconds","sms","concert","full","memo","abacus","page","leader","berlin","born","clerksync","impersonation","operator","org","orgmem","sess","msg","ins"`
		apply(t, m, tells("msg_told", clerksync.Users, "user_told", fmt.Appendf(nil,
			`{"object":"user","id":"user_told","username":"operator","public_metadata":{"words":[%s]},"created_at":%d,"updated_at":%[2]d}`, words, start), start))
		apply(t, m, tells("msg_member", clerksync.OrganizationMemberships, "", fmt.Appendf(nil, `{"object":"organization_membership","id":"orgmem_told",
"organization":{"id":"org_acme"},"public_user_data":{"user_id":"user_told"},"created_at":%d,"updated_at":%[1]d}`, start), start))
		apply(t, m, tells("msg_gone", clerksync.Users, "user_told", nil, start+day))
		erase(t, m, clerksync.Erasure{Kind: clerksync.Users, ID: "user_told", Source: clerksync.Operator})
	})
}

// TestRemnantsOfRoles erases a member whom others share a role and its permissions with: those are the team's words, and nothing is left of
// that person.
func TestRemnantsOfRoles(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		m := everything(t, db)
		start := long()
		for _, who := range []string{"left", "stays"} {
			apply(t, m, tells("msg_"+who, clerksync.Users, "user_"+who, fmt.Appendf(nil,
				`{"object":"user","id":"user_%s","username":"%[1]s@example.com","created_at":%d,"updated_at":%[2]d}`, who, start), start))
			apply(t, m, tells("msg_member_"+who, clerksync.OrganizationMemberships, "", fmt.Appendf(nil, `{"object":"organization_membership","id":"orgmem_%s",
"organization":{"id":"org_acme"},"public_user_data":{"user_id":"user_%[1]s"},"role":"org:captain","role_name":"Captain","permissions":["org:ship:steer"],
"created_at":%d,"updated_at":%[2]d}`, who, start), start))
			apply(t, m, tells("msg_invited_"+who, clerksync.OrganizationInvitations, "", fmt.Appendf(nil, `{"object":"organization_invitation","id":"orginv_%s",
"organization_id":"org_acme","user_id":"user_%[1]s","email_address":"%[1]s@example.com","role":"org:captain","role_name":"Captain","status":"accepted",
"created_at":%d,"updated_at":%[2]d}`, who, start), start))
		}
		apply(t, m, tells("msg_role", clerksync.Roles, "role_1", fmt.Appendf(nil, `{"object":"role","id":"role_1","name":"Captain","key":"org:captain",
"permissions":[{"id":"perm_1","key":"org:ship:steer"}],"created_at":%d,"updated_at":%[1]d}`, start), start))
		apply(t, m, tells("msg_gone", clerksync.Users, "user_left", nil, start+day))
		done := erase(t, m, clerksync.Erasure{Kind: clerksync.Users, ID: "user_left"})
		if done.Rows[clerksync.OrganizationMemberships] != 1 || done.Rows[clerksync.OrganizationInvitations] != 1 {
			t.Errorf("erased %+v", done.Rows)
		}
	})
}

// TestInvitationAfterErasure has the next pass list the accepted invitation of a person who was erased: Clerk keeps it.
func TestInvitationAfterErasure(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		m := everything(t, db)
		p := person{word: "Canaria", born: past}
		p.arrive(t, m, past)
		p.leave(t, m, past+hour)
		p.erase(t, m, clerksync.Anonymize)
		for _, k := range []clerksync.Kind{clerksync.Invitations, clerksync.OrganizationInvitations} {
			hash := func() (hash []byte) {
				if err := db.Get(&hash, m.SQL(`SELECT _hash FROM {`+string(k)+`}`)); err != nil {
					t.Error(err)
				}
				return hash
			}
			before := hash()
			object := p.belonging(past + 2*hour)[k]
			apply(t, m, saw(k, "", object, past+2*hour))
			if r := apply(t, m, tells("msg_late"+string(k), k, "", object, past+3*hour)); r[0].Conflict || r[0].Outcome == clerksync.Stale {
				t.Errorf("a late event about %s is %+v", k, r[0])
			}
			if found := hits(t, m, p.word); len(found) > 0 {
				t.Errorf("with evidence of %s %s is back in %v", k, p.word, found)
			}
			if after := hash(); !bytes.Equal(before, after) {
				t.Errorf("the hash of %s was %x and is %x", k, before, after)
			}
		}
	})
}

// TestInvitationOfAStranger erases by order what invites somebody who has no account, while Clerk lists it: it stays empty.
func TestInvitationOfAStranger(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		m := everything(t, db)
		p := person{word: "quokka", born: past}
		for k, id := range map[clerksync.Kind]string{clerksync.Invitations: "inv_", clerksync.OrganizationInvitations: "orginv_"} {
			object := p.belonging(past)[k]
			waits := tells("msg_waits"+id, k, "", p.belonging(past + hour)[k], past+hour)
			waits.Event.Quarantine = "a test"
			apply(t, m, tells("msg_"+id, k, "", object, past), waits)
			done, err := m.Erase(t.Context(), clerksync.Erasure{Kind: k, ID: id + p.suffix(), Force: true})
			if err != nil || done.Rows[k] != 1 || done.Events != 1 {
				t.Errorf("erasing did %+v, %v", done, err)
			}
			apply(t, m, saw(k, "", p.belonging(past + day)[k], past+day))
			if got := values(t, m, k, id+p.suffix(), "email_address"); got != "-" {
				t.Errorf("%s keeps %q", k, got)
			}
		}
		if found := hits(t, m, p.word); len(found) > 0 {
			t.Errorf("%s is left in %v", p.word, found)
		}
	})
}

// TestSearchOfEvents has an erasure look through a log of which few events have content: it reads those alone.
func TestSearchOfEvents(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	m := pinned(t, db)
	admin(t, db).MustExec(`INSERT INTO clerk.events (id, type, received_at, outcome, attempts) SELECT 'msg_' || i, 'user.updated', now(), 'updated', 1 FROM generate_series(1, 20000) AS i; ANALYZE clerk.events`)
	query, err := m.SearchSQL(t.Context(), "events")
	if err != nil || query == "" {
		t.Fatal(query, err)
	}
	if text := plan(t, m, query); strings.Contains(text, "Seq Scan") {
		t.Errorf("all events are read:\n%s", text)
	}
}

// TestAddressInAnotherCase erases somebody whose address an invitation spells in another case. Whoever has the address by now keeps his.
func TestAddressInAnotherCase(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		m := everything(t, db)
		start := long()
		user := func(id, address string) {
			apply(t, m, saw(clerksync.Users, id, fmt.Appendf(nil, `{"object":"user","id":%q,"primary_email_address_id":"idn_1","email_addresses":[
{"id":"idn_1","email_address":%q,"verification":{"status":"verified"}}],"created_at":%d,"updated_at":%[3]d}`, id, address, start), start+day))
		}
		user("user_a", "ada@example.com")
		user("user_b", "Bob@Example.com")
		user("user_heir", "bob@example.com")
		user("user_c", "carl@example.com")
		user("user_other", "Carl@Example.com")
		for name, address := range map[string]string{"ada": "Ada@Example.com", "bob": "bob@example.com", "carl": "Carl@Example.com", "other": "adam@example.com"} {
			apply(t, m, saw(clerksync.Invitations, "", fmt.Appendf(nil, `{"object":"invitation","id":%q,"email_address":%q,"status":"pending","created_at":%d,"updated_at":%[3]d}`,
				"inv_"+name, address, start), start+day))
			apply(t, m, saw(clerksync.OrganizationInvitations, "", fmt.Appendf(nil, `{"object":"organization_invitation","id":%q,"organization_id":"org_1","email_address":%q,
"status":"pending","created_at":%d,"updated_at":%[3]d}`, "orginv_"+name, address, start), start+day))
		}
		for _, id := range []string{"user_a", "user_b", "user_c"} {
			apply(t, m, saw(clerksync.Users, id, nil, start+2*day))
			if _, err := m.Erase(t.Context(), clerksync.Erasure{Kind: clerksync.Users, ID: id}); err != nil {
				t.Fatal(err)
			}
		}
		for name, want := range map[string]string{"ada": "-", "bob": "bob@example.com", "carl": "Carl@Example.com", "other": "adam@example.com"} {
			for kind, id := range map[clerksync.Kind]string{clerksync.Invitations: "inv_" + name, clerksync.OrganizationInvitations: "orginv_" + name} {
				if got := values(t, m, kind, id, "email_address"); got != want {
					t.Errorf("%s is to %q, want %q", id, got, want)
				}
			}
		}
	})
}

// TestAddressInTurkish has a database whose language writes "INFO" in lower case otherwise than "info": the address is the same.
func TestAddressInTurkish(t *testing.T) {
	t.Parallel()
	m := everything(t, pgtest.Turkish(t))
	start := long()
	apply(t, m, saw(clerksync.Users, "user_1", fmt.Appendf(nil, `{"object":"user","id":"user_1","primary_email_address_id":"idn_1","email_addresses":[
{"id":"idn_1","email_address":"info@example.com","verification":{"status":"verified"}}],"created_at":%d,"updated_at":%[1]d}`, start), start+day))
	apply(t, m, saw(clerksync.Invitations, "", fmt.Appendf(nil, `{"object":"invitation","id":"inv_1","email_address":"INFO@Example.com","status":"pending","created_at":%d,"updated_at":%[1]d}`,
		start), start+day))
	apply(t, m, saw(clerksync.Users, "user_1", nil, start+2*day))
	if _, err := m.Erase(t.Context(), clerksync.Erasure{Kind: clerksync.Users, ID: "user_1"}); err != nil {
		t.Fatal(err)
	}
	if got := values(t, m, clerksync.Invitations, "inv_1", "email_address"); got != "-" {
		t.Errorf("the invitation is to %q still", got)
	}
}

// TestInvitationsFoundByIndex has erasures find a person's invitations among many without reading all of them.
func TestInvitationsFoundByIndex(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	m := pinned(t, db)
	admin(t, db).MustExec(m.SQL(`INSERT INTO {users} (id, email, ` + fmt.Sprintf(restOfRow, `'user_' || i, i || '@example.com'`, 20000)))
	admin(t, db).MustExec(m.SQL(`ANALYZE {users}`))
	for _, k := range []clerksync.Kind{clerksync.OrganizationInvitations, clerksync.Invitations} {
		admin(t, db).MustExec(m.SQL(`INSERT INTO {` + string(k) + `} (id, email_address, source, synced_at, _alive_at, _updated_at, _seen_at, _dead_at, _hash, _was_visible, _version, _changed)
SELECT 'inv_' || i, i || '@example.com', 'webhook', now(), 1, 1, 1, 0, '', false, 1, true FROM generate_series(1, 20000) AS i`))
		admin(t, db).MustExec(m.SQL(`ANALYZE {` + string(k) + `}`))
		args := []any{`["7@example.com"]`, "user_7"}
		if k == clerksync.Invitations {
			args = args[:1]
		}
		if text := plan(t, m, `SELECT id FROM {`+string(k)+`} WHERE `+m.MeantSQL(k)+` ORDER BY id FOR UPDATE`, args...); strings.Contains(text, "Seq Scan") {
			t.Errorf("all %s are read:\n%s", k, text)
		}
	}
}

// TestAddressThatWasClaimed erases somebody who wrote another one's address to his own and never proved it, as every user can: the other
// one's invitation stays, and his own address takes his invitation with it.
func TestAddressThatWasClaimed(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		m := everything(t, db)
		start := long()
		invite := func(kind clerksync.Kind, object, id, address string) {
			apply(t, m, saw(kind, "", fmt.Appendf(nil, `{"object":%q,"id":%q,"organization_id":"org_1","email_address":%q,"status":"pending","created_at":%d,"updated_at":%[4]d}`,
				object, id, address, start), start+day))
		}
		for name, address := range map[string]string{"own": "mallory@example.com", "proven": "mal@example.com", "claimed": "ada@example.com", "begun": "bob@example.com"} {
			invite(clerksync.Invitations, "invitation", "inv_"+name, address)
			invite(clerksync.OrganizationInvitations, "organization_invitation", "orginv_"+name, address)
		}
		waiting := tells("msg_ada", clerksync.Invitations, "inv_new", []byte(`{"object":"invitation","id":"inv_new","email_address":"ada@example.com"}`), start)
		waiting.Event.Quarantine, waiting.Event.Body = "a test", []byte(`{"data":{"email_address":"ada@example.com"}}`)
		apply(t, m, waiting)
		apply(t, m, saw(clerksync.Users, "user_m", fmt.Appendf(nil, `{"object":"user","id":"user_m","primary_email_address_id":"idn_1","email_addresses":[
{"id":"idn_1","email_address":"mallory@example.com","verification":null},{"id":"idn_2","email_address":"mal@example.com","verification":{"status":"verified"}},
{"id":"idn_3","email_address":"ada@example.com","verification":null},{"id":"idn_4","email_address":"bob@example.com","verification":{"status":"unverified"}}],
"created_at":%d,"updated_at":%[1]d}`, start), start+day))
		apply(t, m, saw(clerksync.Users, "user_m", nil, start+2*day))
		done, err := m.Erase(t.Context(), clerksync.Erasure{Kind: clerksync.Users, ID: "user_m"})
		if err != nil {
			t.Fatal(err)
		}
		want := map[clerksync.Kind]int64{clerksync.Users: 1, clerksync.Invitations: 2, clerksync.OrganizationInvitations: 2}
		if diff := cmp.Diff(want, done.Rows); diff != "" || done.Events != 0 {
			t.Errorf("%d events and the rows (-want +got)\n%s", done.Events, diff)
		}
		for name, address := range map[string]string{"own": "-", "proven": "-", "claimed": "ada@example.com", "begun": "bob@example.com"} {
			if got := values(t, m, clerksync.Invitations, "inv_"+name, "email_address"); got != address {
				t.Errorf("the invitation %s is to %q, want %q", name, got, address)
			}
			if got := values(t, m, clerksync.OrganizationInvitations, "orginv_"+name, "email_address"); got != address {
				t.Errorf("the organization's invitation %s is to %q, want %q", name, got, address)
			}
		}
		if left := hits(t, m, "user_m"); len(left) == 0 {
			t.Error("not even the id is left")
		}
	})
}
