package reconcile_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jmoiron/sqlx"

	"github.com/clerksync/clerksync/clerktest"
	"github.com/clerksync/clerksync/internal/pgtest"
	clerksync "github.com/clerksync/clerksync/sync"
)

// copyUsers fills the mirror with copies of its rows, under ids of their own.
func (h *house) copyUsers(copies int) {
	h.t.Helper()
	rows, err := h.db.Query(h.mirror.SQL(`SELECT * FROM {users} LIMIT 0`))
	if err != nil {
		h.t.Fatal(err)
	}
	names, err := rows.Columns()
	if err != nil {
		h.t.Fatal(err)
	}
	rows.Close()
	columns := strings.Join(names, ", ")
	for i := range copies {
		h.write(`INSERT INTO {users} (`+columns+`) SELECT `+strings.Replace(columns, "id", "id || $1", 1)+
			` FROM {users} WHERE length(id) < 40`, fmt.Sprintf("_copy%020d", i))
	}
}

// visible reads the ids of a window, sorted.
func (h *house) visible(from, through int64) (ids []string) {
	h.t.Helper()
	for row, err := range h.mirror.Visible(h.t.Context(), clerksync.Users, from, through) {
		if err != nil {
			h.t.Fatal(err)
		}
		ids = append(ids, row.ID)
	}
	slices.Sort(ids)
	return ids
}

// However many rows share an instant, a window holds each of its rows once, its ends included; those without a date come first.
func TestVisible(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		h := open(t, db, clerktest.Config{Users: 30, Seed: 70})
		h.full()
		h.copyUsers(99) // more than two pages
		var rows []struct {
			ID string     `db:"id"`
			At *time.Time `db:"created_at"`
		}
		h.write(`UPDATE {users} SET created_at = NULL WHERE id IN (SELECT id FROM {users} ORDER BY created_at, id LIMIT 1100)`)
		h.write(`UPDATE {users} SET _dead_at = _alive_at, deleted_at = synced_at WHERE id IN (SELECT id FROM {users} ORDER BY created_at DESC, id LIMIT 50)`)
		if err := h.db.Select(&rows, h.mirror.SQL(`SELECT id, created_at FROM {users} WHERE deleted_at IS NULL`)); err != nil {
			t.Fatal(err)
		}
		at := func(i int) int64 {
			if rows[i].At == nil {
				return clerksync.Never
			}
			return rows[i].At.UnixMilli()
		}
		var instants []int64
		for i := range rows {
			instants = append(instants, at(i))
		}
		slices.Sort(instants)
		instants = slices.Compact(instants)
		middle := instants[len(instants)/2]
		for _, window := range [][2]int64{
			{clerksync.Never, math.MaxInt64}, {clerksync.Never, clerksync.Never}, {clerksync.Never, middle}, {middle, math.MaxInt64},
			{middle, middle}, {middle + 1, math.MaxInt64}, {instants[1], instants[2]}, {-1, 0}, {middle, middle - 1},
		} {
			var want []string
			for i, row := range rows {
				if at(i) >= window[0] && at(i) <= window[1] {
					want = append(want, row.ID)
				}
			}
			slices.Sort(want)
			if diff := cmp.Diff(want, h.visible(window[0], window[1])); diff != "" {
				t.Errorf("window %v (-want +got):\n%.1000s", window, diff)
			}
		}
		if n, err := h.mirror.CountVisible(t.Context(), clerksync.Users); err != nil || n != int64(len(rows)) {
			t.Errorf("%d visible, %v; want %d", n, err, len(rows))
		}
	})
}

// The rows of a window that nobody reads to its end are given up without a trace.
func TestVisibleStopsEarly(t *testing.T) {
	t.Parallel()
	h := open(t, pgtest.SQLite(t), clerktest.Config{Users: 5, Seed: 71})
	h.full()
	h.db.SetMaxOpenConns(1)
	for _, err := range h.mirror.Visible(t.Context(), clerksync.Users, clerksync.Never, math.MaxInt64) {
		must(t, err)
		break
	}
	h.full() // with the only connection
}
