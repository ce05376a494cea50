package feed

import (
	"context"
	"errors"
	"time"

	"github.com/cenkalti/backoff/v5"

	clerksync "github.com/clerksync/clerksync/sync"

	"github.com/clerksync/clerksync/internal/crash"
	"github.com/clerksync/clerksync/internal/lease"
)

// pageSize is how many changes are read at once.
const pageSize = 500

// delivery is a relay at work under its lease.
type delivery struct {
	Config
	relay   Relay
	lease   *lease.Lease
	encoder *encoder
	pos     position
	woken   chan struct{} // holds a token while this process has made changes that were not looked at
	pause   *backoff.ExponentialBackOff
	illness
}

// follow delivers changes as they are made, until the context ends or the lease is lost.
func (d *delivery) follow(ctx context.Context) error {
	defer d.Mirror.Watch(func(c clerksync.Commit) {
		if len(c.Changes) > 0 {
			wake(d.woken)
		}
	})()
	defer d.leave(ctx)
	for {
		begun := time.Now()
		more, err := d.page(ctx)
		if err == nil {
			d.unread = 0
		}
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.Is(err, lease.ErrLost):
			return err
		case err != nil:
			d.tellUnread(err)
			wait(ctx, after(err, d.pause.NextBackOff()), nil)
		case !more:
			wait(ctx, pollTime, d.woken)
			wait(ctx, gatherTime-time.Since(begun), nil)
		}
		if err := d.save(ctx); errors.Is(err, lease.ErrLost) {
			return err
		}
	}
}

// drain delivers what there is.
func (d *delivery) drain(ctx context.Context) error {
	defer d.leave(ctx)
	for failures := 0; ; {
		before := d.pos.seq
		more, err := d.page(ctx)
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err == nil && !more:
			return nil
		case err == nil:
			continue
		case errors.Is(err, lease.ErrLost), errors.As(err, new(*crash.Error)): // a mistake is not mended within seconds
			return err
		}
		if d.pos.seq > before {
			failures = 0
		}
		if failures++; failures == onceTries {
			return err
		}
		wait(ctx, min(after(err, d.pause.NextBackOff()), time.Second), nil)
	}
}

// page delivers the next changes, up to a page of them, and reports whether there may be more.
func (d *delivery) page(ctx context.Context) (more bool, err error) {
	if err := d.look(ctx); err != nil {
		return false, err
	}
	changes, err := d.Mirror.Changes(ctx, d.pos.seq, pageSize)
	if err != nil {
		return false, err
	}
	more = len(changes) == pageSize
	for len(changes) > 0 {
		var batch []clerksync.Change
		batch, changes = d.cut(changes)
		if err := d.deliver(ctx, batch); err != nil {
			return false, err
		}
		last := batch[len(batch)-1]
		d.pos.seq, d.pos.at = last.Seq, last.WrittenAt
		if err := d.save(ctx); err != nil {
			return false, err
		}
		if d.pos.seq != last.Seq { // the rest of the page is not what follows
			return true, nil
		}
	}
	return more, nil
}

// cut takes a batch off a page, counting only what the relay wants.
func (d *delivery) cut(page []clerksync.Change) (batch, rest []clerksync.Change) {
	wanted := 0
	for i, c := range page {
		if d.wants(c) {
			wanted++
		}
		if wanted == d.relay.batch() {
			return page[:i+1], page[i+1:]
		}
	}
	return page, nil
}

func (d *delivery) wants(c clerksync.Change) bool { return d.relay.Initial || !c.Initial }

// deliver sends what the relay wants of a batch, unless the lease is lost.
func (d *delivery) deliver(ctx context.Context, batch []clerksync.Change) error {
	var wanted []clerksync.Change
	for _, c := range batch {
		if d.wants(c) {
			wanted = append(wanted, c)
		}
	}
	if len(wanted) == 0 {
		return nil
	}
	messages, err := d.encoder.encode(ctx, wanted, d.relay.Data)
	if err != nil {
		return err
	}
	if !d.lease.Held() {
		return lease.ErrLost
	}
	within, cancel := graceful(ctx)
	defer cancel()
	defer d.watch(wanted[0].Seq)()
	err = crash.Contain(func() error { return d.relay.Receiver.Send(within, messages...) }) // or it would be tried again every 2 seconds
	if err != nil && ctx.Err() != nil {
		return err // the relay has to stop, which is not the receiver's fault
	}
	d.Observe(Delivery{Relay: d.relay.Name, Messages: len(messages), Err: err})
	d.tell(err, wanted[0].Seq)
	return err
}

// graceful returns the context of one delivery. One that is on its way when the relay is told to stop gets a little time to end, so
// that it need not come again; but none at all if the lease is lost.
func graceful(ctx context.Context) (context.Context, context.CancelFunc) {
	within, cancel := context.WithTimeout(context.WithoutCancel(ctx), sendTime)
	stop := context.AfterFunc(ctx, func() {
		if errors.Is(context.Cause(ctx), lease.ErrLost) {
			cancel()
			return
		}
		select {
		case <-within.Done():
		case <-time.After(stopTime):
			cancel()
		}
	})
	return within, func() { stop(); cancel() }
}

// look reads the position again, and tells an operator where the relay goes on from another one than it had reached.
func (d *delivery) look(ctx context.Context) error {
	reached := d.pos.seq
	err := d.pos.look(ctx)
	if d.pos.seq != reached {
		d.Logger.Warn("a relay goes on from the position that the database has, which is not the one it had reached: the database fell back, or only the numbers of its feed did, somebody moved it, or the change that it had sent last was removed",
			"relay", d.relay.Name, "reached", reached, "seq", d.pos.seq)
	}
	return err
}

// save writes the position, if it was not written lately and the database has not fallen back.
func (d *delivery) save(ctx context.Context) error {
	if d.pos.seq == d.pos.savedSeq || time.Since(d.pos.savedAt) < saveTime {
		return nil
	}
	return d.write(ctx)
}

// leave writes the position before the relay is given up. What it cannot write comes again.
func (d *delivery) leave(ctx context.Context) {
	if d.pos.seq == d.pos.savedSeq {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lease.Renewal)
	defer cancel()
	_ = d.write(ctx)
}

func (d *delivery) write(ctx context.Context) error {
	if err := d.look(ctx); err != nil || d.pos.seq == d.pos.savedSeq {
		return err
	}
	return d.pos.save(ctx)
}

// wake leaves a token for whoever waits, or will.
func wake(woken chan<- struct{}) {
	select {
	case woken <- struct{}{}:
	default:
	}
}

// wait waits until the time is over, somebody wakes or the context ends.
func wait(ctx context.Context, pause time.Duration, woken <-chan struct{}) {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-woken:
	case <-timer.C:
	}
}

// maxRetryAfter bounds how long a receiver can make its relay wait.
const maxRetryAfter = 5 * time.Minute

// after returns how long to wait after an error: as long as the receiver asks for, if it does.
func after(err error, pause time.Duration) time.Duration {
	var asked *backoff.RetryAfterError
	if errors.As(err, &asked) {
		return max(pause, min(asked.Duration, maxRetryAfter))
	}
	return pause
}
