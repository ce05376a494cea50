package migrations

import (
	"embed"
	"fmt"
	"io/fs"
	"regexp"
	"strings"

	"github.com/pressly/goose/v3"
)

//go:embed postgres/*.sql sqlite/*.sql
var embedded embed.FS

// tables are those of one mirror: where they are, and the files that make them.
type tables struct {
	dialect Dialect
	schema  string
	files   fs.FS
	steps   []step
}

// step is one migration file.
type step struct {
	Step
	file    string
	creates []string // the relations it makes, without schema or prefix
}

func newTables(dialect Dialect, schema string) (*tables, error) {
	folder, err := fs.Sub(embedded, string(dialect))
	if err != nil {
		return nil, fmt.Errorf("reading migrations: %w", err)
	}
	fill := []string{"{schema}", schema}
	if dialect == Postgres {
		fill = append(fill, gooseUp, gooseUp+ownFunctions)
	}
	t := &tables{dialect: dialect, schema: schema, files: filledFS{folder, strings.NewReplacer(fill...)}}
	files, err := fs.Glob(t.files, "[0-9]*.sql")
	if err != nil {
		return nil, fmt.Errorf("reading migrations: %w", err)
	}
	for _, file := range files { // sorted by name, which begins with the version
		s, err := t.readStep(file)
		if err != nil {
			return nil, fmt.Errorf("reading migration %s: %w", file, err)
		}
		t.steps = append(t.steps, s)
	}
	return t, nil
}

func (t *tables) readStep(file string) (step, error) {
	version, err := goose.NumericComponent(file)
	if err != nil {
		return step{}, err
	}
	text, err := fs.ReadFile(t.files, file)
	if err != nil {
		return step{}, err
	}
	_, name, _ := strings.Cut(strings.TrimSuffix(file, ".sql"), "_")
	s := step{Step: Step{Version: version, Name: name}, file: file}
	create := regexp.MustCompile(`(?m)^CREATE (?:TABLE|VIEW) ` + regexp.QuoteMeta(t.name("")) + `(\w+)`)
	for _, match := range create.FindAllSubmatch(text, -1) {
		s.creates = append(s.creates, string(match[1]))
	}
	return s, nil
}

// name qualifies the name of a relation.
func (t *tables) name(relation string) string {
	if t.dialect == Postgres {
		return t.schema + "." + relation
	}
	return t.schema + "_" + relation
}

func (t *tables) engine() goose.Dialect {
	if t.dialect == Postgres {
		return goose.DialectPostgres
	}
	return goose.DialectSQLite3
}

// gooseUp begins each migration.
const gooseUp = "-- +goose Up\n"

// ownFunctions has the rest of a transaction find PostgreSQL's own functions and no others. In databases from before PostgreSQL 15 everybody
// may make some in the schema public that fit better, and they would run with the rights of whoever migrates.
const ownFunctions = "SET LOCAL search_path = pg_catalog;\n"

// filledFS fills the schema's name, and what else the migrations of a database need, into the files below it.
type filledFS struct {
	fs.FS
	fill *strings.Replacer
}

func (f filledFS) Open(name string) (fs.File, error) {
	file, err := f.FS.Open(name)
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err != nil || info.IsDir() {
		return file, err
	}
	text, err := fs.ReadFile(f.FS, name)
	if err != nil {
		return nil, err
	}
	return filledFile{file, strings.NewReader(f.fill.Replace(string(text)))}, nil
}

type filledFile struct {
	fs.File
	text *strings.Reader
}

func (f filledFile) Read(p []byte) (int, error) { return f.text.Read(p) }
