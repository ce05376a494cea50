package main

import (
	"context"
	"log/slog"
	"time"

	clerksync "github.com/clerksync/clerksync/sync"

	"github.com/clerksync/clerksync/erasure"
	"github.com/clerksync/clerksync/upkeep"
)

// openKeeper opens what erases and removes. A nil api means that there is no key.
func (s *settings) openKeeper(mirror *clerksync.Mirror, api *clerksync.API, log *slog.Logger, observe func(upkeep.Report)) *upkeep.Keeper {
	return upkeep.New(upkeep.Config{
		Mirror: mirror, Clerk: api, Policy: s.deletePolicy, EraseAfter: s.eraseAfter,
		EventRetention: s.eventRetention, ChangeRetention: s.changeRetention, SessionRetention: s.sessionRetention,
		Logger: log, Observe: observe,
	})
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
