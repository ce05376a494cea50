package sync

import (
	"context"
	"encoding/hex"

	"github.com/jmoiron/sqlx"

	"github.com/clerksync/clerksync/internal/scan"
)

// writeRows runs a statement for rows, and has read see what it returns. PostgreSQL gets all rows as one JSON array; SQLite, where a
// statement costs no round trip and JSON costs more than all else, the values of one row after the other.
func writeRows[R any](ctx context.Context, m *Mirror, tx *sqlx.Tx, query string, columns []column, rows []R,
	appendRow func([]byte, R) []byte, read func(*sqlx.Rows) error) error {
	if !m.dialect.postgres {
		return writeEach(ctx, m, tx, query, columns, rows, appendRow, read)
	}
	parameter := appendRows(m.buffers.take(), rows, appendRow)
	defer m.buffers.put(parameter)
	answer, err := m.query(ctx, tx, query, parameter)
	if err != nil {
		return err
	}
	return read(answer)
}

// appendRows appends rows as a JSON array.
func appendRows[R any](dst []byte, rows []R, appendRow func([]byte, R) []byte) []byte {
	dst = append(dst, '[')
	for i, row := range rows {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendRow(dst, row)
	}
	return append(dst, ']')
}

func writeEach[R any](ctx context.Context, m *Mirror, tx *sqlx.Tx, query string, columns []column, rows []R,
	appendRow func([]byte, R) []byte, read func(*sqlx.Rows) error) error {
	run := func(ctx context.Context, values ...any) (*sqlx.Rows, error) {
		return tx.QueryxContext(ctx, query, values...)
	}
	if stmt := m.statements.prepared[query]; stmt != nil {
		run = tx.StmtxContext(ctx, stmt).QueryxContext
	}
	unwatched := context.WithoutCancel(ctx) // the driver would watch it from a goroutine of its own, a row each
	row := m.buffers.take()
	defer func() { m.buffers.put(row) }()
	for _, r := range rows {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		row = appendRow(row[:0], r)
		values, err := bind(columns, row)
		if err != nil {
			return err
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

// bind returns the values of a row in the order of the columns.
func bind(columns []column, row []byte) ([]any, error) {
	values := make([]any, len(columns))
	at := 0
	err := scan.Outline(row, func(m scan.Member) error {
		for range columns { // a row has its members in about the order of the columns
			c := columns[at]
			if c.name == string(m.Name) {
				values[at] = c.typ.bound(m.Value)
				return nil
			}
			at = (at + 1) % len(columns)
		}
		return nil
	})
	return values, err
}

// bound turns a value of a row from JSON into what SQLite's driver binds.
func (t columnType) bound(v []byte) any {
	if string(v) == "null" {
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

// buffers keeps memory for the statements' parameters from one batch to the next: to get it afresh costs more than to fill it, and a
// [sync.Pool] would give it up at every second collection.
type buffers chan []byte

// largestBuffer is the size from which on one is not kept.
const largestBuffer = 4 << 20

func (b buffers) take() []byte {
	select {
	case buffer := <-b:
		return buffer[:0]
	default:
		return nil
	}
}

func (b buffers) put(buffer []byte) {
	if cap(buffer) > largestBuffer {
		return
	}
	select {
	case b <- buffer:
	default:
	}
}
