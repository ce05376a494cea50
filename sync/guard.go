package sync

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
)

// Limits is the size of the deletion guard: how many objects of a kind may be deleted in one pass, or within an hour. Its zero value
// is the default.
type Limits struct {
	MaxDeletes       int // zero means 500; a negative value means none
	MaxDeletePercent int // of the visible objects; zero means 5; a negative value means none beyond the least 10
}

// guardFloor is how many objects a small mirror may lose, whatever percentage of it they are.
const guardFloor = 10

// Allows returns how many objects of a kind may be deleted where so many are visible: MaxDeletes or the greater of ten and the
// percentage, whichever is less.
func (l Limits) Allows(visible int64) int64 {
	most := int64(max(cmp.Or(l.MaxDeletes, 500), 0))
	percent := visible * int64(max(cmp.Or(l.MaxDeletePercent, 5), 0)) / 100
	return min(most, max(guardFloor, percent))
}

// guardTerm is the time over which a Guard counts.
const guardTerm = time.Hour

// Guard bounds how many visible objects of a kind some sources may hide within an hour, where no pass can look at all of them at
// once. It counts what it lets through and, in the audit log, what was deleted on the word of its sources, so that all processes
// that share a database share its size: together they may exceed it by what they let through at the same moment. Its methods may be
// called by any number of goroutines at once.
type Guard struct {
	mirror  *Mirror
	limits  Limits
	sources []Source

	asked  singleflight.Group // by kind and id: what comes twice at once is admitted once
	mu     sync.Mutex
	counts map[Kind]*guardCount
}

// guardCount is what a guard knows about one kind.
type guardCount struct {
	admitted map[string]time.Time // when an object was let through: objects, and not how often each was denied
	sizing   sync.Mutex           // held while the size is worked out
	size     int64
	sized    time.Time // when size was worked out
	told     time.Time // when the audit log was last told that the guard tripped
	closed   time.Time // until then nobody is let through without looking again
}

// NewGuard returns a guard for deletions on the word of the sources.
func NewGuard(m *Mirror, limits Limits, sources ...Source) *Guard {
	return &Guard{mirror: m, limits: limits, sources: sources, counts: map[Kind]*guardCount{}}
}

// Admit reports whether a visible object may be hidden. An object that was let through is not counted twice. What cannot be
// counted, since the database does not answer, is not let through. The first refusal in an hour is recorded in the audit log.
func (g *Guard) Admit(ctx context.Context, k Kind, id string) bool {
	admitted, _, _ := g.asked.Do(string(k)+"/"+id, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), g.mirror.commitTimeout()) // who asked first may go away, and others wait
		defer cancel()
		return g.decide(ctx, k, id), nil
	})
	return admitted.(bool)
}

func (g *Guard) decide(ctx context.Context, k Kind, id string) bool {
	c, known := g.enter(k, id)
	if known {
		return true
	}
	for _, limit := range []func() (int64, error){
		func() (int64, error) { return g.limits.Allows(0), nil }, // most mirrors never get beyond it, and counting millions of rows takes seconds
		func() (int64, error) { return g.size(ctx, k, c) },
	} {
		most, err := limit()
		admitted := false
		if err == nil {
			admitted, err = g.admit(ctx, k, id, c, most)
		}
		if admitted || err != nil {
			return admitted // what cannot be counted is no sign that there are too many
		}
	}
	if g.release(ctx, k, c) {
		return g.decide(ctx, k, id)
	}
	g.refuse(ctx, k, c)
	return false
}

// release takes out of the count what has gone with its parent since it was let through, and reports whether there was such a thing.
func (g *Guard) release(ctx context.Context, k Kind, c *guardCount) bool {
	d := k.description()
	if len(d.parents) == 0 {
		return false
	}
	g.mu.Lock()
	admitted := slices.Collect(maps.Keys(c.admitted))
	g.mu.Unlock()
	var along []string
	query := `SELECT id FROM {` + string(k) + `} AS t WHERE id IN ` + g.mirror.dialect.among() + ` AND ` + d.orphaned()
	if err := g.mirror.selectAmong(ctx, g.mirror.db, &along, query, admitted); err != nil {
		return false // what cannot be counted is not let through
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	before := len(c.admitted)
	for _, id := range along {
		delete(c.admitted, id)
	}
	if len(c.admitted) == before {
		return false
	}
	c.closed = time.Time{}
	return true
}

// enter returns the count of a kind, and whether the object is in it.
func (g *Guard) enter(k Kind, id string) (c *guardCount, known bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	c = g.counts[k]
	if c == nil {
		c = &guardCount{admitted: map[string]time.Time{}}
		g.counts[k] = c
	}
	now := time.Now()
	for id, at := range c.admitted {
		if now.Sub(at) >= guardTerm {
			delete(c.admitted, id)
		}
	}
	_, known = c.admitted[id]
	return c, known
}

// admit lets the object through if that keeps the count within the limit. It enters it first, so that those who ask at the same
// moment count each other.
func (g *Guard) admit(ctx context.Context, k Kind, id string, c *guardCount, limit int64) (admitted bool, err error) {
	g.mu.Lock()
	full := int64(len(c.admitted)) >= limit || time.Now().Before(c.closed)
	if !full {
		c.admitted[id] = time.Now()
	}
	g.mu.Unlock()
	if full {
		return false, nil
	}
	hidden, err := g.mirror.hidden(ctx, k, g.sources, 2*limit) // more cannot be our own and others' within it
	g.mu.Lock()
	defer g.mu.Unlock()
	n := int64(len(c.admitted))
	for _, other := range hidden {
		if _, own := c.admitted[other]; !own {
			n++
		}
	}
	if err == nil && n <= limit {
		return true, nil
	}
	delete(c.admitted, id)
	return false, err
}

// size is how much the guard lets through. It is worked out once a term: when Clerk denies everybody, counting millions of rows for
// each of them would be the next trouble.
func (g *Guard) size(ctx context.Context, k Kind, c *guardCount) (int64, error) {
	c.sizing.Lock()
	defer c.sizing.Unlock()
	if now := time.Now(); now.Sub(c.sized) >= guardTerm {
		visible, err := g.mirror.CountVisible(ctx, k)
		if err != nil {
			return 0, err
		}
		c.size, c.sized = g.limits.Allows(visible), now
	}
	return c.size, nil
}

// guardRest is how long a guard that has tripped refuses without counting again.
const guardRest = time.Second

func (g *Guard) refuse(ctx context.Context, k Kind, c *guardCount) {
	g.mu.Lock()
	now := time.Now()
	if now.After(c.closed) {
		c.closed = now.Add(guardRest)
	}
	tell := now.Sub(c.told) >= guardTerm
	if tell {
		c.told = now
	}
	g.mu.Unlock()
	if !tell {
		return
	}
	allowed, err := g.size(ctx, k, c)
	if err == nil {
		err = g.mirror.Record(ctx, nil, AuditEntry{
			Action: AuditRefused, Kind: k, Source: g.sources[0], Detail: fmt.Sprintf("allowed=%d within an hour", allowed),
		})
	}
	if err != nil {
		g.mu.Lock()
		defer g.mu.Unlock()
		c.told = time.Time{} // the next refusal tries again
	}
}

// hidden returns objects of a kind that were deleted within the guard's term on the word of the sources, and not with their parents, at
// most so many.
func (m *Mirror) hidden(ctx context.Context, k Kind, sources []Source, most int64) (ids []string, err error) {
	names := make([]string, len(sources))
	for i, s := range sources {
		names[i] = "'" + string(s) + "'"
	}
	err = m.db.SelectContext(ctx, &ids, m.SQL(`SELECT DISTINCT object_id FROM {audit}
WHERE action = 'deleted' AND resource = $1 AND source IN (`+strings.Join(names, ", ")+`) AND at > $2 AND NOT `+k.description().wentAlong()+` LIMIT $3`),
		string(k), stamp(time.Now().Add(-guardTerm)), most)
	if err != nil {
		return nil, fmt.Errorf("counting deletions: %w", unavailable(err))
	}
	return ids, nil
}
