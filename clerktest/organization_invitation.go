package clerktest

import "slices"

// orgInvitation is one state of an invitation to join an organization.
type orgInvitation struct {
	ticket
	orgID, roleID string
	inviter       string // id of a user who may be gone; "" for none
	acceptedBy    string // user id
	private       []byte
}

func (i *orgInvitation) groups() []string { return []string{i.orgID, i.email} }

var orgInvitationParams = []string{"email_address", "inviter_user_id", "role", "public_metadata", "private_metadata", "redirect_url",
	"expires_in_days", "notify"}

// InviteToOrganization invites an "email_address" to an organization, with a
// "role", like POST /v1/organizations/{id}/invitations, announces it, and
// returns the invitation's id. Beyond that endpoint it takes created_at,
// updated_at and expires_at in milliseconds.
func (c *Clerk) InviteToOrganization(organizationID string, fields Fields) (id string, err error) {
	f, err := goForm(fields, append([]string{"expires_at"}, orgInvitationParams...)...)
	if err != nil {
		return "", err
	}
	return made(c.inviteToOrganization(fromGo, organizationID, f))
}

// AcceptOrganizationInvitation makes a user a member, with the invitation's
// role and metadata, and returns the membership's id. Without a user, "", the
// invited person signs up first. It announces organizationInvitation.accepted
// and organizationMembership.created.
func (c *Clerk) AcceptOrganizationInvitation(id, userID string) (membershipID string, err error) {
	return made(c.acceptOrgInvitation(fromGo, id, userID))
}

// RevokeOrganizationInvitation revokes a pending invitation and announces it.
func (c *Clerk) RevokeOrganizationInvitation(id string) error {
	return failed(c.revokeOrgInvitation(fromGo, "", id))
}

func (c *Clerk) inviteToOrganization(from origin, organizationID string, f *form) (*orgInvitation, *apiError) {
	c.mu.Lock()
	defer c.mu.Unlock()
	o := c.organizations.byID[organizationID]
	if o == nil {
		return nil, errNoOrganization()
	}
	i := &orgInvitation{ticket: c.newTicket(kindOrgInvitation, c.nowMilli()), orgID: o.id}
	i.read(f)
	f.need("role")
	c.readRole(f, &i.roleID)
	f.metadata("private_metadata", &i.private, false)
	if f.text("inviter_user_id", &i.inviter) {
		f.check(c.member(o.id, i.inviter) != nil, errNotMember())
	}
	if f.err != nil {
		return nil, f.err
	}
	if err := c.admitInvitation(o, i); err != nil {
		return nil, err
	}
	c.orgInvitations.put(i)
	c.announceOrgInvitation("organizationInvitation.created", from, i)
	return i, nil
}

func (c *Clerk) admitInvitation(o *organization, i *orgInvitation) *apiError {
	now := c.nowMilli()
	if slices.ContainsFunc(c.orgInvitations.group(o.id), func(other *orgInvitation) bool { return other.email == i.email && other.isOpen(now) }) {
		return errInvitedToOrganization()
	}
	if u := c.store.byKey(key{byEmail, i.email}); u != nil && c.member(o.id, u.id) != nil {
		return errAlreadyMember(u.id)
	}
	return c.full(o.id)
}

func (c *Clerk) acceptOrgInvitation(from origin, id, userID string) (*membership, *apiError) {
	c.mu.Lock()
	defer c.mu.Unlock()
	old := c.orgInvitations.byID[id]
	if old == nil {
		return nil, errNoInvitation(id)
	}
	if err := old.mayChange(c.nowMilli()); err != nil {
		return nil, err
	}
	i, m := *old, &membership{head: c.newHead(kindMembership), orgID: old.orgID, userID: userID, roleID: old.roleID, public: old.public, private: old.private}
	i.status, i.updatedAt = "accepted", c.later(&old.head)
	c.orgInvitations.put(&i) // first, so that it does not count towards the quota
	if err := c.join(from, &i, m); err != nil {
		c.orgInvitations.put(old)
		return nil, err
	}
	c.memberships.put(m)
	c.announceOrgInvitation("organizationInvitation.accepted", from, &i)
	c.announceMembership("organizationMembership.created", from, m)
	return m, nil
}

// join finds or creates the user that accepts an invitation.
func (c *Clerk) join(from origin, i *orgInvitation, m *membership) *apiError {
	if err := c.full(m.orgID); err != nil {
		return err
	}
	if m.userID == "" {
		u, err := c.signUp(from, &ticket{email: i.email})
		if err != nil {
			return err
		}
		m.userID = u.id
	}
	i.acceptedBy = m.userID
	return c.admitMember(m)
}

// revokeOrgInvitation revokes an invitation of an organization, "" for any.
func (c *Clerk) revokeOrgInvitation(from origin, organizationID, id string) (*orgInvitation, *apiError) {
	c.mu.Lock()
	defer c.mu.Unlock()
	old := c.orgInvitations.byID[id]
	switch {
	case old == nil || organizationID != "" && old.orgID != organizationID:
		return nil, errNoInvitation(id)
	case !old.isOpen(c.nowMilli()):
		return nil, errNotPending()
	}
	i := *old
	i.status, i.updatedAt = "revoked", c.later(&old.head)
	c.orgInvitations.put(&i)
	c.announceOrgInvitation("organizationInvitation.revoked", from, &i)
	return &i, nil
}

func (c *Clerk) announceOrgInvitation(eventType string, from origin, i *orgInvitation) {
	c.announce(eventType, from, &i.head, func(w *writer) { c.orgInvitation(w, "data", i, false) })
}

// orgInvitation writes an invitation to an organization. Webhooks tell the URL
// with its token whatever became of the invitation, and who accepted it; the
// Backend API tells who invited. The caller holds mu.
func (c *Clerk) orgInvitation(w *writer, name string, i *orgInvitation, withOrganization bool) {
	status, role := i.statusAt(c.nowMilli()), c.roles.byID[i.roleID]
	w.open(name, '{').str("object", "organization_invitation").str("id", i.id).str("email_address", i.email)
	w.str("role", role.key).str("role_name", role.name).str("organization_id", i.orgID)
	if !w.webhook {
		c.inviter(w, i)
	}
	w.str("status", status).object("public_metadata", i.public).object("private_metadata", i.private)
	if status == "pending" || w.webhook {
		w.str("url", c.url(&i.ticket))
	} else {
		w.raw("url", "null")
	}
	if w.webhook && i.acceptedBy != "" {
		w.str("user_id", i.acceptedBy)
	}
	w.num("expires_at", i.expiresAt).num("created_at", i.createdAt).num("updated_at", i.updatedAt)
	if withOrganization {
		c.publicOrganization(w, i.orgID)
	}
	w.close('}')
}

func (c *Clerk) inviter(w *writer, i *orgInvitation) {
	u := c.store.byID(i.inviter)
	if u == nil {
		w.raw("inviter_id", "null").raw("public_inviter_data", "null")
		return
	}
	w.str("inviter_id", u.id).publicUser("public_inviter_data", u, false)
}
