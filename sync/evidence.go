package sync

import (
	"bytes"
	"time"
)

// Source names the feeder that brought a piece of evidence. It is stored with the row and with each change.
type Source string

// The five sources.
const (
	Webhook   Source = "webhook"   // an event that Clerk sent
	Reconcile Source = "reconcile" // a full pass
	Delta     Source = "delta"     // a delta pass
	Login     Source = "login"     // a login helper
	Resync    Source = "resync"    // an operator's order to read again
)

// Evidence is one observation of one object: that it existed with this content, or that it did not exist.
//
// The webhook handler makes evidence from events, by setting the fields. Evidence from reads is made by a [Reader] alone, because
// a read counts only when it was made with the pinned instance's key; Apply refuses a hand-made one.
type Evidence struct {
	// Kind is the kind of object; "" with an Event means that the event speaks of nothing that is mirrored.
	Kind Kind

	// ID is Clerk's id of the object. Where Object is set, it is read from there.
	ID string

	// Object is Clerk's JSON of the object; nil means that the object is gone.
	Object []byte

	// At is the timestamp of the event that told it (the end of its unit, where Clerk gave seconds) or the start of the read, in
	// Unix milliseconds. Zero means that the event carried none.
	At int64

	// Source is the feeder.
	Source Source

	// Event is the event that told it; nil for reads.
	Event *Event

	read *read
}

// read is a Reader's stamp on the evidence that it made.
type read struct {
	margin int64 // M, in milliseconds
	keep   keeping
	dry    bool          // the mirror may not be pinned to the instance that was read, so this can only be compared
	skewed bool          // the clock could not be trusted, so the read proves nothing beyond the payload's own updated_at
	memory *bytes.Buffer // what Object is part of, if it is a page's and not given back
}

// Event is one event that Clerk sent: a row of the events table.
type Event struct {
	ID         string    // the message id that was verified; the same on every redelivery
	Type       string    // such as user.updated
	ObjectID   string    // the id of the object it speaks of; may be empty
	InstanceID string    // the Clerk instance it comes from
	OccurredAt time.Time // the envelope's timestamp; zero if there was none
	ReceivedAt time.Time // when this delivery came; zero means now

	// Body is the verified body. [Config.EventPayloads] says when it is stored; its tokens never are.
	Body []byte

	// Approved means that an operator wants the event applied: a deletion is not held.
	Approved bool

	// Quarantine, where not empty, says why the event cannot be applied; it is then kept as quarantined. It must name members and
	// rules only, never values.
	Quarantine string

	kept bool // it comes from Waiting, and not from Clerk
}

// Outcome is what one piece of evidence did to the mirror.
type Outcome string

// The outcomes. Deferred evidence is dated in the future and applies itself when its time has come; quarantined evidence cannot
// be applied and waits for an operator.
const (
	Created     Outcome = "created"
	Updated     Outcome = "updated"
	Refreshed   Outcome = "refreshed" // only what does not matter moved, such as last_active_at: no change
	Deleted     Outcome = "deleted"
	Revived     Outcome = "revived"
	Unchanged   Outcome = "unchanged"
	Stale       Outcome = "stale"
	Ignored     Outcome = "ignored"
	Deferred    Outcome = "deferred"
	Quarantined Outcome = "quarantined"

	// Of changes alone: an object's personal data was removed, and a remark on a sign-in, after the change that created the session.
	ErasedOp   Outcome = "erased"
	Suspicious Outcome = "suspicious"
)

// Waits reports whether what has this outcome is to be applied again: when its time has come, or an operator wants it.
func (o Outcome) Waits() bool { return o == Deferred || o == Quarantined }

// Result tells what became of one piece of evidence.
type Result struct {
	Outcome Outcome

	// Foreign reports that the event was ignored because it belongs to another Clerk instance, or to none that exists.
	Foreign bool

	// Conflict reports that the evidence contradicts what is known, so that a read by id is worth its request: a live event about
	// a hidden object that is not newer than its deletion, another content under the same updated_at, or a deletion of an object
	// that was seen alive later.
	Conflict bool

	// Reason says why evidence was quarantined or deferred; it names members and hooks, never values.
	Reason string
}

// Change is one visible change of one object: a row of the changes table, in the order of commit.
type Change struct {
	Seq        int64     // its place in the feed; zero in what [Mirror.Watch] tells
	WrittenAt  time.Time // when its transaction began, by the database's clock; zero in what [Mirror.Watch] tells
	Kind       Kind
	ObjectID   string
	Op         Outcome // Created, Updated, Deleted, Revived, ErasedOp or Suspicious
	Version    int64   // the object's own count of changes: 1, 2, 3 …; a Suspicious one repeats that of its session
	Initial    bool    // created, but of an object that is older than the mirror is; see [Mirror.Since]
	OccurredAt time.Time
	Source     Source
	EventID    string   // the message that told it; empty where a read did, and in what [Mirror.Changes] returns
	Reasons    []string // of a Suspicious change: see the constants of that name
}
