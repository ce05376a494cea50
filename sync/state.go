package sync

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/jmoiron/sqlx"
)

// The keys of the state table, each with its one owner:
//
//	born      sync       when the mirror was made, and since when it keeps each kind; older objects are created with initial = true
//	instance  sync       the pinned Clerk instance
//	foreign   sync       how many events of other instances were ignored, and whose the last one was
//	audit     sync       the end of the audit log
//	forgotten sync       how recent the deletions are whose tombstones were removed
//	feed      sync       locked by every transaction that appends changes, so that seq order is commit order
//	watermark reconcile  how far the delta pass has read
//	lease     reconcile  who may run a pass, and its term; see internal/lease
//	lease:…   feed       who may run a relay (lease:relay:NAME), and its term; cmd/clerksync: which daemon leads (lease:leader)
//	progress  reconcile  where a killed full pass goes on
//	verdict   reconcile  the term of the last complete full pass
//	silence   cmd        since when webhooks are silent, as far as passes can tell
//	replicas  cmd        which daemons share the database, and when each was heard of last

// ReadState reads one key of the state table into v. It reports false where the key is not set.
func (m *Mirror) ReadState(ctx context.Context, key string, v any) (bool, error) {
	return m.readState(ctx, m.db, key, v)
}

func (m *Mirror) readState(ctx context.Context, q sqlx.QueryerContext, key string, v any) (bool, error) {
	var value string
	err := sqlx.GetContext(ctx, q, &value, m.SQL(`SELECT value FROM {state} WHERE key = $1`), key)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("reading state %q: %w", key, unavailable(err))
	}
	if err := json.Unmarshal([]byte(value), v); err != nil {
		return false, fmt.Errorf("reading state %q: %w", key, err)
	}
	return true, nil
}

// WriteState sets one key of the state table. The error is [ErrUnavailable] where the database cannot answer.
func (m *Mirror) WriteState(ctx context.Context, key string, v any) error {
	if err := m.writeState(ctx, m.db, key, v); err != nil {
		return fmt.Errorf("writing state %q: %w", key, unavailable(err))
	}
	return nil
}

// WriteStateIn sets one key of the state table in a transaction. The error is the database's own, so that whoever has the transaction
// can tell why it failed.
func (m *Mirror) WriteStateIn(ctx context.Context, tx *sqlx.Tx, key string, v any) error {
	return m.writeState(ctx, tx, key, v)
}

func (m *Mirror) writeState(ctx context.Context, q sqlx.ExecerContext, key string, v any) error {
	value, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = q.ExecContext(ctx, m.SQL(`INSERT INTO {state} (key, value, updated_at) VALUES ($1, $2, {now})
ON CONFLICT (key) DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at`), key, string(value))
	return err
}

// instance is the value of the key of that name.
type instance struct {
	ID string `json:"id"`
}

// errNoInstance quotes nothing: the text may be a key that got into the wrong place.
var errNoInstance = errors.New("the id of a Clerk instance must begin with ins_; Clerk's dashboard shows it under Settings")

// lookAgain is how long a process without a pin goes on before it looks whether another one has set it. A commit without a pin
// looks for itself, so this only bounds the reads of processes that commit nothing.
const lookAgain = 5 * time.Second

// Pinned returns the id of the Clerk instance that this mirror copies, or "" while none is known.
func (m *Mirror) Pinned(ctx context.Context) (string, error) {
	m.mu.Lock()
	id, looked := m.pinned, m.looked
	m.mu.Unlock()
	if id != "" || time.Since(looked) < lookAgain {
		return id, nil
	}
	var pin instance
	if _, err := m.ReadState(ctx, "instance", &pin); err != nil {
		return "", err
	}
	m.notePin(pin.ID)
	return pin.ID, nil
}

func (m *Mirror) notePin(id string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.pinned, m.looked = cmp.Or(m.pinned, id), time.Now() // who has looked before it was set may be the last to say so
}

// Pin ties the mirror to a Clerk instance, once and for all. It fails with [ErrWrongInstance] if the mirror is tied to another
// one already, or holds what events of another one told.
func (m *Mirror) Pin(ctx context.Context, id string) error {
	return m.tie(ctx, id, m.pinNow)
}

// CheckInstance fails where [Mirror.Pin] would, and pins nothing.
func (m *Mirror) CheckInstance(ctx context.Context, id string) error {
	return m.tie(ctx, id, func(ctx context.Context, id string) (string, error) { return id, m.checkApplied(ctx, m.db, id) })
}

// tie makes sure that the mirror is tied to an instance. An unpinned one is asked by pin, which returns the instance that it is tied to then.
func (m *Mirror) tie(ctx context.Context, id string, pin func(context.Context, string) (string, error)) error {
	if !strings.HasPrefix(id, "ins_") {
		return errNoInstance
	}
	pinned, err := m.Pinned(ctx)
	if err != nil {
		return err
	}
	if pinned == "" {
		if pinned, err = pin(ctx, id); err != nil {
			return fmt.Errorf("pinning the Clerk instance: %w", err)
		}
	}
	if pinned != id {
		return fmt.Errorf("this mirror copies %s, not %s: %w", pinned, id, ErrWrongInstance)
	}
	return nil
}

// pinNow writes the pin unless there is one, and returns the one that holds.
func (m *Mirror) pinNow(ctx context.Context, id string) (string, error) {
	tx, err := m.begin(ctx, true)
	if err != nil {
		return "", unavailable(err)
	}
	defer tx.Rollback()
	if err := m.lockFeed(ctx, tx); err != nil { // commits without a pin hold the same lock while they look for one
		return "", unavailable(err)
	}
	if err := m.checkApplied(ctx, tx, id); err != nil {
		return "", err
	}
	value, err := json.Marshal(instance{ID: id})
	if err != nil {
		return "", err
	}
	if _, err := tx.ExecContext(ctx, m.SQL(`INSERT INTO {state} (key, value, updated_at) VALUES ('instance', $1, {now})
ON CONFLICT (key) DO NOTHING`), string(value)); err != nil {
		return "", unavailable(err)
	}
	var pin instance
	if _, err := m.readState(ctx, tx, "instance", &pin); err != nil {
		return "", err
	}
	if err := tx.Commit(); err != nil {
		return "", unavailable(err)
	}
	m.notePin(pin.ID)
	return pin.ID, nil
}

// checkApplied makes sure that no event of another instance was applied.
func (m *Mirror) checkApplied(ctx context.Context, q sqlx.QueryerContext, id string) error {
	var other string
	err := sqlx.GetContext(ctx, q, &other, m.SQL(`SELECT instance_id FROM {events}
WHERE instance_id <> $1 AND outcome NOT IN ('ignored', 'quarantined', 'deferred') LIMIT 1`), id)
	switch {
	case err == nil:
		return fmt.Errorf("events of %s were applied here, so it cannot become a mirror of %s: %w", other, id, ErrWrongInstance)
	case !errors.Is(err, sql.ErrNoRows):
		return unavailable(err)
	}
	return nil
}

// sampleInstances are the instances of Clerk's published examples and of the dashboard's "Send Example". Nobody owns them, so
// their events are ignored unless a mirror is pinned to one.
var sampleInstances = map[string]bool{"ins_123": true, "ins_2g7np7Hrk0SN6kj5EDMLDaKNL0S": true}

// foreign reports whether an event must be ignored because of the instance it comes from. One that names none was signed with
// our own endpoint's secret, so it is ours.
func foreign(pinned, from string) bool {
	if pinned == "" {
		return sampleInstances[from]
	}
	return from != "" && from != pinned
}

// Foreign is what the state table keeps about ignored events of other instances.
type Foreign struct {
	Count int64     `json:"count"`
	Last  string    `json:"last"` // the instance of the last one
	At    time.Time `json:"at"`
}

// countForeign counts an ignored event of another instance where operators can see it. Losing a count under contention is
// harmless, losing the event's answer is not, so the caller ignores the error.
func (m *Mirror) countForeign(ctx context.Context, from string) error {
	var f Foreign
	if _, err := m.ReadState(ctx, "foreign", &f); err != nil {
		return err
	}
	return m.WriteState(ctx, "foreign", Foreign{Count: f.Count + 1, Last: from, At: time.Now().UTC()})
}

// lockFeed takes the lock that makes the order of seq the order of commit. SQLite's transactions never overlap.
func (m *Mirror) lockFeed(ctx context.Context, tx *sqlx.Tx) error {
	if !m.dialect.postgres {
		return nil
	}
	var key string
	return tx.GetContext(ctx, &key, m.SQL(`SELECT key FROM {state} WHERE key = 'feed' FOR UPDATE`))
}
