package sync

import (
	"context"
	"strings"
	"time"
)

// The names of users who make the mirror panic: one when the name is read, one when it is written.
const (
	PanicsRead    = "Canaria is never read"
	PanicsWritten = "Canaria is never written"
)

func init() {
	panicAt := func(v []byte, name string) {
		if string(v) == `"`+name+`"` {
			panic(name)
		}
	}
	for i, c := range users.columns {
		if c.name == "first_name" {
			users.columns[i].read = func(o *object) []byte { v := c.read(o); panicAt(v, PanicsWritten); return v }
		}
	}
	for i, p := range users.projected {
		if p.name == "first_name" {
			users.projected[i].append = func(dst []byte, o *object) []byte { panicAt(o.member(p.name), PanicsRead); return p.append(dst, o) }
		}
	}
}

// The merge rule, as pure functions.
type (
	Key   = mergeKey
	State = mergeState
)

// Where the rule begins: the key of an object of which nothing but its deletion is known, and the state of one of which nothing is.
var (
	Bottom  = bottom
	Unknown = unknown
)

// Witness stamps evidence as a Reader does, so that a test can date a read as it likes.
func Witness(e Evidence, margin time.Duration, skewed bool) Evidence {
	e.read = &read{margin: margin.Milliseconds(), skewed: skewed}
	return e
}

// Meaning is what a piece of evidence says under the merge rule: live evidence raises the key, dead evidence Dead.
type Meaning struct {
	ID      string
	Key     Key
	Dead    int64
	Due     time.Time // when deferred evidence applies itself
	Settled bool      // the evidence merges nothing, for the reason that Result tells
	Result  Result
}

// Interpret works out what evidence about a user means at the instant now.
func Interpret(cfg Config, e Evidence, now time.Time) Meaning {
	p := &piece{Evidence: &e, kind: users, key: Bottom, dead: Never}
	(&Mirror{cfg: cfg}).interpret(p, now)
	return Meaning{p.ID, p.key, p.dead, p.due, p.final, p.result}
}

// Fold merges what one transaction learns about one object, in the order given.
func Fold(meanings []Meaning) (Key, int64) {
	pieces := make([]*piece, len(meanings))
	for i, m := range meanings {
		pieces[i] = &piece{Evidence: &Evidence{}, kind: users, key: m.Key, dead: m.Dead}
		if m.Key != Bottom {
			pieces[i].object = &object{}
		}
	}
	f := foldPieces(pieces)[0]
	return f.state.Key, f.state.Dead
}

// MergeSQL is PostgreSQL's statement that merges rows of users.
func (m *Mirror) MergeSQL() string { return m.statements.of[Users].merge }

// MergeRows are its parameters for rows, each of which has JSON by the names of columns.
func MergeRows(rows []map[string]string) (parameters []any) {
	columns := users.mergedColumns()
	add := func(r *row, named map[string]string) {
		for _, c := range columns {
			r.cell([]byte(named[c.name]))
		}
	}
	for _, p := range fill(&sheet{}, columns, rows, add) {
		parameters = append(parameters, string(p))
	}
	return parameters
}

// SearchSQL is the statement by which an erasure looks through a table of the log.
func (m *Mirror) SearchSQL(ctx context.Context, table string) (string, error) {
	tables, err := m.searchable(ctx)
	for _, t := range tables {
		if t.name == table {
			return (&search{mirror: m}).query(t, false) + t.holding(), err
		}
	}
	return "", err
}

// MeantSQL is the condition by which an erasure looks for what names a person.
func (m *Mirror) MeantSQL(k Kind) string {
	d, _ := describe(k)
	return m.meant(d)
}

// PastSQL is the statement that asks for the sign-ins before new ones.
func (m *Mirror) PastSQL() string { return m.statements.past }

// IsFar reports whether a database is far that takes so long for each round trip.
func IsFar(trip func() (time.Duration, error)) (bool, error) { return isFar(trip) }

// SetFar says that the database is far, or that it is not.
func (m *Mirror) SetFar(far bool) { m.far = far }

// NotePin notes what the database told of the pin.
func (m *Mirror) NotePin(id string) { m.notePin(id) }

// Queue tells how many callers wait, and how many batches are in flight.
func (m *Mirror) Queue() (waiting, flying int) {
	m.queue.mu.Lock()
	defer m.queue.mu.Unlock()
	return len(m.queue.waiting), m.queue.flying
}

// Mutate replaces a part of the statements of commits, so that a test can show that it notices. The mirror must not prepare them.
func (m *Mirror) Mutate(from, to string) (changed bool) {
	replace := func(sql string) string {
		changed = changed || strings.Contains(sql, from)
		return strings.ReplaceAll(sql, from, to)
	}
	for k, own := range m.statements.of {
		own.merge, own.shortcut = replace(own.merge), replace(own.shortcut)
		m.statements.of[k] = own
	}
	m.statements.erased = replace(m.statements.erased)
	return changed
}

// Redact returns what is kept of a body.
func Redact(cfg Config, body string) string { return string((&Mirror{cfg: cfg}).redact([]byte(body))) }

// Asked is a statement of a typed read.
type Asked struct {
	SQL  string
	Args []any
}

// TypedReads are the statements of typed reads, by the names of their methods, about one user and one organization.
func TypedReads(userID, organizationID, email, externalID string) map[string]Asked {
	filtered := func(f UserFilter) Asked {
		query, args := f.query()
		return Asked{query + typedLimit, args}
	}
	return map[string]Asked{
		"User":              {userByID, []any{userID}},
		"UserByEmail":       {userByEmail, []any{email}},
		"Users":             filtered(UserFilter{}),
		"Users after":       filtered(UserFilter{After: userID}),
		"Users by e-mail":   filtered(UserFilter{Email: email}),
		"Users by own id":   filtered(UserFilter{ExternalID: externalID}),
		"Users by username": filtered(UserFilter{Username: "u" + userID}),
		"Organization":      {organizationByID, []any{organizationID}},
		"Membership":        {membershipOf, []any{organizationID, userID}},
		"OrganizationsOf":   {organizationsOf + typedLimit, []any{"", userID}},
		"MembersOf":         {membersOf + typedLimit, []any{"", organizationID}},
	}
}

// AlongQuery looks for held deletions of what went with its parent.
var AlongQuery = alongQuery(waitingBatch)
