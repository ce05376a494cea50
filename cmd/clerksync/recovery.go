package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	clerksync "github.com/clerksync/clerksync/sync"

	"github.com/clerksync/clerksync/reconcile"
)

const (
	pulseInterval = 2 * time.Second // between looks whether the database answers
	pulseTime     = 5 * time.Second // for an answer
	freshReturn   = time.Minute     // for how long the end of an outage is a reason to look: a replica that leads later need not
	fullPause     = time.Hour       // between a full pass and one that an outage asks for
	busyPause     = 5 * time.Second // between two tries of that one while another pass runs
)

// watchOutages notes when the database answers again after it did not. The deliveries that were refused meanwhile come again, but
// perhaps hours later: Clerk's sender waits longer after each try. Whatever keeps a ping from its answer kept deliveries from theirs. It
// ends the daemon where the file of a SQLite database is another one: what it has written since would be lost with the old one.
func (d *daemon) watchOutages(ctx context.Context, mirror *clerksync.Mirror) error {
	ctx, end := context.WithCancel(ctx)
	defer end()
	lookForFile := d.database.fileWatch()
	var lost error
	var since time.Time // of the outage; zero while there is none
	every(ctx, pulseInterval, func() {
		if lost = lookForFile(); lost != nil {
			end()
			return
		}
		pulse, cancel := context.WithTimeout(ctx, pulseTime)
		defer cancel()
		switch err := mirror.DB().PingContext(pulse); {
		case ctx.Err() != nil:
		case err != nil && since.IsZero():
			since = time.Now()
			d.log.Warn("the database does not answer", "error", err)
		case err == nil && !since.IsZero():
			d.log.Info("the database answers again", "seconds", time.Since(since).Round(time.Second).Seconds())
			since = time.Time{}
			d.noteReturn(time.Now())
		}
	})
	return lost
}

// fileWatch returns a function that tells whether the file of a SQLite database is still the one that it was.
func (d database) fileWatch() (look func() error) {
	if d.path == "" {
		return func() error { return nil }
	}
	was, err := os.Stat(d.path)
	return func() error {
		if is, lookErr := os.Stat(d.path); err == nil && (errors.Is(lookErr, fs.ErrNotExist) || lookErr == nil && !os.SameFile(was, is)) {
			return fmt.Errorf("the file %s was removed or replaced while the daemon wrote into it: stop the daemon before you restore a backup", d.path)
		}
		return nil
	}
}

// noteReturn leaves word for the part that recovers. One word is enough until it is heard, unless it is old.
func (d *daemon) noteReturn(at time.Time) {
	d.returning.Lock()
	defer d.returning.Unlock()
	select {
	case <-d.returned:
	default:
	}
	d.returned <- at
}

// recovery looks for what was missed once the database answers again: at once for users, by a delta pass, and then for all, by a full
// pass, unless there was one lately: a database that comes and goes must not cost one each time. Where another pass runs, the full one is
// still owed.
func (d *daemon) recovery(ctx context.Context, r *reconcile.Reconciler, mirror *clerksync.Mirror) error {
	var full <-chan time.Time
	for {
		var err error
		select {
		case <-ctx.Done():
			return nil
		case at := <-d.returned:
			if time.Since(at) > freshReturn {
				continue
			}
			_, err = r.Do(ctx, reconcile.Pass{Kind: reconcile.Delta})
			full = time.After(untilFull(ctx, mirror))
		case <-full:
			full = nil
			if _, err = r.RunOnce(ctx); errors.Is(err, reconcile.ErrBusy) {
				full = time.After(max(untilFull(ctx, mirror), busyPause))
			}
		}
		if errors.Is(err, clerksync.ErrWrongInstance) {
			return err
		}
	}
}

// untilFull returns how long to wait before a full pass, so that it is not too soon after the last one.
func untilFull(ctx context.Context, mirror *clerksync.Mirror) time.Duration {
	past, err := reconcile.History(ctx, mirror, 1)
	if err != nil {
		return fullPause
	}
	var began time.Time
	for _, p := range past {
		if p.Kind == reconcile.Full && p.StartedAt.After(began) {
			began = p.StartedAt
		}
	}
	return time.Until(began.Add(fullPause))
}
