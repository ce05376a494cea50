package main_test

import (
	"strings"
	"testing"

	main "github.com/clerksync/clerksync/cmd/clerksync"
)

// FuzzSetting gives any value to each setting: it is taken, or refused with words that end a sentence and do not tell a secret.
func FuzzSetting(f *testing.F) {
	for _, value := range []string{"", "0", "-1", "true", "24h", "-9223372036854775808ns", "postgres://u:p@h:5432/d?sslmode=disable", "sqlite:clerk.db", "file:a?b=%zz",
		"host=h password='p", "whsec_MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0", "sk_test_abc", "ins_1", "users,organizations", "https://example.com/hook", "nats://h:4222/subject",
		"10.0.0.0/8,::1", "0 3 * * *", ":8080", "127.0.0.1:0", "\x00", "é%"} {
		f.Add(value)
	}
	f.Fuzz(func(t *testing.T, value string) {
		for _, row := range main.Settings() {
			err := main.Set(row.Name, value)
			if err == nil {
				continue
			}
			if err.Error() == "" {
				t.Errorf("%s refuses %q without a word", row.Name, value)
			}
			if row.Secret && len(value) > 12 && strings.Contains(err.Error(), value) {
				t.Errorf("%s tells the secret %q: %v", row.Name, value, err)
			}
		}
	})
}
