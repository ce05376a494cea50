package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v3"

	clerksync "github.com/clerksync/clerksync/sync"

	"github.com/clerksync/clerksync/webhook"
)

// retrier applies events again and tells what became of them.
type retrier struct {
	mirror *clerksync.Mirror
	reads  *resyncer // nil without a secret key
	tell   func(did) error
}

func runEventsRetry(ctx context.Context, c *cli.Command, s settings) error {
	ids, all, held := c.Args().Slice(), c.Bool("all"), c.Bool("held")
	if !oneOf(len(ids) > 0, all, held) {
		return mistake("events retry needs either the ids of events, as clerksync events list --outcome quarantined prints them, or --all, or --held")
	}
	mirror, closeMirror, err := s.openMirror(ctx, false)
	if err != nil {
		return err
	}
	defer closeMirror()
	r := &retrier{mirror: mirror, tell: printDid(c)}
	if s.secretKey.set() {
		if r.reads, err = s.openResyncer(mirror); err != nil {
			return err
		}
	}
	switch {
	case all:
		return r.retryAll(ctx)
	case held:
		if ids, err = quarantinedIDs(ctx, mirror, true); err != nil {
			return err
		}
	}
	var failures []error
	for _, id := range ids {
		failures = append(failures, r.retry(ctx, id))
	}
	return errors.Join(failures...)
}

// quarantinedIDs are the ids of what is in quarantine now, however much that is, the oldest first: of the deletions that wait for
// approval or, with held false, of all else.
func quarantinedIDs(ctx context.Context, mirror *clerksync.Mirror, held bool) (ids []string, err error) {
	count, err := mirror.Intake(ctx)
	if err != nil {
		return nil, err
	}
	events, err := mirror.Log(ctx, clerksync.LogQuery{Outcome: clerksync.Quarantined, Held: held, Limit: int(count.Quarantined) + 1})
	for _, e := range slices.Backward(events) {
		if e.Held() == held {
			ids = append(ids, e.ID)
		}
	}
	return ids, err
}

// oneOf reports whether just one of the conditions holds.
func oneOf(conditions ...bool) bool {
	n := 0
	for _, c := range conditions {
		if c {
			n++
		}
	}
	return n == 1
}

// retryAll retries what is quarantined at its beginning, and then what is deferred and due. Deletions that are held for approval are not
// approved by the way.
func (r *retrier) retryAll(ctx context.Context) error {
	ids, err := quarantinedIDs(ctx, r.mirror, false)
	if err != nil {
		return err
	}
	var failures []error
	for _, id := range ids {
		if ctx.Err() == nil {
			failures = append(failures, r.retry(ctx, id))
		}
	}
	_, err = webhook.Retry(ctx, r.mirror)
	return errors.Join(append(failures, err)...)
}

// retry retries one event. Its error is that the event waits on, or why nothing could be done.
func (r *retrier) retry(ctx context.Context, id string) error {
	before, err := r.find(ctx, id)
	switch {
	case err != nil:
		return err
	case !before.Outcome.Waits():
		return fmt.Errorf("%s waits for nothing: its outcome is %s", id, before.Outcome)
	case strings.HasPrefix(id, "read:"):
		return r.readAgain(ctx, before)
	case before.BodySize == 0:
		return fmt.Errorf("%s cannot be tried again, since its content is no longer kept: clerksync resync %s, then clerksync events drop %s",
			id, shellWord(cmp.Or(before.ObjectID, "ID")), shellWord(id))
	}
	if before.Held() {
		if err := r.checkGone(ctx, before); err != nil {
			return err
		}
	}
	if _, err := webhook.Retry(ctx, r.mirror, id); err != nil {
		return err
	}
	after, err := r.find(ctx, id)
	if err != nil {
		return err
	}
	if after.Outcome.Waits() {
		return fmt.Errorf("%s is still %s: %s", id, after.Outcome, cmp.Or(after.Error, "it belongs to another Clerk instance"))
	}
	return r.tell(did{ID: id, Outcome: string(after.Outcome)})
}

// checkGone asks Clerk, if there is a key to ask with, about the object of a held deletion before it is approved: events can be
// forged by whoever has the signing secret, and Clerk's own answer cannot.
func (r *retrier) checkGone(ctx context.Context, kept clerksync.Logged) error {
	t, err := findTarget(kept.ObjectID)
	if r.reads == nil || err != nil {
		return nil
	}
	read, err := r.reads.reader.Get(ctx, t.kind, t.id)
	if err != nil {
		return fmt.Errorf("asking Clerk about %s before %s is approved: %w", t.id, kept.ID, err)
	}
	if read.Object != nil {
		return fmt.Errorf("%s waits on, since Clerk still has %s: clerksync events drop %s gives it up", kept.ID, t.id, shellWord(kept.ID))
	}
	return nil
}

func (r *retrier) find(ctx context.Context, id string) (clerksync.Logged, error) {
	events, err := r.mirror.Log(ctx, clerksync.LogQuery{IDs: []string{id}})
	if err == nil && len(events) == 0 {
		err = fmt.Errorf("there is no event %s", id)
	}
	if err != nil {
		return clerksync.Logged{}, err
	}
	return events[0], nil
}

// readAgain asks Clerk for an object that a list showed in a way that could not be stored.
func (r *retrier) readAgain(ctx context.Context, kept clerksync.Logged) error {
	if r.reads == nil {
		return mistake(kept.ID + " was read from Clerk, and is read again with CLERK_SECRET_KEY")
	}
	t, err := findTarget(kept.ObjectID)
	if err != nil {
		return fmt.Errorf("%s has no id to read it again by: the next pass does, and clerksync events drop %s forgets it", kept.ID, shellWord(kept.ID))
	}
	done, err := r.reads.resync(ctx, t)
	if err != nil {
		return fmt.Errorf("reading %s again: %w", t.id, err)
	}
	if done.Outcome == string(clerksync.Quarantined) {
		return fmt.Errorf("%s is still %s", kept.ID, done)
	}
	if _, err := r.mirror.Drop(ctx, kept.ID); err != nil {
		return err
	}
	done.ID = kept.ID
	return r.tell(done)
}
