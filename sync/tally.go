package sync

import (
	"context"
	"fmt"
)

// Tally sums up objects as Clerk shows them. Two tallies of the same objects, to the byte, are equal, in whatever order they were
// summed up; those of others are not, but for one chance in 2^64. The zero value is that of no objects.
type Tally struct {
	count int64
	sum   uint64 // of the digests
}

// Plus returns the tally of the objects of both.
func (t Tally) Plus(other Tally) Tally { return Tally{t.count + other.count, t.sum + other.sum} }

// Tally returns the tally of the one object.
func (s *Sighting) Tally() Tally {
	k, known := describe(s.Kind)
	if s.read == nil || !known {
		return Tally{count: 1}
	}
	return Tally{1, uint64(k.digest(s.Object, s.read.keep))}
}

// tallyStatement sums up the visible rows of a stretch of time, each as Clerk's list showed it. It costs a seventh of what naming the
// rows does. Halves of the digests are summed, since sums of the whole leave the range of a bigint.
func (d dialect) tallyStatement(k *kind) string {
	return d.sql(fmt.Sprintf(`SELECT count(*) AS count, cast(coalesce(sum(digest & 4294967295), 0) AS bigint) AS low, cast(coalesce(sum(digest >> 32), 0) AS bigint) AS high
FROM (SELECT %s AS digest %s AND created_at >= $1 AND created_at <= $2) AS stretch`,
		shownDigest, k.listedRows()))
}

// Tally sums up the objects that [Mirror.Visible] yields of a window of dated ones. An object that was deleted once counts as another
// one than the list shows: it has to be looked at. The error is [ErrUnavailable] where the database cannot answer.
func (m *Mirror) Tally(ctx context.Context, k Kind, from, through int64) (Tally, error) {
	own, mirrored := m.statements.of[k]
	first, ok := stampMilli(from)
	last, also := stampMilli(through)
	if !mirrored || !ok || !also {
		return Tally{}, fmt.Errorf("summing up rows of %q: the mirror has no such kind, or no calendar has the window", k)
	}
	var sums struct {
		Count int64 `db:"count"`
		Low   int64 `db:"low"`
		High  int64 `db:"high"`
	}
	if err := m.get(ctx, &sums, own.tally, first, last); err != nil {
		return Tally{}, fmt.Errorf("summing up visible rows: %w", unavailable(err))
	}
	return Tally{sums.Count, uint64(sums.Low) + uint64(sums.High)<<32}, nil
}
