package clerksync_test

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"go/ast"
	"go/doc"
	"go/parser"
	"go/printer"
	"go/token"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
)

// What teams that import the library rely on: what it exports, what it brings along, and which Go it needs.

var update = flag.Bool("update", false, "write the listings of what is exported anew: go test . -run Exported -update")

// exported are the packages that teams import.
var exported = []string{"clerktest", "erasure", "feed", "feed/nats", "migrations", "reconcile", "sync", "upkeep", "upsert", "webhook"}

// TestExported compares what the packages export with the listings in testdata/api, so that whoever changes it sees that he does. Within a
// major version names stay, and keep their meaning; a field or a method more is no break.
func TestExported(t *testing.T) {
	t.Parallel()
	for _, room := range exported {
		path := filepath.Join("testdata", "api", strings.ReplaceAll(room, "/", "_")+".txt")
		got := listing(t, room)
		if *update {
			if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := gocmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
			t.Errorf("%s exports something else than before; if that is meant: go test . -run Exported -update (-want +got):\n%s", room, diff)
		}
	}
}

// listing writes what a package exports, without comments and bodies, and says how many entries `go doc` shows of it.
func listing(t *testing.T, room string) string {
	t.Helper()
	fset := token.NewFileSet()
	names, err := filepath.Glob(filepath.Join(room, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	var files []*ast.File
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(fset, name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	p, err := doc.NewFromFiles(fset, files, module+"/"+room)
	if err != nil {
		t.Fatal(err)
	}
	l := lister{fset: fset}
	l.values(p.Consts, p.Vars)
	l.funcs(p.Funcs)
	l.entries += len(p.Funcs)
	for _, typ := range p.Types {
		l.print(typ.Decl)
		l.values(typ.Consts, typ.Vars)
		l.funcs(typ.Funcs)
		l.funcs(typ.Methods)
		l.entries += 1 + len(typ.Funcs)
	}
	return fmt.Sprintf("package %s: %d entries\n\n%s", p.Name, l.entries, l.text.String())
}

// lister writes declarations.
type lister struct {
	fset    *token.FileSet
	text    bytes.Buffer
	entries int
}

func (l *lister) values(groups ...[]*doc.Value) {
	for _, v := range slices.Concat(groups...) {
		l.entries++
		l.print(v.Decl)
	}
}

func (l *lister) funcs(funcs []*doc.Func) {
	for _, f := range funcs {
		f.Decl.Body = nil
		l.print(f.Decl)
	}
}

func (l *lister) print(decl ast.Decl) {
	cfg := printer.Config{Mode: printer.UseSpaces | printer.TabIndent, Tabwidth: 4}
	ast.Inspect(decl, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GenDecl:
			n.Doc = nil
		case *ast.FuncDecl:
			n.Doc = nil
		case *ast.TypeSpec:
			n.Doc, n.Comment = nil, nil
		case *ast.ValueSpec:
			n.Doc, n.Comment = nil, nil
		case *ast.Field:
			n.Doc, n.Comment = nil, nil
		}
		return true
	})
	_ = cfg.Fprint(&l.text, l.fset, decl) // a buffer takes everything
	l.text.WriteString("\n\n")
}

// TestLinkedModules lists the modules that the library brings into a program: no driver of a database, which the program chooses,
// and nothing that the daemon alone needs.
func TestLinkedModules(t *testing.T) {
	t.Parallel()
	want := []string{
		"github.com/cenkalti/backoff/v5",
		"github.com/cespare/xxhash/v2",
		"github.com/clerk/clerk-sdk-go/v2",
		"github.com/clerksync/clerksync",
		"github.com/go-jose/go-jose/v3",
		"github.com/go-json-experiment/json",
		"github.com/google/uuid",
		"github.com/hashicorp/golang-lru/v2",
		"github.com/jmoiron/sqlx",
		"github.com/mfridman/interpolate",
		"github.com/pressly/goose/v3",
		"github.com/robfig/cron/v3",
		"github.com/sethvargo/go-retry",
		"github.com/svix/svix-webhooks",
		"go.uber.org/multierr",
		"golang.org/x/crypto",
		"golang.org/x/sync",
		"golang.org/x/time",
	}
	got := linked(t, "./sync", "./webhook", "./reconcile", "./upsert", "./migrations", "./feed", "./erasure", "./upkeep")
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("modules linked in by importers (-want +got):\n%s", diff)
	}
}

// linked returns the modules of packages and of all that they import.
func linked(t *testing.T, packages ...string) (modules []string) {
	t.Helper()
	args := append([]string{"list", "-deps", "-json=Module"}, packages...)
	out, err := exec.CommandContext(t.Context(), "go", args...).Output()
	if err != nil {
		t.Fatal("go list: ", err)
	}
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p struct{ Module *struct{ Path string } }
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if p.Module != nil {
			modules = append(modules, p.Module.Path)
		}
	}
	slices.SortFunc(modules, cmp.Compare)
	return slices.Compact(modules)
}

// TestGoVersion holds the oldest Go that the library promises to build with, where it is written down.
func TestGoVersion(t *testing.T) {
	t.Parallel()
	for path, pattern := range map[string]string{"go.mod": `(?m)^go 1\.26(\.0)?$`, "README.md": `Go 1\.26`} {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !regexp.MustCompile(pattern).Match(text) {
			t.Errorf("%s does not say that Go 1.26 is the oldest that will do", path)
		}
		if strings.Contains(string(text), "\ntoolchain ") {
			t.Errorf("%s asks for a toolchain of its own", path)
		}
	}
}
