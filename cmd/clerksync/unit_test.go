package main_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	main "github.com/clerksync/clerksync/cmd/clerksync"
	"github.com/clerksync/clerksync/reconcile"
	clerksync "github.com/clerksync/clerksync/sync"
)

func TestExitCode(t *testing.T) {
	t.Parallel()
	wrong, incomplete, guard, drift := clerksync.ErrWrongInstance, reconcile.ErrIncomplete, reconcile.ErrGuard, main.ErrDrift
	for _, c := range []struct {
		err  error
		want int
	}{
		{nil, 0},
		{errors.New("whatever"), 1},
		{clerksync.ErrUnavailable, 1},
		{main.Mistake("say it otherwise"), 2},
		{errors.Join(main.Mistake("one"), main.Mistake("two")), 2},
		{fmt.Errorf("passing: %w", guard), 3},
		{fmt.Errorf("passing: %w", wrong), 4},
		{drift, 5},
		{reconcile.ErrBusy, 6},
		{incomplete, 7},
		{errors.Join(drift, guard, incomplete, wrong), 4},
		{errors.Join(drift, guard, incomplete), 7},
		{errors.Join(drift, guard), 3},
		{errors.Join(drift, reconcile.ErrBusy), 5},
	} {
		if got := main.ExitCode(c.err); got != c.want {
			t.Errorf("exit code of %v: %d, want %d", c.err, got, c.want)
		}
	}
}

// TestSecret prints a secret in every way there is.
func TestSecret(t *testing.T) {
	t.Parallel()
	s := main.NewSecret("sk_test_hush")
	inside := struct {
		Key    main.Secret
		hidden main.Secret
	}{s, s}
	whole, err := main.Read("sk_test_hush", "whsec_aHVzaGh1c2hodXNoaHVzaGh1c2hodXNo", "hush", "postgres://me:hush@localhost/app")
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
		fmt.Fprintf(&out, verb, s)
		fmt.Fprintf(&out, verb, inside)
		fmt.Fprintf(&out, verb, whole)
	}
	fmt.Fprintln(&out, s, inside, &inside, whole)
	slog.New(slog.NewTextHandler(&out, nil)).Info("text", "key", s, "inside", inside)
	slog.New(slog.NewJSONHandler(&out, nil)).Info("json", "key", s, "inside", inside)
	if err := json.NewEncoder(&out).Encode(inside); err != nil {
		t.Fatal(err)
	}
	if text := out.String(); strings.Contains(text, "hush") || strings.Contains(text, "aHVz") || strings.Contains(text, fmt.Sprintf("%x", "hush")) {
		t.Errorf("a secret shows:\n%s", text)
	}
}

// TestResources reads what to mirror. The order in which it is said, and how often, makes no difference.
func TestResources(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		value string
		want  []clerksync.Kind
	}{
		{"users", []clerksync.Kind{"users"}},
		{"memberships, users,memberships", []clerksync.Kind{"organization_memberships", "users"}},
		{"users,organizations", []clerksync.Kind{"organization_domains", "organizations", "permissions", "roles", "users"}},
		{"users,invitations,sessions", []clerksync.Kind{"invitations", "organization_invitations", "sessions", "users"}},
		{"", nil}, {"users,", nil}, {"Users", nil}, {"sessions", nil}, {"users,domains", nil},
	} {
		got, err := main.ParseResources(c.value)
		if diff := cmp.Diff(c.want, got); diff != "" || (err == nil) != (c.want != nil) {
			t.Errorf("%q: %v (-want +got):\n%s", c.value, err, diff)
		}
	}
}

// TestBillOfMaterials compares the modules of the bill with those that the command tells otherwise.
func TestBillOfMaterials(t *testing.T) {
	t.Parallel()
	var bill struct {
		BOMFormat, SpecVersion string
		Components             []struct{ Name, Version, PURL string }
	}
	var build struct{ Dependencies map[string]string }
	for flag, to := range map[string]any{"--sbom": &bill, "--json": &build} {
		out, _ := run(t, 0, nil, "version", flag)
		if err := json.Unmarshal([]byte(out), to); err != nil {
			t.Fatal(err)
		}
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	own, _ := run(t, 0, nil, "version", "--sbom")
	if named, _ := run(t, 0, nil, "version", "--sbom", self); named != own {
		t.Errorf("the bill of the file differs from that of the program:\n%s\n%s", named, own)
	}
	run(t, 1, nil, "version", "--sbom", "unit_test.go")
	run(t, 2, nil, "version", self)
	for _, c := range bill.Components {
		if c.Name != "std" && build.Dependencies[c.Name] != c.Version || c.PURL != "pkg:golang/"+c.Name+"@"+c.Version {
			t.Errorf("the bill has %+v, the build %q", c, build.Dependencies[c.Name])
		}
	}
	if len(bill.Components) != len(build.Dependencies)+1 || len(bill.Components) < 20 || bill.BOMFormat != "CycloneDX" || bill.SpecVersion != "1.6" {
		t.Errorf("the bill is %d components of %s %s, the build has %d", len(bill.Components), bill.BOMFormat, bill.SpecVersion, len(build.Dependencies))
	}
}
