package sync

import (
	"slices"

	"github.com/clerksync/clerksync/internal/scan"
)

// Kind names a kind of object that the mirror keeps; it is also the name of its table.
type Kind string

// The kinds of objects, in the order in which a transaction locks them.
const (
	Users Kind = "users"
)

// kinds describes every kind, in the order in which a transaction locks them. All that the mirror does to an object (decoding,
// hashing, the statements, lists and reads by id) is driven from here; a further kind is a further entry.
var kinds = []*kind{users}

// kind describes one kind of object.
type kind struct {
	name      Kind
	singular  string // "user": as in user.updated and the event's object
	path      string // where Clerk's Backend API lists it
	idParam   string // the list parameter that picks objects by id
	columns   []column
	projected []projected // sorted by name
	free      []string    // members that hold whatever a user or the team puts there; what cannot be stored becomes null
	private   []string    // members that are kept only on request
}

// column is one column that holds a part of Clerk's object.
type column struct {
	name string
	typ  columnType
	read func(*object) []byte // the column's value as JSON that every database stores, or nil for null
}

// columnType says how a value travels from the statement's JSON parameter into its column.
type columnType string

const (
	text     columnType = "text"
	boolean  columnType = "boolean"
	instant  columnType = "timestamptz" // in JSON a text in RFC 3339
	document columnType = "jsonb"
	integer  columnType = "bigint"
	octets   columnType = "bytea" // in JSON a text in hexadecimal
)

// projected is one member of the projection that is hashed: what counts as a change.
type projected struct {
	name   string
	append func(dst []byte, o *object) []byte // its canonical JSON (RFC 8785)
}

// describe finds the description of a kind.
func describe(name Kind) (*kind, bool) {
	i := slices.IndexFunc(kinds, func(k *kind) bool { return k.name == name })
	if i < 0 {
		return nil, false
	}
	return kinds[i], true
}

// KindOf returns the kind whose objects Clerk calls by the given name, such as "user".
func KindOf(singular string) (Kind, bool) {
	for _, k := range kinds {
		if k.singular == singular {
			return k.name, true
		}
	}
	return "", false
}

// Singular returns what Clerk calls one object of the kind, as in the event type user.updated.
func (k Kind) Singular() string {
	if d, ok := describe(k); ok {
		return d.singular
	}
	return string(k)
}

// hazardous are the hazards that no free-form member may carry into a database.
const hazardous = scan.NUL | scan.Surrogate | scan.Range | scan.Deep
