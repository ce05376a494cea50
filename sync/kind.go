package sync

import (
	"cmp"
	"maps"
	"net/url"
	"slices"
	"strings"

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
	singular  string    // "user": what Clerk writes into an object's member "object"
	resource  string    // the word by which operators ask for it
	prefix    string    // how its ids begin
	events    events    // which of Clerk's events tell of it
	carries   []carried // whole objects of other kinds within its events
	list      list
	ask       func(id string, row map[string]string) []question // how a single object is read; nil if it cannot be
	keys      []string                                          // columns of the row that ask needs beside the id
	columns   []column
	projected []projected                           // sorted by name
	free      []string                              // members that hold whatever a user or the team puts there; what cannot be stored becomes null
	private   []string                              // members that are kept only on request
	omitted   []string                              // members that are never stored: secrets, and what tells of other objects and people
	revision  int                                   // is raised when less of the kind is kept, so that rows which hold more are read anew
	codes     []coded                               // lists of objects of which a member is never stored: it lets whoever reads it in
	ids       []named                               // members that tell of other objects and people, too, and of which the id is stored alone
	shared    []string                              // columns of words that the team gave to many: what they held is not looked for after an erasure
	parents   []parent                              // the objects without which this one is not active
	addresses func(o *object, proven bool) []string // of a person: what else than the id tells who it is, or of that what is known to be his; nil if nothing does
	invited   string                                // the column that may hold the id of the user whom the object is about, who is no parent of it; "" if there is none
	addressee string                                // the column that holds an address of the person whom the object is about, where no id does; "" if there is none
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
	aside   url.Values // parameters with which it shows those that it leaves out; nil if there are none
}

// events are those about a kind: their types are the name, a dot and a verb. The verb "deleted" tells that the object is gone, those
// listed carry it whole; others tell nothing that is known here.
type events struct {
	name  string
	whole []string
}

// anyVerb means that every event but "deleted" carries the whole object, whatever has become of it.
var anyVerb = []string(nil)

// carried is an object within the data of an event about another one.
type carried struct {
	kind   Kind
	member string
}

// coded is a member that is a list of objects, and the member of those that is never stored.
type coded struct{ list, member string }

// named is a member that is an object, and the member of that which names whom or what it is about.
type named struct{ member, id string }

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

// description is what describe finds, or that of a kind of which nothing is known.
func (k Kind) description() *kind {
	if d, known := describe(k); known {
		return d
	}
	return &kind{}
}

// Listed reports whether Clerk lists the kind, so that passes can compare it. Sessions are listed by user only: webhooks alone tell
// of them.
func (k Kind) Listed() bool { return k.description().list.path != "" }

// Cursor reports whether Clerk's list of the kind takes starting_after and created_at_after.
func (k Kind) Cursor() bool { return k.description().list.cursor }

// Aside returns the parameters with which Clerk's list of the kind shows the objects that it leaves out without them; nil if it leaves
// none out.
func (k Kind) Aside() url.Values { return maps.Clone(k.description().list.aside) }

// Kinds lists every kind there is, parents before children: in this order they are erased, too, so that what belongs to an erased object
// goes with it.
func Kinds() []Kind {
	all := make([]Kind, len(kinds))
	for i, k := range kinds {
		all[i] = k.name
	}
	return all
}

// KindOfID returns the kind that an id belongs to, by its beginning.
func KindOfID(id string) (Kind, bool) {
	for _, k := range kinds {
		if strings.HasPrefix(id, k.prefix) {
			return k.name, true
		}
	}
	return "", false
}

// ListedKinds returns the kinds that the mirror keeps and Clerk lists, parents before children.
func (m *Mirror) ListedKinds() (listed []Kind) {
	for _, k := range kinds {
		if m.Mirrors(k.name) && k.name.Listed() {
			listed = append(listed, k.name)
		}
	}
	return listed
}

// Resource returns the word by which operators ask for the kind: some bring several kinds.
func (k Kind) Resource() string { return k.description().resource }

// Prefix returns how ids of the kind begin, such as "user_".
func (k Kind) Prefix() string { return k.description().prefix }

// Askable reports whether [Reader.Get] can ask Clerk for one object of the kind.
func (k Kind) Askable() bool { return k.description().ask != nil }

// ByID reports whether Clerk answers for one object of the kind by its id. Where it does not, [Reader.Get] takes the read margin.
func (k Kind) ByID() bool {
	return k.Askable() && !k.description().ask("", nil)[0].list
}

// Telling is one thing that an event tells about an object of a kind: that the object is gone, or its whole content, which is the
// event's data or a member of that.
type Telling struct {
	Kind   Kind
	Gone   bool
	Member string // "" means that data itself is the object
}

// Tellings returns what an event of a type, such as "user.updated", tells about the objects of all kinds. There are some 45 documented
// types, the documents disagree, and Clerk adds more: of a type that is not known here the result is empty.
func Tellings(eventType string) (told []Telling) {
	name, verb, _ := strings.Cut(eventType, ".")
	for _, k := range kinds {
		if k.events.name != name || verb == "" {
			continue
		}
		switch {
		case verb == "deleted":
			told = append(told, Telling{Kind: k.name, Gone: true})
		case k.events.whole == nil, slices.Contains(k.events.whole, verb):
			told = append(told, Telling{Kind: k.name})
		}
		for _, c := range k.carries {
			told = append(told, Telling{Kind: c.kind, Member: c.member})
		}
	}
	return told
}

// Singular returns what Clerk calls one object of the kind, as in the event type user.updated.
func (k Kind) Singular() string { return cmp.Or(k.description().singular, string(k)) }

// hazardous are the hazards that no free-form member may carry into a database.
const hazardous = scan.NUL | scan.Surrogate | scan.Range | scan.Deep
