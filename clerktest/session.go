package clerktest

// session is one session; like a user it is replaced, not changed.
type session struct {
	id, clientID, activityID, userID, status        string
	ip                                              string
	createdAt, updatedAt, activeAt, expire, abandon int64
}

// The lifetime of a session by Clerk's defaults, in milliseconds.
const (
	sessionExpires = 7 * day
	sessionAbandon = 30 * day
)

// CreateSession signs a user in: it moves last_sign_in_at, last_active_at and
// updated_at, announces session.created, and returns the session's id.
func (c *Clerk) CreateSession(userID string) (id string, err error) {
	s, failure := c.createSession(fromGo, userID)
	if failure != nil {
		return "", failure
	}
	return s.id, nil
}

// RevokeSession revokes a session and announces session.revoked.
func (c *Clerk) RevokeSession(id string) error {
	return failed(c.closeSession(fromGo, id, "revoked"))
}

// EndSession ends a session as signing out does and announces session.ended.
func (c *Clerk) EndSession(id string) error { return failed(c.closeSession(fromGo, id, "ended")) }

// RemoveSession removes a session from its client and announces
// session.removed.
func (c *Clerk) RemoveSession(id string) error { return failed(c.closeSession(fromGo, id, "removed")) }

func (c *Clerk) createSession(from origin, userID string) (*session, *apiError) {
	c.mu.Lock()
	defer c.mu.Unlock()
	u, err := c.editUser(userID, func(ch *change) *apiError {
		ch.u.lastSignInAt, ch.u.lastActiveAt = new(ch.now), new(ch.now)
		return nil
	})
	if err != nil {
		return nil, err
	}
	now := u.updatedAt
	s := &session{id: c.newID(kindSession), clientID: c.newID(kindClient), activityID: c.newID(kindActivity), userID: userID, status: "active",
		ip: from.ip, createdAt: now, updatedAt: now, activeAt: now, expire: now + sessionExpires, abandon: now + sessionAbandon}
	c.sessions[s.id] = s
	c.signedIn[userID] = append(c.signedIn[userID], s.id)
	c.emitSession("session.created", from, s, u)
	return s, nil
}

func (c *Clerk) closeSession(from origin, id, status string) (*session, *apiError) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.sessions[id]
	if s == nil {
		return nil, errNoSession(id)
	}
	if s.status == status {
		return s, nil
	}
	return c.setStatus(from, s, status, c.store.byID(s.userID)), nil
}

// setStatus announces a session's end. The caller holds mu.
func (c *Clerk) setStatus(from origin, s *session, status string, u *user) *session {
	ended := *s
	ended.status, ended.updatedAt = status, max(c.nowMilli(), s.updatedAt+1)
	c.sessions[s.id] = &ended
	c.emitSession("session."+status, from, &ended, u)
	return &ended
}

// revokeSessions revokes what a ban ends. The caller holds mu.
func (c *Clerk) revokeSessions(from origin, u *user) {
	for _, s := range c.sessionsOf(u.id) {
		if s.status == "active" {
			c.setStatus(from, s, "revoked", u)
		}
	}
}

// dropSessions forgets the sessions of a deleted user. The caller holds mu.
func (c *Clerk) dropSessions(userID string) {
	for _, id := range c.signedIn[userID] {
		delete(c.sessions, id)
	}
	delete(c.signedIn, userID)
}

// sessionsOf returns a user's sessions, oldest first. The caller holds mu.
func (c *Clerk) sessionsOf(userID string) []*session {
	var out []*session
	for _, id := range c.signedIn[userID] {
		out = append(out, c.sessions[id])
	}
	return out
}

func (w *writer) listSession(name string, s *session) *writer {
	w.open(name, '{').str("object", "session").str("id", s.id).str("user_id", s.userID).str("client_id", s.clientID)
	w.raw("actor", "null").str("status", s.status).raw("last_active_organization_id", "null").num("last_active_at", s.activeAt)
	w.open("latest_activity", '{').str("object", "session_activity").str("id", s.activityID).str("device_type", "desktop").
		flag("is_mobile", false).str("browser_name", "Chrome").str("browser_version", "128.0.0.0").
		str("ip_address", s.ip).str("city", "San Francisco").str("country", "US").close('}')
	return w.num("expire_at", s.expire).num("abandon_at", s.abandon).num("updated_at", s.updatedAt).
		num("created_at", s.createdAt).raw("tasks", "null").close('}')
}

// eventSession writes a session as webhooks do: sorted, with the whole user.
func (w *writer) eventSession(name string, s *session, u *user) *writer {
	w.open(name, '{').num("abandon_at", s.abandon).raw("actor", "null").str("client_id", s.clientID).num("created_at", s.createdAt)
	w.num("expire_at", s.expire).str("id", s.id).num("last_active_at", s.activeAt).raw("last_active_organization_id", "null")
	w.open("latest_activity", '{').str("browser_name", "Chrome").str("browser_version", "128.0.0.0").str("city", "San Francisco").
		str("country", "US").str("device_type", "desktop").str("id", s.activityID).str("ip_address", s.ip).
		flag("is_mobile", false).str("object", "session_activity").close('}')
	w.str("object", "session").str("status", s.status).num("updated_at", s.updatedAt)
	return w.eventUser("user", u).str("user_id", s.userID).close('}')
}
