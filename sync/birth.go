package sync

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/jmoiron/sqlx"
)

// birth is the value of the key "born" of the state table: when the mirror was made, and since when it keeps objects of each kind, in Unix
// milliseconds of the database's clock.
type birth struct {
	At    int64          `json:"at"`
	Kinds map[Kind]int64 `json:"kinds,omitempty"`
}

// births knows since when each kind is kept: what is older was there before, and is created as initial.
type births struct {
	born   int64 // when the mirror was made
	opened int64 // and opened by this process, where it is the first to keep a kind

	mu    sync.Mutex
	kinds map[Kind]int64 // since when each is kept
	noted bool           // and whether the database knows
}

// tells reports whether a birth tells of all of some kinds.
func (b birth) tells(all []Kind) bool {
	return !slices.ContainsFunc(all, func(k Kind) bool { _, known := b.Kinds[k]; return !known })
}

// withKinds is a birth that tells of all kinds that this process keeps, too: those of a mirror without a row are as old as it is, as is a kind
// that has rows without being told of, by a release that told of none. What is added later, be it together with such an update, is kept since
// this process opened the mirror.
func (m *Mirror) withKinds(ctx context.Context, q sqlx.QueryerContext, b birth) (birth, error) {
	all := maps.Clone(b.Kinds)
	if all == nil {
		all = map[Kind]int64{}
	}
	bare, err := m.bare(ctx, q)
	if err != nil {
		return b, err
	}
	for _, k := range m.cfg.Kinds {
		if _, known := all[k]; known {
			continue
		}
		kept := bare && len(b.Kinds) == 0
		if !kept {
			if err := sqlx.GetContext(ctx, q, &kept, m.SQL(`SELECT EXISTS (SELECT 1 FROM {`+string(k)+`})`)); err != nil {
				return b, err
			}
		}
		if all[k] = m.births.opened; kept {
			all[k] = b.At
		}
	}
	return birth{At: b.At, Kinds: all}, nil
}

// bare reports whether the mirror has no row of any kind.
func (m *Mirror) bare(ctx context.Context, q sqlx.QueryerContext) (bare bool, err error) {
	rows := "1 = 0"
	for _, k := range kinds {
		rows += " OR EXISTS (SELECT 1 FROM {" + string(k.name) + "})"
	}
	return bare, sqlx.GetContext(ctx, q, &bare, m.SQL("SELECT NOT ("+rows+")"))
}

// loadBirth reads when the mirror was made, and since when it keeps each kind. It notes nothing: who opens a mirror may only want to read.
func (m *Mirror) loadBirth(ctx context.Context) error {
	var b birth
	found, err := m.ReadState(ctx, "born", &b)
	if err != nil {
		return fmt.Errorf("reading the mirror's state (are its tables migrated?): %w", err)
	}
	if !found {
		return errors.New("the mirror's state has no birth: its tables were not made by clerksync's migrations")
	}
	m.births.born, m.births.kinds = b.At, b.Kinds
	if m.births.noted = b.tells(m.cfg.Kinds); m.births.noted {
		return nil
	}
	if err := m.db.GetContext(ctx, &m.births.opened, m.SQL(`SELECT {ms}`)); err != nil {
		return fmt.Errorf("reading the database's clock: %w", unavailable(err))
	}
	all, err := m.withKinds(ctx, m.db, b)
	if err != nil {
		return fmt.Errorf("looking which kinds are kept: %w", unavailable(err))
	}
	m.births.kinds = all.Kinds
	return nil
}

// noteKinds notes since when the mirror keeps the kinds that this process is the first to write. The lock of the feed keeps two processes
// from noting at once.
func (m *Mirror) noteKinds(ctx context.Context) error {
	m.births.mu.Lock()
	defer m.births.mu.Unlock()
	if m.births.noted {
		return nil
	}
	tx, err := m.begin(ctx, true)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	b, err := m.noteKindsIn(ctx, tx)
	if err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return err
	}
	m.births.kinds, m.births.noted = b.Kinds, true
	return nil
}

func (m *Mirror) noteKindsIn(ctx context.Context, tx *sqlx.Tx) (b birth, err error) {
	if err := m.lockFeed(ctx, tx); err != nil {
		return b, err
	}
	if _, err := m.readState(ctx, tx, "born", &b); err != nil {
		return b, err
	}
	if b, err = m.withKinds(ctx, tx, b); err != nil {
		return b, err
	}
	return b, m.WriteStateIn(ctx, tx, "born", b)
}

// Born returns when the mirror was made.
func (m *Mirror) Born() time.Time { return time.UnixMilli(m.births.born) }

// Since returns since when the mirror keeps objects of a kind: since it was made or, of a kind that was added later, since then. What
// Clerk created earlier was there before, so its creation is initial; see [Change]. It is the zero time of a kind that is not kept.
func (m *Mirror) Since(k Kind) time.Time {
	if !m.Mirrors(k) {
		return time.Time{}
	}
	m.births.mu.Lock()
	defer m.births.mu.Unlock()
	return time.UnixMilli(m.births.kinds[k])
}
