package reconcile

import (
	"net/url"
	"slices"
	"strconv"

	clerksync "github.com/clerksync/clerksync/sync"
)

// pageSize is the most that Clerk lists at once.
const pageSize = 500

// overlap is how many rows are read again by a walk that an offset takes up: it is not known where it broke off.
const overlap = 500

// way is how a walk asks for its next page. Clerk documents neither what a cursor does whose user was deleted nor the order of
// users created in the same millisecond, so there is always another way. Each is worse than the one before it.
//
// Users alone have a cursor and windows. Every other list is walked by offset. Rows that are deleted meanwhile move the rest up, so
// pages by offset overlap, and a page that lies too far ahead is left for one farther back.
type way int

const (
	byCursor  way = iota // starting_after the last user of the page before
	byEarlier            // starting_after the last but one: the last may be deleted
	byWindow             // created_at_after, and an offset among users of one instant
	byOffset             // offset
	noWay
)

// position is where a walk goes on: after some page. The zero value is the start.
type position struct {
	Way     way    `json:"way"`
	Last    string `json:"last"`    // the last row of the page
	Earlier string `json:"earlier"` // the one before it
	Created int64  `json:"created"` // when the last one was created
	Offset  int    `json:"offset"`  // within the window, or of the whole list
}

// start returns where the walk of a kind's list begins.
func start(k clerksync.Kind) position {
	p := position{Created: clerksync.Never}
	if !k.Cursor() {
		p.Way = byOffset
	}
	return p
}

// joins reports whether a page that was read at this position continues the one before it, with nothing between them: it shows
// that one's last row, or begins with an older one.
func (p position) joins(page []clerksync.Sighting) bool {
	if p.Way != byOffset || p.Offset == 0 || p.Created == clerksync.Never {
		return true
	}
	return len(page) > 0 && page[0].Dated() < p.Created ||
		slices.ContainsFunc(page, func(s clerksync.Sighting) bool { return s.ID == p.Last })
}

// back returns the position a page farther back.
func (p position) back(size int) position {
	p.Offset = max(p.Offset-size, 0)
	return p
}

// query returns the parameters of a page at this position.
func (p position) query(size int) url.Values {
	q := url.Values{"limit": {strconv.Itoa(size)}, "order_by": {"+created_at"}}
	cursor := map[way]string{byCursor: p.Last, byEarlier: p.Earlier}[p.Way]
	if cursor != "" {
		q.Set("starting_after", cursor)
	}
	if p.Way == byWindow {
		q.Set("created_at_after", strconv.FormatInt(p.Created-1, 10)) // exclusive
	}
	if p.Offset > 0 {
		q.Set("offset", strconv.Itoa(p.Offset))
	}
	return q
}

// after returns the position after a page that was read at this one.
func (p position) after(page []clerksync.Sighting) position {
	next := p
	for _, s := range page {
		if s.ID != "" {
			next.Earlier, next.Last, next.Created = next.Last, s.ID, s.Dated()
		}
	}
	switch p.Way {
	case byCursor, byEarlier:
		next.Way = byCursor
	case byWindow:
		next.Offset = p.Offset + len(page)
		if next.Created != p.Created {
			next.Offset = 0
		}
	case byOffset:
		next.Offset = p.Offset + len(page) - len(page)/10
	}
	return next
}

// by returns this position, reached by another way or, where that one cannot reach it, by a worse one. An offset starts where all
// rows seen so far lie behind, less the overlap.
func (p position) by(w way, seen int64) position {
	if w == byEarlier && p.Earlier == "" {
		w = byWindow
	}
	if w == byWindow && (p.Last == "" || p.Created == clerksync.Never) {
		w = byOffset
	}
	p.Way, p.Offset = w, 0
	if w == byOffset {
		p.Offset = int(max(seen-overlap, 0))
	}
	return p
}
