package sync

import (
	"errors"
	"fmt"
)

// What callers may want to tell apart, by [errors.Is].
var (
	// ErrUnavailable means that the database or Clerk cannot answer now. Nothing was decided; trying again may help.
	ErrUnavailable = errors.New("temporarily unavailable")

	// ErrWrongInstance means that the key or the events belong to another Clerk instance than the one this mirror is pinned to.
	ErrWrongInstance = errors.New("another Clerk instance than the mirror's")

	// ErrNotFound means that there is no such object, as far as is known here.
	ErrNotFound = errors.New("not found")

	// ErrDeleted means that the object was deleted in Clerk.
	ErrDeleted = errors.New("deleted in Clerk")

	// ErrHook means that a hook failed, so that nothing of what it was called for was committed.
	ErrHook = errors.New("a hook failed")

	// ErrConstraint means that a constraint or a trigger refuses an object's row, which must be one of the team's: the mirror's own
	// hold by themselves. Nothing about the object was committed.
	ErrConstraint = errors.New("a constraint or trigger refuses it")

	// ErrVisible means that an object cannot be erased because, as far as is known, it exists.
	ErrVisible = errors.New("the object is not deleted")

	// ErrRefused means that Clerk refuses a request's parameters (HTTP 400 or 422), such as a cursor whose user was deleted.
	ErrRefused = errors.New("Clerk refuses the parameters")

	// ErrSkewed means that Clerk does not have an object, but that the clocks differ too much for this to prove anything. It is an
	// [ErrUnavailable].
	ErrSkewed = fmt.Errorf("the clocks differ too much for an absence to count: %w", ErrUnavailable)

	// ErrNotEnabled means that the Clerk instance does not use organizations, or not their domains, and answers no request about them.
	// It proves nothing about objects: an instance can stop using them for a while.
	ErrNotEnabled = errors.New("not enabled in this Clerk instance")
)
