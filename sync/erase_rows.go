package sync

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/jmoiron/sqlx"
)

// erasedHash is greater than every hash, so that the evidence which an erased row was made of is not newer than the row.
var erasedHash = strings.Repeat("\xff", 32)

// former is what a row holds before it is emptied.
type former struct {
	id      string
	visible bool
	erased  bool
	data    []byte
	values  []string // what its columns hold
}

// stays reports whether a column of an object that is erased keeps its value: the ids of its parents, and when it was created.
func (k *kind) stays(c column) bool {
	return c.name == "created_at" || slices.ContainsFunc(k.parents, func(p parent) bool { return p.column == c.name })
}

// look reads and locks rows, in the order of their ids.
func (e *eraser) look(ctx context.Context, tx *sqlx.Tx, k *kind, condition string, args ...any) (all []former, err error) {
	var names []string
	for _, c := range k.columns {
		if (c.typ == text || c.typ == document) && !k.stays(c) && !slices.Contains(k.shared, c.name) {
			names = append(names, c.name)
		}
	}
	query := fmt.Sprintf(`SELECT id, deleted_at IS NULL AS visible, erased_at IS NOT NULL AS erased, data, %s FROM {%s} AS r WHERE %s ORDER BY id%s`,
		strings.Join(names, ", "), k.name, condition, e.mirror.dialect.forUpdate())
	rows, err := tx.QueryxContext(ctx, e.mirror.SQL(query), args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var h former
		values := make([]*string, len(names))
		into := []any{&h.id, &h.visible, &h.erased, &h.data}
		for i := range values {
			into = append(into, &values[i])
		}
		if err := rows.Scan(into...); err != nil {
			return nil, err
		}
		for i, v := range values {
			if v != nil {
				h.values = append(h.values, k.texts(names[i], *v)...)
			}
		}
		all = append(all, h)
	}
	return all, finish(rows)
}

// texts returns what a column's value says: a text, or the texts and numbers in a document.
func (k *kind) texts(name, value string) (all []string) {
	i := slices.IndexFunc(k.columns, func(c column) bool { return c.name == name })
	if k.columns[i].typ != document {
		return []string{value}
	}
	for d := jsontext.NewDecoder(strings.NewReader(value)); ; {
		token, err := d.ReadToken()
		if err != nil {
			return all
		}
		kind := token.Kind()
		in, n := d.StackIndex(d.StackDepth())
		if name := in == '{' && n%2 == 1; !name && (kind == '"' || kind == '0') {
			all = append(all, token.String())
		}
	}
}

// addresses returns by what else than its id a row's object is known: a user's e-mail addresses, say. The proven ones leave out what he
// only claims, since everybody can write another one's address to his own.
func (h former) addresses(k *kind, proven bool) []string {
	if k.addresses == nil || h.data == nil {
		return nil
	}
	o, err := k.decode(h.data, keeping{})
	if err != nil {
		return nil
	}
	return slices.DeleteFunc(k.addresses(o, proven), func(s string) bool { return s == "" })
}

// abandoned returns those of some addresses that are no visible user's primary one by now, in whatever case.
func (e *eraser) abandoned(ctx context.Context, tx *sqlx.Tx, addresses []string) ([]string, error) {
	if len(addresses) == 0 {
		return nil, nil
	}
	var taken []string
	query := `SELECT email FROM {users} WHERE deleted_at IS NULL AND email IN ` + e.mirror.dialect.among()
	if err := e.mirror.selectAmong(ctx, tx, &taken, query, addresses); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(addresses, func(s string) bool {
		return slices.ContainsFunc(taken, func(other string) bool { return strings.EqualFold(s, other) })
	}), nil
}

// children reads and locks those rows of a kind that belong to the object: by its id or, where a row names a person by an address, by
// that.
func (e *eraser) children(ctx context.Context, tx *sqlx.Tx, child *kind) (all []former, err error) {
	for _, p := range child.parents {
		if p.kind != e.kind.name {
			continue
		}
		if all, err = e.look(ctx, tx, child, p.column+" = $1", e.order.ID); err != nil {
			return nil, err
		}
	}
	if child.addressee == "" || e.kind != users {
		return all, nil
	}
	parameter, err := json.Marshal(e.addresses)
	if err != nil {
		return nil, err
	}
	args := []any{string(parameter)}
	if child.invited != "" {
		args = append(args, e.order.ID)
	}
	meant, err := e.look(ctx, tx, child, e.mirror.meant(child), args...)
	return append(all, meant...), err
}

// meant is a condition in SQL on rows that name a person, by one of his addresses in whatever case, unless it is somebody else's as it is
// written there, or by his id. An OR of the two would read the whole table.
func (m *Mirror) meant(k *kind) string {
	ids := `SELECT id FROM {` + string(k.name) + `} AS i WHERE ` + m.dialect.amongLower(k.addressee) + `
AND NOT EXISTS (SELECT 1 FROM {users} AS other WHERE other.email = i.` + k.addressee + ` AND other.deleted_at IS NULL)`
	if k.invited != "" {
		ids += ` UNION ALL SELECT id FROM {` + string(k.name) + `} WHERE ` + k.invited + ` = $2`
	}
	return `id IN (` + ids + `)`
}

// empty empties rows that are not empty yet, and notes what they held.
func (e *eraser) empty(ctx context.Context, tx *sqlx.Tx, k *kind, rows []former) error {
	var ids []string
	for _, h := range rows {
		e.done.ids[k.name] = append(e.done.ids[k.name], h.id)
		if h.erased {
			continue
		}
		ids = append(ids, h.id)
		if e.mirror.hooked(k) {
			e.keep(k, h)
		}
		e.done.values = append(append(e.done.values, h.values...), h.addresses(k, false)...)
	}
	if len(ids) == 0 {
		return nil
	}
	var emptied []struct {
		ID      string `db:"id"`
		Version int64  `db:"_version"`
	}
	if err := e.mirror.selectAmong(ctx, tx, &emptied, e.emptying(k), ids); err != nil {
		return err
	}
	visible := map[string]bool{}
	for _, h := range rows {
		visible[h.id] = h.visible
	}
	for _, r := range emptied {
		e.done.Rows[k.name]++
		if r.Version > 0 { // a tombstone of what was never visible here is nobody's news
			e.note(k, r.ID, r.Version, visible[r.ID])
		}
	}
	return nil
}

// keep keeps what a row held until the hooks have seen it.
func (e *eraser) keep(k *kind, h former) {
	if e.before[k.name] == nil {
		e.before[k.name] = map[string][]byte{}
	}
	e.before[k.name][h.id] = h.data
}

// note tells the feed of a row that was emptied and, if an order hid it, of that before.
func (e *eraser) note(k *kind, id string, version int64, visible bool) {
	c := Change{Kind: k.name, ObjectID: id, Op: ErasedOp, Version: version, OccurredAt: time.Now().UTC(), Source: e.order.Source}
	if visible && id == e.order.ID {
		hidden := c
		hidden.Op, hidden.Version = Deleted, version-1
		e.changes = append(e.changes, hidden)
	}
	e.changes = append(e.changes, c)
}

// emptying is the statement that empties rows of a kind. The object of a forced order is hidden, as if it had been deleted at the
// latest instant at which it was known to exist; what belongs to it goes with it.
func (e *eraser) emptying(k *kind) string {
	d := e.mirror.dialect
	var set []string
	for _, c := range k.columns {
		own := k == e.kind
		if !k.stays(c) || own && e.order.Policy == Hard {
			set = append(set, c.name+" = NULL")
		}
	}
	versions := "1"
	if k == e.kind {
		set = append(set, "_dead_at = "+d.greatest("_dead_at", "_alive_at"), "deleted_at = coalesce(deleted_at, {now})")
		versions = "CASE WHEN deleted_at IS NULL THEN 2 ELSE 1 END"
	}
	return fmt.Sprintf(`UPDATE {%s} SET %s, unstorable = NULL, data = NULL, _digest = 0, _hash = %s, erased_at = {now},
_version = CASE WHEN _version = 0 THEN 0 ELSE _version + %s END
WHERE id IN %s RETURNING id, _version`, k.name, strings.Join(set, ", "), d.blob(erasedHash), versions, d.among())
}
