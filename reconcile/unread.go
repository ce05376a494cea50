package reconcile

import (
	"context"
	"strings"

	clerksync "github.com/clerksync/clerksync/sync"
)

// maxUnread bounds how many objects a pass reads again that an earlier one could not store.
const maxUnread = 100

// readAgain asks for objects that earlier passes could not store, which wait in quarantine, and forgets those that can be stored now
// or that are gone: a list that shows them well again may show just what the mirror has, which is not worth a write. It deletes none:
// that is for the guard to allow. What fails stays as it is, and the pass is none the worse for it.
func (p *pass) readAgain(ctx context.Context) {
	if p.order.DryRun {
		return
	}
	unread, err := p.mirror.Log(ctx, clerksync.LogQuery{
		Outcome: clerksync.Quarantined, Type: "read", Until: p.report.StartedAt, Limit: maxUnread})
	for _, kept := range unread {
		if ctx.Err() != nil {
			break
		}
		err = p.forget(ctx, kept)
	}
	if err != nil {
		p.cfg.Logger.Debug("what could not be read stays in quarantine", "error", err)
	}
}

// forget drops what was kept of a read if the object can be read now.
func (p *pass) forget(ctx context.Context, kept clerksync.Logged) error {
	_, rest, _ := strings.Cut(kept.ID, ":")
	name, _, _ := strings.Cut(rest, ":")
	kind := clerksync.Kind(name)
	if kept.ObjectID == "" || !p.mirror.Mirrors(kind) {
		return nil
	}
	if !kind.ByID() { // it cannot be asked for, but the list was read just now
		if p.showed(kind, kept.ObjectID) {
			return nil
		}
		_, err := p.mirror.Drop(ctx, kept.ID)
		return err
	}
	told, err := p.reader.Get(ctx, kind, kept.ObjectID)
	if err != nil {
		return err
	}
	if told.Object != nil {
		results, err := p.mirror.Apply(ctx, told)
		if err != nil || results[0].Outcome == clerksync.Quarantined {
			return err
		}
	}
	_, err = p.mirror.Drop(ctx, kept.ID)
	return err
}

// showed reports whether the pass's list may have shown an object that could not be stored.
func (p *pass) showed(k clerksync.Kind, id string) bool {
	for _, l := range p.legs {
		if l.kind == k {
			return !l.complete || !l.begun || l.poison[id]
		}
	}
	return true
}
