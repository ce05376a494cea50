package sync

import (
	"context"
	"slices"
	"sync"
)

// request is one call of Apply on its way through the queue.
type request struct {
	pieces []*piece
	pinned string // the pin under which the pieces were prepared
	size   int    // bytes of JSON
	calls  int    // pieces that may call a hook

	lead   chan struct{} // closed when this request's caller must commit the next batch
	handOn func()        // hands the lead on, once, if this request's caller has it
	done   chan struct{} // closed when the request is answered
	err    error         // meaningful once done is closed
}

func (m *Mirror) newRequest(pieces []*piece, pinned string) *request {
	r := &request{pieces: pieces, pinned: pinned, lead: make(chan struct{}), done: make(chan struct{}), handOn: func() {}}
	for _, p := range pieces {
		r.size += len(p.Object)
		if p.kind != nil && m.hooked(p.kind) {
			r.calls++
		}
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

// unsettled returns the ids of the objects of a kind that a batch has still to merge.
func unsettled(batch []*request, k *kind) (ids []string) {
	for _, r := range batch {
		for _, p := range r.pieces {
			if p.kind == k && !p.final {
				ids = append(ids, p.ID)
			}
		}
	}
	return ids
}

// queue gathers requests while others are being committed. There is no timer: the first caller commits at once, those who come
// meanwhile wait, and then the first of them commits all of them together. He begins when the batch before has merged its objects and
// writes its events, and no earlier: two transactions that merge side by side would be half as large each, and cost more than they save,
// unless the way to the database is long; see [Mirror.measure].
type queue struct {
	lanes int // how many batches may be in flight at once

	mu      sync.Mutex
	waiting []*request // without those whose callers commit a batch
	leading bool       // whether a caller works on a batch whose objects are not yet merged
	flying  int        // how many batches are in flight
}

// The bounds of one transaction.
const (
	maxBatchPieces = 500
	maxBatchBytes  = 8 << 20
)

// ample is how many pieces of one caller make a batch of their own that need not grow: half a page of a pass. The next batch begins beside
// it at once.
const ample = maxBatchPieces / 2

// join queues a request, unless its caller has to commit the next batch itself.
func (q *queue) join(r *request) (leads bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.leading && q.flying < q.lanes {
		q.leading = true
		q.flying++
		return true
	}
	q.waiting = append(q.waiting, r)
	return false
}

// batch takes out of the queue what is committed together with the leader's request.
func (q *queue) batch(leader *request, mostCalls int) []*request {
	q.mu.Lock()
	defer q.mu.Unlock()
	batch, pieces, size, calls := []*request{leader}, len(leader.pieces), leader.size, leader.calls
	for _, r := range q.waiting {
		pieces, size, calls = pieces+len(r.pieces), size+r.size, calls+r.calls
		if pieces > maxBatchPieces || size > maxBatchBytes || calls > mostCalls {
			break
		}
		batch = append(batch, r)
	}
	q.waiting = q.waiting[len(batch)-1:]
	return batch
}

// handOn lets the next batch begin beside the leader's, which is about to be committed.
func (q *queue) handOn() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.leading = false
	q.promote()
}

// land takes a batch out of flight whose leader has handed the lead on.
func (q *queue) land() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.flying--
	q.promote()
}

// promote gives the lead to the first request that waits, if nobody has it.
func (q *queue) promote() {
	if q.leading || q.flying == q.lanes {
		return
	}
	if len(q.waiting) == 0 {
		q.waiting = nil
		return
	}
	q.leading = true
	q.flying++
	close(q.waiting[0].lead)
	q.waiting = q.waiting[1:]
}

// leave takes a request out of the queue whose caller has gone. It reports false if the caller has been handed the lead, which
// only he can pass on.
func (q *queue) leave(r *request) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	select {
	case <-r.lead:
		return false
	default:
	}
	if i := slices.Index(q.waiting, r); i >= 0 {
		q.waiting = slices.Delete(slices.Clone(q.waiting), i, i+1)
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

// lead commits one batch and hands the lead on. The others in the batch do not depend on the leader's context.
func (m *Mirror) lead(ctx context.Context, r *request) {
	defer m.queue.land()
	r.handOn = sync.OnceFunc(m.queue.handOn)
	defer r.handOn()
	if len(r.pieces) >= ample {
		r.handOn()
	}
	m.answer(context.WithoutCancel(ctx), m.queue.batch(r, m.mostCalls()))
}

// answer commits a batch and answers its callers, also if committing panics: nobody may wait for ever.
func (m *Mirror) answer(ctx context.Context, batch []*request) {
	for _, r := range batch {
		r.err = ErrUnavailable
		defer close(r.done)
	}
	m.commitAll(ctx, batch)
}
