package main

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"

	clerksync "github.com/clerksync/clerksync/sync"

	"github.com/clerksync/clerksync/internal/crash"
)

// verifier reads objects by id about which an event contradicted the mirror, so that a conflict does not wait for the next pass.
// What it has not read when the process ends is lost: the next pass covers it.
type verifier struct {
	mirror *clerksync.Mirror
	reader *clerksync.Reader
	log    *slog.Logger
	delay  time.Duration // before a read by id can overrule the deletion that it is about
	pace   *rate.Limiter
	guard  *clerksync.Guard // bounds the deletions that reads by id may make; more wait for a pass

	mu     sync.Mutex
	queued map[target]bool
	queue  []appointment // all have the same delay, so they are in the order of their times
	wake   chan struct{}
}

type appointment struct {
	target
	at time.Time
}

// maxAppointments bounds the memory that a flood of contradictions can take.
const maxAppointments = 10_000

// newVerifier returns a verifier that uses a tenth of the passes' share of Clerk's rate limit.
func newVerifier(s settings, mirror *clerksync.Mirror, api *clerksync.API, log *slog.Logger) *verifier {
	perSecond := 10.0
	if s.live() {
		perSecond = 100
	}
	return &verifier{
		mirror: mirror, reader: clerksync.NewReader(mirror, api, clerksync.Resync), log: log,
		delay:  max(s.readMargin, 0) + 6*time.Second, // an event's deletion counts as up to 5 s later than the event says
		pace:   rate.NewLimiter(rate.Limit(perSecond*float64(s.apiShare)/100/10), 1),
		guard:  clerksync.NewGuard(mirror, s.limits(), clerksync.Resync),
		queued: map[target]bool{}, wake: make(chan struct{}, 1),
	}
}

// ask queues a read. It never blocks. What Clerk cannot be asked for, such as a session, is left as the rule has it: no pass would do
// better.
func (v *verifier) ask(kind clerksync.Kind, id string) {
	if !kind.Askable() {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	o := target{id, kind}
	if v.queued[o] || len(v.queue) >= maxAppointments {
		return
	}
	v.queued[o] = true
	v.queue = append(v.queue, appointment{o, time.Now().Add(v.delay)})
	select {
	case v.wake <- struct{}{}:
	default:
	}
}

// slow is how many reads may take the read margin side by side; what is beyond that, the next pass covers.
const slow = 100

// run reads what is due until the context ends. Where Clerk does not answer by id, a read takes the read margin, and others must not
// wait for it.
func (v *verifier) run(ctx context.Context) error {
	var beside errgroup.Group
	beside.SetLimit(slow)
	defer func() { _ = beside.Wait() }()
	for {
		o, wait := v.next()
		if wait == 0 {
			if v.pace.Wait(ctx) != nil {
				return nil
			}
			if o.kind.ByID() {
				v.verify(ctx, o)
			} else {
				beside.TryGo(crash.Contained(func() error { v.verify(ctx, o); return nil }))
			}
			continue
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-v.wake:
		case <-ctx.Done():
			timer.Stop()
			return nil
		}
		timer.Stop()
	}
}

// next takes the first object that is due, or tells how long to wait.
func (v *verifier) next() (target, time.Duration) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.queue) == 0 {
		return target{}, time.Hour
	}
	first := v.queue[0]
	if wait := time.Until(first.at); wait > 0 {
		return target{}, wait
	}
	v.queue = v.queue[1:]
	delete(v.queued, first.target)
	return first.target, 0
}

func (v *verifier) verify(ctx context.Context, o target) {
	read, err := v.reader.Get(ctx, o.kind, o.id)
	known := true
	if err == nil && read.Object == nil {
		known, err = v.admit(ctx, o)
	}
	if err == nil && known {
		_, err = v.mirror.Apply(ctx, read)
	}
	if err != nil && ctx.Err() == nil {
		v.log.Warn("a contradiction stays until the next pass", "id", o.id, "error", err)
	}
}

// admit asks the guard whether a visible object may be hidden. Of one that the mirror does not know there is nothing to hide: an event
// older than the tombstones that were removed spoke of it.
func (v *verifier) admit(ctx context.Context, o target) (known bool, err error) {
	known, visible, err := v.mirror.Find(ctx, o.kind, o.id)
	if err == nil && visible && !v.guard.Admit(ctx, o.kind, o.id) {
		err = errors.New("more deletions within an hour than the guard allows: the next pass decides")
	}
	return known, err
}
