package webhook

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	clerksync "github.com/clerksync/clerksync/sync"
)

// maxFailures is how many events in a call of Retry may fail for the database's sake before the rest is left to the next one: one may be
// about a row that somebody holds for long, several are an outage.
const maxFailures = 3

// Retry applies kept events again from their stored bodies, and returns how many of them no longer wait. Without ids it takes
// every event that is due, in batches: those that were deferred, and those that a hook or a constraint of the team's refused; with ids,
// those events if they are quarantined or deferred. It takes no event twice. One that cannot be applied yet again stays, and is no
// error; nor is an id of which no event waits. Naming an event approves it: a deletion that is held for approval is held no more.
//
// The error is that of [clerksync.Mirror.Apply]: [clerksync.ErrUnavailable] where the database cannot answer. Then the events that it
// names wait on and, after three of them, those not reached. Any number of processes may retry at once, since applying an event twice is
// like applying it once.
func Retry(ctx context.Context, mirror *clerksync.Mirror, ids ...string) (n int, err error) {
	tried := map[string]bool{}
	var failures []error
	for {
		events, err := mirror.Waiting(ctx, ids...)
		if err != nil {
			return n, errors.Join(append(failures, fmt.Errorf("retrying events: %w", err))...)
		}
		events = slices.DeleteFunc(events, func(kept clerksync.Event) bool { return tried[kept.ID] })
		for _, kept := range events {
			tried[kept.ID] = true
			result, err := retry(ctx, mirror, kept, len(ids) > 0)
			switch {
			case err != nil:
				failures = append(failures, fmt.Errorf("retrying event %s: %w", kept.ID, err))
			case !result.Outcome.Waits() && !result.Foreign:
				n++
			}
			if len(failures) == maxFailures || err != nil && ctx.Err() != nil {
				return n, errors.Join(failures...)
			}
		}
		if len(events) == 0 || len(ids) > 0 {
			return n, errors.Join(failures...)
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
	kept.Quarantine, kept.Approved = event.Quarantine, approved
	for i := range evidence {
		evidence[i].Event = &kept // which the mirror knows again
	}
	results, err := mirror.Apply(ctx, evidence...)
	if err != nil {
		return clerksync.Result{}, err
	}
	return telling(results), nil
}
