package main

import (
	"fmt"
	"time"

	svix "github.com/svix/svix-webhooks/go"
)

// userJSON is a user as Clerk's events have it, about 2.2 kB. It takes the user's number, the event's number, the millisecond of
// both and unsafe_metadata.
const userJSON = `{"id":"user_2benchbenchbenchbench%08[1]d","object":"user","username":"user%[1]d","first_name":"Zoë %[2]d",` +
	`"last_name":"Müller","locale":"de-DE","image_url":"https://img.clerk.com/eyJ0eXBlIjoiZGVmYXVsdCIsImlpZCI6Imluc18yeGhGakVJNVg` +
	`ycVdSdnRWMTNCelNqOEgiLCJyaWQiOiJ1c2VyXzJ4%08[1]d","has_image":true,"primary_email_address_id":"idn_2benchbenchbenchbench%08[1]d",` +
	`"primary_phone_number_id":null,"primary_web3_wallet_id":null,"password_enabled":true,"two_factor_enabled":false,` +
	`"totp_enabled":false,"backup_code_enabled":false,"email_addresses":[{"id":"idn_2benchbenchbenchbench%08[1]d",` +
	`"object":"email_address","email_address":"user.%[1]d@example.com","reserved":false,"verification":{"object":"verification_otp",` +
	`"status":"verified","strategy":"email_code","attempts":1,"expire_at":1700000600000},"linked_to":[{"type":"oauth_google",` +
	`"id":"idn_2benchgoogle%08[1]d"}],"matches_sso_connection":false,"created_at":1700000000000,"updated_at":1700000000010}],` +
	`"phone_numbers":[],"web3_wallets":[],"passkeys":[],"external_accounts":[{"object":"google_account","id":"idn_2benchgoogle%08[1]d",` +
	`"google_id":"1043%017[1]d","approved_scopes":"email https://www.googleapis.com/auth/userinfo.email openid profile",` +
	`"email_address":"user.%[1]d@example.com","given_name":"Zoë","family_name":"Müller","picture":"https://lh3.googleusercontent.com/` +
	`a/ACg8ocKx%016[1]d","username":null,"public_metadata":{},"label":null,"created_at":1700000000000,"updated_at":1700000000000,` +
	`"verification":{"object":"verification_oauth","status":"verified","strategy":"oauth_google","attempts":null,"expire_at":` +
	`1700000600000}}],"saml_accounts":[],"enterprise_accounts":[],"password_last_updated_at":1700000000000,"public_metadata":{"plan":` +
	`"pro","seats":12,"features":["export","sso","audit"],"billing":{"customer":"cus_%[1]d","cycle":"yearly","amount":1249.5}},` +
	`"private_metadata":{"crm":"0065f00000%[1]d"},"unsafe_metadata":%[4]s,"external_id":"%08[1]d","last_sign_in_at":%[3]d,` +
	`"banned":false,"locked":false,"lockout_expires_in_seconds":null,"verification_attempts_remaining":100,"created_at":1700000000000,` +
	`"updated_at":%[3]d,"delete_self_enabled":true,"create_organization_enabled":true,"last_active_at":%[3]d,"mfa_enabled_at":null,` +
	`"mfa_disabled_at":null,"legal_accepted_at":1700000000000,"profile_image_url":"https://www.gravatar.com/avatar?d=mp"}`

const eventJSON = `{"data":%s,"event_attributes":{"http_request":{"client_ip":"203.0.113.7","user_agent":"Mozilla/5.0 (X11; Linux ` +
	`x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36"}},"instance_id":"` + instanceID + `",` +
	`"object":"event","timestamp":%d,"type":"user.updated"}`

// wholesome is what unsafe_metadata holds where it is not poison.
const wholesome = `{"theme":"dark","onboarding":{"step":4,"done":true}}`

// poisons are what PostgreSQL refuses as jsonb.
var poisons = []string{`{"bio":"a\u0000b"}`, `{"bio":"\ud800"}`, `{"height":1e400000}`, `{"\u0000":1}`}

// newDelivery makes the request that posts the n-th event of a load, about the given user, as it goes over the wire. Later events
// hold later content. age is how long ago the first of them happened.
func newDelivery(signer *svix.Webhook, path, prefix string, n, user int, metadata string, begun time.Time, age time.Duration) ([]byte, error) {
	at := begun.Add(-age).UnixMilli() + int64(n)
	body := fmt.Appendf(nil, eventJSON, fmt.Sprintf(userJSON, user, n, at, metadata), at)
	id := fmt.Sprintf("msg_%s%08d", prefix, n)
	signature, err := signer.Sign(id, begun, body)
	if err != nil {
		return nil, err
	}
	request := fmt.Appendf(nil, requestLines, path, len(body), id, begun.Unix(), signature)
	return append(request, body...), nil
}

const requestLines = "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n" +
	"Svix-Id: %s\r\nSvix-Timestamp: %d\r\nSvix-Signature: %s\r\n\r\n"
