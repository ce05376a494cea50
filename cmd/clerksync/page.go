package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	clerksync "github.com/clerksync/clerksync/sync"

	"github.com/clerksync/clerksync/erasure"
	"github.com/clerksync/clerksync/internal/admin"
	"github.com/clerksync/clerksync/reconcile"
)

// pageRows is how many rows each table of the status page has.
const pageRows = 20

// pageOf adds to a configuration what the status page shows and offers. asks tells whether Clerk can be asked.
func pageOf(cfg admin.Config, open func() (*opened, error), asks bool) admin.Config {
	cfg.Status = func(ctx context.Context) (admin.Status, error) {
		o, err := open()
		if err != nil {
			return admin.Status{}, err
		}
		return o.status(ctx)
	}
	cfg.Board = func(ctx context.Context) (admin.Board, error) {
		o, err := open()
		if err != nil {
			return admin.Board{}, err
		}
		return readBoard(ctx, o.mirror)
	}
	cfg.Object = func(ctx context.Context, k clerksync.Kind, id string) (admin.Object, bool, error) {
		o, err := open()
		if err != nil {
			return admin.Object{}, false, err
		}
		return readObject(ctx, o.mirror, k, id)
	}
	cfg.Acts = admin.Acts{
		Retry: func(ctx context.Context, id string) (string, error) { return retryOne(ctx, open, id) },
		Drop:  func(ctx context.Context, id string) (string, error) { return dropOne(ctx, open, id) },
	}
	if asks {
		cfg.Acts.Restore = func(ctx context.Context, id string) (string, error) { return restoreOne(ctx, open, id) }
	}
	return cfg
}

func readBoard(ctx context.Context, m *clerksync.Mirror) (b admin.Board, err error) {
	if b.Waiting, err = m.Log(ctx, clerksync.LogQuery{Outcome: clerksync.Quarantined, Limit: pageRows}); err != nil {
		return b, err
	}
	if b.Events, err = m.Log(ctx, clerksync.LogQuery{Limit: pageRows}); err != nil {
		return b, err
	}
	_, last, err := m.FeedEnds(ctx)
	if err != nil {
		return b, err
	}
	if b.Changes, err = m.Changes(ctx, last-pageRows, pageRows); err != nil {
		return b, err
	}
	slices.Reverse(b.Changes)
	if b.Hidden, err = m.Hidden(ctx, pageRows); err != nil {
		return b, err
	}
	past, err := reconcile.History(ctx, m, pageRows)
	for _, p := range past {
		b.Passes = append(b.Passes, passRow(p))
	}
	slices.SortFunc(b.Passes, func(a, b admin.PassRow) int { return cmp.Or(b.StartedAt.Compare(a.StartedAt), cmp.Compare(b.ID, a.ID)) })
	b.Passes = b.Passes[:min(pageRows, len(b.Passes))]
	return b, err
}

func passRow(p reconcile.Past) admin.PassRow {
	return admin.PassRow{ID: p.ID, Kind: string(p.Kind), StartedAt: p.StartedAt, FinishedAt: p.FinishedAt, Complete: p.Complete,
		Seen: p.Total().Seen, Drift: driftOf(p), Error: p.Error}
}

func readObject(ctx context.Context, m *clerksync.Mirror, k clerksync.Kind, id string) (o admin.Object, known bool, err error) {
	if o.Stored, known, err = m.Stored(ctx, k, id); err != nil {
		return o, false, err
	}
	if o.Events, err = m.Log(ctx, clerksync.LogQuery{ObjectID: id, Limit: 5 * pageRows}); err != nil {
		return o, false, err
	}
	if o.Changes, err = m.ChangesOf(ctx, k, id, 5*pageRows); err != nil {
		return o, false, err
	}
	o.Audit, err = m.AuditOf(ctx, k, id)
	return o, known, err
}

func retryOne(ctx context.Context, open func() (*opened, error), id string) (string, error) {
	o, err := open()
	if err != nil {
		return "", err
	}
	return inTime(ctx, "events retry", id, func(ctx context.Context) (told string, err error) {
		r := &retrier{mirror: o.mirror, reads: o.reads, tell: func(d did) error { told = d.line(); return nil }}
		err = r.retry(ctx, id)
		return told, err
	})
}

// actTime is what the listener leaves for an answer, and a little less.
const actTime = 15 * time.Second

// inTime does something that asks Clerk, if it does not take too long for a page. A command has the patience for what does.
func inTime(ctx context.Context, command, id string, act func(context.Context) (string, error)) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, actTime)
	defer cancel()
	told, err := act(ctx)
	if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		err = fmt.Errorf("this takes longer than a page can wait, as it does where Clerk is asked twice, a read margin apart: run clerksync %s %s", command, shellWord(id))
	}
	return told, err
}

func dropOne(ctx context.Context, open func() (*opened, error), id string) (string, error) {
	o, err := open()
	if err != nil {
		return "", err
	}
	dropped, err := o.mirror.Drop(ctx, id)
	if err == nil && !dropped {
		err = notWaiting(id)
	}
	return id + " dropped", err
}

func restoreOne(ctx context.Context, open func() (*opened, error), id string) (string, error) {
	t, err := findTarget(id)
	if err != nil {
		return "", err
	}
	o, err := open()
	if err != nil {
		return "", err
	}
	return inTime(ctx, "restore", id, func(ctx context.Context) (string, error) {
		restored, err := o.eraser.Restore(ctx, erasure.Order{Kind: t.kind, ID: t.id})
		switch {
		case err != nil:
			return "", advise(id, err)
		case !restored:
			return id + " is not deleted", nil
		}
		return id + " restored", nil
	})
}
