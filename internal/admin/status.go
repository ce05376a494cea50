package admin

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"time"

	clerksync "github.com/clerksync/clerksync/sync"
)

// Status is what an operator wants to know about a mirror at a glance.
type Status struct {
	InstanceID string          `json:"instance_id"` // the pinned Clerk instance; empty while none is
	Users      Population      `json:"users"`
	Events     Events          `json:"events"`
	Passes     map[string]Pass `json:"passes"` // the last one of each kind, "full" and "delta"; dry runs are left out

	// ClockSkewSeconds is how far Clerk's clock is ahead of ours; nil in a process that has not heard of Clerk yet.
	ClockSkewSeconds *float64 `json:"clock_skew_seconds,omitempty"`
}

// Population counts the rows of a table of objects.
type Population struct {
	Visible int64 `json:"visible" db:"visible"`
	Hidden  int64 `json:"hidden" db:"hidden"` // tombstones
}

// Events tells how webhooks fare.
type Events struct {
	Quarantined int64      `json:"quarantined" db:"quarantined"`
	Deferred    int64      `json:"deferred" db:"deferred"`
	Foreign     *Foreign   `json:"foreign,omitempty"` // nil if there were none
	LastAt      *time.Time `json:"last_received_at"`  // nil if there was none
	LastType    string     `json:"last_type,omitempty"`
	LagSeconds  *float64   `json:"lag_seconds,omitempty"` // of the last one, from Clerk's timestamp to its receipt
}

// Foreign counts ignored events of other Clerk instances.
type Foreign struct {
	Count int64     `json:"count"`
	Last  string    `json:"last"` // the instance of the last one
	At    time.Time `json:"at"`
}

// Pass is the last pass of a kind.
type Pass struct {
	StartedAt      time.Time  `json:"started_at" db:"started_at"`
	FinishedAt     *time.Time `json:"finished_at" db:"finished_at"` // nil while it runs, or if it was killed
	Complete       bool       `json:"complete" db:"complete"`
	Plan           *string    `json:"plan,omitempty" db:"plan"`
	Error          *string    `json:"error,omitempty" db:"error"`
	LastCompleteAt *time.Time `json:"last_complete_at"` // when the last complete pass of this kind began; nil if there was none
}

// Read reads the status of a mirror.
func Read(ctx context.Context, m *clerksync.Mirror) (Status, error) {
	var s Status
	err := errors.Join(s.readUsers(ctx, m), s.readEvents(ctx, m), s.readPasses(ctx, m))
	if err != nil {
		return Status{}, fmt.Errorf("reading the status: %w", err)
	}
	if s.InstanceID, err = m.Pinned(ctx); err != nil {
		return Status{}, fmt.Errorf("reading the status: %w", err)
	}
	if skew, _ := m.Skew(); skew != 0 {
		seconds := skew.Seconds()
		s.ClockSkewSeconds = &seconds
	}
	return s, nil
}

func (s *Status) readUsers(ctx context.Context, m *clerksync.Mirror) error {
	var all int64
	if err := m.DB().GetContext(ctx, &all, m.SQL(`SELECT count(*) FROM {users}`)); err != nil {
		return err
	}
	if err := m.DB().GetContext(ctx, &s.Users.Hidden, m.SQL(`SELECT count(*) FROM {users} WHERE deleted_at IS NOT NULL`)); err != nil {
		return err
	}
	s.Users.Visible = max(all-s.Users.Hidden, 0)
	return nil
}

func (s *Status) readEvents(ctx context.Context, m *clerksync.Mirror) error {
	err := m.DB().GetContext(ctx, &s.Events, m.SQL(`SELECT
(SELECT count(*) FROM {events} WHERE outcome = 'quarantined') AS quarantined,
(SELECT count(*) FROM {events} WHERE outcome = 'deferred') AS deferred`))
	if err != nil {
		return err
	}
	var last struct {
		Type       string     `db:"type"`
		ReceivedAt time.Time  `db:"received_at"`
		OccurredAt *time.Time `db:"occurred_at"`
	}
	err = m.DB().GetContext(ctx, &last, m.SQL(`SELECT type, received_at, occurred_at FROM {events}
WHERE type <> 'read' ORDER BY received_at DESC LIMIT 1`)) // a read in quarantine is no event
	if err == nil {
		received := last.ReceivedAt.UTC()
		s.Events.LastAt, s.Events.LastType = &received, last.Type
		if last.OccurredAt != nil {
			lag := last.ReceivedAt.Sub(*last.OccurredAt).Seconds()
			s.Events.LagSeconds = &lag
		}
	} else if !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	var foreign Foreign
	found, err := m.ReadState(ctx, "foreign", &foreign)
	if found {
		s.Events.Foreign = &foreign
	}
	return err
}

func (s *Status) readPasses(ctx context.Context, m *clerksync.Mirror) error {
	s.Passes = map[string]Pass{}
	for _, kind := range []string{"full", "delta"} {
		var p Pass
		err := m.DB().GetContext(ctx, &p, m.SQL(`SELECT started_at, finished_at, complete, plan, error FROM {passes}
WHERE kind = $1 AND NOT dry_run ORDER BY started_at DESC LIMIT 1`), kind)
		if errors.Is(err, sql.ErrNoRows) {
			continue
		}
		if err != nil {
			return err
		}
		var complete time.Time
		err = m.DB().GetContext(ctx, &complete, m.SQL(`SELECT started_at FROM {passes}
WHERE kind = $1 AND NOT dry_run AND complete ORDER BY started_at DESC LIMIT 1`), kind)
		if err == nil {
			p.LastCompleteAt = &complete
		} else if !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		s.Passes[kind] = p.utc()
	}
	return nil
}

func (p Pass) utc() Pass {
	p.StartedAt = p.StartedAt.UTC()
	for _, t := range []*time.Time{p.FinishedAt, p.LastCompleteAt} {
		if t != nil {
			*t = t.UTC()
		}
	}
	return p
}

// Recent returns a function that reads the status of a mirror, at most once per the given time however often it is called: counting
// millions of rows for every scrape and every reload of the page would be a load of its own.
func Recent(m *clerksync.Mirror, keep time.Duration) func(context.Context) (Status, error) {
	var mu sync.Mutex
	var last Status
	var at time.Time
	return func(ctx context.Context) (Status, error) {
		mu.Lock()
		defer mu.Unlock()
		if !at.IsZero() && time.Since(at) < keep {
			return last, nil
		}
		s, err := Read(ctx, m)
		if err == nil {
			last, at = s, time.Now()
		}
		return s, err
	}
}
