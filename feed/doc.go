// Package feed brings the change feed to where it is wanted. The mirror appends every visible change to its table of changes, in the
// transaction of the change; a [Relay] reads them in the order of commits and hands them to a [Receiver]:
//
//	changes → relay → CloudEvent → receiver: signed HTTP (NewHTTP), NATS JetStream (feed/nats), LISTEN/NOTIFY (NewNotify), a function
//
// Every relay has a position of its own, which is the seq of the last change that its receiver took. It moves on in the order of seq
// and never passes over a change, so a receiver gets
//
//   - every change at least once. After a crash the last ones come again, with the same [Message.ID];
//   - in order, per relay and so per object, also across failures: what a receiver refuses is tried until it takes it;
//   - without waiting for other receivers. A dead one keeps nobody up but itself.
//
// Of all processes that share a database one at a time runs a relay, by a lease. A process that was stopped while it sent and goes on
// later cannot move a position that another one has taken over meanwhile.
//
// Whoever would rather ask than be told reads the feed by [NewPull].
package feed
