package admin

import (
	"context"
	"sync"
	"time"

	"github.com/clerksync/clerksync/internal/crash"
)

// reading is one read, shared by all who asked for it.
type reading[T any] struct {
	began time.Time
	done  chan struct{} // closed once the rest is there
	ended time.Time
	value T
	err   error
}

// readTime is how long a read may take: a little less than the listener leaves for an answer.
const readTime = 15 * time.Second

// Recent returns a function that reads something for all who call it: at most once per the given time, after a failure anew, and never
// twice at once. Counting millions of rows for every scrape and every open page would be a load of its own, and callers who queue up before a
// database that does not answer would wait for each other's time-outs. The read outlives the caller that began it.
func Recent[T any](read func(context.Context) (T, error), keep time.Duration) func(context.Context) (T, error) {
	return share(read, readTime, 0, func(r, _ *reading[T]) bool { return r.err != nil || time.Since(r.began) >= keep })
}

const (
	costlyTime     = time.Minute // for one read
	costlyShare    = 20          // times as long as the last read took pass before the next one
	costlyPatience = time.Second // with a read, where there is an earlier one
)

// Costly is Recent for what takes the longer the more there is, such as counts: each counts rows one by one, seconds for millions of them, and
// a page or a scrape that asks every few seconds would keep the database at it. So it is read a small part of the time at most, and
// whoever has waited for a while, or for a read that failed, gets what was read before. Only while nothing was, it is read at once again.
func Costly[T any](read func(context.Context) (T, error)) func(context.Context) (T, error) {
	return share(read, costlyTime, costlyPatience, func(r, good *reading[T]) bool {
		return good == nil || time.Since(r.ended) >= costlyShare*r.ended.Sub(r.began)
	})
}

// share reads something for all who call: again once the last read is old, by what it was and the last one that was good, if any, and for
// no longer than limit. Whoever has waited with patience, unless that is 0, or for a read that fails, gets what the good one read.
func share[T any](read func(context.Context) (T, error), limit, patience time.Duration, old func(last, good *reading[T]) bool) func(context.Context) (T, error) {
	var mu sync.Mutex
	var last, good *reading[T]
	return func(ctx context.Context) (T, error) {
		ctx, cancel := context.WithTimeout(ctx, limit) // which the read may not heed
		defer cancel()
		mu.Lock()
		over := last == nil || last.over()
		if over && last != nil && last.err == nil {
			good = last
		}
		if over && (last == nil || old(last, good)) {
			last = begin(context.WithoutCancel(ctx), read, limit)
		}
		r, before := last, good
		mu.Unlock()
		if patience == 0 {
			before = nil
		}
		var enough <-chan time.Time
		if before != nil {
			timer := time.NewTimer(patience)
			defer timer.Stop()
			enough = timer.C
		}
		select {
		case <-r.done:
			if r.err != nil && before != nil {
				return before.value, nil
			}
			return r.value, r.err
		case <-enough:
			return before.value, nil
		case <-ctx.Done():
			var none T
			return none, ctx.Err()
		}
	}
}

func begin[T any](ctx context.Context, read func(context.Context) (T, error), limit time.Duration) *reading[T] {
	r := &reading[T]{began: time.Now(), done: make(chan struct{})}
	go func() {
		defer close(r.done)
		ctx, cancel := context.WithTimeout(ctx, limit)
		defer cancel()
		r.err = crash.Contain(func() (err error) {
			r.value, err = read(ctx)
			return err
		})
		r.ended = time.Now()
	}()
	return r
}

// over reports whether a read has ended.
func (r *reading[T]) over() bool {
	select {
	case <-r.done:
		return true
	default:
		return false
	}
}
