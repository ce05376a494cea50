package clerktest

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"slices"
)

func (c *Clerk) invitationRoutes() map[string]endpointFunc {
	return map[string]endpointFunc{
		"GET /v1/invitations":                                         c.listInvitations,
		"POST /v1/invitations":                                        c.postInvitation,
		"POST /v1/invitations/bulk":                                   c.postInvitations,
		"POST /v1/invitations/{id}/revoke":                            c.postRevoke,
		"GET /v1/organization_invitations":                            c.listAllOrgInvitations,
		"GET /v1/users/{id}/organization_invitations":                 c.listInvitationsOf,
		"GET /v1/organizations/{id}/invitations":                      c.listOrgInvitations,
		"POST /v1/organizations/{id}/invitations":                     c.postOrgInvitation,
		"GET /v1/organizations/{id}/invitations/{invitation}":         c.getOrgInvitation,
		"POST /v1/organizations/{id}/invitations/{invitation}/revoke": c.postOrgRevoke,
	}
}

var invitationStatuses = []string{"pending", "accepted", "revoked", "expired"}

// whereStatus keeps the invitations of some statuses.
func whereStatus[T row](s *selection[T], q url.Values, status func(T) string) *apiError {
	wanted := q["status"]
	for _, text := range wanted {
		if !slices.Contains(invitationStatuses, text) {
			return errValue("status", text)
		}
	}
	if len(wanted) > 0 {
		s.where(func(r T) bool { return slices.Contains(wanted, status(r)) })
	}
	return nil
}

// listInvitations answers an array, or a page with its total. Revoked ones are
// told only to those who ask for them.
func (c *Clerk) listInvitations(w *writer, r *http.Request) *apiError {
	q := r.URL.Query()
	c.mu.RLock()
	defer c.mu.RUnlock()
	now := c.nowMilli()
	s := selection[*invitation]{rows: c.invitations.all, orders: map[string]func(*invitation) sortKey{
		"email_address": func(i *invitation) sortKey { return sortKey{text: i.email} },
		"expires_at":    func(i *invitation) sortKey { return sortKey{number: i.expiresAt} },
	}}
	if err := whereStatus(&s, q, func(i *invitation) string { return i.statusAt(now) }); err != nil {
		return err
	}
	if !q.Has("status") {
		s.where(func(i *invitation) bool { return i.status != "revoked" })
	}
	s.search(q, "query", func(i *invitation) []string { return []string{i.email} })
	if q.Get("paginated") == "true" {
		return writePage(c, w, q, s, func(i *invitation) { c.invitation(w, "", i) })
	}
	page, _, err := cutPage(c, q, s)
	return c.answerInvitations(w, page, err)
}

func (c *Clerk) answerInvitations(w *writer, list []*invitation, err *apiError) *apiError {
	if err != nil {
		return err
	}
	w.open("", '[')
	for _, i := range list {
		c.invitation(w, "", i)
	}
	w.close(']')
	return nil
}

func (c *Clerk) postInvitation(w *writer, r *http.Request) *apiError {
	f, err := bodyForm(r, invitationParams...)
	if err != nil {
		return err
	}
	i, err := c.invite(requestOrigin(r), f)
	return answer(c, i, err, func(i *invitation) { c.invitation(w, "", i) })
}

// postInvitations creates up to ten at once, as the endpoint's limit is. The
// first mistake ends it; those before it stay.
func (c *Clerk) postInvitations(w *writer, r *http.Request) *apiError {
	raw, failure := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	var bodies []body
	if failure != nil || len(raw) > maxBody || json.Unmarshal(raw, &bodies) != nil {
		return errBody()
	}
	var list []*invitation
	for _, fields := range bodies {
		i, err := c.invite(requestOrigin(r), newForm(fields, false, invitationParams...))
		if err != nil {
			return err
		}
		list = append(list, i)
	}
	return c.answerInvitations(w, list, nil)
}

func (c *Clerk) postRevoke(w *writer, r *http.Request) *apiError {
	i, err := c.revokeInvitation(requestOrigin(r), r.PathValue("id"))
	return answer(c, i, err, func(i *invitation) { c.invitation(w, "", i) })
}

// pageOfInvitations writes a page of invitations to organizations. The caller
// holds mu.
func (c *Clerk) pageOfInvitations(w *writer, q url.Values, s selection[*orgInvitation], withOrganization bool) *apiError {
	now := c.nowMilli()
	s.orders = map[string]func(*orgInvitation) sortKey{"email_address": func(i *orgInvitation) sortKey { return sortKey{text: i.email} }}
	if err := whereStatus(&s, q, func(i *orgInvitation) string { return i.statusAt(now) }); err != nil {
		return err
	}
	return writePage(c, w, q, s, func(i *orgInvitation) { c.orgInvitation(w, "", i, withOrganization) })
}

func (c *Clerk) listAllOrgInvitations(w *writer, r *http.Request) *apiError {
	q := r.URL.Query()
	c.mu.RLock()
	defer c.mu.RUnlock()
	s := selection[*orgInvitation]{rows: c.orgInvitations.all}
	s.search(q, "query", func(i *orgInvitation) []string { return []string{i.email} })
	return c.pageOfInvitations(w, q, s, true)
}

func (c *Clerk) listOrgInvitations(w *writer, r *http.Request) *apiError {
	q, id := r.URL.Query(), r.PathValue("id")
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.organizations.byID[id] == nil {
		return errNoOrganization()
	}
	s := selection[*orgInvitation]{rows: c.orgInvitations.group(id)}
	if email, _ := normalEmail(q.Get("email_address")); email != "" {
		s.where(func(i *orgInvitation) bool { return i.email == email })
	}
	return c.pageOfInvitations(w, q, s, false)
}

// listInvitationsOf lists the invitations to the addresses of a user.
func (c *Clerk) listInvitationsOf(w *writer, r *http.Request) *apiError {
	id := r.PathValue("id")
	c.mu.RLock()
	defer c.mu.RUnlock()
	u := c.store.byID(id)
	if u == nil {
		return errNoUser(id)
	}
	var s selection[*orgInvitation]
	for i := range u.emails {
		s.rows = append(s.rows, c.orgInvitations.group(u.emails[i].value)...)
	}
	slices.SortFunc(s.rows, inOrder)
	return c.pageOfInvitations(w, r.URL.Query(), s, true)
}

func (c *Clerk) postOrgInvitation(w *writer, r *http.Request) *apiError {
	f, err := bodyForm(r, orgInvitationParams...)
	if err != nil {
		return err
	}
	i, err := c.inviteToOrganization(requestOrigin(r), r.PathValue("id"), f)
	return c.answerOrgInvitation(w, i, err)
}

func (c *Clerk) getOrgInvitation(w *writer, r *http.Request) *apiError {
	id := r.PathValue("invitation")
	c.mu.RLock()
	defer c.mu.RUnlock()
	i := c.orgInvitations.byID[id]
	if i == nil || i.orgID != r.PathValue("id") || c.isFresh(i.createdAt) {
		return errNoInvitation(id)
	}
	c.orgInvitation(w, "", i, false)
	return nil
}

func (c *Clerk) postOrgRevoke(w *writer, r *http.Request) *apiError {
	if _, err := bodyForm(r); err != nil { // requesting_user_id is not checked
		return err
	}
	i, err := c.revokeOrgInvitation(requestOrigin(r), r.PathValue("id"), r.PathValue("invitation"))
	return c.answerOrgInvitation(w, i, err)
}

func (c *Clerk) answerOrgInvitation(w *writer, i *orgInvitation, err *apiError) *apiError {
	return answer(c, i, err, func(i *orgInvitation) { c.orgInvitation(w, "", i, false) })
}
