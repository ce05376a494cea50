// Package clerksync_test tests what no single package can: the rules of the house, whole worlds, and the documents.
package clerksync_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/clerksync/clerksync"

// room is what the go command tells about a package.
type room struct {
	ImportPath string
	Imports    []string // without those of tests
	Deps       []string // these and theirs, all the way down
}

// rooms lists the packages of the module by their folders.
func rooms(t *testing.T) map[string]room {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-e", "-json=ImportPath,Imports,Deps", "./...").Output()
	if err != nil {
		t.Fatal("go list: ", err)
	}
	all := map[string]room{}
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var r room
		if err := d.Decode(&r); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all[strings.TrimPrefix(strings.TrimPrefix(r.ImportPath, module), "/")] = r
	}
}

// TestImportDirections holds the arrows of docs/design.md: the command imports the feeders, the feeders import the mirror, and
// nothing points back.
func TestImportDirections(t *testing.T) {
	t.Parallel()
	all := rooms(t)
	for folder, forbidden := range map[string][]string{
		"sync":              {"webhook", "reconcile", "upsert", "migrations", "internal/admin", "clerktest", "cmd", "modernc.org", "github.com/prometheus"},
		"webhook":           {"reconcile", "upsert", "migrations", "internal/admin", "clerktest", "cmd", "modernc.org", "github.com/prometheus"},
		"reconcile":         {"webhook", "upsert", "migrations", "internal/admin", "clerktest", "cmd", "modernc.org", "github.com/prometheus"},
		"erasure":           {"webhook", "reconcile", "upsert", "migrations", "internal/admin", "clerktest", "cmd", "modernc.org", "github.com/prometheus"},
		"upkeep":            {"webhook", "upsert", "migrations", "internal/admin", "clerktest", "cmd", "modernc.org", "github.com/prometheus", "github.com/nats-io"},
		"upsert":            {"webhook", "reconcile", "erasure", "migrations", "internal/admin", "clerktest", "cmd", "modernc.org", "github.com/prometheus"},
		"internal/admin":    {"webhook", "reconcile", "upsert", "migrations", "clerktest", "cmd", "modernc.org"},
		"internal/scan":     {""},
		"internal/crash":    {""},
		"internal/loopback": {""},
		"internal/outward":  {""},
		"internal/lease":    {"webhook", "reconcile", "upsert", "migrations", "internal/admin", "clerktest", "cmd", "modernc.org", "github.com/prometheus"},
		"feed":              {"webhook", "reconcile", "upsert", "migrations", "internal/admin", "clerktest", "cmd", "modernc.org", "github.com/prometheus", "github.com/nats-io"},
		"migrations":        {"", "modernc.org", "github.com/prometheus"},
		"clerktest":         {"", "modernc.org", "github.com/prometheus", "github.com/jmoiron", "github.com/lib"},
	} {
		r, found := all[folder]
		if !found {
			t.Errorf("there is no package in %s", folder)
		}
		for _, dep := range r.Deps {
			for _, f := range forbidden {
				if within(dep, f) {
					t.Errorf("%s imports %s, directly or not", folder, dep)
				}
			}
		}
	}
}

// TestOnlyCommandsEmulate keeps the emulator, the embedded database, the servers of tests and Prometheus out of what applications
// import.
func TestOnlyCommandsEmulate(t *testing.T) {
	t.Parallel()
	allowed := map[string][]string{
		"clerktest":             {"cmd/clerksync", "bench"},
		"internal/pgtest":       {"bench"},
		"internal/admin":        {"cmd/clerksync"},
		"modernc.org":           {"cmd/clerksync", "internal/pgtest", "bench"},
		"github.com/prometheus": {"cmd/clerksync", "internal/admin"},
		"github.com/nats-io":    {"feed/nats"},
	}
	for folder, r := range rooms(t) {
		for _, imported := range r.Imports {
			for what, by := range allowed {
				if within(imported, what) && !slices.Contains(by, folder) && !within(r.ImportPath, what) {
					t.Errorf("%s imports %s; only %v may", folder, imported, by)
				}
			}
		}
	}
}

// within reports whether an import path lies in a folder of this module ("" is all of it) or, with a dot, of another one.
func within(importPath, folder string) bool {
	if !strings.Contains(folder, ".") {
		folder = strings.TrimSuffix(module+"/"+folder, "/")
	}
	return importPath == folder || strings.HasPrefix(importPath, folder+"/")
}

// TestAlias makes sure that a bare sync. is the standard library's everywhere: ours is imported as clerksync.
func TestAlias(t *testing.T) {
	t.Parallel()
	eachFile(t, func(path string, file *ast.File) {
		for _, spec := range file.Imports {
			if imported, err := strconv.Unquote(spec.Path.Value); err != nil || imported != module+"/sync" {
				continue
			}
			if spec.Name == nil || spec.Name.Name != "clerksync" {
				t.Errorf("%s imports %s/sync without calling it clerksync", path, module)
			}
		}
	})
}

// TestNoTwins makes sure that our sync exports nothing that the standard one has, under whose name it would be read.
func TestNoTwins(t *testing.T) {
	t.Parallel()
	standard := []string{"Cond", "Locker", "Map", "Mutex", "Once", "OnceFunc", "OnceValue", "OnceValues", "Pool", "RWMutex", "WaitGroup"}
	eachFile(t, func(path string, file *ast.File) {
		if filepath.Dir(path) != "sync" {
			return
		}
		for name := range file.Scope.Objects { // deprecated, and knows just what is asked: the file's own names
			if slices.Contains(standard, name) {
				t.Errorf("%s declares %s, which the standard library's sync has", path, name)
			}
		}
	})
}

// TestGoroutinesContainPanics makes sure that what panics in a goroutine of the daemon becomes an error: the runtime would write what it
// panicked with, which may be somebody's, to the log, and end the process.
func TestGoroutinesContainPanics(t *testing.T) {
	t.Parallel()
	without := []string{"bench", "clerktest", "examples", "internal/pgtest"}
	found := 0
	eachFile(t, func(path string, file *ast.File) {
		if strings.HasSuffix(path, "_test.go") || path == "cmd/clerksync/main.go" || slices.ContainsFunc(without, func(room string) bool { return strings.HasPrefix(path, room+"/") }) {
			return // main.go has one that ends the process
		}
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.GoStmt:
				found++
				if !calls(n, "crash", "Contain") {
					t.Errorf("%s has a goroutine that does not call crash.Contain", path)
				}
			case *ast.CallExpr:
				if f, ok := n.Fun.(*ast.SelectorExpr); !ok || f.Sel.Name != "Go" && f.Sel.Name != "TryGo" {
					break
				}
				found++
				if len(n.Args) != 1 || !calls(n.Args[0], "crash", "Contained") {
					t.Errorf("%s starts a goroutine without crash.Contained", path)
				}
			}
			return true
		})
	})
	if found < 10 {
		t.Errorf("found only %d goroutines: did the test look at the right things?", found)
	}
}

// calls reports whether a node calls a function of another package.
func calls(in ast.Node, pkg, name string) (found bool) {
	ast.Inspect(in, func(n ast.Node) bool {
		if f, ok := n.(*ast.SelectorExpr); ok && f.Sel.Name == name {
			x, ok := f.X.(*ast.Ident)
			found = found || ok && x.Name == pkg
		}
		return !found
	})
	return found
}

func eachFile(t *testing.T, see func(path string, file *ast.File)) {
	t.Helper()
	files := 0
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && strings.HasPrefix(d.Name(), ".") && path != ".":
			return fs.SkipDir
		case d.IsDir() || filepath.Ext(path) != ".go":
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			return err
		}
		files++
		see(path, file)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if files < 50 {
		t.Errorf("looked at %d files only: is this the root of the module?", files)
	}
}
