package webhook

import (
	"context"
	"fmt"

	clerksync "github.com/clerksync/clerksync/sync"
)

// Retry applies kept events again from their stored bodies, and returns how many of them no longer wait. Without ids it takes
// every deferred event that is due, in batches; with ids, those events if they are quarantined or deferred. An event that cannot
// be applied yet again stays, and is no error; nor is an id of which no event waits. Naming an event approves it: a deletion that is
// held for approval is held no more.
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
			if result.Outcome != clerksync.Deferred && result.Outcome != clerksync.Quarantined && !result.Foreign {
				n++
			}
		}
		if moved == 0 || len(ids) > 0 {
			return n, nil
		}
	}
}

func retry(ctx context.Context, mirror *clerksync.Mirror, kept clerksync.Event, approved bool) (clerksync.Result, error) {
	event, evidence, err := decode(kept.Body, mirror.Mirrors)
	if err != nil { // it was decoded before it was kept, so the rules have become stricter since
		kept.Quarantine = err.Error()
		event, evidence = &kept, []clerksync.Evidence{{Source: clerksync.Webhook, Event: &kept}}
	}
	event.ID, event.ReceivedAt, event.Approved = kept.ID, kept.ReceivedAt, approved
	results, err := mirror.Apply(ctx, evidence...)
	if err != nil {
		return clerksync.Result{}, err
	}
	return results[0], nil
}
