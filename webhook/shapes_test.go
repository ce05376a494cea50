package webhook_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/jmoiron/sqlx"

	"github.com/clerksync/clerksync/internal/pgtest"
	clerksync "github.com/clerksync/clerksync/sync"
)

// vital are the members without which an object cannot be merged.
var vital = []string{"object", "id", "updated_at", "deleted"}

// shapes are what may become of the data of an event. @clerk/backend (api/resources/JSON.d.ts, 3.25.0) and Clerk's OpenAPI file of webhooks
// disagree on what is optional or null, and both grow.
var shapes = map[string]func(data map[string]any){
	"bare": func(data map[string]any) {
		for name := range data {
			if !slices.Contains(vital, name) {
				delete(data, name)
			}
		}
	},
	"null": func(data map[string]any) {
		for name := range data {
			if !slices.Contains(vital, name) {
				data[name] = nil
			}
		}
	},
	"grown": func(data map[string]any) {
		data["a_member_to_come"] = map[string]any{"id": 1, "list": []any{nil, true, "x"}}
		for _, name := range []string{"status", "enrollment_mode", "type", "role"} {
			if _, has := data[name]; has {
				data[name] = "a_word_to_come"
			}
		}
		data["tasks"] = []any{map[string]any{"key": "choose-organization"}}
	},
	"odd": func(data map[string]any) {
		for name := range data {
			if !slices.Contains(vital, name) {
				data[name] = []any{map[string]any{"id": 7}, 3.5}
			}
		}
	},
}

// TestShapes posts every published example in other shapes. None of them may wait for an operator.
func TestShapes(t *testing.T) {
	t.Parallel()
	for shape, change := range shapes {
		e := serve(t, pgtest.SQLite(t), clerksync.Config{InstanceID: exampleInstance, Kinds: everything})
		for _, ex := range examples(t) {
			var event map[string]any
			if err := json.Unmarshal([]byte(ex.body), &event); err != nil {
				t.Fatal(err)
			}
			delete(event, "event_attributes")
			change(event["data"].(map[string]any))
			body, err := json.Marshal(event)
			if err != nil {
				t.Fatal(err)
			}
			e.deliver(ex.message, string(body), 204)
			name, _, _ := strings.Cut(ex.typ, ".")
			mirrored := slices.ContainsFunc(everything, func(k clerksync.Kind) bool { return strings.EqualFold(strings.ReplaceAll(k.Singular(), "_", ""), name) })
			if got := e.event(ex.message); got.Outcome.Waits() || mirrored == (got.Outcome == clerksync.Ignored) {
				t.Errorf("%s %s: %+v", shape, ex.typ, got)
			}
		}
	}
}

// TestTypesToCome posts events of types that no catalogue has yet, in the shape that Clerk gives to its like: DeletedObject for what is gone
// (its OpenAPI file of webhooks), the whole object else. user.createdAtEdge is told of by older packages of Clerk's alone.
func TestTypesToCome(t *testing.T) {
	t.Parallel()
	e := serve(t, pgtest.SQLite(t), clerksync.Config{InstanceID: "ins_test", Kinds: everything})
	const session = `{"object":"session","id":"sess_1","user_id":"user_1","client_id":"client_1","status":%q,"created_at":1700000000000,"updated_at":1700000000000}`
	for i, try := range []struct {
		typ, data string
		want      clerksync.Outcome
	}{
		{"session.created", fmt.Sprintf(session, "active"), clerksync.Created},
		{"session.expired", fmt.Sprintf(session, "expired"), clerksync.Updated},
		{"session.deleted", `{"object":"session","id":"sess_1","deleted":true}`, clerksync.Deleted},
		{"invitation.deleted", `{"object":"invitation","id":"inv_1","deleted":true}`, clerksync.Deleted},
		{"user.createdAtEdge", userJSON("user_1", 1700000000000), clerksync.Ignored},
		{"user.locked", `{"user_id":"user_1"}`, clerksync.Ignored},
		{"organizationMembership.expired", `{"object":"organization_membership","id":"orgmem_1"}`, clerksync.Ignored},
		{"subscriptionItem.created", `{"object":"commerce_subscription_item","id":"csub_item_1"}`, clerksync.Ignored},
		{"sessionTask.created", `{"object":"session_task","key":"reset-password"}`, clerksync.Ignored},
		{"user", `null`, clerksync.Ignored},
	} {
		message := fmt.Sprint("msg_", i)
		e.deliver(message, envelope(try.typ, 1700000001000, try.data), 204)
		if got := e.event(message); got.Outcome != try.want {
			t.Errorf("%s: %+v, want %s", try.typ, got, try.want)
		}
	}
}

// TestBackupCodes tells of the codes with which a user signs in where the second factor is lost: a phone number of Clerk's can carry them
// (PhoneNumber in its OpenAPI files, PhoneNumberJSON in @clerk/backend). Whoever reads the mirror must not find them.
func TestBackupCodes(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		e := serve(t, db, clerksync.Config{InstanceID: "ins_test", EventPayloads: clerksync.PayloadsAll})
		const numbers = `"phone_numbers":[{"id":"idn_1","object":"phone_number","phone_number":"+15550100","backup_codes":["s3cr3t-code"],"reserved":false},` +
			`{"id":"idn_2","object":"phone_number","phone_number":"+15550101","backup_codes":null}],"primary_phone_number_id":"idn_1"`
		e.deliver("msg_user", envelope("user.updated", 1700000001000, userJSON("user_1", 1700000000000, numbers)), 204)
		e.deliver("msg_odd", envelope("user.updated", 1700000001000, `{"object":"user","id":"user_1",`+numbers+`}`), 204)
		if got := e.event("msg_odd"); got.Outcome != clerksync.Quarantined || !got.Kept {
			t.Errorf("%+v, want it quarantined and kept", got)
		}
		if all := e.contents(); strings.Contains(all, "s3cr3t") || strings.Count(all, "idn_2") < 3 {
			t.Errorf("the database holds %s", all)
		}
		if u, _, _ := e.user("user_1"); u.Phone == nil || *u.Phone != "+15550100" {
			t.Errorf("the phone is %v", u.Phone)
		}
	})
}
