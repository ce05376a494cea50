//go:build check

package clerktest_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/clerksync/clerksync/clerktest"
)

// TestClerkForJavaScript has Clerk's library for another language work with the emulator, and verify its events. It needs node, npm
// and npm's registry.
func TestClerkForJavaScript(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	script, err := os.ReadFile("testdata/backend.mjs")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "backend.mjs"), script, 0o644); err != nil {
		t.Fatal(err)
	}
	run(t, dir, nil, "npm", "install", "--no-audit", "--no-fund", "--prefix", dir, "@clerk/backend@3.25.0")

	port := freePort(t)
	s := clerktest.NewServer(t, clerktest.Config{WebhookURL: fmt.Sprintf("http://127.0.0.1:%d/", port), RetryScale: 0.01, Concurrency: 1})
	events := strings.Fields(`user.created user.created user.updated user.updated user.updated user.updated user.updated user.updated
		organization.created organizationMembership.created organization.updated
		organizationMembership.created organizationMembership.updated organizationMembership.deleted
		organizationInvitation.created organizationDomain.created invitation.created invitation.revoked session.created session.revoked
		organizationMembership.deleted organizationDomain.deleted organization.deleted user.deleted`)
	got := run(t, dir, []string{
		"API_URL=" + s.URL(), "SECRET_KEY=" + s.SecretKey(), "WEBHOOK_SECRET=" + s.WebhookSecret(),
		"PORT=" + strconv.Itoa(port), "EVENTS=" + strconv.Itoa(len(events)), "CLERK_TELEMETRY_DISABLED=1",
	}, "node", "backend.mjs")
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

func run(t *testing.T, dir string, env []string, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir, cmd.Env, cmd.Stderr = dir, append(os.Environ(), env...), os.Stderr
	output, err := cmd.Output()
	if err != nil {
		t.Fatalf("running %s (is it installed? `apt-get install nodejs npm`): %v\n%s", name, err, output)
	}
	return string(output)
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
