// Package erasure erases what Clerk has deleted, once it is due, and undoes deletions.
//
//	report, err := erasure.New(erasure.Config{Mirror: mirror, Clerk: api}).RunOnce(ctx)
//
// A deletion hides an object at once, and that is all it does: until the object is erased, the deletion can be undone. An object is
// due when it has been hidden for a time, 24 hours unless told otherwise. Then Clerk is asked for it once more, and only a 404 lets
// it be erased: what Clerk has after all becomes visible again instead. An object that Clerk does not tell in time stays for the next
// run. Without a key nobody can be asked, and age alone decides; so it does for sessions, which Clerk cannot be asked for.
//
// What is erased, and what is left of it, package sync tells: see clerksync.Mirror.Erase and clerksync.Policy.
package erasure
