package sync

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
)

// What typed reads have in common: see [Mirror.User].

// columns are those of a table that a struct has fields for.
type columns []string

// of names the columns; those of a table in a join, by its alias, as they are read into a field of the alias's name.
func (c columns) of(alias string) string {
	if alias == "" {
		return strings.Join(c, ", ")
	}
	named := make([]string, len(c))
	for i, name := range c {
		named[i] = fmt.Sprintf(`%[1]s.%[2]s AS "%[1]s.%[2]s"`, alias, name)
	}
	return strings.Join(named, ", ")
}

// inRows reports whether a row can have texts: no database takes a NUL, and PostgreSQL refuses to look for what it does not take.
func inRows(texts ...any) bool {
	for _, t := range texts {
		if s, ok := t.(string); ok && s != plain(s) {
			return false
		}
	}
	return true
}

// one reads one row into a struct.
func (m *Mirror) one(ctx context.Context, what string, into any, query string, args ...any) error {
	if !inRows(args...) {
		return fmt.Errorf("reading %s: %w", what, ErrNotFound)
	}
	err := m.db.GetContext(ctx, into, m.SQL(query), args...)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, sql.ErrNoRows):
		return fmt.Errorf("reading %s: %w", what, ErrNotFound)
	default:
		return fmt.Errorf("reading %s: %w", what, unavailable(err))
	}
}

// shown adds to the error of a read that a row which was found is a tombstone. Nothing but the id is left in one, or soon will be.
func shown(what string, visible bool, err error) error {
	if err == nil && !visible {
		return fmt.Errorf("reading %s: %w", what, ErrDeleted)
	}
	return err
}

// typedPage is how many rows a typed read holds in memory.
const typedPage = 500

var typedLimit = " LIMIT " + strconv.Itoa(typedPage)

// paged yields the rows of a query that begins behind the id $1 and is ordered by id, in pages of their own statements.
func paged[R any](ctx context.Context, m *Mirror, what string, id func(R) string, query string, args ...any) iter.Seq2[R, error] {
	query = m.SQL(query + typedLimit)
	return func(yield func(R, error) bool) {
		args := slices.Clone(args) // the sequence may be ranged over again
		for inRows(args...) {
			var page []R
			if err := m.db.SelectContext(ctx, &page, query, args...); err != nil {
				yield(*new(R), fmt.Errorf("reading %s: %w", what, unavailable(err)))
				return
			}
			for _, row := range page {
				if !yield(row, nil) {
					return
				}
			}
			if len(page) < typedPage {
				return
			}
			args[0] = id(page[len(page)-1])
		}
	}
}

// needs reports a kind that the mirror does not keep: of that there are no rows, or old ones.
func (m *Mirror) needs(kinds ...Kind) error {
	for _, k := range kinds {
		if !m.Mirrors(k) {
			return fmt.Errorf("the mirror does not keep %s: name them among Config.Kinds", strings.ReplaceAll(string(k), "_", " "))
		}
	}
	return nil
}
