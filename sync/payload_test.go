package sync_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jmoiron/sqlx"

	"github.com/clerksync/clerksync/internal/pgtest"
	clerksync "github.com/clerksync/clerksync/sync"
)

// TestEventPayloads shows which events keep their content, by the setting.
func TestEventPayloads(t *testing.T) {
	t.Parallel()
	past, future := long(), time.Now().UnixMilli()+day
	object := `{"object":"user","id":"user_1","updated_at":1}`
	told := func(id, typ string, change func(*clerksync.Evidence)) clerksync.Evidence {
		e := tells(id, clerksync.Users, "user_1", []byte(object), past)
		e.Event.Type, e.Event.Body = typ, []byte(`{"type":"x","data":`+object+`}`)
		if change != nil {
			change(&e)
		}
		return e
	}
	evidence := func() []clerksync.Evidence {
		return []clerksync.Evidence{
			told("msg_applied", "user.updated", nil),
			told("msg_bad", "user.updated", quarantine),
			told("msg_future", "user.updated", func(e *clerksync.Evidence) { e.At = future }),
			told("msg_other", "subscription.created", func(e *clerksync.Evidence) { e.Kind, e.Object = "", nil }),
			told("msg_mail", "email.created", func(e *clerksync.Evidence) { e.Kind, e.Object = "", nil }),
			told("msg_sms", "sms.created", func(e *clerksync.Evidence) { quarantine(e) }),
		}
	}
	for payloads, want := range map[clerksync.Payloads]string{
		clerksync.PayloadsWaiting: "msg_bad quarantined, msg_future deferred",
		clerksync.PayloadsNone:    "",
		clerksync.PayloadsAll:     "msg_applied created, msg_bad quarantined, msg_future deferred, msg_other ignored",
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
				m := open(t, db, clerksync.Config{InstanceID: instance, EventPayloads: payloads})
				results := apply(t, m, evidence()...)
				var kept []string
				if err := db.Select(&kept, m.SQL(`SELECT id || ' ' || outcome FROM {events} WHERE payload IS NOT NULL ORDER BY id`)); err != nil {
					t.Fatal(err)
				}
				if got := strings.Join(kept, ", "); got != want {
					t.Errorf("kept %q, want %q", got, want)
				}
				if r := results[2]; payloads == clerksync.PayloadsNone && (r.Outcome != clerksync.Ignored || !r.Conflict) {
					t.Errorf("an event of the future that nothing is kept of: %+v", r)
				}
				if payloads != clerksync.PayloadsAll {
					return
				}
				p := person{word: "quokka", born: past}
				p.arrive(t, m, past)
				p.leave(t, m, past+day)
				p.erase(t, m, clerksync.Anonymize)
				apply(t, m, tells("msg_late", clerksync.Users, p.id(), p.user(past+1), past+1))
				if found := hits(t, m, p.word); len(found) > 0 {
					t.Errorf("after an erasure, %v", found)
				}
			})
		})
	}
}

// TestRedacted shows what of a body reaches the disk.
func TestRedacted(t *testing.T) {
	t.Parallel()
	const body = `{ "type":"user.created", "timestamp":1.7e12,"instance_id":"ins_2mirror","client_ip":"SECRET","object":"event",
"event_attributes":{"http_request":{"client_ip":"SECRET","user_agent":"SECRET"}},
"data":{"id":"user_1","url":"SECRET","ticket":"SECRET","nested":[1,"two",{"token":"SECRET","kept":true,"otp\u005fcode":"SECRET"},[{"message":{"a":"SECRET"}}]],
"public_metadata":{"url":"theirs","a":"\u0000","big":1e999},"private_metadata":{"a":"PRIVATE"},
"user":{"private_metadata":"PRIVATE","body":"SECRET"},"latest_activity":{"city":"PLACE","ip_address":"ADDRESS"},"image_url":"kept"}}`
	tests := []struct {
		name string
		cfg  clerksync.Config
		body string
		want string
	}{
		{"by default", clerksync.Config{}, body, `{"type":"user.created","timestamp":1.7e12,"instance_id":"ins_2mirror","object":"event",` +
			`"data":{"id":"user_1","nested":[1,"two",{"kept":true},[{}]],"public_metadata":{"url":"theirs","a":"\u0000","big":1e999},` +
			`"user":{},"latest_activity":{"city":"PLACE"},"image_url":"kept"}}`},
		{"all that may be kept", clerksync.Config{PrivateMetadata: true, SessionActivity: clerksync.ActivityFull}, body,
			`{"type":"user.created","timestamp":1.7e12,"instance_id":"ins_2mirror","object":"event",` +
				`"data":{"id":"user_1","nested":[1,"two",{"kept":true},[{}]],"public_metadata":{"url":"theirs","a":"\u0000","big":1e999},` +
				`"private_metadata":{"a":"PRIVATE"},"user":{"private_metadata":"PRIVATE"},"latest_activity":{"city":"PLACE","ip_address":"ADDRESS"},"image_url":"kept"}}`},
		{"no activity", clerksync.Config{SessionActivity: clerksync.ActivityOmitted}, `{"data":{"latest_activity":{"city":"PLACE"}}}`, `{"data":{}}`},
		{"an object that was read", clerksync.Config{}, `{"object":"user","id":"user_1","private_metadata":{"a":1},"first_name":"Ada"}`,
			`{"object":"user","id":"user_1","first_name":"Ada"}`},
		{"an event without data", clerksync.Config{}, `{"type":"user.deleted","event_attributes":{"http_request":{"client_ip":"SECRET"}}}`,
			`{"type":"user.deleted"}`},
		{"too deep", clerksync.Config{}, `{"data":` + strings.Repeat(`{"a":`, 40) + `{"token":"SECRET"}` + strings.Repeat(`}`, 41),
			`{"data":` + strings.Repeat(`{"a":`, 32) + `null` + strings.Repeat(`}`, 33)},
		{"no JSON", clerksync.Config{}, `SECRET`, ``},
		{"half an object", clerksync.Config{}, `{"data":{"token":"SECRET"`, ``},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(test.want, clerksync.Redact(test.cfg, test.body)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}
