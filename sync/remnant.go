package sync

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/jmoiron/sqlx"
)

// Remnant is a column in which a value that was erased can still be read.
type Remnant struct {
	Table  string // without schema or prefix
	Column string
	Rows   int64

	// Other says that these are rows of other objects, or events about them, of which Clerk tells the same: people share names, and
	// addresses come back under a new id.
	Other bool
}

// Remnants looks for the values that erasures removed in every text, JSON and binary column of the mirror's schema, as the
// database's catalogue lists them, but for those in which the mirror writes its own words. Of the tables of objects it reads the rows
// that were erased or, with everywhere, all rows, which for a million users takes minutes. Short texts and words that all rows are full
// of are not looked for.
//
// The result is empty where nothing is left. The error is [ErrUnavailable] where the database cannot answer.
func (m *Mirror) Remnants(ctx context.Context, everywhere bool, erasures ...Erased) ([]Remnant, error) {
	var values []string
	ids := map[Kind][]string{}
	for _, e := range erasures {
		values = append(values, e.values...)
		for k, some := range e.ids {
			ids[k] = append(ids[k], some...)
		}
	}
	values = slices.DeleteFunc(telling(values), func(s string) bool { return clerkID(s + "_1") }) // ids are full of it
	if len(values) == 0 {
		return nil, nil
	}
	tables, err := m.searchable(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the catalogue: %w", unavailable(err))
	}
	var all []Remnant
	s := search{mirror: m, needles: newNeedles(values), ids: ids, everywhere: everywhere}
	for _, t := range tables {
		found, err := s.search(ctx, t)
		if err != nil {
			return nil, fmt.Errorf("looking for what was erased in %s: %w", t.name, unavailable(err))
		}
		all = append(all, found...)
	}
	return all, nil
}

// searchable is a table and those of its columns that can hold a text.
type searchable struct {
	name    string
	columns []catalogued
}

type catalogued struct {
	Table  string `db:"table_name"`
	Column string `db:"column_name"`
	Type   string `db:"type_name"`
}

// searchable lists the tables of the schema that the mirror may read; it cannot have written the others. On SQLite, whose schema is a
// prefix, those with a longer prefix belong to another mirror.
func (m *Mirror) searchable(ctx context.Context) (tables []searchable, err error) {
	query := `SELECT c.relname AS table_name, a.attname AS column_name, pg_catalog.format_type(a.atttypid, NULL) AS type_name
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid
WHERE n.nspname = $1 AND c.relkind IN ('r', 'p') AND a.attnum > 0 AND NOT a.attisdropped AND has_table_privilege(c.oid, 'SELECT') ORDER BY 1, a.attnum`
	if !m.dialect.postgres {
		query = `SELECT substr(t.name, length($1) + 2) AS table_name, c.name AS column_name, lower(c.type) AS type_name
FROM sqlite_master AS t JOIN pragma_table_info(t.name) AS c
WHERE t.type = 'table' AND substr(t.name, 1, length($1) + 1) = $1 || '_' AND NOT EXISTS (SELECT 1 FROM sqlite_master AS other
WHERE other.name LIKE '%!_state' ESCAPE '!' AND length(other.name) > length($1) + 6
AND substr(t.name, 1, length(other.name) - 5) = substr(other.name, 1, length(other.name) - 5)) ORDER BY 1, c.cid`
	}
	var columns []catalogued
	if err := m.db.SelectContext(ctx, &columns, query, m.cfg.Schema); err != nil {
		return nil, err
	}
	for _, c := range columns {
		hasType := func(t string) bool { return strings.HasPrefix(c.Type, t) }
		if slices.Contains(ownColumns[c.Table], c.Column) || slices.ContainsFunc(textless, hasType) {
			continue
		}
		if n := len(tables); n == 0 || tables[n-1].name != c.Table {
			tables = append(tables, searchable{name: c.Table})
		}
		t := &tables[len(tables)-1]
		t.columns = append(t.columns, c)
	}
	return tables, nil
}

// textless begin the names of the types that hold no text. All others are searched, whatever they are.
var textless = []string{"boolean", "bool", "bigint", "integer", "smallint", "timestamp", "datetime", "date", "real", "double", "numeric"}

// ownColumns are, by table, those in which the mirror writes nothing but words of its own, digests, ids, and the names of machines and
// relays. Whoever is called by such a word would seem to be left there by every erasure. Any column that is not listed is searched.
var ownColumns = map[string][]string{
	"audit":           {"action", "resource", "object_id", "source", "event_id", "detail", "previous", "hash"},
	"changes":         {"resource", "object_id", "op", "source", "reasons"},
	"events":          {"id", "type", "object_id", "instance_id", "outcome", "error"},
	"migrations":      {"made_by"},
	"migrations_lock": {"locked_by"},
	"passes":          {"kind", "instance_id", "counts", "plan", "error"},
	"plans":           {"sha256", "ids"},
	"relays":          {"name"},
	"state":           {"key", "value"},
}

// search is one look through the schema.
type search struct {
	mirror     *Mirror
	needles    *needles
	ids        map[Kind][]string
	everywhere bool
}

// search reads a table and counts the rows with a hit, column by column.
func (s *search) search(ctx context.Context, t searchable) (found []Remnant, err error) {
	_, objects := describe(Kind(t.name))
	byOther := map[bool][]int64{false: make([]int64, len(t.columns)), true: make([]int64, len(t.columns))}
	rows, err := s.rows(ctx, t, objects)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var about string
	values := make([]sql.RawBytes, len(t.columns))
	into := []any{&about}
	for i := range values {
		into = append(into, &values[i])
	}
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return nil, err
		}
		for i, v := range values {
			if s.needles.in(v) {
				other := s.other(about) && (objects || t.columns[i].Column == "payload") // Clerk tells of others nowhere else
				byOther[other][i]++
			}
		}
	}
	if err := finish(rows); err != nil {
		return nil, err
	}
	for other, counts := range byOther {
		for i, n := range counts {
			if n > 0 {
				found = append(found, Remnant{Table: t.name, Column: t.columns[i].Column, Rows: n, Other: other})
			}
		}
	}
	return found, nil
}

// other reports whether a row is about an object that was not erased; "" is about none.
func (s *search) other(about string) bool {
	for _, ids := range s.ids {
		if slices.Contains(ids, about) {
			return false
		}
	}
	return about != ""
}

// rows reads a table or, of objects, those rows that were erased.
func (s *search) rows(ctx context.Context, t searchable, objects bool) (*sqlx.Rows, error) {
	query := s.query(t, objects)
	if !objects || s.everywhere {
		return s.mirror.db.QueryxContext(ctx, query+t.holding())
	}
	ids, err := json.Marshal(s.ids[Kind(t.name)])
	if err != nil {
		return nil, err
	}
	return s.mirror.db.QueryxContext(ctx, query+" WHERE id IN "+s.mirror.dialect.among(), string(ids))
}

// query selects what a table holds, and about which object that is.
func (s *search) query(t searchable, objects bool) string {
	d := s.mirror.dialect
	exprs := make([]string, len(t.columns))
	for i, c := range t.columns {
		exprs[i] = `"` + c.Column + `"`
		if d.postgres && c.Type != "bytea" {
			exprs[i] = "cast(" + exprs[i] + " AS text)"
		}
	}
	about := "''"
	switch {
	case objects:
		about = "CASE WHEN erased_at IS NULL THEN id ELSE '' END"
	case t.name == "events": // which lose their content where they name what is erased by an id or an address
		about = "coalesce(object_id, '')"
	}
	return "SELECT " + about + ", " + strings.Join(exprs, ", ") + " FROM " + d.table(t.name)
}

// holding is a condition for rows that can hold anything: few events have content, and an index finds them among millions.
func (t searchable) holding() string {
	if len(t.columns) != 1 {
		return ""
	}
	return ` WHERE "` + t.columns[0].Column + `" IS NOT NULL`
}
