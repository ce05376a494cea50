package reconcile

import (
	"context"
	"strings"

	clerksync "github.com/clerksync/clerksync/sync"
)

// maxUnread is how many kept reads are looked at together.
const maxUnread = 1000

// clearQuarantine takes out of it what earlier passes or logins could not store and this pass could: a list that shows it well again may
// show just what the mirror has, which is not worth a write. What the list does not show any more is gone, and goes with it. What fails
// stays as it is, and the pass is none the worse for it.
func (p *pass) clearQuarantine(ctx context.Context) {
	for more := !p.order.DryRun; more && ctx.Err() == nil; {
		var err error
		if more, err = p.clearSome(ctx); err != nil {
			p.cfg.Logger.Debug("what could not be read stays in quarantine", "error", err)
		}
	}
}

// clearSome looks at some of them, and reports whether there may be more to clear.
func (p *pass) clearSome(ctx context.Context) (more bool, err error) {
	unread, err := p.mirror.Log(ctx, clerksync.LogQuery{
		Outcome: clerksync.Quarantined, Type: "read", Until: p.report.StartedAt, Limit: maxUnread})
	if err != nil {
		return false, err
	}
	for _, kept := range unread {
		if p.stored(kept) {
			if _, err := p.mirror.Drop(ctx, kept.ID); err != nil {
				return false, err
			}
			more = len(unread) == maxUnread
		}
	}
	return more, nil
}

// stored reports whether this pass has read a whole list of the kind of what was kept, and could store all that it showed of it.
func (p *pass) stored(kept clerksync.Logged) bool {
	_, rest, _ := strings.Cut(kept.ID, ":")
	name, _, _ := strings.Cut(rest, ":")
	for _, l := range p.legs {
		if string(l.kind) == name {
			return kept.ObjectID != "" && l.complete && l.begun && !l.poison[kept.ObjectID]
		}
	}
	return false
}
