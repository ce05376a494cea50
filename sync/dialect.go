package sync

import (
	"fmt"
	"strings"
)

// dialect is what differs between the two databases. Their statements are otherwise the same.
//
// PostgreSQL prefers a function or operator of the schema public, where others may make some, if it fits better than its own, and runs it
// with the rights of whoever asks. So functions that take any type, or convert what they are given, are called by their full names, and
// operands are cast to the types of their operator.
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
		return "cast(floor(extract(epoch from clock_timestamp()) OPERATOR(pg_catalog.*) 1000) as bigint)"
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

// given returns a FROM item for the rows that [writeRows] passes, called e, and the expressions that read the columns from them. The
// statement's parameters before them are so many.
func (d dialect) given(before int, columns []column) (from string, exprs []string) {
	values, exprs := make([]string, len(columns)), make([]string, len(columns))
	for i, c := range columns {
		value := fmt.Sprintf("pg_catalog.unnest(cast($%d AS %s[]))", before+i+1, c.typ)
		exprs[i] = "e." + c.name
		switch {
		case !d.postgres:
			value = "?"
		case c.typ == document:
			value = fmt.Sprintf("jsonb_array_elements(cast($%d AS jsonb))", before+i+1)
			exprs[i] = "nullif(e." + c.name + ", 'null')"
		case c.typ == octets:
			value = fmt.Sprintf("pg_catalog.unnest(cast($%d AS text[]))", before+i+1)
			exprs[i] = "decode(e." + c.name + ", 'hex')"
		}
		values[i] = value + " AS " + c.name
	}
	return "(SELECT " + strings.Join(values, ", ") + ") AS e", exprs
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
		return `ORDER BY e.id COLLATE "C"`
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

// amongLower is a condition: a column holds one of some texts, in whatever case, as English has them.
func (d dialect) amongLower(column string) string {
	if d.postgres {
		return `lower(` + column + ` COLLATE "C") IN (SELECT lower(a COLLATE "C") FROM jsonb_array_elements_text(cast($1 as jsonb)) AS a)`
	}
	return `lower(` + column + `) IN (SELECT lower(value) FROM json_each($1))`
}
