package sync

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"sync"
	"time"

	"github.com/jmoiron/sqlx"
)

// Config configures a [Mirror]. Its zero value is the default of every setting.
type Config struct {
	// Schema is the PostgreSQL schema of the tables, or the prefix of their names on SQLite. Empty means "clerk".
	Schema string

	// ReadMargin is M of the merge rule: how far a read's evidence is dated back to allow for clock error and for stale reads on
	// Clerk's side. Zero means 2 minutes; a negative value means none, for an emulator that shares our clock.
	ReadMargin time.Duration

	// Kinds are the kinds of objects to mirror. Nil means users alone. Evidence about another kind is ignored.
	Kinds []Kind

	// PrivateMetadata stores private_metadata, which Clerk sends to every webhook. False leaves it out.
	PrivateMetadata bool

	// EventPayloads says which events keep their content. Zero means those that wait.
	EventPayloads Payloads

	// SessionActivity is how much sessions tell about device and place. Zero means device, browser, city and country, but no
	// address.
	SessionActivity Activity

	// HoldDeletes keeps deletions that events tell of for an operator's approval, once there are more of a kind within an hour than
	// Limits allow. They are quarantined, and [Logged.Held] tells them apart. False applies them all.
	HoldDeletes bool

	// Limits is the size of the deletion guard for what events tell. Zero means its defaults.
	Limits Limits

	// Unprepared sends every statement as a whole, for poolers in transaction mode that lose prepared statements.
	Unprepared bool

	// Hooks are the team's functions that work in the transactions of changes. Nil means none, which costs nothing.
	Hooks Hooks

	// InstanceID, such as "ins_…", pins the Clerk instance, for good, where no key could tell. Empty leaves that to the first
	// [Reader], which is better wherever there is a key: a pin by mistake is one that nothing undoes.
	InstanceID string
}

// ClockError is σ of the merge rule: how far two honest clocks may differ.
const ClockError = 60 * time.Second

// The other constants of the merge rule.
const (
	eventLead         = 5 * time.Second // κ: how far an event's timestamp may lie before the deletion that it reports
	defaultReadMargin = 2 * time.Minute
)

// Mirror is the copy of one Clerk instance in one database. Its methods may be called by any number of goroutines at once.
type Mirror struct {
	db         *sqlx.DB
	cfg        Config
	dialect    dialect
	statements statements
	births     births
	queue      queue
	pace       pace // of hooks
	sheets     sheets
	turns      sync.Mutex // see Turn
	clock      clock
	holder     *Guard // nil where no deletion is held
	far        bool   // see measure

	mu       sync.Mutex
	pinned   string    // the instance; "" while none is pinned
	looked   time.Time // when pinned was last read, while it is empty
	watchers map[int]func(Commit)
	watched  int
}

// Commit is what one transaction of [Mirror.Apply] did; see [Mirror.Watch].
type Commit struct {
	Changes  []Change
	Pieces   int           // evidence that the transaction carried, merged or not
	Duration time.Duration // from the transaction's begin to its commit

	// Unknown means that the database's answer got lost: whether the transaction was committed is not known. Changes are those that it
	// would have made, and some of them may lack all but their kind, id and op.
	Unknown bool
}

var schemaName = regexp.MustCompile(`^[a-z_][a-z0-9_]{0,39}$`)

// Open opens the mirror in a database whose tables are migrated (package migrations). The database belongs to the caller, who
// closes it after the last call of the mirror; a *sql.DB becomes a *sqlx.DB by sqlx.NewDb(db, "pgx"). Drivers "postgres" and "pgx"
// mean PostgreSQL, "sqlite" and "sqlite3" SQLite, which waits for a lock of another connection only if it is told to, here for
// modernc.org/sqlite:
//
//	sqlx.Open("sqlite", "file:mirror.db?_txlock=immediate&_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)")
//
// A database in ":memory:" is one connection's own, so its pool must have no second: SetMaxOpenConns(1).
//
// Under lib/pq a call can outlast its context, since that driver reads on: for a quarter of an hour where the server's machine is gone, and
// for as long as the server is stopped. It does not where its connections, by pq.Connector.Dialer, bound each read; nor does pgx.
//
// Its error is a mistake in the configuration, [ErrWrongInstance] where the mirror copies another instance than Config.InstanceID, or
// [ErrUnavailable] where the database does not answer or lacks the tables.
func Open(ctx context.Context, db *sqlx.DB, cfg Config) (*Mirror, error) {
	if cfg.Schema == "" {
		cfg.Schema = "clerk"
	}
	if !schemaName.MatchString(cfg.Schema) {
		return nil, fmt.Errorf("opening the mirror: %q is no schema name: use lower-case letters, digits and underscores", cfg.Schema)
	}
	if cfg.ReadMargin == 0 {
		cfg.ReadMargin = defaultReadMargin
	}
	cfg.ReadMargin = max(cfg.ReadMargin, 0)
	if cfg.Kinds == nil {
		cfg.Kinds = []Kind{Users}
	}
	for _, k := range cfg.Kinds {
		if _, known := describe(k); !known {
			return nil, fmt.Errorf("opening the mirror: there is no kind %q", k)
		}
	}
	m := &Mirror{db: db, cfg: cfg, watchers: map[int]func(Commit){}, sheets: make(sheets, 4)}
	switch name := db.DriverName(); name {
	case "postgres", "pgx":
		m.dialect = dialect{postgres: true, schema: cfg.Schema}
		m.queue.lanes = 2
	case "sqlite", "sqlite3":
		m.dialect = dialect{schema: cfg.Schema}
		m.queue.lanes = 1 // one writer is all that SQLite has
	default:
		return nil, fmt.Errorf("opening the mirror: driver %q is neither PostgreSQL's nor SQLite's", name)
	}
	if err := cfg.Hooks.check(m); err != nil {
		return nil, fmt.Errorf("opening the mirror: %w", err)
	}
	if cfg.HoldDeletes {
		m.holder = NewGuard(m, cfg.Limits, Webhook)
	}
	if err := m.load(ctx); err != nil {
		return nil, fmt.Errorf("opening the mirror: %w", err)
	}
	if cfg.InstanceID != "" {
		if err := m.Pin(ctx, cfg.InstanceID); err != nil {
			return nil, fmt.Errorf("opening the mirror: %w", err)
		}
	}
	return m, nil
}

// load reads the birth of the mirror and the pinned instance, and readies what commits need.
func (m *Mirror) load(ctx context.Context) error {
	if err := m.checkMemory(ctx); err != nil {
		return err
	}
	if err := m.loadBirth(ctx); err != nil {
		return err
	}
	if err := m.prepareStatements(ctx); err != nil {
		return err
	}
	if err := m.measure(ctx); err != nil {
		return err
	}
	_, err := m.Pinned(ctx)
	return err
}

// checkMemory refuses a database in memory of which each connection has one of its own: most calls would find no tables.
func (m *Mirror) checkMemory(ctx context.Context) error {
	if m.dialect.postgres || m.db.Stats().MaxOpenConnections == 1 {
		return nil
	}
	var file string
	if err := m.db.GetContext(ctx, &file, `SELECT file FROM pragma_database_list WHERE name = 'main'`); err != nil || file != "" {
		return unavailable(err)
	}
	const tables = `SELECT count(*) FROM sqlite_master`
	first, err := m.db.Connx(ctx)
	if err != nil {
		return unavailable(err)
	}
	defer first.Close()
	var here, there int
	if err := first.GetContext(ctx, &here, tables); err != nil {
		return unavailable(err)
	}
	if err := m.db.GetContext(ctx, &there, tables); err != nil {
		return unavailable(err)
	}
	if here != there {
		return errors.New("the database is in memory, and each connection of the pool has one of its own: use a file, or SetMaxOpenConns(1) before the tables are made")
	}
	return nil
}

// SQL writes a query for the mirror's database: {users}, {events} and so on become the qualified names of those tables, {now}
// the database's clock, {ms} the same in Unix milliseconds. Both databases take $1, $2 … and RFC 3339 texts as timestamps.
func (m *Mirror) SQL(query string) string { return m.dialect.sql(query) }

// Mirrors reports whether objects of a kind are kept.
func (m *Mirror) Mirrors(k Kind) bool { return slices.Contains(m.cfg.Kinds, k) }

// DB returns the database that the mirror was opened with.
func (m *Mirror) DB() *sqlx.DB { return m.db }

// Watch calls fn after every commit of this process, and after one of which the answer got lost, in no particular order and possibly from
// several goroutines at once. fn must return soon, and must not write into the mirror: callers of Apply wait for it. The function that
// Watch returns ends it.
func (m *Mirror) Watch(fn func(Commit)) (stop func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.watched++
	n := m.watched
	m.watchers[n] = fn
	return func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(m.watchers, n)
	}
}

// Turn waits until it is the caller's turn to write, and returns what ends it; until then the mirror commits nothing. SQLite lets in
// whoever asks at the right moment, so a pass that commits without a pause would keep others of this process out for as long as it
// runs. On PostgreSQL, where writers do not wait for each other, it does nothing.
func (m *Mirror) Turn() (end func()) {
	if m.dialect.postgres {
		return func() {}
	}
	m.turns.Lock()
	return m.turns.Unlock
}

func (m *Mirror) tell(c Commit) {
	m.mu.Lock()
	watchers := slices.Collect(maps.Values(m.watchers))
	m.mu.Unlock()
	for _, fn := range watchers {
		fn(c)
	}
}

// ReadMargin returns M of the merge rule: by how much the evidence of a read is dated back.
func (m *Mirror) ReadMargin() time.Duration { return m.cfg.ReadMargin }
