// Package reconcile runs passes: it reads Clerk's lists and brings the mirror to what they show, whatever webhooks were lost.
//
//	report, err := reconcile.New(reconcile.Config{Mirror: mirror, Clerk: api}).RunOnce(ctx)
//
// # The full pass
//
// A full pass walks the whole list in the order of creation and applies every page. While it walks, it compares each stretch of
// time that the list has passed with the mirror's rows: a visible row that the list did not show becomes a suspect. Absence from a
// list proves nothing, since lists shift while they are read, so a suspect is hidden only after all of this:
//
//   - the scan was complete: every page came, the last one was short, and as many users were seen as Clerk counts;
//   - the row was last known to be alive before the walk began, less the read margin; younger ones stay pending;
//   - the guard agrees: more candidates than it allows mean that something is wrong with the list, and nothing is deleted at all;
//   - Clerk, asked for this one id, answers 404.
//
// Its memory does not grow with the number of users: it holds a few pages, and the suspects up to a bound that no guard lets pass.
// After each page it notes in the database how far it is. A pass that was killed goes on from there.
//
// # The delta pass
//
// A delta pass walks the list from the last change backwards until it meets what the delta pass before it has seen: usually one
// request. It finds missed creations and updates, and never deletes.
//
// # One pass at a time
//
// A lease in the database keeps passes apart, also those of other processes. A process that dies leaves its lease for 15 seconds.
package reconcile
