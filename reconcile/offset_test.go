package reconcile_test

import (
	"fmt"
	"math"
	"net/url"
	"slices"
	"strconv"
	"testing"

	"pgregory.net/rapid"

	"github.com/clerksync/clerksync/reconcile"
	clerksync "github.com/clerksync/clerksync/sync"
)

// shifting is a list that is read by offset, in the order of creation, while rows come and go.
type shifting struct {
	rows []clerksync.Sighting
	read int // pages
}

func (s *shifting) page(t *rapid.T, query string, size int) []clerksync.Sighting {
	q, err := url.ParseQuery(query)
	if err != nil {
		t.Fatal(err)
	}
	if s.read++; s.read > 10_000 {
		t.Fatal("the walk does not end")
	}
	offset, _ := strconv.Atoi(q.Get("offset"))
	offset = min(offset, len(s.rows))
	return s.rows[offset:min(offset+size, len(s.rows))]
}

// shift deletes rows here and there, or a whole stretch of them, and adds one at the end.
func (s *shifting) shift(t *rapid.T) {
	s.rows = slices.Clone(s.rows)
	for range rapid.IntRange(0, 3).Draw(t, "deletions") {
		if len(s.rows) > 0 {
			i := rapid.IntRange(0, len(s.rows)-1).Draw(t, "deleted")
			s.rows = slices.Delete(s.rows, i, i+1)
		}
	}
	if rapid.IntRange(0, 6).Draw(t, "many") == 0 {
		from := rapid.IntRange(0, len(s.rows)).Draw(t, "from")
		s.rows = slices.Delete(s.rows, from, min(len(s.rows), from+rapid.IntRange(0, 70).Draw(t, "length")))
	}
	if rapid.Bool().Draw(t, "added") {
		s.rows = append(s.rows, sighting(fmt.Sprintf("late_%d", s.read), math.MaxInt32+int64(s.read)))
	}
}

// Whatever is deleted while a list is walked by offset, rows that stay are seen, and those created in one instant are no exception.
func TestOffsetsSkipNothing(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		list := &shifting{}
		instant, ties := int64(0), rapid.SampledFrom([]int{0, 3, 30}).Draw(t, "ties")
		for i := range rapid.IntRange(0, 200).Draw(t, "rows") {
			if rapid.IntRange(0, ties).Draw(t, "tie") == 0 {
				instant++
			}
			list.rows = append(list.rows, sighting(fmt.Sprintf("row_%d", i), instant))
		}
		start := list.rows
		size := rapid.IntRange(10, 30).Draw(t, "page size")
		seen := map[string]bool{}
		for at, last := reconcile.Start(clerksync.Organizations), false; !last; {
			var page []clerksync.Sighting
			for {
				page = list.page(t, at.Query(), size)
				if at.Joins(page) {
					break
				}
				list.shift(t)
				at = at.Back(size)
			}
			for _, s := range page {
				seen[s.ID] = true
			}
			at, last = at.AfterPage(page), len(page) < size
			list.shift(t)
		}
		for _, s := range start {
			if !seen[s.ID] && slices.ContainsFunc(list.rows, func(stayed clerksync.Sighting) bool { return stayed.ID == s.ID }) {
				t.Fatalf("%s stayed, and was not seen", s.ID)
			}
		}
	})
}
