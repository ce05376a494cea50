package clerktest

import (
	"cmp"
	"net/url"
	"slices"
	"strings"
)

// sortKey is what a row is sorted by; rows without one come last.
type sortKey struct {
	none   bool
	number int64
	text   string
}

func textKey(text *string) sortKey {
	if text == nil {
		return sortKey{none: true}
	}
	return sortKey{text: *text}
}

func (a sortKey) compare(b sortKey) int {
	none := map[bool]int{true: 1}
	return cmp.Or(cmp.Compare(none[a.none], none[b.none]), cmp.Compare(a.number, b.number), cmp.Compare(a.text, b.text))
}

// selection is what a listing lists: rows in the order of creation, the filters
// on them, and what they can be sorted by beside created_at.
type selection[T row] struct {
	rows    []T
	orders  map[string]func(T) sortKey
	filters []func(T) bool
}

func (s *selection[T]) where(filter func(T) bool) { s.filters = append(s.filters, filter) }

// search keeps the rows of which a text contains the parameter, or whose id it
// is. Upper and lower case are alike.
func (s *selection[T]) search(q url.Values, param string, texts func(T) []string) {
	if part := strings.ToLower(q.Get(param)); part != "" {
		s.where(func(r T) bool { return strings.ToLower(r.top().id) == part || anyContains(texts(r), part) })
	}
}

// choice keeps the rows with one of the values of a repeatable parameter.
// Values with a leading minus exclude, if signed.
func (s *selection[T]) choice(q url.Values, param string, signed bool, has func(r T, values []string) bool) *apiError {
	if len(q[param]) > maxValues {
		return errTooOften(param)
	}
	include, exclude := splitSigned(param, q[param], signed)
	if len(include) > 0 {
		s.where(func(r T) bool { return has(r, include) })
	}
	if len(exclude) > 0 {
		s.where(func(r T) bool { return !has(r, exclude) })
	}
	return nil
}

// cutPage returns the page of a request, with the faults of a hostile listing,
// and how many rows match in all.
func cutPage[T row](c *Clerk, q url.Values, s selection[T]) (page []T, total int64, err *apiError) {
	var l listing
	if err := l.parsePage(q); err != nil {
		return nil, 0, err
	}
	rows, backwards, err := s.sorted(c, q)
	if err != nil {
		return nil, 0, err
	}
	faults := c.Faults()
	total = int64(len(rows))
	for i := l.offset; i < total && int64(len(page)) < l.limit; i++ {
		at := i
		if backwards {
			at = total - 1 - i
		}
		if !c.hit(faults.SkipRows) {
			page = append(page, rows[at])
		}
	}
	return distort(c, page, faults), max(0, total+int64(faults.CountDelta)), nil
}

// sorted returns the rows that match, to be read backwards or not.
func (s selection[T]) sorted(c *Clerk, q url.Values) (rows []T, backwards bool, err *apiError) {
	text := cmp.Or(q.Get("order_by"), "-created_at")
	order := strings.TrimLeft(text[:1], "+- ") + text[1:]
	key := s.orders[order]
	if key == nil && order != "created_at" {
		return nil, false, errValue("order_by", text)
	}
	if lag := c.Faults().Lag; lag > 0 {
		fresh := c.now().Add(-lag).UnixMilli()
		s.where(func(r T) bool { return r.top().createdAt <= fresh })
	}
	rows = s.rows
	if len(s.filters) > 0 {
		rows = nil
		for _, r := range s.rows {
			if !slices.ContainsFunc(s.filters, func(keeps func(T) bool) bool { return !keeps(r) }) {
				rows = append(rows, r)
			}
		}
	}
	if key != nil {
		if len(rows) > maxSorted {
			return nil, false, unprocessable("emulator_limit", "too many rows to sort",
				"The emulator sorts by "+order+" only up to 100,000 rows. Use created_at.", "order_by")
		}
		rows = sortBy(rows, key)
	}
	return rows, text[0] == '-', nil
}

// sortBy sorts a copy, ties in the order of creation.
func sortBy[T row](rows []T, key func(T) sortKey) []T {
	type keyed struct {
		key sortKey
		row T
	}
	list := make([]keyed, len(rows))
	for i, r := range rows {
		list[i] = keyed{key(r), r}
	}
	slices.SortStableFunc(list, func(a, b keyed) int { return a.key.compare(b.key) })
	out := make([]T, len(rows))
	for i, k := range list {
		out[i] = k.row
	}
	return out
}

// writePage writes a page as {"data":[…],"total_count":n}. The caller holds mu.
func writePage[T row](c *Clerk, w *writer, q url.Values, s selection[T], write func(r T)) *apiError {
	page, total, err := cutPage(c, q, s)
	if err != nil {
		return err
	}
	w.buf = make([]byte, 0, 64+len(page)<<10)
	w.open("", '{').open("data", '[')
	for _, r := range page {
		write(r)
	}
	w.close(']').num("total_count", total).close('}')
	return nil
}
