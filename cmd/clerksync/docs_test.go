package main_test

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	main "github.com/clerksync/clerksync/cmd/clerksync"
	"github.com/clerksync/clerksync/internal/pgtest"
	clerksync "github.com/clerksync/clerksync/sync"
)

var update = flag.Bool("update", false, "write the table of settings into docs/operations.md")

const operations = "../../docs/operations.md"

// TestSettingsTable holds the documentation's table of settings to that of the code.
func TestSettingsTable(t *testing.T) {
	t.Parallel()
	doc := read(t, operations)
	before, rest, found := strings.Cut(doc, "-update -->\n")
	shown, after, ended := strings.Cut(rest, "<!-- /settings -->")
	if !found || !ended {
		t.Fatal("docs/operations.md has no marks around its table of settings")
	}
	var b strings.Builder
	b.WriteString("| variable | default | meaning |\n|---|---|---|\n")
	for _, s := range main.Settings() {
		name, value := "`"+s.Name+"`", "–"
		if s.Old != "" {
			name += " (or `" + s.Old + "`)"
		}
		if s.Secret {
			name += " (secret)"
		}
		if s.Default != "" {
			value = "`" + s.Default + "`"
		}
		fmt.Fprintf(&b, "| %s | %s | %s |\n", name, value, s.Meaning)
	}
	if *update {
		if err := os.WriteFile(operations, []byte(before+"-update -->\n"+b.String()+"<!-- /settings -->"+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(b.String(), shown); diff != "" {
		t.Errorf("docs/operations.md differs from the table in the code; run this test with -update (-want +got):\n%s", diff)
	}
}

// TestDocumentedNames looks for every command and every metric in docs/operations.md, and for settings there that do not exist.
func TestDocumentedNames(t *testing.T) {
	t.Parallel()
	doc := read(t, operations)
	known := map[string]bool{}
	for _, s := range main.Settings() {
		known[s.Name] = true
		if s.Flag != "" {
			if out, _ := run(t, 0, nil, "serve", "--help"); !strings.Contains(out, s.Flag+" ") {
				t.Errorf("serve has no flag %s", s.Flag)
			}
		}
	}
	for _, word := range strings.FieldsFunc(doc+read(t, "../../README.md"), func(r rune) bool {
		return r != '_' && (r < 'A' || r > 'Z')
	}) {
		if name := strings.TrimSuffix(word, "_FILE"); strings.HasPrefix(word, "CLERKSYNC_") && word != "CLERKSYNC_" && !known[name] {
			t.Errorf("the documentation names %s, which is no setting", word)
		}
	}
	help, _ := run(t, 0, nil, "--help")
	for _, command := range []string{"serve", "reconcile", "check", "resync", "restore", "erase", "migrate", "status", "events", "audit", "doctor", "report", "emulate", "demo", "version", "completion"} {
		if !strings.Contains(doc, "`"+command) || !strings.Contains(help, "\n   "+command+" ") {
			t.Errorf("%s is not both in the help and in docs/operations.md", command)
		}
	}
}

// TestDocumentedMetrics holds the documentation's table of metrics, with their labels, to what /metrics tells.
func TestDocumentedMetrics(t *testing.T) {
	t.Parallel()
	mirror, err := clerksync.Open(t.Context(), pgtest.SQLite(t), clerksync.Config{})
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(read(t, operations), "\n## Metrics\n")
	section, _, _ = strings.Cut(section, "\n## ")
	var documented []string
	for line := range strings.Lines(section) {
		names, _, _ := strings.Cut(strings.TrimPrefix(line, "| "), " | ")
		for _, m := range regexp.MustCompile("`([a-z_]+(\\{[a-z,]+\\})?)`").FindAllStringSubmatch(names, -1) {
			if m[1] != "clerksync_" {
				documented = append(documented, m[1])
			}
		}
	}
	slices.Sort(documented)
	if diff := cmp.Diff(main.MetricNames(mirror), documented); diff != "" {
		t.Errorf("docs/operations.md differs from the metrics (-want +got):\n%s", diff)
	}
}

// TestDocumentedQueries runs the queries of the pages for operators and reads every table and view that they name.
func TestDocumentedQueries(t *testing.T) {
	t.Parallel()
	db := connect(t, pgtest.URL(t))
	doc := read(t, operations)
	_, section, _ := strings.Cut(doc, "\n## Resources\n")
	section, _, _ = strings.Cut(section, "\n**Suspicious")
	relations := regexp.MustCompile("`((?:active|sign|daily|monthly)_[a-z_]+)`").FindAllStringSubmatch(section, -1)
	var queries []string
	for _, m := range relations {
		queries = append(queries, "SELECT * FROM clerk."+m[1])
	}
	for _, m := range fence.FindAllStringSubmatch(doc+read(t, "../../docs/privacy.md"), -1) {
		if m[1] == "sql" {
			queries = append(queries, m[2])
		}
	}
	if len(queries) < 15 {
		t.Fatalf("the documentation has only these queries and views: %q", queries)
	}
	for _, query := range queries {
		as := db
		if strings.HasPrefix(query, "ALTER ") || strings.Contains(query, "setval(") { // which is for the owner
			as = pgtest.Superuser(t, db)
		}
		if _, err := as.ExecContext(t.Context(), query); err != nil {
			t.Errorf("%v, in the query\n%s", err, query)
		}
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
