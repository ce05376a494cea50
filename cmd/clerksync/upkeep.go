package main

import (
	"context"
	"errors"
	"log/slog"
	"time"

	clerksync "github.com/clerksync/clerksync/sync"

	"github.com/clerksync/clerksync/erasure"
	"github.com/clerksync/clerksync/reconcile"
	"github.com/clerksync/clerksync/webhook"
)

// upkeepInterval is how late something may be erased or removed.
const upkeepInterval = time.Hour

// retryDue applies kept events when their time has come.
func (d *daemon) retryDue(ctx context.Context, mirror *clerksync.Mirror) error {
	webhook.KeepRetrying(ctx, mirror, d.log)
	return nil
}

// maintain does what is due, now and then again and again. Another instance's key ends it.
func (d *daemon) maintain(ctx context.Context, mirror *clerksync.Mirror, api *clerksync.API) (wrong error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	do := func() {
		lost, err := d.upkeep(ctx, mirror, api, d.log)
		d.metrics.lost.Add(float64(lost))
		switch {
		case errors.Is(err, clerksync.ErrWrongInstance):
			wrong = err
			cancel()
		case err != nil && ctx.Err() == nil:
			d.log.Warn("some upkeep waits", "error", err)
		}
	}
	do()
	every(ctx, upkeepInterval, do)
	return wrong
}

// upkeep erases what is due and removes what is old. One that fails does not keep the others. A nil api means that there is no key.
// It returns how many changes were removed that a relay had not delivered.
func (s *settings) upkeep(ctx context.Context, mirror *clerksync.Mirror, api *clerksync.API, log *slog.Logger) (lost int64, err error) {
	_, err = s.openEraser(mirror, api, log).RunOnce(ctx)
	for _, part := range []struct {
		of     string
		remove func() (int64, error)
	}{
		{"events", func() (int64, error) { return mirror.Prune(ctx, s.eventRetention) }},
		{"changes", func() (removed int64, err error) {
			removed, lost, err = s.pruneChanges(ctx, mirror)
			return removed, err
		}},
		{"sessions", func() (int64, error) { return mirror.PruneSessions(ctx, s.sessionRetention) }},
		{"passes", func() (int64, error) { return reconcile.Prune(ctx, mirror) }},
	} {
		removed, removeErr := part.remove()
		if removed > 0 {
			log.Info("old rows removed", "of", part.of, "rows", removed)
		}
		err = errors.Join(err, removeErr)
	}
	if lost > 0 {
		log.Error("changes were removed that a relay had not delivered: status tells which one is behind", "changes", lost)
	}
	return lost, err
}

func (s *settings) openEraser(mirror *clerksync.Mirror, api *clerksync.API, log *slog.Logger) *erasure.Eraser {
	return erasure.New(erasure.Config{Mirror: mirror, Clerk: api, Policy: s.deletePolicy, After: s.eraseAfter, Logger: log})
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
