package sync

import (
	"bytes"
	"context"
	"encoding/hex"
	"strconv"

	"github.com/jmoiron/sqlx"

	"github.com/clerksync/clerksync/internal/scan"
)

// row is one row as a statement is given it: a cell for each of the columns, in their order. A cell is JSON that every database stores, and
// nil is null. The zero value has no cells yet.
type row struct {
	cells [][]byte
	text  []byte // where those cells lie that were written for the row
}

// cell adds a cell that lies elsewhere.
func (r *row) cell(v []byte) { r.cells = append(r.cells, v) }

// write adds as a cell what was appended to the row's text.
func (r *row) write(text []byte) {
	r.cell(text[len(r.text):])
	r.text = text
}

func (r *row) int(n int64) { r.write(strconv.AppendInt(r.text, n, 10)) }

func (r *row) bool(b bool) { r.write(strconv.AppendBool(r.text, b)) }

func (r *row) string(s string) { r.write(appendText(r.text, s)) }

// optional adds a text, or null for an empty one.
func (r *row) optional(s string) {
	if s == "" {
		r.cell(nil)
		return
	}
	r.string(s)
}

func (r *row) octets(b []byte) { r.write(append(hex.AppendEncode(append(r.text, '"'), b), '"')) }

// nulls adds that many nulls.
func (r *row) nulls(n int) {
	for range n {
		r.cell(nil)
	}
}

// sheet is what PostgreSQL is given for all rows of a statement: one parameter for each column, the cells of which are an array. To take an
// array of its own apart costs the server much less than to find the members of JSON objects; those of documents are arrays of JSON.
type sheet struct {
	row        row
	parameters [][]byte
}

// cellsOf returns the cells of one row, until the sheet is asked for another one's. One too few or too many would put a person's data into
// another one's row.
func cellsOf[R any](s *sheet, columns []column, r R, add func(*row, R)) [][]byte {
	s.row.cells, s.row.text = s.row.cells[:0], s.row.text[:0]
	add(&s.row, r)
	if len(s.row.cells) != len(columns) {
		panic("a row's cells are not its columns")
	}
	return s.row.cells
}

// fill writes the parameters of a statement. They may be used until the sheet is filled again.
func fill[R any](s *sheet, columns []column, rows []R, add func(*row, R)) [][]byte {
	for len(s.parameters) < len(columns) {
		s.parameters = append(s.parameters, nil)
	}
	parameters := s.parameters[:len(columns)]
	for i, c := range columns {
		parameters[i] = append(parameters[i][:0], c.typ.brackets()[0])
	}
	for n, r := range rows {
		for i, cell := range cellsOf(s, columns, r, add) {
			if n > 0 {
				parameters[i] = append(parameters[i], ',')
			}
			parameters[i] = columns[i].typ.appendElement(parameters[i], cell)
		}
	}
	for i, c := range columns {
		parameters[i] = append(parameters[i], c.typ.brackets()[1])
	}
	return parameters
}

// brackets are those around an array of a type: JSON's, or the server's.
func (t columnType) brackets() string {
	if t == document {
		return "[]"
	}
	return "{}"
}

// appendElement appends a cell as an element of an array. The server quotes as JSON does, but for what is escaped.
func (t columnType) appendElement(dst, cell []byte) []byte {
	switch {
	case t == document && len(cell) == 0:
		return append(dst, null...)
	case t == document:
		return append(dst, cell...)
	case isNull(cell):
		return append(dst, "NULL"...)
	case cell[0] != '"' || bytes.IndexByte(cell, '\\') < 0:
		return append(dst, cell...)
	}
	s, _ := scan.String(cell)
	dst = append(dst, '"')
	for i := range len(s) {
		if s[i] == '"' || s[i] == '\\' {
			dst = append(dst, '\\')
		}
		dst = append(dst, s[i])
	}
	return append(dst, '"')
}

func isNull(cell []byte) bool { return len(cell) == 0 || string(cell) == "null" }

// writeRows runs a statement for rows, and has read see what it returns. PostgreSQL gets all rows at once; SQLite, where a statement costs
// no round trip, one after the other.
func writeRows[R any](ctx context.Context, m *Mirror, tx *sqlx.Tx, query string, columns []column, rows []R,
	add func(*row, R), read func(*sqlx.Rows) error) error {
	s := m.sheets.take()
	defer m.sheets.put(s)
	if !m.dialect.postgres {
		return writeEach(ctx, m, tx, query, columns, rows, s, add, read)
	}
	answer, err := m.query(ctx, tx, query, fill(s, columns, rows, add)...)
	if err != nil {
		return err
	}
	return read(answer)
}

func writeEach[R any](ctx context.Context, m *Mirror, tx *sqlx.Tx, query string, columns []column, rows []R, s *sheet,
	add func(*row, R), read func(*sqlx.Rows) error) error {
	run := func(ctx context.Context, values ...any) (*sqlx.Rows, error) {
		return tx.QueryxContext(ctx, query, values...)
	}
	if stmt := m.statements.prepared[query]; stmt != nil {
		run = tx.StmtxContext(ctx, stmt).QueryxContext
	}
	unwatched := context.WithoutCancel(ctx) // the driver would watch it from a goroutine of its own, a row each
	values := make([]any, len(columns))
	for _, r := range rows {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		for i, cell := range cellsOf(s, columns, r, add) {
			values[i] = columns[i].typ.bound(cell)
		}
		answer, err := run(unwatched, values...)
		if err != nil {
			return err
		}
		if err := read(answer); err != nil {
			return err
		}
	}
	return nil
}

// bound turns a cell into what SQLite's driver binds, and COPY takes.
func (t columnType) bound(v []byte) any {
	if isNull(v) {
		return nil
	}
	switch t {
	case boolean:
		return string(v) == "true"
	case integer:
		n, _ := scan.Int(v)
		return n
	case document:
		return string(v)
	}
	s, _ := scan.String(v)
	if t == octets {
		b, _ := hex.DecodeString(s)
		return b
	}
	return s
}

// sheets keeps the memory of statements' parameters from one batch to the next: to get it afresh costs more than to fill it, and a
// [sync.Pool] would give it up at every second collection.
type sheets chan *sheet

// largestSheet is the size from which on one is not kept.
const largestSheet = 4 << 20

func (s sheets) take() *sheet {
	select {
	case kept := <-s:
		return kept
	default:
		return &sheet{}
	}
}

func (s sheets) put(used *sheet) {
	clear(used.row.cells[:cap(used.row.cells)]) // they keep callers' memory
	size := cap(used.row.text)
	for _, p := range used.parameters {
		size += cap(p)
	}
	if size > largestSheet {
		return
	}
	select {
	case s <- used:
	default:
	}
}
