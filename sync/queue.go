package sync

import (
	"context"
	"sync"
)

// request is one call of Apply on its way through the queue.
type request struct {
	pieces []*piece
	pinned string // the pin under which the pieces were prepared
	size   int    // bytes of JSON

	lead chan struct{} // closed when this request's caller must commit the next batch
	done chan struct{} // closed when the request is answered
	err  error         // meaningful once done is closed
}

func newRequest(pieces []*piece, pinned string) *request {
	r := &request{pieces: pieces, pinned: pinned, lead: make(chan struct{}), done: make(chan struct{})}
	for _, p := range pieces {
		r.size += len(p.Object)
	}
	return r
}

// idle reports whether the request has nothing to commit.
func (r *request) idle() bool {
	for _, p := range r.pieces {
		if !p.quiet() {
			return false
		}
	}
	return true
}

// queue gathers requests while others are being committed. There is no timer: the first caller commits at once, those who come
// meanwhile wait, and the first of them commits all of them together in the next transaction. A committing caller works for the
// others only until its own request is answered.
type queue struct {
	lanes int // how many batches may be in flight at once

	mu      sync.Mutex
	waiting []*request
	leading int
}

// The bounds of one transaction, and how many must wait before another one starts beside one in flight: fewer would only take
// them away from the next batch.
const (
	maxBatchPieces = 500
	maxBatchBytes  = 8 << 20
	crowd          = 64
)

// join queues a request, and reports whether its caller has to commit the next batch.
func (q *queue) join(r *request) (leads bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.waiting = append(q.waiting, r)
	if q.leading == 0 || q.leading < q.lanes && len(q.waiting) >= crowd {
		q.leading++
		return true
	}
	return false
}

// take removes the next batch from the queue: never empty while a request waits.
func (q *queue) take() []*request {
	q.mu.Lock()
	defer q.mu.Unlock()
	n, pieces, size := 0, 0, 0
	for n < len(q.waiting) {
		r := q.waiting[n]
		if n > 0 && (pieces+len(r.pieces) > maxBatchPieces || size+r.size > maxBatchBytes) {
			break
		}
		n, pieces, size = n+1, pieces+len(r.pieces), size+r.size
	}
	batch := q.waiting[:n:n]
	q.waiting = q.waiting[n:]
	return batch
}

// pass hands the lead to the first request that waits, or lays it down.
func (q *queue) pass() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) == 0 {
		q.waiting = nil
		q.leading--
		return
	}
	next := q.waiting[0]
	close(next.lead)
}

// leave takes a request out of the queue whose caller has gone, unless it is being committed or leads already.
func (q *queue) leave(r *request) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	select {
	case <-r.lead:
		return false
	default:
	}
	for i, w := range q.waiting {
		if w == r {
			q.waiting = append(q.waiting[:i:i], q.waiting[i+1:]...)
			return true
		}
	}
	return true
}

// submit sees a request through the queue and returns its error.
func (m *Mirror) submit(ctx context.Context, r *request) error {
	if r.idle() {
		return nil
	}
	if !m.queue.join(r) {
		select {
		case <-r.done:
			return r.err
		case <-r.lead:
		case <-ctx.Done():
			if m.queue.leave(r) {
				return ctx.Err()
			}
		}
	}
	m.lead(ctx, r)
	return r.err
}

// lead commits batches until r is answered, and hands the lead on. The others in the batch do not depend on the leader's context.
func (m *Mirror) lead(ctx context.Context, r *request) {
	defer m.queue.pass()
	for {
		m.answer(context.WithoutCancel(ctx), m.queue.take())
		select {
		case <-r.done:
			return
		default:
		}
	}
}

// answer commits a batch and answers its callers, also if committing panics: nobody may wait for ever.
func (m *Mirror) answer(ctx context.Context, batch []*request) {
	for _, r := range batch {
		r.err = ErrUnavailable
		defer close(r.done)
	}
	m.commitAll(ctx, batch)
}
