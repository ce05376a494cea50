package main

import (
	"context"
	"time"

	clerksync "github.com/clerksync/clerksync/sync"

	"github.com/clerksync/clerksync/webhook"
)

const (
	retryInterval = 15 * time.Second // how late a deferred event may be applied
	pruneInterval = time.Hour        // how late an old event may be removed
)

// retryDeferred applies deferred events when their time has come.
func (d *daemon) retryDeferred(ctx context.Context, mirror *clerksync.Mirror) error {
	every(ctx, retryInterval, func() {
		if _, err := webhook.Retry(ctx, mirror); err != nil && ctx.Err() == nil {
			d.log.Warn("deferred events wait on", "error", err)
		}
	})
	return nil
}

// pruneEvents removes old events from the log: now, and then again and again.
func (d *daemon) pruneEvents(ctx context.Context, mirror *clerksync.Mirror) error {
	prune := func() {
		removed, err := mirror.Prune(ctx, d.eventRetention)
		if removed > 0 {
			d.log.Info("old events removed", "events", removed)
		}
		if err != nil && ctx.Err() == nil {
			d.log.Warn("old events stay for now", "error", err)
		}
	}
	prune()
	every(ctx, pruneInterval, prune)
	return nil
}

// every does something at intervals until the context ends.
func every(ctx context.Context, interval time.Duration, do func()) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			do()
		}
	}
}
