package sync

import (
	"context"
	"errors"
	"time"
)

// lookTime bounds the look at locked rows, whose callers have waited for long already.
const lookTime = time.Second

// exceeded reports whether an error is that of a commit which took too long.
func exceeded(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || sqlState(err) == "57014" || sqlState(err) == lockTimeout
}

// freeOf returns those requests of a batch of which nobody else locks a row by now, and the others. A program of the team's may hold one
// for long; that must not cost everybody his answer.
func (m *Mirror) freeOf(ctx context.Context, batch []*request) (free, locked []*request) {
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	of := map[Kind]map[string]bool{}
	for _, k := range kinds {
		ids := unsettled(batch, k)
		if len(ids) == 0 {
			continue
		}
		of[k.name] = map[string]bool{}
		var all []string
		if err := m.selectAmong(ctx, m.db, &all, `WITH free AS (SELECT id FROM {`+string(k.name)+`} WHERE id IN `+m.dialect.among()+` FOR NO KEY UPDATE SKIP LOCKED)
SELECT id FROM {`+string(k.name)+`} WHERE id IN `+m.dialect.among()+` AND id NOT IN (SELECT id FROM free)`, ids); err != nil {
			return nil, batch
		}
		for _, id := range all {
			of[k.name][id] = true
		}
	}
	for _, r := range batch {
		if r.waitsFor(of) {
			locked = append(locked, r)
		} else {
			free = append(free, r)
		}
	}
	return free, locked
}

// waitsFor reports whether a request is about one of some objects.
func (r *request) waitsFor(objects map[Kind]map[string]bool) bool {
	for _, p := range r.pieces {
		if !p.final && p.kind != nil && objects[p.kind.name][p.ID] {
			return true
		}
	}
	return false
}
