package main

import (
	"bytes"
	"log"
	"net/http"
	"strings"
	"testing"

	"github.com/clerksync/clerksync/clerktest"
	"github.com/clerksync/clerksync/internal/pgtest"
	clerksync "github.com/clerksync/clerksync/sync"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// TestNightly lives through some nights: the first fills the mirror, others repair a day without webhooks, one of them erases who has
// left, and in the last Clerk is down.
func TestNightly(t *testing.T) { // alone, since it reads the log
	there := clerktest.NewServer(t, clerktest.Config{Users: 20})
	db := pgtest.New(t)
	job, err := newJob(t.Context(), db, clerksync.APIConfig{
		SecretKey: there.SecretKey(), URL: there.URL(), RateLimit: -1, Transport: &http.Transport{DisableKeepAlives: true},
	}, -1)
	if err != nil {
		t.Fatal(err)
	}
	var told bytes.Buffer
	log.SetOutput(&told)
	night := func(want string) {
		t.Helper()
		told.Reset()
		if err := job(); (err != nil) != strings.Contains(want, "behind") {
			t.Errorf("the job's error is %v", err)
		}
		if !strings.Contains(told.String(), want) {
			t.Errorf("the night told %q, want %q", told.String(), want)
		}
	}
	night("20 users seen, 20 differences repaired")
	ada := there.MustCreateUser(clerktest.Person("Ada", "Lovelace").Email("ada@example.com"))
	if _, err := there.CreateOrganization(clerktest.Fields{"name": "Lab", "created_by": ada}); err != nil {
		t.Fatal(err)
	}
	night("21 users seen, 3 differences repaired")
	bob := there.MustCreateUser(clerktest.Person("Bob", "Hope"))
	night("22 users seen, 1 differences repaired")
	if err := there.DeleteUser(bob); err != nil {
		t.Fatal(err)
	}
	db.MustExec(`UPDATE clerk.users SET _alive_at = _alive_at - 3600000, _seen_at = _seen_at - 3600000 WHERE id = $1`, bob) // as if an hour had passed
	night("21 users seen, 1 differences repaired")
	if !strings.Contains(told.String(), "1 erased") {
		t.Errorf("the night told %q, want that Bob is erased", told.String())
	}
	var members int
	err = db.GetContext(t.Context(), &members, `SELECT count(*) FROM clerk.active_organization_memberships
JOIN clerk.active_users AS u ON u.id = user_id WHERE u.email = 'ada@example.com'`)
	if err != nil || members != 1 {
		t.Errorf("Ada is in %d organizations, %v", members, err)
	}
	if err := there.SetFaults(clerktest.Faults{Unauthorized: true}); err != nil {
		t.Fatal(err)
	}
	night("the mirror may be behind until the next night")
}
