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
	if p.order.DryRun {
		return
	}
	for ctx.Err() == nil {
		unread, err := p.mirror.Log(ctx, clerksync.LogQuery{
			Outcome: clerksync.Quarantined, Type: "read", Until: p.report.StartedAt, Limit: maxUnread})
		taken := 0
		for _, kept := range unread {
			if ctx.Err() != nil || err != nil {
				break
			}
			if p.stored(kept) {
				taken++
				_, err = p.mirror.Drop(ctx, kept.ID)
			}
		}
		if err != nil {
			p.cfg.Logger.Debug("what could not be read stays in quarantine", "error", err)
		}
		if err != nil || taken == 0 || len(unread) < maxUnread {
			return
		}
	}
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
