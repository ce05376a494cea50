package scan_test

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/clerksync/clerksync/internal/scan"
)

// user is a user object as Clerk's list shows it, about 2.5 kB.
func user(n int) string {
	at := 1700000000000 + n*977
	email := fmt.Sprintf(`{"id":"idn_2xhFjEI5X2qWRvtV13BzSj8H%04d","object":"email_address","email_address":"user.%d@example.com","reserved":false,"verification":{"object":"verification_otp","status":"verified","strategy":"email_code","attempts":1,"expire_at":%d,"error":null,"channel":null,"external_verification_redirect_url":null},"linked_to":[{"type":"oauth_google","id":"idn_2yGoogle%08d"}],"matches_sso_connection":false,"created_at":%d,"updated_at":%d}`, n, n, at+600000, n, at, at+10)
	google := fmt.Sprintf(`{"object":"external_account","id":"idn_2yGoogle%08d","provider":"oauth_google","identification_id":"idn_2zIdent%08d","provider_user_id":"1043%017d","approved_scopes":"email https://www.googleapis.com/auth/userinfo.email openid profile","email_address":"user.%d@example.com","first_name":"Zo\u00eb","last_name":"Müller","avatar_url":"https://lh3.googleusercontent.com/a/ACg8ocKx%016x","image_url":"https://img.clerk.com/eyJ0eXBlIjoicHJveHkiLCJzcmMiOiJodHRwczovL2ltYWdlcy5jbGVyay5kZXYvb2F1dGhfZ29vZ2xlL2ltZ18%08d","username":null,"phone_number":null,"public_metadata":{},"label":null,"created_at":%d,"updated_at":%d,"verification":{"object":"verification_oauth","status":"verified","strategy":"oauth_google","attempts":null,"expire_at":%d,"error":null}}`, n, n, n, n, n*7919, n, at, at, at)
	return fmt.Sprintf(`{"id":"user_2xhFjEI5X2qWRvtV13BzSj8H%04d","object":"user","username":"user%d","first_name":"Zoë","last_name":"Müller","locale":"de-DE","image_url":"https://img.clerk.com/eyJ0eXBlIjoiZGVmYXVsdCIsImlpZCI6Imluc18yeGhGakVJNVgycVdSdnRWMTNCelNqOEgiLCJyaWQiOiJ1c2VyXzJ4%08d","has_image":true,"primary_email_address_id":"idn_2xhFjEI5X2qWRvtV13BzSj8H%04d","primary_phone_number_id":null,"primary_web3_wallet_id":null,"password_enabled":true,"two_factor_enabled":false,"totp_enabled":false,"backup_code_enabled":false,"email_addresses":[%s],"phone_numbers":[],"web3_wallets":[],"passkeys":[],"external_accounts":[%s],"saml_accounts":[],"enterprise_accounts":[],"password_last_updated_at":%d,"public_metadata":{"plan":"pro","seats":%d,"features":["export","sso","audit"],"billing":{"customer":"cus_%d","cycle":"yearly","amount":1249.5}},"private_metadata":{"crm":"0065f00000%d"},"unsafe_metadata":{"theme":"dark","onboarding":{"step":4,"done":true}},"external_id":"%08d","last_sign_in_at":%d,"banned":false,"locked":false,"lockout_expires_in_seconds":null,"verification_attempts_remaining":100,"created_at":%d,"updated_at":%d,"delete_self_enabled":true,"bypass_client_trust":false,"create_organization_enabled":true,"last_active_at":%d,"mfa_enabled_at":null,"mfa_disabled_at":null,"requires_password_reset":false,"deprovisioned":false,"legal_accepted_at":%d,"profile_image_url":"https://www.gravatar.com/avatar?d=mp"}`,
		n, n, n, n, email, google, at, n%50, n, n, n, at+5000, at, at+5012, at+86400000, at)
}

func page(users int) []byte {
	var b bytes.Buffer
	b.WriteByte('[')
	for n := range users {
		if n > 0 {
			b.WriteByte(',')
		}
		b.WriteString(user(n))
	}
	b.WriteByte(']')
	return b.Bytes()
}

// BenchmarkPage splits a full page of Clerk's list into users and their members.
func BenchmarkPage(b *testing.B) {
	page := page(500)
	b.Run("Array", func(b *testing.B) {
		b.SetBytes(int64(len(page)))
		b.ReportAllocs()
		for b.Loop() {
			if err := scan.Array(page, func([]byte) error { return nil }); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("Records", func(b *testing.B) {
		names := []string{"id", "created_at", "updated_at"}
		b.SetBytes(int64(len(page)))
		b.ReportAllocs()
		for b.Loop() {
			if err := scan.Records(page, names, func([]byte, [][]byte) error { return nil }); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("Array+Object+Names", func(b *testing.B) {
		b.SetBytes(int64(len(page)))
		b.ReportAllocs()
		for b.Loop() {
			if members := split(b, page); members < 500*40 {
				b.Fatal(members)
			}
		}
	})
}

// split counts the members of a page's objects, whose names are unique.
func split(t testing.TB, page []byte) (members int) {
	err := scan.Array(page, func(elem []byte) error {
		var names scan.Names
		return scan.Object(elem, func(m scan.Member) error {
			members++
			if m.Hazards != 0 {
				t.Errorf("%s has hazards %b", m.Name, m.Hazards)
			}
			return names.Add(m.Name)
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return members
}
