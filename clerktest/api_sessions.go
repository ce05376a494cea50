package clerktest

import (
	"cmp"
	"encoding/json"
	"net/http"
)

// listSessions answers an array, newest first, or a page with its total.
func (c *Clerk) listSessions(w *writer, r *http.Request) *apiError {
	q := r.URL.Query()
	userID, clientID, status := q.Get("user_id"), q.Get("client_id"), q.Get("status")
	if userID == "" && clientID == "" {
		return errMissingParam("user_id")
	}
	q.Del("order_by") // Clerk has none here
	c.mu.RLock()
	defer c.mu.RUnlock()
	now := c.nowMilli()
	list := selection[*session]{rows: c.sessions.group(cmp.Or(userID, clientID))}
	list.where(func(s *session) bool {
		return (userID == "" || s.userID == userID) && (clientID == "" || s.clientID == clientID) && (status == "" || s.statusAt(now) == status)
	})
	write := func(s *session) { c.session(w, "", s, nil) }
	if q.Get("paginated") == "true" {
		return writePage(c, w, q, list, write)
	}
	page, _, err := cutPage(c, q, list)
	if err != nil {
		return err
	}
	w.open("", '[')
	for _, s := range page {
		write(s)
	}
	w.close(']')
	return nil
}

func (c *Clerk) getSession(w *writer, r *http.Request) *apiError {
	id := r.PathValue("id")
	c.mu.RLock()
	s := c.sessions.byID[id]
	c.mu.RUnlock()
	if s != nil && c.isFresh(s.createdAt) {
		s = nil
	}
	return c.answerSession(w, s, id, nil)
}

func (c *Clerk) postSession(w *writer, r *http.Request) *apiError {
	fields, err := readBody(r)
	if err != nil {
		return err
	}
	var userID string
	switch raw, ok := fields["user_id"]; {
	case !ok:
		return errMissingParam("user_id")
	case json.Unmarshal(raw, &userID) != nil:
		return errType("user_id", "string")
	}
	s, err := c.createSession(requestOrigin(r), userID, SessionOptions{}, nil)
	return c.answerSession(w, s, userID, err)
}

func (c *Clerk) revokeSession(w *writer, r *http.Request) *apiError {
	s, err := c.closeSession(requestOrigin(r), r.PathValue("id"), "revoked")
	return c.answerSession(w, s, r.PathValue("id"), err)
}

func (c *Clerk) answerSession(w *writer, s *session, id string, err *apiError) *apiError {
	switch {
	case err != nil:
		return err
	case s == nil:
		return errNoSession(id)
	}
	c.session(w, "", s, nil)
	return nil
}

// postToken makes a session token; a template changes nothing here. Clerk's
// documents do not tell what becomes of a session that has ended: here it is
// refused as one that does not exist.
func (c *Clerk) postToken(w *writer, r *http.Request) *apiError {
	id := r.PathValue("id")
	c.mu.RLock()
	s := c.sessions.byID[id]
	if s == nil || !s.isOpen(c.nowMilli()) {
		c.mu.RUnlock()
		return errNoSession(id)
	}
	g := c.grant(s)
	c.mu.RUnlock()
	w.open("", '{').str("object", "token").str("jwt", c.tokens.sign(c.Issuer(), g, c.now())).close('}')
	return nil
}
