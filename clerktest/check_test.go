//go:build check

package clerktest_test

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/clerksync/clerksync/clerktest"
	"github.com/clerksync/clerksync/internal/npmtest"
)

// TestClerkForJavaScript has Clerk's library for another language work with the emulator, and verify its events. It needs node, npm
// and npm's registry.
func TestClerkForJavaScript(t *testing.T) {
	t.Parallel()
	port := freePort(t)
	s := clerktest.NewServer(t, clerktest.Config{WebhookURL: fmt.Sprintf("http://127.0.0.1:%d/", port), RetryScale: 0.01, Concurrency: 1})
	events := strings.Fields(`user.created user.created user.updated user.updated user.updated user.updated user.updated user.updated
		organization.created organizationMembership.created organization.updated
		organizationMembership.created organizationMembership.updated organizationMembership.deleted
		organizationInvitation.created organizationDomain.created invitation.created invitation.revoked session.created session.revoked
		organizationMembership.deleted organizationDomain.deleted organization.deleted user.deleted`)
	got := npmtest.Run(t, "testdata/backend.mjs", []string{
		"API_URL=" + s.URL(), "SECRET_KEY=" + s.SecretKey(), "WEBHOOK_SECRET=" + s.WebhookSecret(),
		"PORT=" + strconv.Itoa(port), "EVENTS=" + strconv.Itoa(len(events)), "CLERK_TELEMETRY_DISABLED=1",
	}, "@clerk/backend@3.25.0")
	want := `get "ada@example.com"
list 2
by address ["Ada Byron"]
count 2
rename "Ada Lovelace"
metadata {"admin":true}
ban true
unban false
lock true
unlock false
by slug true
members count [1]
rename it "Engines"
join "org:member"
promote "org:admin"
members ["org:admin","org:admin"]
a user's ["Engines"]
leave true
invite to it "pending"
invited to it ["eve@example.com"]
its domain "engine.example"
invited 1
revoke "revoked"
sessions ["active"]
token true
end "revoked"
instance "development"
nobody failed: 404 resource_not_found Not Found
too many failed: 422 form_param_value_invalid Unprocessable Entity
twice failed: 422 form_identifier_exists Unprocessable Entity
dissolve true
delete true
` + strings.Join(events, " ") + "\n"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("what came of it (-want +got):\n%s", diff)
	}
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}
