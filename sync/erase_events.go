package sync

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"io"
	"regexp"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/jmoiron/sqlx"
)

// erasedReason is why an event does not wait any more, or never did.
const erasedReason = "it speaks of an object that was erased"

// fewMarks is up to how many texts the database looks for in each event's content. It does so text by text; here, all of them are looked for
// at once, which is worth reading all events for.
const fewMarks = 8

// emptyEvents removes the content of kept events that speak of the object, or of what belongs to it: by an id, or by an address, which in
// an event about another user is his. Those that waited do so no more.
func (e *eraser) emptyEvents(ctx context.Context, tx *sqlx.Tx) error {
	names := slices.Concat(e.ids, e.addresses)
	marks, err := json.Marshal(spellings(names))
	if err != nil {
		return err
	}
	m, addresses := e.mirror, newNeedles(e.addresses)
	e.done.Events, err = m.affect(ctx, tx, `DELETE FROM {events} WHERE type = 'read' AND object_id IN `+m.dialect.among(), string(marks))
	if err != nil {
		return err
	}
	suspect := m.dialect.contains("payload")
	if len(names) > fewMarks {
		suspect = "true"
	}
	rows, err := tx.QueryxContext(ctx, m.SQL(`SELECT id, type, coalesce(object_id, ''), payload FROM {events}
WHERE payload IS NOT NULL AND (object_id IN `+m.dialect.among()+` OR `+suspect+`)`), string(marks))
	if err != nil {
		return err
	}
	defer rows.Close()
	erased := make(map[string]bool, len(e.ids))
	for _, id := range e.ids {
		erased[id] = true
	}
	var ids []string
	for rows.Next() {
		var id, typ, object string
		var payload sql.RawBytes
		if err := rows.Scan(&id, &typ, &object, &payload); err != nil {
			return err
		}
		isErased := func(id string) bool { return erased[id] }
		aUser := strings.HasPrefix(typ, users.events.name+".") && object != ""
		if isErased(object) || slices.ContainsFunc(told(payload), isErased) || !aUser && addresses.in(payload) {
			ids = append(ids, id)
		}
	}
	if err := finish(rows); err != nil || len(ids) == 0 {
		return err
	}
	parameter, err := json.Marshal(ids)
	if err != nil {
		return err
	}
	emptied, err := m.affect(ctx, tx, `UPDATE {events} SET payload = NULL, due_at = NULL,
error = CASE WHEN outcome IN ('quarantined', 'deferred') THEN '`+erasedReason+`' ELSE error END,
outcome = CASE WHEN outcome IN ('quarantined', 'deferred') THEN 'ignored' ELSE outcome END
WHERE id IN `+m.dialect.among(), string(parameter))
	e.done.Events += emptied
	return err
}

// contains is a condition: the bytes in a column contain one of the texts in a JSON array, the statement's one parameter.
func (d dialect) contains(column string) string {
	if d.postgres {
		return `EXISTS (SELECT 1 FROM jsonb_array_elements_text(cast($1 as jsonb)) AS mark WHERE position(pg_catalog.convert_to(mark, 'UTF8') in ` + column + `) > 0)`
	}
	return `EXISTS (SELECT 1 FROM json_each($1) AS mark WHERE instr(` + column + `, cast(mark.value AS blob)) > 0)`
}

// erasedStatement picks out of ids those of erased objects, whatever their kind.
func (d dialect) erasedStatement() string {
	query := ""
	for i, k := range kinds {
		if i > 0 {
			query += " UNION ALL "
		}
		query += `SELECT id FROM ` + d.table(string(k.name)) + ` WHERE erased_at IS NOT NULL AND id IN ` + d.among()
	}
	return query
}

// erased tells which of some ids are those of erased objects.
func (m *Mirror) erased(ctx context.Context, tx *sqlx.Tx, ids []string) (map[string]bool, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	parameter, err := json.Marshal(ids)
	if err != nil {
		return nil, err
	}
	rows, err := m.query(ctx, tx, m.statements.erased, parameter)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	found := map[string]bool{}
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		found[id] = true
	}
	return found, finish(rows)
}

// strip takes the payload from folds about what belongs to an erased object, or was erased with one: of those the mirror keeps the ids.
func (m *Mirror) strip(ctx context.Context, tx *sqlx.Tx, folds []*fold) error {
	var ids []string
	for _, f := range folds {
		ids = append(ids, f.erasable()...)
	}
	erased, err := m.erased(ctx, tx, ids)
	if err != nil || len(erased) == 0 {
		return err
	}
	for _, f := range folds {
		for _, id := range f.erasable() {
			f.bare = f.bare || erased[id]
		}
	}
	return nil
}

// erasable are the ids of which none may be erased if the fold is to bring its payload: those of what its object belongs to, by that
// payload, that of the person whom it is about, and its own where it names him by an address. It stays there when he goes.
func (f *fold) erasable() (ids []string) {
	if f.live == nil || !f.state.Visible() {
		return nil
	}
	if f.live.kind.addressee != "" {
		ids = append(ids, f.id)
		if id := f.live.object.column(f.live.kind.invited); id != "" {
			ids = append(ids, id)
		}
	}
	for _, p := range f.live.kind.parents {
		if id := f.live.object.column(p.column); id != "" {
			ids = append(ids, id)
		}
	}
	return ids
}

// naming are the members by which Clerk's JSON names whom and what it tells something of. Whoever made or invited something is named in
// others.
var naming = []string{"id", "user_id", "organization_id"}

// idForm is what an erased object's id looks like.
const idForm = `([a-z]+_[A-Za-z0-9_]+)`

var (
	wholeID = regexp.MustCompile(`^` + idForm + `$`)
	namedID = regexp.MustCompile(`"(?:` + strings.Join(naming, "|") + `)"\s*:\s*"` + idForm + `"`)
)

// told returns the ids of what an event's content tells of.
func told(content []byte) []string {
	ids, err := readTold(content)
	if err != nil { // deeper than the decoder goes: rather too many ids than too few
		for _, match := range namedID.FindAllSubmatch(content, -1) {
			ids = append(ids, string(match[1]))
		}
	}
	return ids
}

// readTold passes over metadata, which tells nothing: people and programs write there what they like.
func readTold(content []byte) (ids []string, err error) {
	d := jsontext.NewDecoder(bytes.NewReader(content), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	for {
		name, err := nextMember(d)
		switch {
		case errors.Is(err, io.EOF):
			return ids, nil
		case err != nil:
			return ids, err
		case strings.HasSuffix(name, "_metadata"):
			err = d.SkipValue()
		case slices.Contains(naming, name) && d.PeekKind() == '"':
			var id jsontext.Token
			if id, err = d.ReadToken(); err == nil && wholeID.MatchString(id.String()) {
				ids = append(ids, id.String())
			}
		}
		if err != nil {
			return ids, err
		}
	}
}

// nextMember reads on to the next member of whatever object, and returns its name.
func nextMember(d *jsontext.Decoder) (string, error) {
	for {
		token, err := d.ReadToken()
		if err != nil {
			return "", err
		}
		if kind, read := d.StackIndex(d.StackDepth()); kind == '{' && read%2 == 1 && token.Kind() == '"' {
			return token.String(), nil
		}
	}
}

// forget drops the content of those event rows that tell of an erased object: what arrives late must not bring back what was erased.
// Those that would have waited are ignored.
func (m *Mirror) forget(ctx context.Context, tx *sqlx.Tx, rows []*eventRow) (ignored map[string]bool, err error) {
	var ids []string
	named := map[string][]string{}
	for _, row := range rows {
		if len(row.payload) == 0 {
			continue
		}
		named[row.id] = told(row.body)
		ids = append(ids, named[row.id]...)
	}
	erased, err := m.erased(ctx, tx, ids)
	if err != nil || len(erased) == 0 {
		return nil, err
	}
	ignored = map[string]bool{}
	for _, row := range rows {
		for _, id := range named[row.id] {
			if erased[id] && row.forget() {
				ignored[row.id] = true
			}
		}
	}
	return ignored, nil
}

// forget drops the row's content, and reports whether the event would have waited with it.
func (r *eventRow) forget() (waited bool) {
	r.payload, r.dueAt = nil, ""
	if waited = r.outcome.Waits(); waited {
		r.outcome, r.reason = Ignored, erasedReason
	}
	return waited
}
