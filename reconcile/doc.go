// Package reconcile runs passes: it reads Clerk's lists and brings the mirror to what they show, whatever webhooks were lost.
//
//	report, err := reconcile.New(reconcile.Config{Mirror: mirror, Clerk: api}).RunOnce(ctx)
//
// # The full pass
//
// A full pass walks the whole list of every kind that the mirror keeps and Clerk lists, one after the other: users first, then
// organizations, memberships, invitations to organizations, invitations to the application, domains, roles and permissions. Of
// sessions Clerk has no list that a pass could walk: webhooks alone tell of them.
//
// It reads a list in the order of creation and applies every page. While it walks, it compares each stretch of time that the list
// has passed with the mirror's rows: a visible row that the list did not show becomes a suspect. Absence from a list proves nothing,
// since lists shift while they are read, so a suspect is hidden only after all of this:
//
//   - the scan was complete: every page came, the last one was short, and as many objects were seen as Clerk counts;
//   - the row was last known to be alive before the walk began, less the read margin; younger ones stay pending;
//   - the guard agrees: more candidates of a kind than it allows mean that something is wrong with the list, and none of that kind
//     is deleted;
//   - Clerk, asked for this one id, answers 404. It does not answer for memberships, domains and invitations to the application by id: there
//     the lists that would show this one object are read, twice and the read margin apart.
//
// What belongs to an object that is gone, such as the members of an organization, goes with it: nothing is written about it.
//
// A list that fails, is incomplete or trips the guard keeps no other from being reconciled.
//
// Users are listed by cursor. The other lists are read by offset, by pages that overlap, so that rows which shift meanwhile are not passed
// over. A page is compared with the rows of its stretch of time by one sum of their fingerprints, and row by row only where the sums differ.
//
// Its memory does not grow with the number of objects: it holds a few pages, and the suspects up to a bound that no guard lets pass.
// After each page it notes in the database how far it is. A pass that was killed goes on from there.
//
// # The delta pass
//
// A delta pass walks the list of users from the last change backwards until it meets what the delta pass before it has seen: usually
// one request. It finds missed creations and updates, and never deletes. It is about users alone, since Clerk orders nothing else by
// the time of its last change.
//
// # One pass at a time
//
// A lease in the database keeps passes apart, also those of other processes. A process that dies leaves its lease for 15 seconds.
package reconcile
