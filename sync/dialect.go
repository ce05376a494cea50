package sync

import (
	"fmt"
	"strings"
)

// dialect is what differs between the two databases. Their statements are otherwise the same.
type dialect struct {
	postgres bool
	schema   string
}

// sql writes a query for this database: {users} becomes the qualified name of that table, {now} the database's clock as a
// timestamp and {ms} the same in Unix milliseconds.
func (d dialect) sql(query string) string {
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(query, "{")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		name, after, closed := strings.Cut(rest, "}")
		switch {
		case !closed || !isWord(name): // a brace of a JSON text, not one of ours
			b.WriteByte('{')
			after = rest
		case name == "now":
			b.WriteString(d.now())
		case name == "ms":
			b.WriteString(d.ms())
		default:
			b.WriteString(d.table(name))
		}
		query = after
	}
}

func isWord(s string) bool {
	return s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz_") == ""
}

func (d dialect) table(name string) string {
	if d.postgres {
		return d.schema + "." + name
	}
	return d.schema + "_" + name
}

func (d dialect) now() string {
	if d.postgres {
		return "clock_timestamp()"
	}
	return "strftime('%Y-%m-%dT%H:%M:%fZ', 'now')"
}

func (d dialect) ms() string {
	if d.postgres {
		return "cast(floor(extract(epoch from clock_timestamp()) * 1000) as bigint)"
	}
	return "cast(round((julianday('now') - 2440587.5) * 86400000) as integer)"
}

// greatest returns the greater of two integers, neither of which is null.
func (d dialect) greatest(a, b string) string {
	if d.postgres {
		return fmt.Sprintf("greatest(%s, %s)", a, b)
	}
	return fmt.Sprintf("max(%s, %s)", a, b)
}

// rows returns a FROM item that turns the statement's one parameter, a JSON array of objects, into rows called e, and the
// expressions that read the columns from them.
func (d dialect) rows(columns []column) (from string, exprs []string) {
	exprs = make([]string, len(columns))
	for i, c := range columns {
		exprs[i] = d.expr(c)
	}
	if d.postgres { // jsonb_to_recordset would read the same, and takes several times as long
		return "jsonb_array_elements(cast($1 as jsonb)) AS e(value)", exprs
	}
	return "json_each($1) AS e", exprs
}

// given returns a FROM item for the rows that [writeRows] passes, called e, and the expressions that read the columns from them.
func (d dialect) given(columns []column) (from string, exprs []string) {
	if d.postgres {
		return d.rows(columns)
	}
	exprs = make([]string, len(columns))
	parameters := make([]string, len(columns))
	for i, c := range columns {
		exprs[i], parameters[i] = "e."+c.name, "? AS "+c.name
	}
	return "(SELECT " + strings.Join(parameters, ", ") + ") AS e", exprs
}

func (d dialect) expr(c column) string {
	value := "e.value ->> '" + c.name + "'"
	switch {
	case c.typ == document:
		return "e.value -> '" + c.name + "'"
	case c.typ == octets && d.postgres:
		return "decode(" + value + ", 'hex')"
	case c.typ == octets:
		return "unhex(" + value + ")"
	case c.typ != text && d.postgres:
		return "cast(" + value + " AS " + string(c.typ) + ")"
	}
	return value
}

// no is the boolean that is not true.
func (d dialect) no() string {
	if d.postgres {
		return "false"
	}
	return "0"
}

// concatenate is the aggregate that joins texts, in the order in which they come.
func (d dialect) concatenate() string {
	if d.postgres {
		return "string_agg"
	}
	return "group_concat"
}

// blob is a literal of bytes.
func (d dialect) blob(b string) string {
	if d.postgres {
		return fmt.Sprintf("decode('%x', 'hex')", b)
	}
	return fmt.Sprintf("x'%x'", b)
}

// forUpdate ends a query whose rows are to be locked. SQLite has one writer.
func (d dialect) forUpdate() string {
	if d.postgres {
		return " FOR UPDATE"
	}
	return ""
}

// inOrder orders the given rows by id, byte by byte, so that every transaction locks in the same order.
func (d dialect) inOrder() string {
	if d.postgres {
		return `ORDER BY (e.value ->> 'id') COLLATE "C"`
	}
	return "" // one row
}

// among is the right side of "id IN": the texts in a JSON array, the statement's one parameter.
func (d dialect) among() string {
	if d.postgres {
		return "(SELECT jsonb_array_elements_text(cast($1 as jsonb)))"
	}
	return "(SELECT value FROM json_each($1))"
}

// amongLower is the right side of "lower(text) IN": the same texts in lower case.
func (d dialect) amongLower() string {
	if d.postgres {
		return "(SELECT lower(a) FROM jsonb_array_elements_text(cast($1 as jsonb)) AS a)"
	}
	return "(SELECT lower(value) FROM json_each($1))"
}
