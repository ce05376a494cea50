package sync

import (
	"fmt"
	"strings"
)

// own are the columns that the mirror keeps beside those of Clerk's object. All but id and those with an underscore are written
// under the same condition as the object's.
var (
	payloadColumns = []column{{"unstorable", text, nil}, {"data", document, nil}, {"_digest", integer, nil}}
	rowColumns     = []column{
		{"id", text, nil}, {"source", text, nil}, {"synced_at", instant, nil}, {"deleted_at", instant, nil},
		{"_alive_at", integer, nil}, {"_updated_at", integer, nil}, {"_seen_at", integer, nil}, {"_dead_at", integer, nil},
		{"_hash", octets, nil},
	}
)

// mergeStatement is the merge rule in SQL: one statement takes live and dead evidence about many objects of one kind, in a JSON
// array of rows, at most one an object. Live evidence comes with _dead_at = Never, dead evidence with the bottom key, folded
// evidence with both. The row is locked when its new values are computed, so r is never older than the lock.
//
// It returns the rows that moved. Those that did not are locked all the same.
func (d dialect) mergeStatement(k *kind) string {
	payload := append(append([]column{}, k.columns...), payloadColumns...)
	all := append(append([]column{}, rowColumns...), payload...)
	from, exprs := d.rows(all)
	names := make([]string, len(all))
	selected := make([]string, len(all))
	arrives := make(map[string]string, len(all))
	for i, c := range all {
		names[i], selected[i] = c.name, exprs[i]
		arrives[c.name] = exprs[i]
	}
	const (
		newer  = "(excluded._alive_at, excluded._updated_at, excluded._seen_at, excluded._hash) > (r._alive_at, r._updated_at, r._seen_at, r._hash)"
		waking = "(%s > %s)"
	)
	alive := d.greatest("r._alive_at", "excluded._alive_at")
	dead := d.greatest("r._dead_at", "excluded._dead_at")
	wasVisible := "(r._alive_at > r._dead_at)"
	visible := fmt.Sprintf(waking, alive, dead)
	brings := "(" + newer + " AND excluded._alive_at > " + dead + ")"
	changed := fmt.Sprintf("(%s <> %s OR %s AND excluded._hash <> r._hash AND substr(excluded._hash, 1, 1) = substr(r._hash, 1, 1))",
		wasVisible, visible, brings)

	var set []string
	assign := func(name, value string) { set = append(set, name+" = "+value) }
	for _, c := range payload {
		assign(c.name, fmt.Sprintf("CASE WHEN %s THEN excluded.%s ELSE r.%s END", brings, c.name, c.name))
	}
	for _, c := range []string{"_updated_at", "_seen_at", "_hash"} {
		assign(c, fmt.Sprintf("CASE WHEN %s THEN excluded.%s ELSE r.%s END", newer, c, c))
	}
	assign("_alive_at", alive)
	assign("_dead_at", dead)
	assign("_was_visible", wasVisible)
	assign("_changed", changed)
	assign("_version", fmt.Sprintf("r._version + CASE WHEN %s THEN 1 ELSE 0 END", changed))
	assign("source", fmt.Sprintf("CASE WHEN %s OR %s THEN excluded.source ELSE r.source END", brings, changed))
	assign("synced_at", fmt.Sprintf("CASE WHEN %s THEN %s ELSE r.synced_at END", newer, d.greatest("r.synced_at", "excluded.synced_at")))
	assign("deleted_at", fmt.Sprintf("CASE WHEN %s THEN NULL ELSE coalesce(r.deleted_at, excluded.deleted_at) END", visible))
	assign("erased_at", fmt.Sprintf("CASE WHEN %s THEN NULL ELSE r.erased_at END", visible))

	arriving := fmt.Sprintf(waking, arrives["_alive_at"], arrives["_dead_at"])
	return fmt.Sprintf(`INSERT INTO %s AS r (%s, _was_visible, _version, _changed)
SELECT %s, %s, CASE WHEN %s THEN 1 ELSE 0 END, %s
FROM %s WHERE true ORDER BY %s
ON CONFLICT (id) DO UPDATE SET
  %s
WHERE %s OR excluded._dead_at > r._dead_at
RETURNING id, _was_visible, _version, _changed, _alive_at, _updated_at, _seen_at, _dead_at, _hash`,
		d.table(string(k.name)), strings.Join(names, ", "),
		strings.Join(d.hideDeletedAt(selected, names, arriving), ", "), d.literal(false), arriving, arriving,
		from, d.byID(), strings.Join(set, ",\n  "), newer)
}

// hideDeletedAt leaves deleted_at out of rows that arrive visible.
func (d dialect) hideDeletedAt(selected, names []string, visible string) []string {
	for i, name := range names {
		if name == "deleted_at" {
			selected[i] = fmt.Sprintf("CASE WHEN %s THEN NULL ELSE %s END", visible, selected[i])
		}
	}
	return selected
}

func (d dialect) literal(b bool) string {
	if d.postgres {
		return fmt.Sprint(b)
	}
	if b {
		return "1"
	}
	return "0"
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
// the outcome of its last try; every other one keeps its first.
func (d dialect) eventsStatement() string {
	from, exprs := d.rows(eventColumns)
	var names, set []string
	for _, c := range eventColumns {
		names = append(names, c.name)
		switch c.name {
		case "outcome", "error", "payload", "due_at":
			set = append(set, fmt.Sprintf("%[1]s = CASE WHEN r.outcome IN ('quarantined', 'deferred') THEN excluded.%[1]s ELSE r.%[1]s END", c.name))
		}
	}
	return fmt.Sprintf(`INSERT INTO %s AS r (%s) SELECT %s FROM %s WHERE true ORDER BY %s
ON CONFLICT (id) DO UPDATE SET attempts = r.attempts + excluded.attempts, %s`,
		d.table("events"), strings.Join(names, ", "), strings.Join(exprs, ", "), from, d.byID(), strings.Join(set, ", "))
}

var changeColumns = []column{
	{"resource", text, nil}, {"object_id", text, nil}, {"op", text, nil}, {"version", integer, nil}, {"initial", boolean, nil},
	{"occurred_at", instant, nil}, {"source", text, nil},
}

// changesStatement appends to the feed, in the order of the parameter.
func (d dialect) changesStatement() string {
	from, exprs := d.rows(changeColumns)
	var names []string
	for _, c := range changeColumns {
		names = append(names, c.name)
	}
	return fmt.Sprintf(`INSERT INTO %s (%s) SELECT %s FROM %s`,
		d.table("changes"), strings.Join(names, ", "), strings.Join(exprs, ", "), from)
}
