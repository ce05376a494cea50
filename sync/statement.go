package sync

import (
	"fmt"
	"slices"
	"strings"
)

// The columns that the mirror keeps beside those of Clerk's object: those that arrive with a payload, and those of every row.
var (
	payloadColumns = []column{{"unstorable", text, nil}, {"data", document, nil}, {"_digest", integer, nil}}
	rowColumns     = []column{
		{"id", text, nil}, {"source", text, nil}, {"synced_at", instant, nil},
		{"_alive_at", integer, nil}, {"_updated_at", integer, nil}, {"_seen_at", integer, nil}, {"_dead_at", integer, nil},
		{"_hash", octets, nil}, {"erased_at", instant, nil},
	}
)

// mergeSQL is the merge rule in SQL. One statement takes live and dead evidence about many objects of one kind, as rows of which
// at most one is about an object: live evidence with _dead_at = Never, dead evidence with the bottom key, folded evidence with
// both. The row is locked when its new values are computed, so r is never older than the lock. Rows that did not move are locked
// all the same, and not returned.
const mergeSQL = `INSERT INTO [table] AS r ([columns], deleted_at, _was_visible, _version, _changed)
SELECT [values], CASE WHEN NOT [arrives visible] THEN [deleted_at] END, [false], CASE WHEN [arrives visible] THEN 1 ELSE 0 END, NOT [false]
FROM [rows] WHERE [taken] [in order]
ON CONFLICT (id) DO UPDATE SET
  [payload],
  _alive_at    = [alive],
  _updated_at  = CASE WHEN [newer] THEN excluded._updated_at ELSE r._updated_at END,
  _seen_at     = CASE WHEN [newer] THEN excluded._seen_at ELSE r._seen_at END,
  _hash        = CASE WHEN [newer] AND ([visible] OR r.erased_at IS NULL) THEN excluded._hash ELSE r._hash END,
  _dead_at     = [dead],
  _was_visible = [was visible],
  _changed     = [changed],
  _version     = r._version + CASE WHEN [changed] THEN 1 ELSE 0 END,
  source       = CASE WHEN [brings] OR [changed] THEN excluded.source ELSE r.source END,
  synced_at    = CASE WHEN [newer] THEN [synced] ELSE r.synced_at END,
  deleted_at   = CASE WHEN [visible] THEN NULL ELSE coalesce(r.deleted_at, excluded.deleted_at) END,
  erased_at    = CASE WHEN [brings] THEN NULL ELSE r.erased_at END
WHERE [moves]
RETURNING id, _was_visible, _version, _changed, _alive_at, _updated_at, _seen_at, _dead_at, _hash`

// The terms of mergeSQL. A row is visible while it is alive later than dead, and brings its payload if it has one, is newer and
// visible. A hash under another version byte is no change: the projection moved, not the object. What was erased and comes back is. Until
// then its hash stays, too: that of a person's data would tell whether a guess at them is right.
var mergeTerms = []string{
	"[newer]", "((excluded._alive_at, excluded._updated_at, excluded._seen_at, excluded._hash) > (r._alive_at, r._updated_at, r._seen_at, r._hash))",
	"[was visible]", "(r._alive_at > r._dead_at)",
	"[visible]", "([alive] > [dead])",
	"[brings]", "([newer] AND excluded._alive_at > [dead] AND excluded.data IS NOT NULL)",
	"[changed]", "([was visible] <> [visible] OR [brings] AND (r.erased_at IS NOT NULL OR [differs]))",
	"[differs]", "(excluded._hash <> r._hash AND substr(excluded._hash, 1, 1) = substr(r._hash, 1, 1))",
}

// mergedColumns are the columns that a row of the merge statement's parameter has.
func (k *kind) mergedColumns() []column {
	return slices.Concat(rowColumns, k.columns, payloadColumns, []column{{"deleted_at", instant, nil}})
}

// mergeStatement writes mergeSQL for one kind. Its rows are given as [writeRows] does.
func (d dialect) mergeStatement(k *kind) string {
	return d.mergeWhere(k, "true", "[newer] OR excluded._dead_at > r._dead_at")
}

// mergeWhere writes mergeSQL for one kind: with a condition for taking any rows at all, and one for those that move.
func (d dialect) mergeWhere(k *kind, taken, moves string) string {
	payload := slices.Concat(k.columns, payloadColumns)
	merged := k.mergedColumns()
	stored := merged[:len(merged)-1]
	from, values := d.given(0, merged)
	value := make(map[string]string, len(stored))
	for i, c := range stored {
		value[c.name] = values[i]
	}
	assignments := make([]string, len(payload))
	for i, c := range payload {
		assignments[i] = fmt.Sprintf("%[1]s = CASE WHEN [brings] THEN excluded.%[1]s ELSE r.%[1]s END", c.name)
	}
	return expand(mergeSQL, append([]string{
		"[taken]", taken,
		"[moves]", moves,
		"[table]", d.table(string(k.name)),
		"[columns]", strings.Join(columnNames(stored), ", "),
		"[values]", strings.Join(values[:len(stored)], ", "),
		"[deleted_at]", values[len(stored)],
		"[arrives visible]", "(" + value["_alive_at"] + " > " + value["_dead_at"] + ")",
		"[rows]", from,
		"[in order]", d.inOrder(),
		"[false]", d.no(),
		"[payload]", strings.Join(assignments, ",\n  "),
		"[alive]", d.greatest("r._alive_at", "excluded._alive_at"),
		"[dead]", d.greatest("r._dead_at", "excluded._dead_at"),
		"[synced]", d.greatest("r.synced_at", "excluded.synced_at"),
	}, mergeTerms...))
}

// expand replaces terms by what they stand for, also within what they stand for.
func expand(sql string, terms []string) string {
	replacer := strings.NewReplacer(terms...)
	for {
		next := replacer.Replace(sql)
		if next == sql {
			return sql
		}
		sql = next
	}
}

func columnNames(columns []column) []string {
	names := make([]string, len(columns))
	for i, c := range columns {
		names[i] = c.name
	}
	return names
}

// standingStatement reads the merge columns of rows by id, for the evidence that moved nothing.
func (d dialect) standingStatement(k *kind) string {
	return fmt.Sprintf(`SELECT id, _alive_at, _updated_at, _seen_at, _dead_at, _hash, _digest FROM %s WHERE id IN %s`,
		d.table(string(k.name)), d.among())
}

var eventColumns = []column{
	{"id", text, nil}, {"type", text, nil}, {"object_id", text, nil}, {"instance_id", text, nil}, {"occurred_at", instant, nil},
	{"received_at", instant, nil}, {"outcome", text, nil}, {"error", text, nil}, {"attempts", integer, nil}, {"payload", octets, nil},
	{"due_at", instant, nil},
}

// eventsStatement keeps one row an event, however often it is delivered. An event that waited in quarantine or for its time takes
// the outcome of its last try, and one that must wait now takes that, and counts as received now, as does one that is refused when its
// time has come or comes again when its content is gone: by that, [Mirror.Prune] knows how long its content was kept. Every other one keeps
// its first, and so does one that an erasure took out of waiting: where it names somebody by an address alone, nobody knows any more that
// the address is his. It hardens the transaction, as [Mirror.harden] does, and so spares its caller a round trip.
func (d dialect) eventsStatement() string {
	from, exprs := d.given(0, eventColumns)
	if !d.postgres {
		return d.insertEvents(from, exprs)
	}
	return "WITH " + hardenedSQL + d.insertEvents("hardened CROSS JOIN "+from, exprs)
}

const hardenedSQL = "hardened AS (" + hardenSQL + ")\n"

func (d dialect) insertEvents(from string, exprs []string) string {
	const unerased = "coalesce(r.error, '') <> '" + erasedReason + "'"
	var set []string
	for _, name := range []string{"outcome", "error", "payload", "due_at"} {
		set = append(set, fmt.Sprintf("%[1]s = CASE WHEN r.outcome IN ('quarantined', 'deferred') OR excluded.outcome IN ('quarantined', 'deferred') AND "+unerased+" OR r.type = 'read' "+
			"THEN excluded.%[1]s ELSE r.%[1]s END", name))
	}
	set = append(set, `received_at = CASE WHEN `+unerased+` AND (r.outcome NOT IN ('quarantined', 'deferred') AND excluded.outcome IN ('quarantined', 'deferred')
OR excluded.outcome = 'quarantined' AND (r.outcome = 'deferred' OR r.type <> 'read' AND r.payload IS NULL AND excluded.payload IS NOT NULL)) THEN excluded.received_at ELSE r.received_at END`)
	return fmt.Sprintf(`INSERT INTO %s AS r (%s) SELECT %s FROM %s WHERE true %s
ON CONFLICT (id) DO UPDATE SET attempts = r.attempts + excluded.attempts, %s`,
		d.table("events"), strings.Join(columnNames(eventColumns), ", "), strings.Join(exprs, ", "), from, d.inOrder(), strings.Join(set, ", "))
}

var changeColumns = []column{
	{"resource", text, nil}, {"object_id", text, nil}, {"op", text, nil}, {"version", integer, nil}, {"initial", boolean, nil},
	{"occurred_at", instant, nil}, {"source", text, nil}, {"reasons", document, nil},
}

// changesStatement appends to the feed, in the order of the parameter. Before it draws the first seq it takes the feed's lock, as
// [Mirror.lockFeed] does, and so spares its caller a round trip.
func (d dialect) changesStatement() string {
	from, exprs := d.given(0, changeColumns)
	if !d.postgres {
		return d.insertChanges(from, exprs)
	}
	return "WITH " + d.locked("") + d.insertChanges("locked CROSS JOIN "+from, exprs)
}

// locked takes the feed's lock once there are the rows of another item of FROM, if one is given.
func (d dialect) locked(after string) string {
	return "locked AS (SELECT s.key FROM " + d.table("state") + " AS s " + after + " WHERE s.key = 'feed' FOR UPDATE OF s)\n"
}

func (d dialect) insertChanges(from string, exprs []string) string {
	return fmt.Sprintf(`INSERT INTO %s (%s) SELECT %s FROM %s`,
		d.table("changes"), strings.Join(columnNames(changeColumns), ", "), strings.Join(exprs, ", "), from)
}

// logStatement does what eventsStatement and changesStatement do, in this order: the lock waits for the count of the events that were
// written. So every transaction locks events before the feed, whichever of the statements it uses. Its parameters are those of the one and
// then those of the other.
func (d dialect) logStatement() string {
	events, eventExprs := d.given(0, eventColumns)
	changes, changeExprs := d.given(len(eventColumns), changeColumns)
	return "WITH " + hardenedSQL + ", kept AS (" + d.insertEvents("hardened CROSS JOIN "+events, eventExprs) + " RETURNING id),\n" +
		d.locked("CROSS JOIN (SELECT count(*) FROM kept) AS n") + d.insertChanges("locked CROSS JOIN "+changes, changeExprs)
}
