package sync

import (
	"cmp"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/go-json-experiment/json"
	"github.com/jmoiron/sqlx"
)

// AuditEntry is a row of the audit log: one act that an auditor asks about. It holds ids and no personal data, so the log stays
// whole when a person is erased. Seq, At, Previous and Hash are set by the log.
type AuditEntry struct {
	Seq        int64       // 1, 2, 3 …, in the order of commits
	At         time.Time   // when it was written, by our clock
	Action     AuditAction // required
	Kind       Kind        // of the object; empty where the act is about none
	ObjectID   string      // Clerk's id; empty where the act is about no single object
	Source     Source      // the feeder that told it, or who did it; see [Operator] and [Upkeep]
	EventID    string      // the message that told it; empty where none did
	OccurredAt time.Time   // when, by the word of the source: an event's timestamp, or the start of a read; zero if unknown
	Detail     string      // numbers, digests and words of our own: never what a user or Clerk wrote

	Previous string // the hash of the row before, in hexadecimal; 64 zeros in the first row
	Hash     string // of this row and so, by Previous, of all before it
}

// AuditAction says what happened.
type AuditAction string

// The actions. What they are about is in the other members of [AuditEntry]; a plan of deletions is told in Detail by its digest.
const (
	AuditDeleted  AuditAction = "deleted"  // a visible object was hidden
	AuditRevived  AuditAction = "revived"  // a hidden object is visible again, since Clerk showed it
	AuditErased   AuditAction = "erased"   // the personal data of an object was removed
	AuditRestored AuditAction = "restored" // an operator undid a deletion
	AuditRefused  AuditAction = "refused"  // the deletion guard tripped: nothing of that kind was deleted
	AuditApproved AuditAction = "approved" // an operator approved refused deletions
	AuditHeld     AuditAction = "held"     // a deletion that an event told waits for approval
	AuditDropped  AuditAction = "dropped"  // an operator gave up a deletion that waited
	AuditReloaded AuditAction = "reloaded" // secrets were read again
)

// Who acts, besides the feeders. Only the audit log, and the feed where it tells of an erasure, know these sources.
const (
	Operator Source = "operator" // somebody who ran a command
	Upkeep   Source = "upkeep"   // what the daemon and the nightly job do when it is due
)

// noHash is what the first row of the audit log has in place of the hash of a row before it.
var noHash = strings.Repeat("0", 2*sha256.Size)

// Record appends entries to the audit log, in their order, in the caller's transaction on the mirror's database. It takes the lock
// that all commits take last, so the caller should commit next. With a nil transaction it makes one of its own, and the error is
// [ErrUnavailable] where the database cannot answer.
func (m *Mirror) Record(ctx context.Context, tx *sqlx.Tx, entries ...AuditEntry) error {
	if tx != nil {
		if err := m.record(ctx, tx, entries); err != nil {
			return fmt.Errorf("writing the audit log: %w", err)
		}
		return nil
	}
	if err := m.recordAlone(ctx, entries); err != nil {
		return fmt.Errorf("writing the audit log: %w", unavailable(err))
	}
	return nil
}

func (m *Mirror) recordAlone(ctx context.Context, entries []AuditEntry) error {
	for {
		err := m.inTransaction(ctx, func(tx *sqlx.Tx) error { return m.record(ctx, tx, entries) })
		if err == nil || diagnose(err) != clash || ctx.Err() != nil {
			return err
		}
	}
}

// auditEnd is the value of the key "audit" of the state table: the end of the log. It is read and written under its own lock, so
// that no isolation level can show an end that has moved on.
type auditEnd struct {
	Seq  int64  `json:"seq"`
	Hash string `json:"hash"`
}

// record appends entries to the audit log. All writers hold the lock of the feed from here to their commit.
func (m *Mirror) record(ctx context.Context, tx *sqlx.Tx, entries []AuditEntry) error {
	if len(entries) == 0 {
		return nil
	}
	if err := m.lockFeed(ctx, tx); err != nil {
		return err
	}
	end, err := m.lockAudit(ctx, tx)
	if err != nil {
		return err
	}
	rows := make([]auditRow, len(entries))
	for i, e := range entries {
		rows[i] = newAuditRow(e, end)
		end = auditEnd{rows[i].Seq, rows[i].Hash}
	}
	if err := m.insertAudit(ctx, tx, rows); err != nil {
		return err
	}
	return m.WriteStateIn(ctx, tx, "audit", end)
}

// lockAudit returns the end of the log. Where somebody has tampered with it, the log goes on behind its last row: deletions must
// not fail for that, and [Mirror.VerifyAudit] tells of it.
func (m *Mirror) lockAudit(ctx context.Context, tx *sqlx.Tx) (auditEnd, error) {
	end := auditEnd{Hash: noHash}
	var value string
	switch err := tx.GetContext(ctx, &value, m.SQL(`SELECT value FROM {state} WHERE key = 'audit'`+m.dialect.forUpdate())); {
	case errors.Is(err, sql.ErrNoRows):
	case err != nil:
		return end, err
	default:
		_ = json.Unmarshal([]byte(value), &end) // or else it is as good as missing
	}
	var last int64
	err := tx.GetContext(ctx, &last, m.SQL(`SELECT coalesce(max(seq), 0) FROM {audit}`))
	end.Seq, end.Hash = max(end.Seq, last), cmp.Or(end.Hash, noHash)
	return end, err
}

var auditColumns = []column{
	{"seq", integer, nil}, {"at", instant, nil}, {"action", text, nil}, {"resource", text, nil}, {"object_id", text, nil},
	{"source", text, nil}, {"event_id", text, nil}, {"occurred_at", instant, nil}, {"detail", text, nil},
	{"previous", text, nil}, {"hash", text, nil},
}

func (m *Mirror) insertAudit(ctx context.Context, tx *sqlx.Tx, rows []auditRow) error {
	from, exprs := m.dialect.given(0, auditColumns)
	statement := fmt.Sprintf(`INSERT INTO %s (%s) SELECT %s FROM %s`, m.dialect.table("audit"),
		strings.Join(columnNames(auditColumns), ", "), strings.Join(exprs, ", "), from)
	return writeRows(ctx, m, tx, statement, auditColumns, rows, (*row).audited, finish)
}

// auditRow is a row of the log as its statement and its hash have it.
type auditRow struct {
	Seq        int64       `db:"seq"`
	At         string      `db:"at"`
	Action     AuditAction `db:"action"`
	Resource   Kind        `db:"resource"`
	ObjectID   string      `db:"object_id"`
	Source     Source      `db:"source"`
	EventID    string      `db:"event_id"`
	OccurredAt string      `db:"occurred_at"`
	Detail     string      `db:"detail"`
	Previous   string      `db:"previous"`
	Hash       string      `db:"hash"`
}

func (r *row) audited(a auditRow) {
	r.int(a.Seq)
	r.string(a.At)
	r.string(string(a.Action))
	r.string(string(a.Resource))
	r.string(a.ObjectID)
	r.string(string(a.Source))
	r.string(a.EventID)
	r.optional(a.OccurredAt)
	r.string(a.Detail)
	r.string(a.Previous)
	r.string(a.Hash)
}

// newAuditRow makes the row of an entry that follows the end of the log.
func newAuditRow(e AuditEntry, end auditEnd) auditRow {
	r := auditRow{
		Seq: end.Seq + 1, At: stamp(time.Now()), Action: AuditAction(oneLine(string(e.Action))), Resource: Kind(oneLine(string(e.Kind))),
		ObjectID: oneLine(e.ObjectID), Source: Source(oneLine(string(e.Source))), EventID: oneLine(e.EventID), Detail: oneLine(e.Detail),
		Previous: end.Hash,
	}
	if !e.OccurredAt.IsZero() {
		r.OccurredAt, _ = stampMilli(e.OccurredAt.UnixMilli())
	}
	r.Hash = r.digest()
	return r
}

// digest is the SHA-256 of the row, one member a line, so that an auditor can work it out with other tools.
func (r auditRow) digest() string {
	sum := sha256.Sum256([]byte(strings.Join([]string{
		r.Previous, strconv.FormatInt(r.Seq, 10), r.At, string(r.Action), string(r.Resource), r.ObjectID, string(r.Source), r.EventID,
		r.OccurredAt, r.Detail,
	}, "\n")))
	return hex.EncodeToString(sum[:])
}

// oneLine makes a text storable, and such that it cannot be taken for two members of a row.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return unicode.ReplacementChar
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
}

// audited are the changes that an auditor asks about, and what the log calls them.
var audited = map[Outcome]AuditAction{Deleted: AuditDeleted, Revived: AuditRevived, ErasedOp: AuditErased}

// auditCommit records what of a commit is audited. Most commits have nothing of it, and cost nothing here.
func (m *Mirror) auditCommit(ctx context.Context, tx *sqlx.Tx, pieces []*piece, changes []Change) error {
	entries := decisions(pieces)
	for _, c := range changes {
		if action, told := audited[c.Op]; told {
			entries = append(entries, AuditEntry{
				Action: action, Kind: c.Kind, ObjectID: c.ObjectID, Source: c.Source, EventID: c.EventID, OccurredAt: c.OccurredAt,
			})
		}
	}
	return m.record(ctx, tx, entries)
}
