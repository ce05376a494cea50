package lease

import (
	"context"
	"errors"
	"time"

	"github.com/clerksync/clerksync/internal/crash"
)

// Hold does the duty while it renews the lease, and then gives it back. Once the lease is lost, the context that run was given ends
// with the cause [ErrLost], also while a renewal hangs. A panic of run is an error.
func (l *Lease) Hold(ctx context.Context, run func(context.Context) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	renewed := make(chan struct{})
	go func() { // keep and outlast have no error only once the context has ended
		defer close(renewed)
		cancel(crash.Contain(func() error { return l.keep(ctx) }))
	}()
	go func() { cancel(crash.Contain(func() error { return l.outlast(ctx) })) }()
	err := crash.Contain(func() error { return run(ctx) }) // or the lease would be renewed for ever
	cancel(nil)
	l.release(ctx, renewed)
	return err
}

// keep renews the lease until the context ends. The error says that another one has it.
func (l *Lease) keep(ctx context.Context) error {
	ticker := time.NewTicker(Renewal)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		renewal, cancel := context.WithTimeout(ctx, l.left())
		err := l.renew(renewal)
		cancel()
		if errors.Is(err, ErrLost) {
			return err
		}
	}
}

// outlast waits until the context ends or the lease, which is an error. It asks nobody who could hang.
func (l *Lease) outlast(ctx context.Context) error {
	for l.Held() {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(l.left()):
		}
	}
	return ErrLost
}

// release gives the lease back after its last renewal, or else it runs out. What hangs is left behind.
func (l *Lease) release(ctx context.Context, renewed <-chan struct{}) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), Renewal)
	defer cancel()
	released := make(chan struct{})
	go func() {
		defer close(released)
		<-renewed
		_ = crash.Contain(func() error { return l.end(ctx, 0) })
	}()
	select {
	case <-released:
	case <-ctx.Done():
	}
}

func (l *Lease) renew(ctx context.Context) error {
	asked := time.Now()
	err := l.end(ctx, Time)
	if err == nil {
		l.last(asked)
	}
	return err
}

// end has the lease that this one holds end after so long.
func (l *Lease) end(ctx context.Context, after time.Duration) error {
	raw, now, err := l.look(ctx)
	if err != nil {
		return err
	}
	held, err := parse(raw)
	if err != nil {
		return err
	}
	if held.Holder != l.row.Holder || held.Term != l.row.Term {
		return ErrLost
	}
	next := l.row
	next.Expires = now + after.Milliseconds()
	swapped, err := l.swap(ctx, raw, next)
	if err == nil && !swapped {
		return ErrLost
	}
	return err
}
