package upsert

import (
	"context"
	"errors"
	"fmt"
	"time"

	clerksync "github.com/clerksync/clerksync/sync"

	"github.com/clerksync/clerksync/internal/crash"
)

var (
	errClosed = fmt.Errorf("the Upserter is closed: %w", ErrUnavailable)
	errHeld   = fmt.Errorf("Clerk denies too many users, so its 404s are not believed: %w", ErrUnavailable)
)

// flightTime bounds a flight: the check of the instance and the read take 5 s each at most, a commit 8 s.
const flightTime = 20 * time.Second

// lookTime bounds a read of the database, for which a request without an end of its own would wait as long as it hangs. A crowd may have to
// wait for connections for seconds.
const lookTime = 15 * time.Second

// sight is one look at a user's row.
type sight struct {
	user           clerksync.User
	found, visible bool
	epoch          uint64 // of the user, from before the look
	result         string
}

func (u *Upserter) look(ctx context.Context, id string) (s sight, err error) {
	s.epoch = u.sessions.epoch(id)
	s.result = ResultFresh // until Clerk has to be asked
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	s.user, err = await(ctx, func() (clerksync.User, error) { return u.cfg.Mirror.User(ctx, id) })
	s.visible = err == nil
	s.found = s.visible || errors.Is(err, ErrDeleted)
	if s.found || errors.Is(err, ErrNotFound) {
		err = nil
	}
	return s, err
}

// fresh reports whether a row can do without Clerk. One that is dated ahead, by a clock that was wrong, would stay fresh until then.
func (u *Upserter) fresh(s sight) bool {
	age := time.Since(s.user.SyncedAt)
	return s.visible && age > -clerksync.ClockError && age < u.cfg.MaxAge
}

// await returns what do does, or the context's error once that is over: lib/pq then asks the server to cancel, and reads on for as long as
// the kernel believes in the connection. What hangs is left behind.
func await[T any](ctx context.Context, do func() (T, error)) (T, error) {
	type outcome struct {
		result T
		err    error
	}
	done := make(chan outcome, 1)
	go func() {
		var o outcome
		o.err = crash.Contain(func() (err error) { // a panic would end the process: there is no request around this goroutine
			o.result, err = do()
			return err
		})
		done <- o
	}()
	select {
	case o := <-done:
		return o.result, o.err
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
}

// fly asks Clerk on behalf of all logins of one user that are waiting. None of them can end it for the others by going away.
func (u *Upserter) fly(ctx context.Context, id string) (sight, error) {
	ctx, land, err := u.takeOff(ctx)
	if err != nil {
		return sight{}, err
	}
	defer land()
	return await(ctx, func() (sight, error) {
		defer u.flying.Done()
		return u.travel(ctx, id)
	})
}

func (u *Upserter) travel(ctx context.Context, id string) (sight, error) {
	s, err := u.look(ctx, id) // again: another flight may have landed between the caller's look and this one's start
	if err != nil || u.fresh(s) {
		return s, err
	}
	e, err := u.ask(ctx, id)
	switch {
	case err != nil:
		return u.withoutClerk(ctx, id, err)
	case e.Object == nil:
		return u.denied(ctx, s, e)
	default:
		return u.confirmed(ctx, e)
	}
}

// takeOff returns the context of a flight and the end of that; the flight itself says when it is over. Nothing takes off once Close has begun.
func (u *Upserter) takeOff(ctx context.Context) (context.Context, func(), error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.ctx.Err() != nil {
		return nil, nil, errClosed
	}
	u.flying.Add(1)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), flightTime)
	stop := context.AfterFunc(u.ctx, cancel)
	return ctx, func() { stop(); cancel() }, nil
}

// ask reads the user from Clerk. It holds no connection of the database meanwhile.
func (u *Upserter) ask(ctx context.Context, id string) (clerksync.Evidence, error) {
	// The reader does so by itself, and shares the question, but not the pin: a login between the answer and the pin would ask again.
	_, err, _ := u.flights.Do("", func() (any, error) { return u.reader.Instance(ctx) })
	if err != nil {
		return clerksync.Evidence{}, err
	}
	return u.reader.Get(ctx, clerksync.Users, id)
}

// confirmed merges the user that Clerk has and looks again, since a deletion may be more recent than what Clerk could show.
func (u *Upserter) confirmed(ctx context.Context, e clerksync.Evidence) (sight, error) {
	results, err := u.cfg.Mirror.Apply(ctx, e)
	if err != nil {
		return sight{}, err
	}
	came := results[0]
	if came.Outcome.Waits() {
		u.cfg.Logger.Warn("what Clerk says of a user who signs in cannot be kept", "user", e.ID, "outcome", came.Outcome, "reason", came.Reason)
	}
	s, err := u.look(ctx, e.ID)
	switch {
	case err != nil:
		return sight{}, err
	case !s.found:
		return sight{}, fmt.Errorf("what Clerk says of the user cannot be kept (%s: %s): %w", came.Outcome, came.Reason, ErrUnavailable)
	case !s.visible:
		return sight{}, ErrDeleted
	}
	s.result = ResultRead
	return s, nil
}

// denied merges the absence that Clerk told of a user whom the mirror knows. Of one it does not know there is nothing to merge:
// a sign-up that Clerk's replicas do not show yet must not leave a tombstone.
func (u *Upserter) denied(ctx context.Context, s sight, e clerksync.Evidence) (sight, error) {
	if !s.found {
		return sight{}, ErrNotFound
	}
	if s.visible && !u.guard.Admit(ctx, clerksync.Users, e.ID) {
		if _, err := u.look(ctx, e.ID); err != nil { // without a database the guard lets nobody through, however few they are
			return sight{}, err
		}
		u.cfg.Logger.Error("Clerk denies more users than the deletion guard allows; nobody else is hidden", "max_deletes", u.cfg.MaxDeletes)
		return sight{}, errHeld
	}
	if _, err := u.cfg.Mirror.Apply(ctx, e); err != nil {
		return sight{}, err
	}
	s, err := u.look(ctx, e.ID)
	switch {
	case err != nil:
		return sight{}, err
	case s.visible:
		return sight{}, ErrNotFound
	default:
		return sight{}, ErrDeleted
	}
}

// withoutClerk answers when Clerk cannot be asked: with what the mirror has by now, but never with the wrong instance's key. What it had
// before will not do: the user may have been deleted since, and logins may wait here that began after that.
func (u *Upserter) withoutClerk(ctx context.Context, id string, err error) (sight, error) {
	if errors.Is(err, clerksync.ErrWrongInstance) {
		u.cfg.Logger.Error("logins are refused: the secret key belongs to another Clerk instance than the mirror", "error", err)
		return sight{}, err
	}
	if errors.Is(err, clerksync.ErrSkewed) { // Clerk does not have the user, which is no reason to believe an old row
		u.cfg.Logger.Error("a login is refused: Clerk does not have its user, and the clocks differ too much to act on that", "error", err)
		return sight{}, err
	}
	u.cfg.Logger.Warn("Clerk cannot be asked about a login", "error", err)
	s, failed := u.look(ctx, id)
	if failed != nil {
		return sight{}, failed
	}
	if !s.visible {
		return sight{}, err
	}
	s.result = ResultStale
	return s, nil
}
