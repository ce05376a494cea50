// Package upkeep does in a mirror what is due without anybody asking for it: it erases what Clerk has deleted, and removes rows that are
// old. The daemon and `clerksync reconcile` do it by themselves; a program that embeds the library runs it beside its passes:
//
//	work.Go(func() error { return upkeep.New(upkeep.Config{Mirror: mirror, Clerk: api}).Run(ctx) })
//
// A worker that is started every night calls [Keeper.RunOnce] after its pass. Without either, nobody is ever erased and the log of events
// grows for ever.
package upkeep
