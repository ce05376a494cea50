package clerktest

import "slices"

// membership is one state of a user's membership in an organization.
type membership struct {
	head
	orgID, userID, roleID string
	public, private       []byte
}

// pairGroup holds the one membership of a user in an organization, and those
// with one role in it.
func pairGroup(organizationID, otherID string) string { return organizationID + " " + otherID }

func (m *membership) groups() []string {
	return []string{m.orgID, m.userID, pairGroup(m.orgID, m.userID), pairGroup(m.orgID, m.roleID)}
}

// AddMember makes a user a member of an organization, with the key of a role
// such as "org:member", announces it, and returns the membership's id. The
// organization's members_count moves without an event of its own.
func (c *Clerk) AddMember(organizationID, userID, role string) (id string, err error) {
	f, err := goForm(Fields{"user_id": userID, "role": role}, memberParams...)
	if err != nil {
		return "", err
	}
	return made(c.addMember(fromGo, organizationID, f))
}

// UpdateMember changes a membership and announces it: its role, which PATCH
// /v1/organizations/{id}/memberships/{user_id} changes, its metadata as a
// whole, and created_at and updated_at in milliseconds.
func (c *Clerk) UpdateMember(organizationID, userID string, fields Fields) error {
	f, err := goForm(fields, "role", "public_metadata", "private_metadata")
	if err != nil {
		return err
	}
	return failed(c.updateMember(fromGo, organizationID, userID, f, false))
}

// RemoveMember ends a membership and announces it.
func (c *Clerk) RemoveMember(organizationID, userID string) error {
	return failed(c.removeMember(fromGo, organizationID, userID, &writer{}))
}

var memberParams = []string{"user_id", "role", "public_metadata", "private_metadata"}

func (c *Clerk) addMember(from origin, organizationID string, f *form) (*membership, *apiError) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.organizations.byID[organizationID] == nil {
		return nil, errNoOrganization()
	}
	m := &membership{head: c.newHead(kindMembership), orgID: organizationID}
	f.need("user_id", "role")
	f.text("user_id", &m.userID)
	c.readMember(f, m, false)
	if f.err != nil {
		return nil, f.err
	}
	if err := c.admitMember(m); err != nil {
		return nil, err
	}
	c.memberships.put(m)
	c.announceMembership("organizationMembership.created", from, m)
	return m, nil
}

// admitMember checks what every new membership must fulfil.
func (c *Clerk) admitMember(m *membership) *apiError {
	switch {
	case c.store.byID(m.userID) == nil:
		return errNoUser(m.userID)
	case c.member(m.orgID, m.userID) != nil:
		return errAlreadyMember(m.userID)
	}
	return c.full(m.orgID)
}

// full refuses one more member or invitation than the organization allows.
func (c *Clerk) full(organizationID string) *apiError {
	o := c.organizations.byID[organizationID]
	if o.maxMembers > 0 && int64(len(c.memberships.group(o.id)))+c.pending(o.id) >= o.maxMembers {
		return errMembersQuota(o.maxMembers)
	}
	return nil
}

func (c *Clerk) member(organizationID, userID string) *membership {
	return c.memberships.first(pairGroup(organizationID, userID))
}

func (c *Clerk) readMember(f *form, m *membership, merge bool) {
	c.readRole(f, &m.roleID)
	f.metadata("public_metadata", &m.public, merge)
	f.metadata("private_metadata", &m.private, merge)
	f.times(&m.head)
}

// readRole reads the key of a role, into its id.
func (c *Clerk) readRole(f *form, into *string) {
	var key string
	if !f.text("role", &key) {
		return
	}
	r := c.roles.first(key)
	if f.check(r != nil, errNoRole("role")); f.err == nil {
		*into = r.id
	}
}

func (c *Clerk) updateMember(from origin, organizationID, userID string, f *form, merge bool) (*membership, *apiError) {
	c.mu.Lock()
	defer c.mu.Unlock()
	old, err := c.findMember(organizationID, userID)
	if err != nil {
		return nil, err
	}
	m := *old
	m.updatedAt = c.later(&old.head)
	if c.readMember(f, &m, merge); f.err != nil {
		return nil, f.err
	}
	c.memberships.put(&m)
	c.announceMembership("organizationMembership.updated", from, &m)
	return &m, nil
}

func (c *Clerk) findMember(organizationID, userID string) (*membership, *apiError) {
	if c.organizations.byID[organizationID] == nil {
		return nil, errNoOrganization()
	}
	if m := c.member(organizationID, userID); m != nil {
		return m, nil
	}
	return nil, errNoMember()
}

// removeMember ends a membership and writes it as it was, as the answer to
// DELETE does.
func (c *Clerk) removeMember(from origin, organizationID, userID string, w *writer) (*membership, *apiError) {
	c.mu.Lock()
	defer c.mu.Unlock()
	m, err := c.findMember(organizationID, userID)
	if err != nil {
		return nil, err
	}
	c.membership(w, "", m)
	c.memberships.remove(m)
	c.announceMembership("organizationMembership.deleted", from, m)
	return m, nil
}

// endMemberships ends the memberships that go down with their organization or
// user, who are still there. Clerk does not promise to announce them.
func (c *Clerk) endMemberships(from origin, list []*membership) {
	list = slices.Clone(list)
	c.memberships.removeAll(list)
	for _, m := range list {
		if !c.hit(c.Faults().SilentCascade) {
			c.announceMembership("organizationMembership.deleted", from, m)
		}
	}
}

func (c *Clerk) announceMembership(eventType string, from origin, m *membership) {
	c.announce(eventType, from, &m.head, func(w *writer) { c.membership(w, "data", m) })
}

// membership writes a membership with the present state of its organization,
// role and user. The caller holds mu.
func (c *Clerk) membership(w *writer, name string, m *membership) {
	role := c.roles.byID[m.roleID]
	w.open(name, '{').str("object", "organization_membership").str("id", m.id).str("role", role.key).str("role_name", role.name)
	w.open("permissions", '[')
	for _, id := range role.permissions {
		w.str("", c.permissions.byID[id].key)
	}
	w.close(']').object("public_metadata", m.public).object("private_metadata", m.private)
	with := counts{}
	if w.webhook {
		with = counted
	}
	c.organization(w, "organization", c.organizations.byID[m.orgID], with)
	w.publicUser("public_user_data", c.store.byID(m.userID), true)
	w.num("created_at", m.createdAt).num("updated_at", m.updatedAt).close('}')
}

// publicUser writes what the other members of an organization may know of a
// user; webhooks leave out what is told by the Backend API alone.
func (w *writer) publicUser(name string, u *user, whole bool) {
	w.open(name, '{').str("user_id", u.id).strOrNull("first_name", u.firstName).strOrNull("last_name", u.lastName)
	if whole {
		w.str("profile_image_url", u.imageURL)
	}
	w.str("image_url", u.imageURL).flag("has_image", u.hasImage).strOrNull("identifier", u.identifier())
	if whole && !w.webhook {
		w.strOrNull("username", u.username).flag("banned", u.banned).flag("deprovisioned", u.deprovisioned)
	}
	w.close('}')
}

// identifier is what a user is called among others.
func (u *user) identifier() *string {
	for _, value := range []*string{primary(u.emails, u.primaryEmail), primary(u.phones, u.primaryPhone), u.username, primary(u.wallets, u.primaryWallet)} {
		if value != nil {
			return value
		}
	}
	return nil
}
