package clerktest

import (
	"cmp"
	"encoding/json"
	"slices"
	"time"
)

// session is one state of a session.
type session struct {
	head
	clientID, activityID, userID, orgID string
	status                              string // before the clock ends it
	activity                            *Activity
	actor                               json.RawMessage
	claims                              map[string]json.RawMessage // of its tokens, over their own
	activeAt, expire, abandon           int64
}

func (s *session) groups() []string {
	groups := []string{s.userID, s.clientID}
	if s.orgID != "" {
		groups = append(groups, s.orgID)
	}
	return groups
}

// The lifetime of a session by Clerk's defaults.
const (
	sessionExpires = 7 * 24 * time.Hour
	sessionAbandon = 30 * 24 * time.Hour
)

// SessionOptions describe a session of SignIn. The zero value is an active
// session of a desktop browser in San Francisco.
type SessionOptions struct {
	// Activity is its latest_activity; nil is that desktop browser, and the
	// address is the one the request came from.
	Activity *Activity
	// NoActivity makes latest_activity null.
	NoActivity bool
	// Actor is the JSON of actor, told byte by byte: who impersonates the user,
	// such as {"sub":"user_…"}. nil is null. Session tokens tell it as "act".
	Actor json.RawMessage
	// OrganizationID is the active organization, which must exist; "" is none.
	// Session tokens tell it as "o" as long as the user is a member. See
	// SwitchOrganization.
	OrganizationID string
	// Claims are further claims of its tokens, which have none of these
	// otherwise: the "azp" of a frontend, such as "https://app.example.com", and
	// what the instance's settings add. They replace those that tokens have by
	// themselves, such as "fva" or "iss".
	Claims Fields
	// Pending makes a session that waits for a task. It is announced as
	// session.pending.
	Pending bool
	// At is the session's created_at and updated_at; zero is now.
	At time.Time
	// ExpiresIn and AbandonsIn are its lifetime from At on; zero is 7 and 30
	// days. Then its status is expired or abandoned, without an event and
	// without a new updated_at.
	ExpiresIn, AbandonsIn time.Duration
}

// Activity tells from where and with what a session is used. An empty text is
// left out.
type Activity struct {
	// DeviceType is such as "desktop" or "iPhone".
	DeviceType string
	// IsMobile is told always.
	IsMobile bool
	// BrowserName and BrowserVersion are such as "Chrome" and "128.0.0.0".
	BrowserName, BrowserVersion string
	// IPAddress, City and Country (two letters) are those of the request.
	IPAddress, City, Country string
}

// CreateSession signs a user in: it moves last_sign_in_at, last_active_at and
// updated_at, announces session.created, and returns the session's id.
func (c *Clerk) CreateSession(userID string) (id string, err error) {
	return c.SignIn(userID, SessionOptions{})
}

// SignIn is CreateSession with options.
func (c *Clerk) SignIn(userID string, options SessionOptions) (id string, err error) {
	claims, err := options.Claims.raw()
	if err != nil {
		return "", err
	}
	return made(c.createSession(fromGo, userID, options, claims))
}

// lacks reports whether an organization that is to be active does not exist. The
// caller holds mu.
func (c *Clerk) lacks(organizationID string) bool {
	return organizationID != "" && c.organizations.byID[organizationID] == nil
}

// SwitchOrganization makes an organization the active one of a session, as the
// user does in a browser; "" is none. Clerk sends no event about that. A
// session that has ended is refused as one that does not exist.
func (c *Clerk) SwitchOrganization(sessionID, organizationID string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.sessions.byID[sessionID]
	if s == nil || !s.isOpen(c.nowMilli()) {
		return errNoSession(sessionID)
	}
	if c.lacks(organizationID) {
		return errNoOrganization()
	}
	switched := *s
	switched.orgID, switched.updatedAt = organizationID, c.later(&s.head)
	c.sessions.put(&switched)
	return nil
}

// RevokeSession revokes a session and announces session.revoked. One that has
// ended stays as it is, here and below.
func (c *Clerk) RevokeSession(id string) error {
	return failed(c.closeSession(fromGo, id, "revoked"))
}

// EndSession ends a session as signing out does and announces session.ended.
func (c *Clerk) EndSession(id string) error { return failed(c.closeSession(fromGo, id, "ended")) }

// RemoveSession removes a session from its client and announces
// session.removed.
func (c *Clerk) RemoveSession(id string) error { return failed(c.closeSession(fromGo, id, "removed")) }

func (c *Clerk) createSession(from origin, userID string, options SessionOptions, claims map[string]json.RawMessage) (*session, *apiError) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lacks(options.OrganizationID) {
		return nil, errNoOrganization()
	}
	u, err := c.editUser(userID, func(ch *change) *apiError {
		ch.u.lastSignInAt, ch.u.lastActiveAt = new(ch.now), new(ch.now)
		return nil
	})
	if err != nil {
		return nil, err
	}
	at := u.updatedAt
	if !options.At.IsZero() {
		at = options.At.UnixMilli()
	}
	s := &session{head: c.newHeadAt(kindSession, at), clientID: c.newID(kindClient), activityID: c.newID(kindActivity), userID: userID,
		orgID: options.OrganizationID, status: "active", activity: options.Activity, actor: options.Actor, claims: claims, activeAt: at,
		expire:  at + cmp.Or(options.ExpiresIn, sessionExpires).Milliseconds(),
		abandon: at + cmp.Or(options.AbandonsIn, sessionAbandon).Milliseconds()}
	if s.activity == nil && !options.NoActivity {
		s.activity = &Activity{DeviceType: "desktop", BrowserName: "Chrome", BrowserVersion: "128.0.0.0", IPAddress: from.ip,
			City: "San Francisco", Country: "US"}
	}
	eventType := "session.created"
	if options.Pending {
		s.status, eventType = "pending", "session.pending"
	}
	c.sessions.put(s)
	c.announceSession(eventType, from, s, u)
	return s, nil
}

func (c *Clerk) closeSession(from origin, id, status string) (*session, *apiError) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.sessions.byID[id]
	if s == nil {
		return nil, errNoSession(id)
	}
	if !s.isOpen(c.nowMilli()) {
		return s, nil
	}
	return c.setStatus(from, s, status, c.store.byID(s.userID)), nil
}

// setStatus announces a session's end. The caller holds mu.
func (c *Clerk) setStatus(from origin, s *session, status string, u *user) *session {
	ended := *s
	ended.status, ended.updatedAt = status, c.later(&s.head)
	c.sessions.put(&ended)
	c.announceSession("session."+status, from, &ended, u)
	return &ended
}

// revokeSessions revokes what a ban ends. The caller holds mu.
func (c *Clerk) revokeSessions(from origin, u *user) {
	now := c.nowMilli()
	for _, s := range slices.Clone(c.sessions.group(u.id)) {
		if s.isOpen(now) {
			c.setStatus(from, s, "revoked", u)
		}
	}
}

// leaveSessions takes an organization that ends out of the sessions in which
// it is active, without events. The caller holds mu.
func (c *Clerk) leaveSessions(organizationID string) {
	for _, s := range slices.Clone(c.sessions.group(organizationID)) {
		left := *s
		left.orgID = ""
		c.sessions.put(&left)
	}
}

// statusAt is the status at an instant.
func (s *session) statusAt(now int64) string {
	open := s.status == "active" || s.status == "pending"
	switch {
	case open && now >= s.expire && s.expire <= s.abandon:
		return "expired"
	case open && now >= s.abandon:
		return "abandoned"
	}
	return s.status
}

// isOpen reports a session that has not ended at an instant.
func (s *session) isOpen(now int64) bool {
	status := s.statusAt(now)
	return status == "active" || status == "pending"
}

func (c *Clerk) announceSession(eventType string, from origin, s *session, u *user) {
	c.announce(eventType, from, &s.head, func(w *writer) { c.session(w, "data", s, u) })
}

// session writes a session; webhooks add the whole user. The caller holds mu.
func (c *Clerk) session(w *writer, name string, s *session, u *user) {
	w.open(name, '{').str("object", "session").str("id", s.id).str("user_id", s.userID).str("client_id", s.clientID)
	if s.actor == nil {
		w.raw("actor", "null")
	} else {
		w.raw("actor", string(s.actor))
	}
	w.str("status", s.statusAt(c.nowMilli()))
	if s.orgID == "" {
		w.raw("last_active_organization_id", "null")
	} else {
		w.str("last_active_organization_id", s.orgID)
	}
	w.num("last_active_at", s.activeAt)
	s.writeActivity(w)
	w.num("expire_at", s.expire).num("abandon_at", s.abandon).num("updated_at", s.updatedAt).num("created_at", s.createdAt)
	if w.webhook {
		w.eventUser("user", u)
	} else {
		w.raw("tasks", "null")
	}
	w.close('}')
}

func (s *session) writeActivity(w *writer) {
	a := s.activity
	if a == nil {
		w.raw("latest_activity", "null")
		return
	}
	w.open("latest_activity", '{').str("object", "session_activity").str("id", s.activityID)
	w.flag("is_mobile", a.IsMobile)
	for _, m := range []struct{ name, value string }{{"device_type", a.DeviceType}, {"browser_name", a.BrowserName},
		{"browser_version", a.BrowserVersion}, {"ip_address", a.IPAddress}, {"city", a.City}, {"country", a.Country}} {
		if m.value != "" {
			w.str(m.name, m.value)
		}
	}
	w.close('}')
}
