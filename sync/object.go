package sync

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/cespare/xxhash/v2"

	"github.com/clerksync/clerksync/internal/scan"
)

// object is one of Clerk's objects, decoded as far as the mirror needs it. Its members alias the JSON they were read from.
type object struct {
	kind       *kind
	id         string
	updated    int64 // Clerk's updated_at
	created    int64 // Clerk's created_at; Never if absent
	members    []scan.Member
	contacts   []readContacts // see contacts.of
	unstorable []string       // names of the members that no database can store and that are null here
	keep       keeping
	digest     int64
	hash       string
}

// keeping is what a mirror stores beyond the ordinary, by its configuration.
type keeping struct {
	private  bool // private members
	activity Activity
}

func (m *Mirror) keeping() keeping {
	return keeping{private: m.cfg.PrivateMetadata, activity: m.cfg.SessionActivity}
}

// The reasons for which an object cannot be merged. They are shown to operators, so they name members and never hold values.
var (
	errNoObject  = errors.New("the object is not a JSON object with unique names")
	errNoID      = errors.New("the object has no id")
	errNoUpdated = errors.New("the object has no updated_at in milliseconds")
	errOtherType = errors.New("the object is of another kind")
)

// maxIDLength bounds ids: Clerk's have about 32 characters, and an index refuses kilobytes.
const maxIDLength = 255

// validID reports whether a text can be an object's id, in both databases, on a line of text and in the path of a request, where dots alone
// would lead elsewhere. What was replaced while reading it is none.
func validID(id string) bool {
	return strings.Trim(id, ".") != "" && len(id) <= maxIDLength && utf8.ValidString(id) && !strings.ContainsRune(id, utf8.RuneError) &&
		!strings.ContainsFunc(id, unicode.IsControl)
}

// decode reads one object. Whatever hides in free-form members or in members that nobody knows cannot make it fail: only an
// object without id, type or updated_at cannot be merged. The id is returned whenever there is one.
func (k *kind) decode(raw []byte, keep keeping) (*object, error) {
	o := &object{kind: k, keep: keep, created: Never, members: make([]scan.Member, 0, 56)}
	var names scan.Names
	err := scan.Object(raw, func(m scan.Member) error {
		if err := names.Add(m.Name); err != nil {
			return err
		}
		o.members = append(o.members, m)
		return nil
	})
	if err != nil {
		return o, errNoObject
	}
	o.dropUnstorable()
	if id, ok := scan.String(o.member("id")); ok && validID(id) {
		o.id = id
	} else {
		return o, errNoID
	}
	if typ, ok := scan.String(o.member("object")); !ok || typ != k.singular {
		return o, errOtherType
	}
	var ok bool
	if o.updated, ok = scan.Int(o.member("updated_at")); !ok {
		return o, errNoUpdated
	}
	if at, ok := scan.Int(o.member("created_at")); ok {
		o.created = at
	}
	o.digest = k.digest(raw, keep)
	o.hash = o.project()
	return o, nil
}

// dropUnstorable makes null what no database can store. Text keeps its readable part; see [scan.Clean].
func (o *object) dropUnstorable() {
	for i, m := range o.members {
		free := slices.Contains(o.kind.free, string(m.Name))
		if m.Hazards&scan.Deep != 0 || free && m.Hazards&hazardous != 0 {
			o.members[i].Value, o.members[i].Hazards = null, hazardous // so that it is written anew
			o.unstorable = append(o.unstorable, strings.ToValidUTF8(string(m.Name), "\uFFFD"))
		}
	}
}

var null = []byte("null")

// member returns the JSON of a member, or nil if it is absent or null.
func (o *object) member(name string) []byte {
	for i := range o.members {
		if string(o.members[i].Name) == name {
			if v := o.members[i].Value; string(v) != "null" {
				return v
			}
			return nil
		}
	}
	return nil
}

// column returns the text that a column of the object has, or "".
func (o *object) column(name string) string {
	for _, c := range o.kind.columns {
		if c.name == name {
			s, _ := scan.String(c.read(o))
			return strings.TrimSpace(s)
		}
	}
	return ""
}

// set gives a member a value, in place of what came.
func (o *object) set(name string, value []byte) {
	o.members = slices.DeleteFunc(o.members, func(m scan.Member) bool { return string(m.Name) == name })
	o.members = append(o.members, memberOf(name, value))
}

// memberOf makes a member of a value that every database can store.
func memberOf(name string, value []byte) scan.Member {
	return scan.Member{Name: []byte(name), Value: value, Whole: append(append(appendText(nil, name), ':'), value...)}
}

// withheld reports whether a member is not stored: private and not asked for, or never.
func (o *object) withheld(name string) bool {
	return !o.keep.private && slices.Contains(o.kind.private, name) || slices.Contains(o.kind.omitted, name)
}

// appendData appends Clerk's object less what is not stored. Its members come in the order in which jsonb keeps them, which spares
// PostgreSQL the sorting: it is one server for many daemons.
func (o *object) appendData(dst []byte) []byte {
	stored := make([]*scan.Member, 0, 64)
	for i := range o.members {
		m := &o.members[i]
		if o.kind.ids != nil {
			m = o.idAlone(m)
		}
		if m != nil && o.kind.codes != nil {
			m = o.withoutCodes(m)
		}
		if m != nil && !o.withheld(string(m.Name)) {
			stored = append(stored, m)
		}
	}
	slices.SortFunc(stored, func(a, b *scan.Member) int {
		if d := len(a.Name) - len(b.Name); d != 0 {
			return d
		}
		return bytes.Compare(a.Name, b.Name)
	})
	dst = append(dst, '{')
	for i, m := range stored {
		if i > 0 {
			dst = append(dst, ',')
		}
		if m.Hazards == 0 {
			dst = append(dst, m.Whole...)
			continue
		}
		dst = append(appendText(dst, string(m.Name)), ':')
		dst = scan.Clean(dst, m.Value)
	}
	return append(dst, '}')
}

// idAlone returns of a member that tells of another object its id alone, and nil where it has none; any other member as it is.
func (o *object) idAlone(m *scan.Member) *scan.Member {
	i := slices.IndexFunc(o.kind.ids, func(n named) bool { return n.member == string(m.Name) })
	if i < 0 {
		return m
	}
	id := idColumn(member(m.Value, o.kind.ids[i].id))
	if id == nil {
		return nil
	}
	inner := memberOf(o.kind.ids[i].id, id)
	alone := memberOf(string(m.Name), slices.Concat([]byte{'{'}, inner.Whole, []byte{'}'}))
	return &alone
}

// withoutCodes returns a member that is a list of objects without what is never stored of those; any other member as it is.
func (o *object) withoutCodes(m *scan.Member) *scan.Member {
	i := slices.IndexFunc(o.kind.codes, func(c coded) bool { return c.list == string(m.Name) })
	if i < 0 || m.Value[0] != '[' || string(m.Value) == "[]" {
		return m
	}
	value, err := appendRedactedValue(nil, m.Value, 0, func(name string, _ int) bool { return name == o.kind.codes[i].member })
	if err != nil {
		value = null
	}
	without := memberOf(string(m.Name), value)
	without.Hazards = m.Hazards
	return &without
}

// The projection's version byte. A row whose hash carries another one is refreshed, not updated: the rule changed, not the object.
// Storing private members is a rule of its own.
const (
	projectionVersion        = 1
	projectionVersionPrivate = 2
)

// project hashes the canonical projection: the same state told by a webhook and by a list must hash alike.
func (o *object) project() string {
	version := byte(projectionVersion)
	if o.keep.private {
		version = projectionVersionPrivate
	}
	b := make([]byte, 0, 1024)
	b = append(b, '{')
	for _, p := range o.kind.projected {
		if o.withheld(p.name) {
			continue
		}
		if len(b) > 1 {
			b = append(b, ',')
		}
		b = append(b, '"')
		b = append(b, p.name...)
		b = append(b, '"', ':')
		b = p.append(b, o)
	}
	b = append(b, '}')
	sum := sha256.Sum256(b)
	return string(version) + string(sum[:])
}

// digest is a fingerprint of an object's JSON as it came. A list that shows the same bytes again has nothing to tell.
// What is kept of them is part of it, so that another configuration, or another revision of the kind, has them read anew.
// It need not withstand forgery: whoever could find two texts alike would have to write Clerk's updated_at in them, and would hide his own
// profile's change from his own team.
func (k *kind) digest(raw []byte, keep keeping) int64 {
	d := int64(xxhash.Sum64(raw)) + int64(keep.activity) + int64(k.revision)<<8 // apart, since a setting may change together with an update
	if keep.private {
		d = ^d
	}
	return d
}

// timeFormat writes instants so that text sorts as time does. Both databases read it.
const timeFormat = "2006-01-02T15:04:05.000Z"

// stamp writes an instant as a statement's parameter.
func stamp(t time.Time) string { return t.UTC().Format(timeFormat) }

// stampMilli writes an instant given in Unix milliseconds; ok is false where no calendar that both databases know has it.
func stampMilli(ms int64) (s string, ok bool) {
	if !onCalendar(ms) {
		return "", false
	}
	return stamp(time.UnixMilli(ms)), true
}

func onCalendar(ms int64) bool {
	const year10000 = 253402300800000
	return ms >= 0 && ms < year10000
}
