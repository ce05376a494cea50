package feed

import (
	"context"
	"fmt"

	"github.com/clerksync/clerksync/internal/crash"
	clerksync "github.com/clerksync/clerksync/sync"
)

// Hooks are functions that a relay calls after the commit of a change, by the kind of what changed. They are a [Receiver]:
//
//	feed.Relay{Name: "welcome", Receiver: feed.Hooks{clerksync.Users: {OnCreated: func(ctx context.Context, m feed.Message) error {
//		return sendWelcome(ctx, m.Change.ObjectID)
//	}}}}
//
// Each is called for each change of its sort until it returns nil: at least once, in order, and after a crash again for the last ones,
// with the same [Message.ID]. An error, or a panic, holds up this relay and no other. There is nothing of what an object was before
// the change, since the feed holds ids; clerksync.Hooks have that, in the transaction.
//
// [Relay.Initial] says whether OnCreated is called for what is older than the mirror.
type Hooks map[clerksync.Kind]KindHooks

// KindHooks are the hooks for one kind of objects; nil means that nobody is called.
//
// A deletion may be hearsay: see clerksync.Change.Confirmed. What cannot be undone belongs into OnErased.
type KindHooks struct {
	OnCreated    Hook
	OnUpdated    Hook
	OnDeleted    Hook
	OnRevived    Hook
	OnErased     Hook
	OnSuspicious Hook // sessions alone
}

// Hook is called after the commit of a change. It should end within 15 seconds, when ctx does.
type Hook func(ctx context.Context, m Message) error

// Send implements [Receiver].
func (h Hooks) Send(ctx context.Context, messages ...Message) error {
	for _, m := range messages {
		if hook := h[m.Change.Kind].of(m.Change.Op); hook != nil {
			if err := crash.Contain(func() error { return hook(ctx, m) }); err != nil {
				return err
			}
		}
	}
	return nil
}

// Serial implements [Serial].
func (h Hooks) Serial() {}

// check makes sure that hooks can ever be called: what they pass over is lost to them, since the position moves on.
func (h Hooks) check(m *clerksync.Mirror) error {
	for k := range h {
		if !m.Mirrors(k) {
			return fmt.Errorf("hooks for %q, which is not mirrored: name it among the mirror's Config.Kinds", k)
		}
	}
	return nil
}

func (h KindHooks) of(op clerksync.Outcome) Hook {
	switch op {
	case clerksync.Created:
		return h.OnCreated
	case clerksync.Updated:
		return h.OnUpdated
	case clerksync.Deleted:
		return h.OnDeleted
	case clerksync.Revived:
		return h.OnRevived
	case clerksync.ErasedOp:
		return h.OnErased
	case clerksync.Suspicious:
		return h.OnSuspicious
	}
	return nil
}
