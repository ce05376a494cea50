package sync

import (
	"context"
	"fmt"
	"unicode/utf8"
)

// Parts names some of the 64 parts into which objects are sorted by the last characters of their ids. The zero value is none of them.
type Parts uint64

// AllParts names every part.
const AllParts = ^Parts(0)

// Has reports whether an object with this id is in one of the parts.
func (p Parts) Has(id string) bool { return p>>partOf(id)&1 != 0 }

func partOf(id string) int {
	last, _ := utf8.DecodeLastRuneInString(id)
	return int(last & 63)
}

// partOf is the part of a row. Were it ever another one than Go's, both would be found to differ.
func (d dialect) partOf() string {
	if d.postgres {
		return "(ascii(right(id, 1)) & 63)"
	}
	return "(unicode(substr(id, -1)) & 63)"
}

// tally sums up rows: their number and, but for overflow, their digests. Two of the same rows are equal, in whatever order they were
// summed up; those of others are not, but for one chance in 2^64.
type tally struct {
	count int64
	sum   uint64
}

func (t *tally) add(r Row) {
	t.count++
	t.sum += uint64(r.digest)
}

// tallyStatements sum up the visible rows of a stretch of time, each as Clerk's list showed it: all of them, or each part. Both cost a
// fraction of what naming the rows does.
type tallyStatements struct{ whole, parts string }

// Halves of the digests are summed, since sums of the whole leave the range of a bigint.
func (d dialect) tallyStatements(k Kind) tallyStatements {
	sums := fmt.Sprintf(`SELECT count(*) AS count, cast(coalesce(sum(digest & 4294967295), 0) AS bigint) AS low, cast(coalesce(sum(digest >> 32), 0) AS bigint) AS high, %%s AS part
FROM (SELECT %s AS digest, %s AS part %s AND created_at >= $1 AND created_at <= $2) AS stretch`,
		shownDigest, d.partOf(), listedRows(k))
	return tallyStatements{whole: d.sql(fmt.Sprintf(sums, "0")), parts: d.sql(fmt.Sprintf(sums, "part")) + " GROUP BY part"}
}

// sums is a row of those statements.
type sums struct {
	Part  int   `db:"part"`
	Count int64 `db:"count"`
	Low   int64 `db:"low"`
	High  int64 `db:"high"`
}

func (s sums) tally() tally { return tally{s.Count, uint64(s.Low) + uint64(s.High)<<32} }

// Differing returns the parts in which the rows that [Mirror.Visible] yields of a window of dated ones are others than those shown, to
// the byte. An object that was deleted once differs from what a list shows: it has to be looked at. The error is [ErrUnavailable]
// where the database cannot answer.
func (m *Mirror) Differing(ctx context.Context, k Kind, from, through int64, shown []Row) (Parts, error) {
	statements, mirrored := m.statements.tally[k]
	first, ok := stampMilli(from)
	last, also := stampMilli(through)
	if !mirrored || !ok || !also {
		return 0, fmt.Errorf("summing up rows of %q: the mirror has no such kind, or no calendar has the window", k)
	}
	var all tally
	var parts [64]tally
	for _, r := range shown {
		all.add(r)
		parts[partOf(r.ID)].add(r)
	}
	var whole sums
	if err := m.get(ctx, &whole, statements.whole, first, last); err != nil {
		return 0, fmt.Errorf("summing up visible rows: %w", unavailable(err))
	}
	if whole.tally() == all {
		return 0, nil
	}
	var held [64]tally
	if whole.Count > 0 { // or no part has any, as in a first pass
		var rows []sums
		if err := m.selectAll(ctx, &rows, statements.parts, first, last); err != nil {
			return 0, fmt.Errorf("summing up parts of visible rows: %w", unavailable(err))
		}
		for _, r := range rows {
			held[r.Part] = r.tally()
		}
	}
	var differing Parts
	for i := range parts {
		if held[i] != parts[i] {
			differing |= 1 << i
		}
	}
	return differing, nil
}
