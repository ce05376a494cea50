package sync_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	clerksync "github.com/clerksync/clerksync/sync"
)

// TestRekey changes the key of a reader at work: to one of the same instance, of another one, of nobody, and to none at all.
func TestRekey(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, m *clerksync.Mirror, n *near) {
		instances := map[string]string{"sk_test_key": "ins_2mirror", "sk_test_second": "ins_2mirror", "sk_test_foreign": "ins_2another"}
		n.instance = "" // answered here, by the key
		var read []string
		n.answer = func(r *http.Request) (*http.Response, error) {
			key := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
			if !strings.HasSuffix(r.URL.Path, "/instance") {
				read = append(read, key)
				return says(200, string(at(0, "a").JSON())), nil
			}
			if instances[key] == "" {
				return says(401, fails("clerk_key_invalid")), nil
			}
			return says(200, fmt.Sprintf(`{"object":"instance","id":%q}`, instances[key])), nil
		}
		reader := clerksync.NewReader(m, client(t, n, clerksync.APIConfig{RateLimit: -1}), clerksync.Login)
		for _, c := range []struct {
			key  string
			want error // of the change
			then string
		}{
			{"", nil, "sk_test_key"},
			{"sk_test_foreign", clerksync.ErrWrongInstance, "sk_test_key"},
			{"sk_test_nobody", clerksync.ErrUnavailable, "sk_test_key"},
			{"sk_test_second", nil, "sk_test_second"},
			{"pk_test_second", errAny, "sk_test_second"},
		} {
			if c.key != "" {
				if err := reader.Rekey(t.Context(), c.key); !errors.Is(err, c.want) && (c.want != errAny || err == nil) {
					t.Errorf("Rekey(%s) = %v, want %v", c.key, err, c.want)
				}
			}
			read = nil
			if _, err := reader.Get(t.Context(), clerksync.Users, "user_1"); err != nil {
				t.Error(err)
			}
			if len(read) != 1 || read[0] != c.then {
				t.Errorf("after %q the user was read with %q, want %s", c.key, read, c.then)
			}
		}
	})
}

var errAny = errors.New("any")

// TestAPIConfigHidesItsKey prints the configuration and the client in every way there is.
func TestAPIConfigHidesItsKey(t *testing.T) {
	t.Parallel()
	cfg := clerksync.APIConfig{SecretKey: "sk_test_hush", RateLimit: -1}
	api, err := clerksync.NewAPI(cfg)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range []any{cfg, &cfg, struct{ C clerksync.APIConfig }{cfg}, api} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			if text := fmt.Sprintf(verb, v); strings.Contains(text, "hush") || strings.Contains(text, fmt.Sprintf("%x", "hush")) {
				t.Errorf("%s of %T shows the key: %s", verb, v, text)
			}
		}
	}
}
