// Package sync is the mirror: a live copy of a team's Clerk users in the team's own database.
//
// In this repository a bare sync. is always the standard library. This package is imported as clerksync:
//
//	import clerksync "github.com/clerksync/clerksync/sync"
//
// # One way in
//
// Three feeders learn about Clerk's objects: the webhook handler (package webhook), the passes that compare Clerk's lists with
// the database (package reconcile) and the login helper (package upsert). None of them writes. Each turns what it learned into
// [Evidence] and hands it to [Mirror.Apply], the only writer:
//
//	feeder → evidence → Mirror.Apply → one transaction → users, events, changes → feed
//
// Apply decodes each piece, folds the pieces about one object by the merge rule, and commits object rows, the events row and the
// changes rows together. Requests that arrive while a transaction is committing share the next one.
//
// # The merge rule
//
// What the mirror knows about one object is a [State]: a [Key] that says how recent its payload is, and Dead, the instant up to
// which the object is known to be gone. The object is visible while Key.Alive > Dead. Evidence only ever raises the Key or Dead,
// both maxima over total orders, so the order in which evidence arrives, and how often, cannot matter:
//
//	            told by a webhook                    witnessed by a read that started at s
//	alive       Key (u, u, t, h)                     Key (max(u, s−M), u, s, h)
//	gone        Dead = t + 5 s                       Dead = s − M
//
// u is Clerk's updated_at, t the event's timestamp, h the hash of what is mirrored, M the read margin. Live evidence carries the
// earliest instant it can speak for and a deletion the latest, so a late update cannot bring a deleted user back; a 404 carries
// its earliest, so a stale read cannot hide a living one.
//
// # Erasure
//
// A deletion hides an object. [Mirror.Erase] later empties its row of all that is personal, the rows of what belongs to it, and the
// events that wait with its content, in one transaction; [Mirror.Remnants] then looks for what those values were, wherever the
// schema can hold a text. It leaves the state of the merge rule, with a hash that is greater than any. So evidence that comes late
// moves no payload into the row, and only what is truly later than the deletion brings the object back, whole. Evidence about what
// belongs to an erased object is kept by its ids alone.
//
// # Reads
//
// Only a [Reader] makes evidence from reads, and it first asks Clerk which instance its key belongs to and compares that with the
// instance pinned in the database. A process with another instance's key can therefore neither add nor hide anybody.
package sync
