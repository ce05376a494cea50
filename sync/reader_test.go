package sync_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	clerksync "github.com/clerksync/clerksync/sync"
)

// everyRead makes each sort of read once.
func everyRead(t *testing.T, r *clerksync.Reader) map[string]error {
	t.Helper()
	_, get := r.Get(t.Context(), clerksync.Users, "user_1")
	_, list := r.List(t.Context(), clerksync.Users, url.Values{"limit": {"500"}})
	_, present := r.Present(t.Context(), clerksync.Users, []string{"user_1"})
	_, count := r.Count(t.Context(), clerksync.Users)
	return map[string]error{"Get": get, "List": list, "Present": present, "Count": count}
}

// TestPinBeforeRead reads nothing with another instance's key, and asks which one it is before it reads anything.
func TestPinBeforeRead(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, m *clerksync.Mirror, n *near) {
		n.instance = "ins_2another"
		n.answer = func(*http.Request) (*http.Response, error) { return says(404, fails("resource_not_found")), nil }
		for name, err := range everyRead(t, clerksync.NewReader(m, client(t, n, clerksync.APIConfig{RateLimit: -1}), clerksync.Login)) {
			if !errors.Is(err, clerksync.ErrWrongInstance) {
				t.Errorf("%s = %v, want ErrWrongInstance", name, err)
			}
		}
		for _, path := range n.paths() {
			if path != "/instance" {
				t.Errorf("%s was read with another instance's key", path)
			}
		}
	})
}

// TestInstanceIsAskedOnce asks once a process, and again after a 401: the key may be another one's by then.
func TestInstanceIsAskedOnce(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, m *clerksync.Mirror, n *near) {
		status := 200
		n.answer = func(*http.Request) (*http.Response, error) { return says(status, string(at(0, "a").JSON())), nil }
		api := client(t, n, clerksync.APIConfig{RateLimit: -1})
		get := func(source clerksync.Source) error {
			_, err := clerksync.NewReader(m, api, source).Get(t.Context(), clerksync.Users, "user_1")
			return err
		}
		if err := errors.Join(get(clerksync.Login), get(clerksync.Login), get(clerksync.Reconcile)); err != nil {
			t.Error(err)
		}
		status = 401
		if err := get(clerksync.Login); !errors.Is(err, clerksync.ErrUnavailable) {
			t.Errorf("with a refused key: %v, want ErrUnavailable", err)
		}
		status = 200
		if err := get(clerksync.Login); err != nil {
			t.Error(err)
		}
		want := []string{"/instance", "/users/user_1", "/users/user_1", "/users/user_1", "/users/user_1", "/instance", "/users/user_1"}
		if diff := cmp.Diff(want, n.paths()); diff != "" {
			t.Errorf("requests (-want +got)\n%s", diff)
		}
		status = 401
		_ = get(clerksync.Login)
		n.instance = "ins_2another"
		status = 200
		if err := get(clerksync.Login); !errors.Is(err, clerksync.ErrWrongInstance) {
			t.Errorf("with another instance's key: %v, want ErrWrongInstance", err)
		}
	})
}

// TestGetAnswers is P8 for reads: only the object, and a 404 in Clerk's own words, are evidence.
func TestGetAnswers(t *testing.T) {
	t.Parallel()
	object := string(at(0, "a").JSON())
	tests := []struct {
		name   string
		status int
		body   string
		want   string // "alive", "gone" or "" for no evidence
	}{
		{"the object", 200, object, "alive"},
		{"Clerk's 404", 404, fails("resource_not_found"), "gone"},
		{"another object", 200, strings.Replace(object, "user_1", "user_2", 1), ""},
		{"half an object", 200, object[:len(object)/2], ""},
		{"a list", 200, "[" + object + "]", ""},
		{"nothing", 200, "", ""},
		{"a page of HTML", 200, "<html>", ""},
		{"a proxy's 404", 404, "<html>", ""},
		{"an empty 404", 404, "", ""},
		{"a 404 for another reason", 404, fails("instance_not_found"), ""},
		{"a 410", 410, fails("resource_not_found"), ""},
		{"a refused key", 401, fails("clerk_key_invalid"), ""},
		{"a forbidden object", 403, fails("resource_not_found"), ""},
		{"a bad request", 400, fails("resource_not_found"), ""},
		{"a refused parameter", 422, fails("resource_not_found"), ""},
		{"too many requests", 429, fails("too_many_requests"), ""},
		{"an error", 500, fails("resource_not_found"), ""},
		{"a bad gateway", 502, "<html>", ""},
		{"a service that is down", 503, fails("service_unavailable"), ""},
		{"an empty answer", 204, "", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, m *clerksync.Mirror, n *near) {
				n.answer = func(*http.Request) (*http.Response, error) { return says(test.status, test.body), nil }
				r := clerksync.NewReader(m, client(t, n, clerksync.APIConfig{RateLimit: -1}), clerksync.Login)
				e, err := r.Get(t.Context(), clerksync.Users, "user_1")
				if test.want == "" {
					if !errors.Is(err, clerksync.ErrUnavailable) || e.ID != "" || e.Object != nil {
						t.Errorf("Get = %+v, %v, want no evidence and ErrUnavailable", e, err)
					}
					if err != nil && (strings.Contains(err.Error(), "user_1") || strings.Contains(err.Error(), "sk_test")) {
						t.Errorf("the error tells too much: %v", err)
					}
					return
				}
				if err != nil || e.ID != "user_1" || (e.Object != nil) != (test.want == "alive") || e.At != time.Now().UnixMilli() {
					t.Errorf("Get = %+v, %v, want %s", e, err, test.want)
				}
				apply(t, m, at(0, "a").told(), e)
				if got := rows(t, m)["user_1"].Deleted; got != (test.want == "gone") {
					t.Errorf("deleted %t, want %s", got, test.want)
				}
			})
		})
	}
}

// TestLateDelivery takes a delivery that had waited for a minute, as beside a machine that was paused, and then none: it says nothing of the
// clocks any more, also where nothing is read of Clerk.
func TestLateDelivery(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, m *clerksync.Mirror, _ *near) {
		m.NoteDelivery(time.Now().Add(-time.Minute))
		if skew, excessive := m.Skew(); !excessive || skew != -time.Minute {
			t.Errorf("at once the clocks are %s apart, %t", skew, excessive)
		}
		time.Sleep(10 * time.Minute) // of the bubble
		if skew, excessive := m.Skew(); excessive || skew != 0 {
			t.Errorf("10 minutes later the clocks are %s apart, %t", skew, excessive)
		}
	})
}

// TestSkewedClock tells the clocks apart by the Date header. While they differ too much, a read proves no more than the updated_at
// that it shows, and a 404 proves nothing.
func TestSkewedClock(t *testing.T) {
	t.Parallel()
	for skew, excessive := range map[time.Duration]bool{
		0: false, 29 * time.Second: false, -29 * time.Second: false, 32 * time.Second: true, -32 * time.Second: true, 48 * time.Hour: true,
	} {
		t.Run(skew.String(), func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, m *clerksync.Mirror, n *near) {
				n.skew = skew
				u := user{ID: "user_1", Updated: time.Now().Add(-48 * time.Hour).UnixMilli()}
				answer := says(200, string(u.JSON()))
				n.answer = func(*http.Request) (*http.Response, error) { return answer, nil }
				r := clerksync.NewReader(m, client(t, n, clerksync.APIConfig{RateLimit: -1}), clerksync.Resync)
				e, err := r.Get(t.Context(), clerksync.Users, "user_1")
				if err != nil {
					t.Fatal(err)
				}
				apply(t, m, e)
				want := time.Now().Add(-margin).UnixMilli()
				if excessive {
					want = u.Updated
				}
				if got := rows(t, m)["user_1"].Alive; got != want {
					t.Errorf("alive_at = %d, want %d", got, want)
				}
				if _, told := m.Skew(); told != excessive {
					t.Errorf("Skew tells %t, want %t", told, excessive)
				}
				answer = says(404, fails("resource_not_found"))
				if e, err = r.Get(t.Context(), clerksync.Users, "user_1"); errors.Is(err, clerksync.ErrSkewed) != excessive || (err == nil) == excessive {
					t.Errorf("a 404 = %+v, %v, want an error %t", e, err, excessive)
				}
			})
		})
	}
}

// TestHostilePage lists a page in which one user's metadata nest 20,000 deep, one is no user, and one is no object.
func TestHostilePage(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, m *clerksync.Mirror, n *near) {
		var page []string
		for i := range 20 {
			u := user{ID: fmt.Sprintf("user_%02d", i), Updated: past, Created: past}
			switch i {
			case 5:
				u.More = `,"unsafe_metadata":` + strings.Repeat(`{"a":`, 20_000) + "1" + strings.Repeat("}", 20_000)
			case 6:
				u.More = `,"public_metadata":{"a":"\u0000\ud800","b":1e400000}`
			}
			page = append(page, string(u.JSON()))
		}
		page = append(page, `{"object":"user","updated_at":1}`, `[1,{"id":"user_99"}]`, `"user_98"`)
		n.answer = func(*http.Request) (*http.Response, error) { return says(200, "["+strings.Join(page, " ,\n")+"]"), nil }
		r := clerksync.NewReader(m, client(t, n, clerksync.APIConfig{RateLimit: -1}), clerksync.Reconcile)
		sightings, err := r.List(t.Context(), clerksync.Users, nil)
		if err != nil || len(sightings) != len(page) {
			t.Fatalf("%d sightings, %v, want %d", len(sightings), err, len(page))
		}
		var evidence batch
		for i, s := range sightings {
			if i < 20 && (s.ID != fmt.Sprintf("user_%02d", i) || s.Updated != past || s.Created != past) {
				t.Errorf("sighting %d: %q, updated %d, created %d", i, s.ID, s.Updated, s.Created)
			}
			if i >= 20 && s.ID != "" {
				t.Errorf("sighting %d: %q, want no id", i, s.ID)
			}
			evidence = append(evidence, s.Evidence)
		}
		for i, outcome := range outcomesOf(apply(t, m, evidence...)) {
			if want := map[bool]clerksync.Outcome{true: clerksync.Created, false: clerksync.Quarantined}[i < 20]; outcome != want {
				t.Errorf("piece %d: %s, want %s", i, outcome, want)
			}
		}
		got := rows(t, m)
		if len(got) != 20 || got["user_05"].Unstorable == nil || got["user_06"].Unstorable == nil {
			t.Errorf("%d rows, unstorable %v and %v", len(got), got["user_05"].Unstorable, got["user_06"].Unstorable)
		}
	})
}

// TestListAnswers tells apart the parameters that Clerk refuses and the answers that never came.
func TestListAnswers(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		status int
		body   string
		want   error
	}{
		{"a page", 200, `[]`, nil},
		{"a refused cursor", 422, fails("request_query_parameter_invalid"), clerksync.ErrRefused},
		{"a bad request", 400, fails("request_body_invalid"), clerksync.ErrRefused},
		{"half a page", 200, `[{"id":"user_1"},`, clerksync.ErrUnavailable},
		{"an object", 200, `{"id":"user_1"}`, clerksync.ErrUnavailable},
		{"two pages", 200, `[][]`, clerksync.ErrUnavailable},
		{"HTML", 200, `<html>`, clerksync.ErrUnavailable},
		{"nothing", 200, ``, clerksync.ErrUnavailable},
		{"a refused key", 401, fails("authentication_invalid"), clerksync.ErrUnavailable},
		{"no such list", 404, fails("resource_not_found"), clerksync.ErrUnavailable},
		{"an error", 500, `[]`, clerksync.ErrUnavailable},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, m *clerksync.Mirror, n *near) {
				n.answer = func(*http.Request) (*http.Response, error) { return says(test.status, test.body), nil }
				r := clerksync.NewReader(m, client(t, n, clerksync.APIConfig{RateLimit: -1}), clerksync.Reconcile)
				if _, err := r.List(t.Context(), clerksync.Users, nil); !errors.Is(err, test.want) {
					t.Errorf("List = %v, want %v", err, test.want)
				}
			})
		})
	}
}
