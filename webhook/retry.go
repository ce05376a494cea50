package webhook

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	clerksync "github.com/clerksync/clerksync/sync"
)

// Retry applies kept events again from their stored bodies, and returns how many of them no longer wait. Without ids it takes
// every event that is due, in batches: those that were deferred, and those that a hook or a constraint of the team's refused; with ids,
// those events if they are quarantined or deferred. An event that cannot be applied yet again stays, and is no error; nor is an id of
// which no event waits. Naming an event approves it: a deletion that is held for approval is held no more.
//
// The error is that of [clerksync.Mirror.Apply]: [clerksync.ErrUnavailable] where the database cannot answer. Then the events not
// reached wait on. Any number of processes may retry at once, since applying an event twice is like applying it once.
func Retry(ctx context.Context, mirror *clerksync.Mirror, ids ...string) (n int, err error) {
	for {
		events, err := mirror.Waiting(ctx, ids...)
		if err != nil {
			return n, fmt.Errorf("retrying events: %w", err)
		}
		moved := 0
		for _, kept := range events {
			result, err := retry(ctx, mirror, kept, len(ids) > 0)
			if err != nil {
				return n, fmt.Errorf("retrying event %s: %w", kept.ID, err)
			}
			if result.Outcome != clerksync.Deferred && !result.Foreign {
				moved++
			}
			if !result.Outcome.Waits() && !result.Foreign {
				n++
			}
		}
		if moved == 0 || len(ids) > 0 {
			return n, nil
		}
	}
}

// retryInterval is how late an event may be applied that is due.
const retryInterval = 15 * time.Second

// KeepRetrying calls [Retry] every 15 seconds until the context ends. Errors go to the log; nil means none.
func KeepRetrying(ctx context.Context, mirror *clerksync.Mirror, log *slog.Logger) {
	ticker := time.NewTicker(retryInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if _, err := Retry(ctx, mirror); err != nil && ctx.Err() == nil && log != nil {
			log.Warn("events that are due wait on", "error", err)
		}
	}
}

func retry(ctx context.Context, mirror *clerksync.Mirror, kept clerksync.Event, approved bool) (clerksync.Result, error) {
	event, evidence, err := decode(kept.Body, mirror.Mirrors)
	if err != nil { // it was decoded before it was kept, so the rules have become stricter since
		kept.Quarantine = err.Error()
		event, evidence = &kept, ofNothing(&kept)
	}
	event.ID, event.ReceivedAt, event.Approved = kept.ID, kept.ReceivedAt, approved
	results, err := mirror.Apply(ctx, evidence...)
	if err != nil {
		return clerksync.Result{}, err
	}
	return telling(results), nil
}
