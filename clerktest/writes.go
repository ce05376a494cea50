package clerktest

import (
	"encoding/json"
	"slices"
)

// body is a JSON object whose members are not yet read.
type body = map[string]json.RawMessage

// origin is where a write came from: every event tells it.
type origin struct{ ip, agent string }

var fromGo = origin{"127.0.0.1", "clerktest"}

// CreateUser creates a user like POST /v1/users, announces it, and returns its
// id.
func (c *Clerk) CreateUser(fields Fields) (id string, err error) {
	raw, err := fields.raw()
	if err != nil {
		return "", err
	}
	u, failure := c.createUser(fromGo, raw, goParams)
	if failure != nil {
		return "", failure
	}
	return u.id, nil
}

// UpdateUser changes a user like PATCH /v1/users/{id} and announces it. Beyond
// that endpoint it replaces identifiers (email_address, phone_number,
// web3_wallet) and metadata, and sets banned, locked, deprovisioned, image_url
// and, in milliseconds, last_sign_in_at, last_active_at and updated_at.
func (c *Clerk) UpdateUser(id string, fields Fields) error {
	raw, err := fields.raw()
	if err != nil {
		return err
	}
	return failed(c.updateUser(fromGo, id, func(ch *change) *apiError {
		ch.trustful = true
		return ch.apply(raw, goParams)
	}))
}

// MergeMetadata merges metadata like PATCH /v1/users/{id}/metadata.
func (c *Clerk) MergeMetadata(id string, fields Fields) error {
	raw, err := fields.raw()
	if err != nil {
		return err
	}
	return failed(c.mergeMetadata(fromGo, id, raw))
}

// DeleteUser deletes a user like DELETE /v1/users/{id}. His sessions vanish
// without events; his memberships are announced as far as
// Faults.SilentCascade lets them.
func (c *Clerk) DeleteUser(id string) error {
	if err := c.deleteUser(fromGo, id); err != nil {
		return err
	}
	return nil
}

// BanUser bans a user, which revokes his sessions.
func (c *Clerk) BanUser(id string) error { return failed(c.banUser(fromGo, id, true)) }

// UnbanUser lifts a ban.
func (c *Clerk) UnbanUser(id string) error { return failed(c.banUser(fromGo, id, false)) }

// LockUser locks a user out.
func (c *Clerk) LockUser(id string) error { return failed(c.lockUser(fromGo, id, true)) }

// UnlockUser lifts a lock.
func (c *Clerk) UnlockUser(id string) error { return failed(c.lockUser(fromGo, id, false)) }

// failed drops the result and turns a nil *apiError into a nil error.
func failed[T any](_ T, err *apiError) error {
	if err != nil {
		return err
	}
	return nil
}

func (c *Clerk) createUser(from origin, fields body, allowed map[string]setter) (*user, *apiError) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.addUser(from, fields, allowed)
}

// addUser is createUser without the lock. The caller holds mu.
func (c *Clerk) addUser(from origin, fields body, allowed map[string]setter) (*user, *apiError) {
	now := c.nowMilli()
	seq := c.store.next
	u := &user{seq: seq, createdAt: now, updatedAt: now, deleteSelf: true, createOrgs: true, attemptsRemaining: new(int64(100))}
	u.id = c.ids.id(kindUser, 0, seq, now)
	u.imageURL = defaultImage(c.config.InstanceID, u.id)
	_, trustful := allowed["updated_at"]
	ch := &change{c: c, u: u, now: now, trustful: trustful}
	if err := ch.apply(fields, allowed); err != nil {
		return nil, err
	}
	c.store.next++
	c.store.put(u)
	c.emitUser("user.created", from, u)
	return u, nil
}

// updateUser applies edit to a copy of a user, moves updated_at forward, and
// announces the result.
func (c *Clerk) updateUser(from origin, id string, edit func(*change) *apiError) (*user, *apiError) {
	c.mu.Lock()
	defer c.mu.Unlock()
	u, err := c.editUser(id, edit)
	if err == nil {
		c.emitUser("user.updated", from, u)
	}
	return u, err
}

// editUser is updateUser without the event. The caller holds mu.
func (c *Clerk) editUser(id string, edit func(*change) *apiError) (*user, *apiError) {
	old := c.store.byID(id)
	if old == nil {
		return nil, errNoUser(id)
	}
	now := c.nowMilli()
	u := old.clone()
	u.updatedAt = max(now, old.updatedAt+1)
	if err := edit(&change{c: c, u: u, now: now}); err != nil {
		return nil, err
	}
	c.store.put(u)
	return u, nil
}

func (c *Clerk) mergeMetadata(from origin, id string, patch body) (*user, *apiError) {
	return c.updateUser(from, id, func(ch *change) *apiError {
		merged, err := ch.u.merged(patch)
		if err != nil {
			return err
		}
		return ch.apply(merged, metadata)
	})
}

func (c *Clerk) deleteUser(from origin, id string) *apiError {
	c.mu.Lock()
	defer c.mu.Unlock()
	u := c.store.byID(id)
	if u == nil {
		return errNoUser(id)
	}
	c.endMemberships(from, c.memberships.group(id))
	c.store.remove(u)
	c.sessions.removeAll(slices.Clone(c.sessions.group(id)))
	c.emitDeleted(from, u)
	return nil
}

func (c *Clerk) banUser(from origin, id string, banned bool) (*user, *apiError) {
	return c.updateUser(from, id, func(ch *change) *apiError {
		ch.u.banned = banned
		if banned {
			c.revokeSessions(from, ch.u)
		}
		return nil
	})
}

func (c *Clerk) lockUser(from origin, id string, locked bool) (*user, *apiError) {
	return c.updateUser(from, id, func(ch *change) *apiError {
		ch.u.locked, ch.u.lockoutSeconds = locked, nil
		if locked {
			ch.u.lockoutSeconds = new(int64(3600))
		}
		return nil
	})
}
