package main

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sync/errgroup"

	clerksync "github.com/clerksync/clerksync/sync"

	"github.com/clerksync/clerksync/internal/crash"
	"github.com/clerksync/clerksync/internal/lease"
)

const (
	leaderKey   = "lease:leader"  // of the lease that makes one of the replicas the leader
	standbyTime = 2 * time.Second // between a replica's looks whether nobody leads
)

// lead runs parts whenever this replica leads, until the context ends. What they do is safe for two at once, too; the lease is there
// so that it is done once.
func (d *daemon) lead(ctx context.Context, mirror *clerksync.Mirror, parts []part) error {
	told := "" // why the lease could not be looked at; it is told once, not every two seconds
	for ctx.Err() == nil {
		l, err := lease.Try(ctx, mirror, leaderKey)
		switch {
		case err == nil:
			told = ""
			if err := d.reign(ctx, l, parts); err != nil {
				return err
			}
		case errors.Is(err, lease.ErrHeld):
			told = ""
		case ctx.Err() == nil && err.Error() != told:
			told = err.Error()
			d.log.Warn("whether another replica leads cannot be told now", "error", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(standbyTime):
		}
	}
	return nil
}

// reign runs parts for as long as a lease lasts. The error of one of them is for good.
func (d *daemon) reign(ctx context.Context, l *lease.Lease, parts []part) error {
	d.log.Info("this replica leads", "replica", l.Holder(), "term", l.Term())
	d.metrics.leader.Set(1)
	defer d.metrics.leader.Set(0)
	return l.Hold(ctx, func(ctx context.Context) error {
		err := d.together(ctx, parts)
		if lost := context.Cause(ctx); err == nil && errors.Is(lost, lease.ErrLost) {
			d.log.Warn("this replica no longer leads", "replica", l.Holder(), "reason", lost)
		}
		return err
	})
}

// together runs parts beside each other. The error of one ends the others.
func (d *daemon) together(ctx context.Context, parts []part) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, p := range parts {
		group.Go(crash.Contained(func() error { return lasting(d.log, restPause, p)(ctx) }))
	}
	return group.Wait()
}
