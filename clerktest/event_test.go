package clerktest_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/clerksync/clerksync/clerktest"
)

// Every member of Clerk's published examples is in the emulated events, with a
// value of the same type.
func TestEventsHaveTheMembersOfPublishedExamples(t *testing.T) {
	t.Parallel()
	c := instance(t, clerktest.Config{Concurrency: 1})
	r := receive(t, c)
	id := create(t, c, clerktest.Fields{"first_name": "Ada", "external_id": "ext_1", "email_address": []string{"ada@example.com"}})
	check(t, c.UpdateUser(id, clerktest.Fields{"last_name": "Lovelace"}))
	for _, end := range []func(string) error{c.RevokeSession, c.EndSession, c.RemoveSession} {
		session, err := c.CreateSession(id)
		check(t, err)
		check(t, end(session))
	}
	check(t, c.DeleteUser(id))
	wait(t, c)
	for _, eventType := range []string{"user.created", "user.updated", "user.deleted", "session.created", "session.revoked", "session.ended", "session.removed"} {
		raw, err := os.ReadFile(filepath.Join("testdata", "events", eventType+".json"))
		if err != nil {
			t.Fatal(err)
		}
		var want, got map[string]any
		if err := json.Unmarshal(raw, &want); err != nil {
			t.Fatal(err)
		}
		for _, a := range r.all() {
			if a.envelope.Type == eventType {
				if err := json.Unmarshal(a.body, &got); err != nil {
					t.Fatal(err)
				}
				break
			}
		}
		if got == nil {
			t.Errorf("%s was not sent", eventType)
			continue
		}
		compatible(t, eventType, want, got)
	}
}

// compatible asserts that got has every member of want, of the same type
// unless one of the two is null.
func compatible(t *testing.T, path string, want, got any) {
	t.Helper()
	wanted, ok := want.(map[string]any)
	if !ok {
		if want != nil && got != nil && reflect.TypeOf(want) != reflect.TypeOf(got) {
			t.Errorf("%s is a %T, in the example a %T", path, got, want)
		}
		return
	}
	object, ok := got.(map[string]any)
	if !ok {
		if got != nil {
			t.Errorf("%s is a %T, in the example an object", path, got)
		}
		return
	}
	if strings.HasSuffix(path, "_metadata") {
		return // anything may stand there
	}
	for name, value := range wanted {
		member, ok := object[name]
		if !ok {
			t.Errorf("%s.%s is missing", path, name)
			continue
		}
		compatible(t, path+"."+name, value, member)
	}
}

func TestEventsTellWhatHappened(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	c := instance(t, clerktest.Config{Users: 5, Concurrency: 1, Now: time.Now})
	r := receive(t, c)
	before := time.Now().UnixMilli()
	id := create(t, c, clerktest.Fields{"external_id": "ext_1"})
	check(t, c.BanUser(id))
	check(t, c.LockUser(id))
	check(t, c.MergeMetadata(id, clerktest.Fields{"unsafe_metadata": map[string]any{"a": 1}}))
	check(t, c.UpdateUser(id, clerktest.Fields{"deprovisioned": true, "last_sign_in_at": now.UnixMilli()}))
	check(t, c.DeleteUser(id))
	wait(t, c)
	var last int64
	for _, a := range r.all() {
		if a.envelope.Object != "event" || a.envelope.InstanceID != c.InstanceID() || !strings.HasPrefix(a.envelope.InstanceID, "ins_emulator") {
			t.Errorf("got the envelope %+v", a.envelope)
		}
		if a.envelope.Timestamp < before || a.envelope.Timestamp > time.Now().Add(time.Second).UnixMilli() {
			t.Errorf("timestamp %d is no present time in milliseconds", a.envelope.Timestamp)
		}
		if updated, ok := a.envelope.Data["updated_at"].(float64); ok {
			if int64(updated) <= last || int64(updated) > a.envelope.Timestamp {
				t.Errorf("updated_at went from %d to %.0f in an event of %d", last, updated, a.envelope.Timestamp)
			}
			last = int64(updated)
		}
	}
	updates := r.byType("user.updated")
	if len(r.byType("user.created")) != 1 || len(updates) != 4 {
		t.Fatalf("got %d user.created and %d user.updated", len(r.byType("user.created")), len(updates))
	}
	if updates[0].Data["banned"] != true || updates[1].Data["locked"] != true || updates[3].Data["deprovisioned"] != true {
		t.Errorf("the updates do not tell ban, lock and deprovisioning: %v", updates)
	}
	want := []envelope{{Data: map[string]any{"id": id, "object": "user", "deleted": true, "external_id": "ext_1"}}}
	got := r.byType("user.deleted")
	if diff := cmp.Diff(want[0].Data, got[0].Data); diff != "" {
		t.Errorf("user.deleted (-want +got):\n%s", diff)
	}
}

func TestBanRevokesSessions(t *testing.T) {
	t.Parallel()
	c := instance(t, clerktest.Config{Concurrency: 1})
	r := receive(t, c)
	id := create(t, c, clerktest.Fields{})
	for range 2 {
		_, err := c.CreateSession(id)
		check(t, err)
	}
	check(t, c.BanUser(id))
	wait(t, c)
	var types []string
	for _, a := range r.all() {
		types = append(types, a.envelope.Type)
	}
	want := []string{"user.created", "session.created", "session.created", "session.revoked", "session.revoked", "user.updated"}
	if diff := cmp.Diff(want, types); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	for _, e := range r.byType("session.created") {
		if user := e.Data["user"].(map[string]any); user["id"] != id || user["last_sign_in_at"] == nil {
			t.Errorf("session.created carries the user %v", user)
		}
	}
}

// mirrored are the members by which a mirror tells two states apart. In a
// webhook deprovisioned is missing when it is false.
var mirrored = []string{"id", "external_id", "username", "first_name", "last_name", "image_url", "primary_email_address_id",
	"primary_phone_number_id", "primary_web3_wallet_id", "public_metadata", "unsafe_metadata", "private_metadata", "banned", "locked",
	"two_factor_enabled", "created_at", "updated_at"}

// Webhook and listing tell the same state in different JSON.
func TestWebhookAndListingAgree(t *testing.T) {
	t.Parallel()
	c := instance(t, clerktest.Config{Users: 400, Seed: 5, Concurrency: 4})
	r := receive(t, c)
	ids := []string{}
	for id := range c.Users() {
		ids = append(ids, id)
	}
	for _, id := range ids {
		check(t, c.UpdateUser(id, clerktest.Fields{}))
	}
	wait(t, c)
	if len(r.all()) != 400 {
		t.Fatalf("got %d events", len(r.all()))
	}
	accounts, size := 0, 0
	for _, a := range r.all() {
		var listed map[string]any
		if err := json.Unmarshal(c.User(a.envelope.Data["id"].(string)), &listed); err != nil {
			t.Fatal(err)
		}
		for _, name := range mirrored {
			if diff := cmp.Diff(listed[name], a.envelope.Data[name]); diff != "" {
				t.Errorf("%s differs (-listing +webhook):\n%s", name, diff)
			}
		}
		for _, name := range []string{"email_address", "phone_number", "web3_wallet"} {
			group := name + "es"
			if name != "email_address" {
				group = name + "s"
			}
			if diff := cmp.Diff(identifiers(listed, group, name), identifiers(a.envelope.Data, group, name)); diff != "" {
				t.Errorf("%s differ (-listing +webhook):\n%s", group, diff)
			}
		}
		for _, account := range a.envelope.Data["external_accounts"].([]any) {
			accounts++
			if account := account.(map[string]any); account["object"] != "google_account" || account["google_id"] == nil || account["given_name"] == nil {
				t.Errorf("got the account %v in a webhook", account)
			}
		}
		if names := members(t, a.body); !slices.IsSorted(names) {
			t.Errorf("members of the webhook are not sorted: %v", names)
		}
		size += len(a.body)
	}
	if accounts < 50 {
		t.Errorf("only %d of 400 users have a Google account", accounts)
	}
	if size /= 400; size < 1800 || size > 2800 {
		t.Errorf("an event has %d bytes, a real one 2 to 2.5 KB", size)
	}
}

// members returns the names in data in their order.
func members(t *testing.T, body []byte) (names []string) {
	t.Helper()
	var envelope struct{ Data json.RawMessage }
	if err := json.Unmarshal(body, &envelope); err != nil {
		t.Fatal(err)
	}
	decoder := json.NewDecoder(bytes.NewReader(envelope.Data))
	for _, _ = decoder.Token(); decoder.More(); {
		name, _ := decoder.Token()
		names = append(names, name.(string))
		var value json.RawMessage
		if err := decoder.Decode(&value); err != nil {
			t.Fatal(err)
		}
	}
	return names
}

// identifiers returns id, value and verification status of a group.
func identifiers(u map[string]any, group, name string) []string {
	out := []string{}
	for _, item := range u[group].([]any) {
		i := item.(map[string]any)
		out = append(out, fmt.Sprint(i["id"], i[name], i["verification"].(map[string]any)["status"]))
	}
	return out
}

// What users write into their metadata is told byte by byte.
func TestHostileMetadata(t *testing.T) {
	t.Parallel()
	c := instance(t, clerktest.Config{Concurrency: 1})
	r := receive(t, c)
	for name, raw := range map[string]string{
		"NUL":             `{"a":"\u0000"}`,
		"lone surrogate":  `{"a":"\ud800","b":"\udc00x"}`,
		"huge number":     `{"a":1e400000}`,
		"deep":            strings.Repeat(`{"a":`, 20_000) + "1" + strings.Repeat("}", 20_000),
		"twins":           `{"a":1,"a":2,"A":3}`,
		"not JSON at all": `{"a":`,
	} {
		id := create(t, c, clerktest.Fields{"unsafe_metadata": json.RawMessage(raw)})
		member := `"unsafe_metadata":` + raw
		if !strings.Contains(string(c.User(id)), member) {
			t.Errorf("%s: not in the listing", name)
		}
		wait(t, c)
		if all := r.all(); !strings.Contains(string(all[len(all)-1].body), member) {
			t.Errorf("%s: not in the webhook", name)
		}
		check(t, c.BanUser(id))
	}
}

func TestSendAnything(t *testing.T) {
	t.Parallel()
	c := instance(t, clerktest.Config{Faults: clerktest.Faults{Drop: 1}})
	r := receive(t, c)
	c.Send(clerktest.Event{ID: "msg_1", Type: "email.created", Data: json.RawMessage(`{"id":"ema_1"}`), Timestamp: 1716883200, InstanceID: "ins_other"})
	id := c.Send(clerktest.Event{Body: []byte("not JSON")})
	wait(t, c)
	bodies := map[string]string{}
	for _, a := range r.all() {
		bodies[a.id] = string(a.body)
	}
	want := map[string]string{
		"msg_1": `{"data":{"id":"ema_1"},"event_attributes":{"http_request":{"client_ip":"127.0.0.1","user_agent":"clerktest"}},` +
			`"instance_id":"ins_other","object":"event","timestamp":1716883200,"type":"email.created"}`,
		id: "not JSON",
	}
	if diff := cmp.Diff(want, bodies); diff != "" {
		t.Errorf("bodies (-want +got):\n%s", diff)
	}
	body := []byte("x")
	if err := newReceiver(t, c).hook.Verify(body, c.Sign("msg_2", time.Now(), body)); err != nil {
		t.Errorf("Sign: %v", err)
	}
}
