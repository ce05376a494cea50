package webhook

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/clerksync/clerksync/internal/crash"
	"github.com/clerksync/clerksync/internal/scan"
	clerksync "github.com/clerksync/clerksync/sync"
)

// envelope is the JSON that carries an event, as far as it is read here (https://clerk.com/docs/webhooks/overview). It also has
// the client's address and user agent, which are nobody's business.
type envelope struct {
	typ, instance string
	occurred      int64  // Unix milliseconds; 0 if there is none
	data          []byte // the member's JSON; nil if there is none
}

// errNoType is one reason for which a body is not an event; the others are those of internal/scan.
var errNoType = errors.New("the event has no type")

// decode reads a verified body: the event it carries, without its message id, and what that is evidence of. There is always at
// least one piece of evidence, and all pieces point to the event. An event about kinds that are not mirrored is evidence of
// nothing.
//
// It fails for what no sender of Clerk's makes: a body that is not exactly one JSON object, that names a member of the envelope or
// of data twice, or that has no type. Whatever members hold inside cannot make it fail. An error of internal/crash is a mistake of
// ours.
func decode(body []byte, mirrors func(clerksync.Kind) bool) (event *clerksync.Event, evidence []clerksync.Evidence, err error) {
	err = crash.Contain(func() error {
		event, evidence, err = read(body, mirrors)
		return err
	})
	return event, evidence, err
}

func read(body []byte, mirrors func(clerksync.Kind) bool) (*clerksync.Event, []clerksync.Evidence, error) {
	env, err := readEnvelope(body)
	if err != nil {
		return nil, nil, err
	}
	data, err := readData(env.data)
	if err != nil {
		return nil, nil, err
	}
	event := &clerksync.Event{Type: clip(env.typ), ObjectID: data.id, InstanceID: clip(env.instance)}
	if env.occurred != 0 {
		event.OccurredAt = time.UnixMilli(env.occurred).UTC()
	}
	var evidence []clerksync.Evidence
	for _, t := range clerksync.Tellings(env.typ) {
		piece := clerksync.Evidence{Kind: t.Kind, ID: data.id, At: env.occurred, Source: clerksync.Webhook, Event: event}
		switch {
		case t.Member != "":
			piece.ID, piece.Object = "", data.members[t.Member]
		case !t.Gone:
			piece.Object = env.data
		}
		if mirrors(t.Kind) && (t.Member == "" || piece.Object != nil) {
			evidence = append(evidence, piece)
		}
	}
	event.Body = body
	if len(evidence) == 0 {
		return event, ofNothing(event), nil
	}
	if data.id == "" {
		event.Quarantine = "data has no id"
	}
	return event, evidence, nil
}

// ofNothing is the evidence that keeps an event which tells of nothing here.
func ofNothing(event *clerksync.Event) []clerksync.Evidence {
	return []clerksync.Evidence{{Source: clerksync.Webhook, Event: event}}
}

// unread is what is kept of an event that nobody could read because of a mistake of ours. Its body is not: it may be a mail with a code.
func unread(why error) *clerksync.Event {
	return &clerksync.Event{Type: "unread", Quarantine: why.Error() + ": please report this"}
}

func readEnvelope(body []byte) (envelope, error) {
	var e envelope
	err := members(body, func(m scan.Member) {
		switch string(m.Name) {
		case "type":
			e.typ, _ = scan.String(m.Value)
		case "instance_id":
			e.instance, _ = scan.String(m.Value)
		case "timestamp":
			e.occurred = milliseconds(m.Value)
		case "data":
			e.data = m.Value
		}
	})
	if err != nil {
		return e, fmt.Errorf("reading the envelope: %w", err)
	}
	if e.typ == "" {
		return e, errNoType
	}
	return e, nil
}

// members visits the members of an object whose names must differ by more than their case.
func members(b []byte, visit func(scan.Member)) error {
	var names scan.Names
	return scan.Outline(b, func(m scan.Member) error {
		visit(m)
		return names.Add(m.Name)
	})
}

// seconds ends below this number and milliseconds begin, as timestamps of events go: in seconds it is the year 5138, in
// milliseconds 1973. Clerk's documentation and its deliveries have milliseconds, its published examples seconds.
const seconds = 100_000_000_000

// milliseconds reads a timestamp. One in seconds stands for the end of its second; one that is no time counts as absent.
func milliseconds(v []byte) int64 {
	n, ok := scan.Int(v)
	switch {
	case !ok || n <= 0:
		return 0
	case n < seconds:
		return n*1000 + 999
	}
	return n
}

// data is what is read of the member of that name.
type data struct {
	id      string            // empty if there is none that an object of Clerk's could have
	members map[string][]byte // the JSON of the members that are objects of Clerk's themselves
}

func readData(raw []byte) (data, error) {
	var d data
	err := members(raw, func(m scan.Member) {
		switch string(m.Name) {
		case "id":
			d.id = objectID(m.Value)
		case "user":
			if m.Value[0] == '{' {
				d.members = map[string][]byte{"user": m.Value}
			}
		}
	})
	if errors.Is(err, scan.ErrNotObject) { // strange, but an event: it has a type
		return data{}, nil
	}
	if err != nil {
		return data{}, fmt.Errorf("reading data: %w", err)
	}
	return d, nil
}

// maxText bounds what becomes a column of the events table, in bytes: an index refuses kilobytes.
const maxText = 255

// objectID reads an id, or returns "" for what cannot be one.
func objectID(v []byte) string {
	id, ok := scan.String(v)
	if !ok || len(id) > maxText || strings.ContainsRune(id, utf8.RuneError) {
		return ""
	}
	return id
}

// clip cuts a text to what a column takes.
func clip(s string) string {
	if len(s) <= maxText {
		return s
	}
	return strings.ToValidUTF8(s[:maxText], "")
}

// idOf returns the id of the object that a piece of evidence is about.
func idOf(e clerksync.Evidence) string {
	object, _ := readData(e.Object) // which the mirror has read already
	return cmp.Or(e.ID, object.id)
}
