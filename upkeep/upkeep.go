package upkeep

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"time"

	clerksync "github.com/clerksync/clerksync/sync"

	"github.com/clerksync/clerksync/erasure"
	"github.com/clerksync/clerksync/feed"
	"github.com/clerksync/clerksync/reconcile"
)

// Config configures a [Keeper]. Mirror is required. Of the retentions a negative value means for ever.
type Config struct {
	Mirror *clerksync.Mirror

	// Clerk is asked before anything is erased. Nil means that nobody can be asked, and age alone decides.
	Clerk *clerksync.API

	// Policy says what is left of an erased object. Empty means clerksync.Anonymize.
	Policy clerksync.Policy

	// EraseAfter is how long an object is only hidden, so that its deletion can be undone. Zero means 24 hours, a negative value not at
	// all.
	EraseAfter time.Duration

	// EventRetention is how long received events are kept, but for those that wait. Zero means 30 days. Clerk's sender tries for 28 hours,
	// and an event that is not kept any more is merged again when it comes again, which changes nothing.
	EventRetention time.Duration

	// ChangeRetention is how long the feed's changes are kept, and four times as long until every relay has delivered them. Zero means
	// 7 days.
	ChangeRetention time.Duration

	// SessionRetention is how long sessions are kept after they have ended; it should be 100 days or more. Zero means a year.
	SessionRetention time.Duration

	// Logger gets ids and counts, never what was erased. Nil means none.
	Logger *slog.Logger

	// Observe, if not nil, is called with the report of every run.
	Observe func(Report)
}

const (
	day = 24 * time.Hour

	// interval is how late [Keeper.Run] may do what is due.
	interval = time.Hour

	// relayPatience is for how many times the retention of changes those are kept that a relay has not delivered. One that does not come
	// back would fill the disk.
	relayPatience = 4
)

// Keeper does what is due. Its methods may be called by any number of goroutines, and processes, at once.
type Keeper struct {
	cfg    Config
	eraser *erasure.Eraser
}

// check makes sure of what nothing can be removed without, and of what would remove more or less than was meant.
func (c Config) check() error {
	if c.Mirror == nil {
		return errors.New("keeping up: Config.Mirror is missing: open it with clerksync.Open")
	}
	if !slices.Contains([]clerksync.Policy{clerksync.Hide, clerksync.Anonymize, clerksync.Hard}, c.Policy) {
		return fmt.Errorf("keeping up: there is no policy %q: it must be hide, anonymize or hard", c.Policy)
	}
	return nil
}

// New returns a keeper. It makes no request. A mistake in the configuration is the error of the first run.
func New(cfg Config) *Keeper {
	cfg.Policy = cmp.Or(cfg.Policy, clerksync.Anonymize)
	cfg.EventRetention = cmp.Or(cfg.EventRetention, 30*day)
	cfg.ChangeRetention = cmp.Or(cfg.ChangeRetention, 7*day)
	cfg.SessionRetention = cmp.Or(cfg.SessionRetention, 365*day)
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Observe == nil {
		cfg.Observe = func(Report) {}
	}
	return &Keeper{cfg, erasure.New(erasure.Config{
		Mirror: cfg.Mirror, Clerk: cfg.Clerk, Policy: cfg.Policy, After: cfg.EraseAfter, Logger: cfg.Logger})}
}

// Report is what a run did.
type Report struct {
	Erasure erasure.Report

	// How many rows were removed for their age.
	Events, Changes, Sessions, Passes int64

	// Lost is how many of the changes a relay had not delivered.
	Lost int64
}

// Run does what is due at once, and then every hour, until the context ends; then it returns nil. Its error is a mistake in the
// configuration, or clerksync.ErrWrongInstance, which no waiting cures; any other one is told by the logger, and the next run tries again.
func (k *Keeper) Run(ctx context.Context) error {
	if err := k.cfg.check(); err != nil {
		return err
	}
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		_, err := k.RunOnce(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, clerksync.ErrWrongInstance):
			return err
		case err != nil:
			k.cfg.Logger.Warn("some upkeep waits", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// RunOnce does what is due, or nothing where the configuration has a mistake. What fails does not keep the rest from being done, and the
// report is meaningful also beside an error: that is one of [erasure.Eraser.RunOnce], or clerksync.ErrUnavailable, or both.
func (k *Keeper) RunOnce(ctx context.Context) (r Report, err error) {
	if err := k.cfg.check(); err != nil {
		return r, err
	}
	r.Erasure, err = k.eraser.RunOnce(ctx)
	for _, part := range []struct {
		of     string
		rows   *int64
		remove func() (int64, error)
	}{
		{"events", &r.Events, func() (int64, error) { return k.cfg.Mirror.Prune(ctx, max(k.cfg.EventRetention, 0)) }},
		{"changes", &r.Changes, func() (removed int64, err error) {
			numbered := k.checkNumbers(ctx)
			removed, r.Lost, err = k.pruneChanges(ctx)
			return removed, errors.Join(numbered, err)
		}},
		{"sessions", &r.Sessions, func() (int64, error) { return k.cfg.Mirror.PruneSessions(ctx, max(k.cfg.SessionRetention, 0)) }},
		{"passes", &r.Passes, func() (int64, error) { return reconcile.Prune(ctx, k.cfg.Mirror) }},
	} {
		removed, removeErr := part.remove()
		if *part.rows = removed; removed > 0 {
			k.cfg.Logger.Info("old rows removed", "of", part.of, "rows", removed)
		}
		err = errors.Join(err, removeErr)
	}
	if r.Lost > 0 {
		k.cfg.Logger.Error("changes were removed that a relay had not delivered: status tells which one is behind", "changes", r.Lost)
	}
	k.cfg.Observe(r)
	return r, err
}

// checkNumbers tells an operator where changes get numbers below those of older ones, as after a move that did not bring what numbers
// them: relays have passed such numbers, and cannot go back, since the older ones follow.
func (k *Keeper) checkNumbers(ctx context.Context) error {
	_, last, err := k.cfg.Mirror.FeedEnds(ctx)
	if err != nil || last == 0 {
		return err
	}
	first, err := k.cfg.Mirror.Changes(ctx, 0, 1)
	if err != nil {
		return err
	}
	newest, err := k.cfg.Mirror.Changes(ctx, last-1, 1)
	if err != nil {
		return err
	}
	if len(first) > 0 && len(newest) > 0 && first[0].WrittenAt.Sub(newest[0].WrittenAt) > time.Minute { // clocks of two servers differ by less
		k.cfg.Logger.Error("changes get numbers below those of older ones, so no relay delivers them: doctor says what to do")
	}
	return nil
}

// pruneChanges removes old changes. Of what it removed, lost are those that some relay had not delivered.
func (k *Keeper) pruneChanges(ctx context.Context) (removed, lost int64, err error) {
	if k.cfg.ChangeRetention < 0 {
		return 0, 0, nil
	}
	positions, err := feed.Positions(ctx, k.cfg.Mirror)
	if err != nil {
		return 0, 0, err
	}
	before := int64(math.MaxInt64)
	for _, p := range positions {
		before = min(before, p.Seq+1)
	}
	published, err := k.cfg.Mirror.PruneChanges(ctx, k.cfg.ChangeRetention, before)
	if err != nil {
		return published, 0, err
	}
	lost, err = k.cfg.Mirror.PruneChanges(ctx, relayPatience*k.cfg.ChangeRetention, math.MaxInt64)
	return published + lost, lost, err
}
