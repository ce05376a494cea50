package admin

import (
	"context"
	"time"

	clerksync "github.com/clerksync/clerksync/sync"
)

// Board is what the tables of the status page show.
type Board struct {
	Waiting []clerksync.Logged // events in quarantine, the last first
	Events  []clerksync.Logged // received last
	Changes []clerksync.Change // the last first
	Passes  []PassRow          // the last first
	Hidden  []clerksync.Hidden // deleted and not erased, so that they can be restored
}

// PassRow is a pass of the past, or one that runs.
type PassRow struct {
	ID         int64
	Kind       string
	StartedAt  time.Time
	FinishedAt time.Time // zero while it runs, or if it was killed
	Complete   bool
	Seen       int64
	Drift      int64
	Error      string
}

// Object is all that the mirror can tell of one object.
type Object struct {
	Stored  clerksync.Stored
	Events  []clerksync.Logged     // that spoke of it
	Changes []clerksync.Change     // that the feed still has
	Audit   []clerksync.AuditEntry // deletions, erasures and what operators did
}

// Acts are what an operator can have done. Each takes an id and returns what became of it in a few words; its error says why
// nothing did, and what to do. A nil act is not offered.
type Acts struct {
	Retry   func(ctx context.Context, event string) (string, error)
	Drop    func(ctx context.Context, event string) (string, error)
	Restore func(ctx context.Context, object string) (string, error)
}
