package sync

import (
	"net/url"
	"slices"

	"github.com/clerksync/clerksync/internal/scan"
)

// Kind names a kind of object that the mirror keeps; it is also the name of its table.
type Kind string

// The kinds of objects.
const (
	Users                   Kind = "users"
	Organizations           Kind = "organizations"
	OrganizationMemberships Kind = "organization_memberships"
	OrganizationInvitations Kind = "organization_invitations"
	Invitations             Kind = "invitations" // to the application
	Sessions                Kind = "sessions"
	OrganizationDomains     Kind = "organization_domains"
	Roles                   Kind = "roles"
	Permissions             Kind = "permissions"
)

// kinds describes every kind, in the order in which a transaction locks them. All that the mirror does to an object (decoding,
// hashing, the statements, lists and reads by id) is driven from here; a further kind is a further entry.
var kinds = []*kind{
	users, organizations, organizationMemberships, organizationInvitations, invitations, sessions,
	organizationDomains, roles, permissions,
}

// kind describes one kind of object.
type kind struct {
	name      Kind
	singular  string // "user": what Clerk writes into an object's member "object"
	list      list
	ask       func(id string, row map[string]string) []question // how a single object is read; nil if it cannot be
	keys      []string                                          // columns of the row that ask needs beside the id
	columns   []column
	projected []projected            // sorted by name
	free      []string               // members that hold whatever a user or the team puts there; what cannot be stored becomes null
	private   []string               // members that are kept only on request
	omitted   []string               // members that are never stored: secrets, and copies of other objects
	parents   []parent               // the objects without which this one is not active
	addresses func(*object) []string // of a person: what else than the id tells who it is; nil if nothing does
	addressee string                 // the column that holds an address of the person whom the object is about, where no id does; "" if there is none
	final     func(*object) bool
}

// list is how Clerk's Backend API lists a kind. Every list can be ordered by created_at and read by offset.
type list struct {
	path    string     // "" if Clerk does not list it
	query   url.Values // parameters that every request carries
	count   string     // where the objects are counted; "" if the list itself tells its total_count
	cursor  bool       // starting_after works
	idParam string     // the parameter that picks objects by id; "" if there is none
	rows    string     // in SQL: the rows that the list would show; "" if all
}

// question is one request about a single object. An object is gone if Clerk answers 404 to the one question, or if each of the
// lists asked for does not show it.
type question struct {
	endpoint string // the path without ids, for metrics
	path     string
	query    url.Values
	list     bool // the answer is a list
}

// byID asks for an object by its id.
func byID(path string) func(string, map[string]string) []question {
	return func(id string, _ map[string]string) []question {
		return []question{{endpoint: path + "/{id}", path: path + "/" + url.PathEscape(id)}}
	}
}

// parent is an object that another one belongs to.
type parent struct {
	kind   Kind
	column string // the child's column that holds the parent's id
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

// Listed reports whether Clerk lists the kind, so that passes can compare it. Sessions are listed by user only: webhooks alone tell
// of them.
func (k Kind) Listed() bool {
	d, known := describe(k)
	return known && d.list.path != ""
}

// Cursor reports whether Clerk's list of the kind takes starting_after and created_at_after.
func (k Kind) Cursor() bool {
	d, known := describe(k)
	return known && d.list.cursor
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
