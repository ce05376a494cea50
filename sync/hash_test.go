package sync_test

import (
	"strings"
	"testing"
	"time"

	clerksync "github.com/clerksync/clerksync/sync"
)

// whole is a user with every member that the projection has, as a list shows it.
const whole = `{"id":"user_1","object":"user","external_id":"x-1","username":"ada","first_name":"Ada","last_name":"Love",
"image_url":"https://img.example/a","primary_email_address_id":"idn_2","primary_phone_number_id":"idn_3","primary_web3_wallet_id":"idn_5",
"email_addresses":[
 {"id":"idn_1","object":"email_address","email_address":"a@example.com","verification":{"status":"unverified","strategy":"email_code","attempts":1},"linked_to":[]},
 {"id":"idn_2","object":"email_address","email_address":"b@example.com","verification":{"status":"verified","strategy":"admin"},"linked_to":[]}],
"phone_numbers":[{"id":"idn_3","phone_number":"+4930123456","verification":{"status":"verified"}}],
"web3_wallets":[{"id":"idn_5","web3_wallet":"0xabc","verification":{"status":"verified"}}],
"public_metadata":{"plan":"pro","seats":3,"tags":["a","b"]},"unsafe_metadata":{"theme":"dark"},"private_metadata":{"stripe":"cus_1"},
"external_accounts":[{"id":"eac_1","provider":"oauth_google","provider_user_id":"1"}],
"banned":false,"locked":false,"deprovisioned":false,"two_factor_enabled":false,"lockout_expires_in_seconds":null,
"verification_attempts_remaining":100,"created_at":1700000000000,"updated_at":1700000001000,"last_sign_in_at":1700000000500,"last_active_at":1700000000600}`

// hash returns the hash of the user that the JSON shows.
func hash(t *testing.T, cfg clerksync.Config, object string) string {
	t.Helper()
	e := clerksync.Evidence{Kind: clerksync.Users, Object: []byte(object), At: past, Source: clerksync.Webhook}
	m := clerksync.Interpret(cfg, e, time.Now())
	if m.Settled {
		t.Fatalf("%s: %s", m.Result.Outcome, m.Result.Reason)
	}
	if len(m.Key.Hash) != 33 {
		t.Fatalf("the hash has %d bytes, want a version byte and 32", len(m.Key.Hash))
	}
	return m.Key.Hash
}

// edit replaces one text by another, and fails where it is not there.
func edit(t *testing.T, object, old, with string) string {
	t.Helper()
	if strings.Count(object, old) != 1 {
		t.Fatalf("%q occurs %d times, want once", old, strings.Count(object, old))
	}
	return strings.Replace(object, old, with, 1)
}

func TestHashOfTheSameUser(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, old, with string }{
		{"updated_at", `"updated_at":1700000001000`, `"updated_at":1700000009000`},
		{"last sign-in", `"last_sign_in_at":1700000000500`, `"last_sign_in_at":1700000009500`},
		{"last activity", `"last_active_at":1700000000600`, `"last_active_at":null`},
		{"lockout counters", `"lockout_expires_in_seconds":null`, `"lockout_expires_in_seconds":3600`},
		{"attempts", `"verification_attempts_remaining":100`, `"verification_attempts_remaining":3`},
		{"external accounts", `"provider":"oauth_google","provider_user_id":"1"`, `"object":"google_account","google_id":"1","picture":"p"`},
		{"private metadata that are not kept", `"stripe":"cus_1"`, `"stripe":"cus_2"`},
		{"no private metadata", `"private_metadata":{"stripe":"cus_1"},`, ``},
		{"an unknown member", `"locked":false`, `"locked":false,"bells":["whistles"]`},
		{"white space", `"username":"ada"`, "\"username\" :\t\"ada\"\n"},
		{"the order of members", `"username":"ada","first_name":"Ada"`, `"first_name":"Ada","username":"ada"`},
		{"escapes", `"first_name":"Ada"`, `"first_name":"\u0041d\u0061"`},
		{"an escaped name of a member", `"first_name"`, `"first\u005fname"`},
		{"a slash", `"https://img.example/a"`, `"https:\/\/img.example\/a"`},
		{"an absent deprovisioned", `"deprovisioned":false,`, ``},
		{"a null boolean", `"banned":false`, `"banned":null`},
		{"a number written otherwise", `"created_at":1700000000000`, `"created_at":1.7e12`},
		{"a number in metadata written otherwise", `"seats":3`, `"seats":3.0`},
		{"the order of metadata", `{"plan":"pro","seats":3,"tags":["a","b"]}`, `{"tags":["a","b"],"seats":3,"plan":"pro"}`},
		{"escapes in metadata", `"plan":"pro"`, `"pl\u0061n":"\u0070ro"`},
		{"white space in metadata", `{"theme":"dark"}`, `{ "theme" : "dark" }`},
		{"what else an e-mail has", `"linked_to":[]},`, `"linked_to":[{"type":"oauth_google","id":"idn_9"}],"created_at":5},`},
		{"what else a verification has", `"strategy":"email_code","attempts":1`, `"strategy":"admin","attempts":null,"expire_at":9`},
	}
	want := hash(t, clerksync.Config{}, whole)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got := hash(t, clerksync.Config{}, edit(t, whole, test.old, test.with)); got != want {
				t.Error("the hash moved")
			}
		})
	}
}

func TestHashOfAnotherUser(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, old, with string }{
		{"id", `"id":"user_1"`, `"id":"user_2"`},
		{"external_id", `"external_id":"x-1"`, `"external_id":"x-2"`},
		{"no external_id", `"external_id":"x-1"`, `"external_id":null`},
		{"username", `"username":"ada"`, `"username":"Ada"`},
		{"first_name", `"first_name":"Ada"`, `"first_name":"Eda"`},
		{"last_name", `"last_name":"Love"`, `"last_name":null`},
		{"names swapped", `"first_name":"Ada","last_name":"Love"`, `"first_name":"Love","last_name":"Ada"`},
		{"image_url", `img.example/a`, `img.example/b`},
		{"primary e-mail", `"primary_email_address_id":"idn_2"`, `"primary_email_address_id":"idn_1"`},
		{"no primary e-mail", `"primary_email_address_id":"idn_2"`, `"primary_email_address_id":null`},
		{"primary phone", `"primary_phone_number_id":"idn_3"`, `"primary_phone_number_id":null`},
		{"primary wallet", `"primary_web3_wallet_id":"idn_5"`, `"primary_web3_wallet_id":null`},
		{"e-mail", `"email_address":"a@example.com"`, `"email_address":"c@example.com"`},
		{"e-mail verified", `"status":"unverified"`, `"status":"verified"`},
		{"id of an e-mail", `"id":"idn_1"`, `"id":"idn_7"`},
		{"phone", `+4930123456`, `+4930123457`},
		{"wallet", `0xabc`, `0xabd`},
		{"public metadata", `"seats":3`, `"seats":4`},
		{"order in an array of metadata", `["a","b"]`, `["b","a"]`},
		{"public metadata gone", `{"plan":"pro","seats":3,"tags":["a","b"]}`, `{}`},
		{"a null in metadata", `{"theme":"dark"}`, `{"theme":"dark","size":null}`},
		{"unsafe metadata", `"theme":"dark"`, `"theme":"light"`},
		{"banned", `"banned":false`, `"banned":true`},
		{"locked", `"locked":false`, `"locked":true`},
		{"deprovisioned", `"deprovisioned":false`, `"deprovisioned":true`},
		{"two factors", `"two_factor_enabled":false`, `"two_factor_enabled":true`},
		{"created_at", `"created_at":1700000000000`, `"created_at":1700000000001`},
	}
	seen := map[string]string{hash(t, clerksync.Config{}, whole): "unedited"}
	for _, test := range tests {
		h := hash(t, clerksync.Config{}, edit(t, whole, test.old, test.with))
		if other, ok := seen[h]; ok {
			t.Errorf("%s hashes like %s", test.name, other)
		}
		seen[h] = test.name
	}
}

// TestHashOfContactsInAnyOrder has Clerk list the same e-mails in two orders.
func TestHashOfContactsInAnyOrder(t *testing.T) {
	t.Parallel()
	const first, second = `{"id":"idn_1","email_address":"a@example.com"}`, `{"id":"idn_2","email_address":"b@example.com"}`
	user := func(emails string) string {
		return `{"id":"user_1","object":"user","updated_at":1,"email_addresses":[` + emails + `]}`
	}
	if hash(t, clerksync.Config{}, user(first+","+second)) != hash(t, clerksync.Config{}, user(second+","+first)) {
		t.Error("the order of e-mails moves the hash")
	}
	absent := hash(t, clerksync.Config{}, `{"id":"user_1","object":"user","updated_at":1}`)
	for _, none := range []string{`[]`, `null`} {
		if hash(t, clerksync.Config{}, `{"id":"user_1","object":"user","updated_at":1,"email_addresses":`+none+`}`) != absent {
			t.Errorf("no e-mails as %s hash otherwise than absent ones", none)
		}
	}
}

// TestHashOfPrivateMetadata keeps private metadata: then they count, under a version byte of their own.
func TestHashOfPrivateMetadata(t *testing.T) {
	t.Parallel()
	keep := clerksync.Config{PrivateMetadata: true}
	with, other := hash(t, keep, whole), hash(t, keep, edit(t, whole, "cus_1", "cus_2"))
	if with == other {
		t.Error("private metadata that are kept do not move the hash")
	}
	if without := hash(t, clerksync.Config{}, whole); with[0] == without[0] || with[1:] == without[1:] {
		t.Error("the hash does not tell whether private metadata are kept")
	}
}
