// Package sync is the mirror: a live copy of a team's Clerk users in the team's own database.
//
// In this repository a bare sync. is always the standard library. This package is imported as clerksync:
//
//	import clerksync "github.com/clerksync/clerksync/sync"
//
//	mirror, err := clerksync.Open(ctx, db, clerksync.Config{})
//	user, err := mirror.UserByEmail(ctx, "ada@example.com")
//
// # Reading
//
// The tables are the team's: a query of one's own over clerk.active_users joins, counts and filters better than any call. For what
// programs ask most there are typed calls, each by an index, of visible rows alone: [Mirror.User], [Mirror.UserByEmail], [Mirror.Users],
// [Mirror.Organization], [Mirror.Membership], [Mirror.OrganizationsOf] and [Mirror.MembersOf]. [Mirror.Changes] is the change feed by a
// cursor, [Hooks] are called in the transaction of a change, and package feed calls and posts after it.
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
// What the mirror knows about one object is a state: a Key that says how recent its payload is, and Dead, the instant up to
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
// # The life of an object
//
//	unknown ──live───────────────────────► visible   created
//	unknown ──gone───────────────────────► hidden    a tombstone, and no change
//	visible ──live, with another hash────► visible   updated
//	visible ──gone, Dead ≥ Alive─────────► hidden    deleted
//	hidden  ──live, Alive > Dead─────────► visible   revived
//	hidden  ──a day later, after a 404───► erased    erased
//	erased  ──live, Alive > Dead─────────► visible   revived
//
// The word behind an arrow is the [Outcome] of the evidence that takes it, and that of the [Change] in the feed. What takes none is
// unchanged, stale or, where only what does not count has moved, refreshed. The versions of an object count its changes: 1, 2, 3 … without a
// hole.
//
// # What is promised
//
//   - The order in which evidence arrives, and how often, does not matter. Neither Key nor Dead ever decreases.
//   - What Apply has returned without an error is on disk, with its event and its changes.
//   - A deletion that Clerk told truly is never undone by something older; an honest read never hides who is there.
//   - The order of the feed is that of commits, and every visible change is in it once.
//   - Nothing that can never be applied is answered with an error for ever: it waits in quarantine, and its neighbours do not.
//   - Once the mirror is pinned to an instance, no other instance adds, changes or hides anything.
//   - What was erased stays empty, whatever arrives late, until the object itself is truly back.
//
// # What is not promised
//
//   - To be up to date at every instant. With webhooks the mirror is a second behind, without them a poll interval or a night. To be
//     sure about one user ask package upsert.
//   - One visible user per e-mail address. The same address comes back under another id when somebody signs up again, and the news
//     that the first is gone may come later. Only ids are unique.
//   - Parents before their children. A membership may be there before its user is.
//   - Clerk's word about permissions. Session tokens have that, for a minute.
//
// # Transactions
//
// Apply commits by itself; there is none that works in a transaction of the caller's. It takes the rows it merges in one order, and
// last the lock that puts the feed in the order of commits, so a transaction that went on after it would stop every other writer for
// as long, and one that applied twice could wait for another that waits for it. What clashed is run again as a whole, and who watches
// commits is told after them: neither is possible in somebody else's transaction. The other way round it works: what must be written
// together with a change is written by one of the [Hooks], in its transaction.
//
// # Erasure
//
// A deletion hides an object. [Mirror.Erase] later, called by package upkeep when it is due, empties its row of all that is
// personal, the rows of what belongs to it, and the events that wait with its content, in one transaction; [Mirror.Remnants] then
// looks for what those values were, wherever the schema can hold a text. It leaves the state of the merge rule, with a hash that
// is greater than any. So evidence that comes late moves no payload into the row, and only what is truly later than the deletion
// brings the object back, whole. Evidence about what belongs to an erased object is kept by its ids alone.
//
// # Reads
//
// Only a [Reader] makes evidence from reads, and it first asks Clerk which instance its key belongs to and compares that with the
// instance pinned in the database. A process with another instance's key can therefore neither add nor hide anybody.
package sync
