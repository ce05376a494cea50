package main

import (
	"errors"

	"github.com/urfave/cli/v3"

	clerksync "github.com/clerksync/clerksync/sync"

	"github.com/clerksync/clerksync/migrations"
	"github.com/clerksync/clerksync/reconcile"
)

// The exit codes, as docs/operations.md lists them.
const (
	exitDone          = 0
	exitFailed        = 1 // trying again may help
	exitUsage         = 2
	exitGuard         = 3 // nothing was deleted of some kind
	exitWrongInstance = 4 // nothing was written
	exitDrift         = 5
	exitBusy          = 6
	exitIncomplete    = 7 // upserts were applied, nothing was deleted of some kind
)

// mistake is something that the user can put right: a sentence that says how.
type mistake string

func (m mistake) Error() string { return string(m) }

// errDrift means that a check found the mirror to differ from Clerk.
var errDrift = errors.New("the mirror differs from Clerk: clerksync reconcile repairs it, but for what it says is quarantined")

// exitCode turns the outcome of a command into its exit code. Where several apply, the order of the cases decides.
func exitCode(err error) int {
	var m mistake
	var usage cli.ExitCoder // the library's own, of a name that has no help and the like
	switch {
	case err == nil:
		return exitDone
	case errors.Is(err, clerksync.ErrWrongInstance):
		return exitWrongInstance
	case errors.Is(err, reconcile.ErrIncomplete):
		return exitIncomplete
	case errors.Is(err, reconcile.ErrGuard):
		return exitGuard
	case errors.Is(err, errDrift):
		return exitDrift
	case errors.Is(err, reconcile.ErrBusy):
		return exitBusy
	case errors.As(err, &m), errors.As(err, &usage), errors.Is(err, migrations.ErrForeign), errors.Is(err, migrations.ErrEncoding), errors.Is(err, reconcile.ErrPlan):
		return exitUsage
	default:
		return exitFailed
	}
}
