package clerktest

import (
	"net/http"
	"slices"
)

// metadataMoved is the version of the API whose PATCH /v1/users/{id} takes no
// metadata any more.
const metadataMoved = "2026-05-12"

func (c *Clerk) getInstance(w *writer, _ *http.Request) *apiError {
	id, environment := c.config.InstanceID, "development"
	if wrong := c.Faults().WrongInstance; wrong != "" {
		id = wrong
	}
	if c.config.Live {
		environment = "production"
	}
	w.open("", '{').str("object", "instance").str("id", id).str("environment_type", environment).
		raw("allowed_origins", "null").raw("workspace_id", "null").close('}')
	return nil
}

func (c *Clerk) listUsers(w *writer, r *http.Request) *apiError {
	l, err := parseListing(r.URL.Query())
	if err != nil {
		return err
	}
	return c.cached(w, r, func() *apiError {
		page, err := c.list(l)
		if err != nil {
			return err
		}
		w.buf = make([]byte, 0, 64+len(page)*(5<<9))
		w.open("", '[')
		for _, u := range page {
			w.listUser("", u)
		}
		w.close(']')
		return nil
	})
}

// list returns a page, with the faults of a hostile listing.
func (c *Clerk) list(l *listing) ([]*user, *apiError) {
	faults := c.Faults()
	if faults.CursorRefused && l.after != "" {
		return nil, errValue("starting_after", l.after)
	}
	c.hideFresh(l)
	c.mu.RLock()
	defer c.mu.RUnlock()
	c.findMembers(l)
	users, offset, err := c.store.users(l)
	if err != nil {
		if err.code == errNoCursor().code && faults.LostCursor == "empty" {
			return nil, nil
		}
		return nil, err
	}
	page := make([]*user, 0, l.limit)
	for u := range users {
		if offset > 0 {
			offset--
			continue
		}
		if c.hit(faults.SkipRows) {
			continue
		}
		if page = append(page, u); len(page) == cap(page) {
			break
		}
	}
	return distort(c, page, faults), nil
}

// distort applies the faults that concern a page as a whole.
func distort[T any](c *Clerk, page []T, faults Faults) []T {
	if faults.Empty {
		return nil
	}
	if len(page) > 1 && c.hit(faults.Truncate) {
		page = page[:len(page)/2]
	}
	if n := len(page); n > 1 && c.hit(faults.Repeat) {
		page = slices.Insert(page, n/2, page[n/2-1])[:n]
	}
	return page
}

// findMembers turns organizations into users. The caller holds mu.
func (c *Clerk) findMembers(l *listing) {
	if len(l.within) > 0 {
		members := chosen{name: byUserID}
		for _, id := range l.within {
			for _, m := range c.memberships.group(id) {
				members.values = append(members.values, m.userID)
			}
		}
		l.chosen = append(l.chosen, members)
	}
	if len(l.outside) > 0 {
		l.matches = append(l.matches, func(u *user) bool {
			return !slices.ContainsFunc(l.outside, func(id string) bool { return c.member(id, u.id) != nil })
		})
	}
}

// hideFresh leaves out the users that a lagging replica does not know yet.
func (c *Clerk) hideFresh(l *listing) {
	if lag := c.Faults().Lag; lag > 0 {
		l.createdBefore = min(l.createdBefore, c.now().Add(-lag).UnixMilli()+1)
	}
}

// isFresh reports an object that was created so lately that a lagging replica does not know it yet.
func (c *Clerk) isFresh(createdAt int64) bool {
	lag := c.Faults().Lag
	return lag > 0 && c.nowMilli()-createdAt < lag.Milliseconds()
}

func (c *Clerk) countUsers(w *writer, r *http.Request) *apiError {
	q := r.URL.Query()
	for _, name := range []string{"limit", "offset", "order_by", "starting_after"} {
		q.Del(name) // SDKs send the listing's parameters here too
	}
	l, err := parseListing(q)
	if err != nil {
		return err
	}
	n, err := c.countMatching(l)
	if err != nil {
		return err
	}
	w.open("", '{').str("object", "total_count").num("total_count", max(0, n+int64(c.Faults().CountDelta))).close('}')
	return nil
}

func (c *Clerk) countMatching(l *listing) (n int64, err *apiError) {
	c.hideFresh(l)
	c.mu.RLock()
	defer c.mu.RUnlock()
	c.findMembers(l)
	if len(l.chosen) == 0 && len(l.matches) == 0 {
		from, to, err := c.store.window(l)
		return max(0, c.store.rank(to)-c.store.rank(from)), err
	}
	users, _, err := c.store.users(l)
	if err != nil {
		return 0, err
	}
	for range users {
		n++
	}
	return n, nil
}

func (c *Clerk) getUser(w *writer, r *http.Request) *apiError {
	id := r.PathValue("id")
	c.mu.RLock()
	u := c.store.byID(id)
	c.mu.RUnlock()
	if u == nil || c.isFresh(u.createdAt) {
		return errNoUser(id)
	}
	w.listUser("", u)
	return nil
}

func (c *Clerk) postUser(w *writer, r *http.Request) *apiError {
	fields, err := readBody(r)
	if err != nil {
		return err
	}
	u, err := c.createUser(requestOrigin(r), fields, createParams)
	return w.answer(u, err)
}

func (c *Clerk) patchUser(w *writer, r *http.Request) *apiError {
	fields, err := readBody(r)
	if err != nil {
		return err
	}
	allowed := updateParams
	if version := r.Header.Get("Clerk-API-Version"); version < metadataMoved {
		allowed = oldUpdateParams
	}
	u, err := c.updateUser(requestOrigin(r), r.PathValue("id"), func(ch *change) *apiError { return ch.apply(fields, allowed) })
	return w.answer(u, err)
}

func (c *Clerk) patchMetadata(w *writer, r *http.Request) *apiError {
	fields, err := readBody(r)
	if err != nil {
		return err
	}
	u, err := c.mergeMetadata(requestOrigin(r), r.PathValue("id"), fields)
	return w.answer(u, err)
}

func (c *Clerk) putMetadata(w *writer, r *http.Request) *apiError {
	fields, err := readBody(r)
	if err != nil {
		return err
	}
	u, err := c.updateUser(requestOrigin(r), r.PathValue("id"), func(ch *change) *apiError { return ch.apply(fields, metadata) })
	return w.answer(u, err)
}

// postState serves ban, unban, lock and unlock.
func (c *Clerk) postState(set func(*Clerk, origin, string, bool) (*user, *apiError), on bool) endpointFunc {
	return func(w *writer, r *http.Request) *apiError {
		u, err := set(c, requestOrigin(r), r.PathValue("id"), on)
		return w.answer(u, err)
	}
}

func (c *Clerk) removeUser(w *writer, r *http.Request) *apiError {
	id := r.PathValue("id")
	if err := c.deleteUser(requestOrigin(r), id); err != nil {
		return err
	}
	w.open("", '{').str("object", "user").str("id", id).flag("deleted", true).close('}')
	return nil
}

// answer writes the user that a write left behind.
func (w *writer) answer(u *user, err *apiError) *apiError {
	if err == nil {
		w.listUser("", u)
	}
	return err
}
