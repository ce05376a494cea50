package clerksync_test

import (
	"go/ast"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestSecurityTable looks for every test that SECURITY.md names as the proof of something, in the room where it should be.
func TestSecurityTable(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("SECURITY.md")
	if err != nil {
		t.Fatal(err)
	}
	there := map[string]bool{}
	eachFile(t, func(path string, file *ast.File) {
		for _, decl := range file.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && f.Recv == nil && strings.HasSuffix(path, "_test.go") {
				there[strings.TrimPrefix(filepath.Base(filepath.Dir(path))+"."+f.Name.Name, "..")] = true
			}
		}
	})
	named := regexp.MustCompile("`((?:[a-z]+\\.)?(?:Test|Fuzz)[A-Za-z0-9]+)`").FindAllStringSubmatch(string(text), -1)
	for _, m := range named {
		if !there[m[1]] {
			t.Errorf("SECURITY.md names %s, which is no test", m[1])
		}
	}
	if len(named) < 60 {
		t.Errorf("SECURITY.md names only %d tests", len(named))
	}
}

// TestConstantTime makes sure that the one comparison of a secret with what somebody sends that is ours takes the same time however
// much of it is right.
func TestConstantTime(t *testing.T) {
	t.Parallel()
	found := false
	eachFile(t, func(path string, file *ast.File) {
		if path != "internal/admin/handler.go" {
			return
		}
		ast.Inspect(file, func(n ast.Node) bool {
			f, ok := n.(*ast.FuncDecl)
			if !ok || f.Name.Name != "authorized" {
				return true
			}
			found = calls(f, "subtle", "ConstantTimeCompare") && calls(f, "sha256", "Sum256")
			ast.Inspect(f, func(n ast.Node) bool {
				if c, ok := n.(*ast.BinaryExpr); ok && c.Op == token.EQL && !calls(c, "subtle", "ConstantTimeCompare") {
					t.Error("authorized compares something by ==")
				}
				return true
			})
			return false
		})
	})
	if !found {
		t.Error("authorized does not compare digests by subtle.ConstantTimeCompare")
	}
}

// TestPodsGetNoMore reads the manifests: Kubernetes would hand each pod a token for its own API and, where a Service is called clerksync,
// variables that begin like our settings, of which the log would tell that there are no such ones.
func TestPodsGetNoMore(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"deploy/kubernetes.yaml", "examples/nightly/cronjob.yaml"} {
		manifest := readPage(t, path)
		pods := strings.Count(manifest, "containers:\n")
		for _, want := range []string{"automountServiceAccountToken: false", "enableServiceLinks: false"} {
			if n := strings.Count(manifest, want); n != pods || pods == 0 {
				t.Errorf("%s: %d of %d pods say %s", path, n, pods, want)
			}
		}
		if _, service, _ := strings.Cut(manifest, "kind: Service\n"); strings.Contains(service, "admin") {
			t.Errorf("%s: the Service leads to the admin listener", path)
		}
	}
}
