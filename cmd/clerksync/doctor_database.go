package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	clerksync "github.com/clerksync/clerksync/sync"

	"github.com/clerksync/clerksync/internal/admin"
	"github.com/clerksync/clerksync/migrations"
)

// The checks of the database, its tables, and what its user may do.

// checkTime is how long a check waits for an answer.
const checkTime = 10 * time.Second

func (d *doctor) checkDatabase(ctx context.Context) {
	const check = "database"
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	db, err := d.database.open(d.unprepared)
	if err == nil {
		err = db.PingContext(ctx)
	}
	if err != nil {
		d.note(check, failed, err.Error(), "correct DATABASE_URL, or start the database and let this machine reach it")
		return
	}
	d.db = db
	if d.database.dialect == migrations.SQLite {
		d.note(check, fine, "SQLite answers", "")
		return
	}
	var server struct {
		Version  int
		Encoding string
		Fsync    string
		Full     string
		ReadOnly bool
	}
	err = db.GetContext(ctx, &server, `SELECT current_setting('server_version_num')::int / 10000 AS version, current_setting('server_encoding') AS encoding,
current_setting('fsync') AS fsync, current_setting('full_page_writes') AS full, current_setting('transaction_read_only') = 'on' AS readonly`)
	switch {
	case err != nil:
		d.note(check, failed, err.Error(), "the user of DATABASE_URL must be able to run queries")
	case server.Version < 13:
		d.note(check, failed, fmt.Sprintf("PostgreSQL %d", server.Version), "clerksync needs PostgreSQL 13 or later")
	case server.Encoding != "UTF8":
		d.note(check, failed, fmt.Sprintf("PostgreSQL %d with the encoding %s, which cannot hold everybody's name", server.Version, server.Encoding),
			"make a database with createdb -T template0 -E UTF8 NAME, and let DATABASE_URL name it")
	case server.ReadOnly:
		d.note(check, failed, "it takes no writes: it is a standby, or default_transaction_read_only is on",
			"let DATABASE_URL name the primary, or switch that setting off for the server, the database and the user")
	case server.Fsync != "on" || server.Full != "on":
		d.note(check, warned, fmt.Sprintf("PostgreSQL %d with fsync=%s and full_page_writes=%s: a crash of its machine loses events that were answered 204",
			server.Version, server.Fsync, server.Full), "set both to on")
	default:
		d.note(check, fine, fmt.Sprintf("PostgreSQL %d answers", server.Version), "")
	}
	if err := d.database.keepsPrepared(ctx, db, d.unprepared); errors.Is(err, errLosesPrepared) {
		d.note(check, failed, err.Error(), adviseUnprepared)
	}
	d.checkLog(ctx)
	d.checkEncryption()
}

// askLog finds the settings by which the server's log quotes the parameters of statements, which hold whole objects.
const askLog = `
SELECT coalesce(string_agg(name || '=' || setting, ', ' ORDER BY name), '') FROM pg_settings
WHERE name = 'log_parameter_max_length_on_error' AND setting <> '0'
    OR current_setting('log_parameter_max_length') <> '0' AND (name = 'log_statement' AND setting IN ('mod', 'all')
        OR name IN ('log_min_duration_statement', 'log_min_duration_sample') AND setting <> '-1' OR name = 'log_transaction_sample_rate' AND setting <> '0')`

func (d *doctor) checkLog(ctx context.Context) {
	var quoting string
	if err := d.db.GetContext(ctx, &quoting, askLog); err == nil && quoting != "" {
		d.note("database", warned, "its log quotes people's data, which no erasure reaches, by "+quoting,
			"let an administrator set log_parameter_max_length and log_parameter_max_length_on_error to 0 for this user, by ALTER ROLE")
	}
}

func (d *doctor) checkEncryption() {
	mode := d.database.url.Query().Get("sslmode")
	switch {
	case isLocal(d.database.url):
		d.note("sslmode", fine, "the database is on this machine", "")
	case mode == "verify-full":
		d.note("sslmode", fine, "the connection is encrypted, and the server proves who it is", "")
	case mode == "require" || mode == "verify-ca":
		d.note("sslmode", warned, "sslmode="+mode+" encrypts, but another server could answer in the database's place",
			"use sslmode=verify-full, with sslrootcert=FILE where your provider gives you one")
	default:
		d.note("sslmode", failed, "sslmode="+mode+": people's data and the password may travel in the clear", "use sslmode=verify-full")
	}
}

func (d *doctor) checkVersion(ctx context.Context) {
	const check = "tables"
	if d.db == nil {
		d.note(check, skipped, "the database does not answer", "")
		return
	}
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	err := migrations.Check(ctx, d.db.DB, d.tables())
	switch {
	case errors.Is(err, migrations.ErrPending):
		d.note(check, failed, "they are missing, or older than this clerksync", "clerksync migrate up")
		return
	case errors.Is(err, migrations.ErrNewer):
		d.note(check, failed, "a later release has migrated them", "run that release or a later one")
		return
	case errors.Is(err, migrations.ErrEncoding):
		d.note(check, skipped, "the database cannot hold them", "")
		return
	case err != nil:
		d.note(check, failed, err.Error(), "let the user of DATABASE_URL read schema "+d.schema)
		return
	}
	// Without the instance, which it would pin.
	d.mirror, err = clerksync.Open(ctx, d.db, clerksync.Config{Schema: d.schema, ReadMargin: d.readMargin, Kinds: d.kinds, Unprepared: d.unprepared})
	if err != nil {
		d.note(check, failed, err.Error(), adviseReference(err))
		return
	}
	if d.database.dialect == migrations.Postgres && !d.checkNumbers(ctx) {
		return
	}
	d.note(check, fine, "they are at this version", "")
}

// checkNumbers looks whether what numbers the rows of the feed and the passes is behind the rows: logical replication brings rows without
// that, and so does a copy of the tables one by one. Then each change is refused as a number that is taken, or is given one that relays
// have passed: they go back for it, unless older changes follow there.
func (d *doctor) checkNumbers(ctx context.Context) (ok bool) {
	const check = "tables"
	for _, of := range []struct{ table, column, last, harm, then string }{
		{"changes", "seq", "max(seq) FROM %s.changes", "is not above those that are taken, so what needs one is refused with SQLSTATE 23505, or no relay delivers it",
			"then clerksync events retry --all, and have what receives changes read the mirror anew"},
		{"passes", "id", "max(id) FROM %s.passes", "is taken already, so what needs one is refused with SQLSTATE 23505", "then clerksync events retry --all"},
		{"changes", "seq", "max(seq) FROM %s.relays", "is one that a relay has passed, so it goes back and delivers numbers a second time", "then have what receives them read the mirror anew"},
	} {
		last, sequence := fmt.Sprintf("(SELECT "+of.last+")", d.schema), d.schema+"."+of.table+"_"+of.column+"_seq"
		var behind bool
		err := d.db.GetContext(ctx, &behind, fmt.Sprintf(`SELECT last_value + is_called::int <= coalesce(%s, 0) FROM %s`, last, sequence))
		switch {
		case sqlState(err) == "42501": // roles that were given before they had this right
		case err != nil:
			d.note(check, failed, "reading the next number of "+of.table+": "+err.Error(), "let the user of DATABASE_URL read the sequences of schema "+d.schema)
			return false
		case behind:
			d.note(check, failed, "the next number of "+of.table+" "+of.harm, fmt.Sprintf("as the owner of the tables: SELECT setval('%s', %s); %s", sequence, last, of.then))
			return false
		}
	}
	return true
}

// checkCondition looks at what the mirror itself can tell.
func (d *doctor) checkCondition(ctx context.Context) {
	const check = "mirror"
	if d.mirror == nil {
		d.note(check, skipped, "the tables cannot be looked at", "")
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 3*checkTime)
	defer cancel()
	s, err := readCondition(ctx, d.mirror, uncounted)
	if err != nil {
		d.note(check, failed, err.Error(), "")
		return
	}
	if s.Events.Quarantined > 0 {
		d.note(check, warned, fmt.Sprintf("%d event(s) in quarantine", s.Events.Quarantined), "clerksync events list --outcome quarantined")
	}
	switch last := s.Passes["full"].LastCompleteAt; {
	case !d.secretKey.set():
	case last == nil:
		d.note(check, warned, "no full pass has ended yet", "start serve, or run clerksync reconcile")
	case time.Since(*last) > admin.PassOverdue:
		d.note(check, warned, "the last complete pass began "+last.Format(time.DateTime), "look at why passes fail: clerksync status")
	default:
		d.note(check, fine, "the last complete pass began "+last.Format(time.DateTime), "")
	}
}
