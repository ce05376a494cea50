package clerktest

import "slices"

// ticket is what both kinds of invitations have.
type ticket struct {
	head
	email, status string
	token         string // in the URL; whoever has it can accept
	expiresAt     int64
	public        []byte
}

// invitationDays is how long an invitation is valid unless it says otherwise.
const invitationDays = 30

// statusAt is the status at an instant: an invitation expires by the clock,
// without an event and without a new updated_at.
func (t *ticket) statusAt(now int64) string {
	if t.status == "pending" && now >= t.expiresAt {
		return "expired"
	}
	return t.status
}

// url is where the invited person accepts.
func (c *Clerk) url(t *ticket) string {
	return c.Issuer() + "/v1/tickets/accept?ticket=" + t.token
}

// newTicket begins an invitation. The caller holds mu.
func (c *Clerk) newTicket(k kind, at int64) ticket {
	t := ticket{head: c.newHeadAt(k, at), status: "pending"}
	t.token = "dvb_" + c.ids.id(kindTicket, 0, t.seq, t.createdAt)
	return t
}

// read reads what both kinds share. The caller stores the expiry afterwards,
// as created_at may be read later.
func (t *ticket) read(f *form) {
	days := int64(invitationDays)
	f.need("email_address")
	f.email("email_address", &t.email)
	if f.num("expires_in_days", &days) {
		f.check(days >= 1 && days <= 365, errValue("expires_in_days", string(f.body["expires_in_days"])))
	}
	f.metadata("public_metadata", &t.public, false)
	f.times(&t.head)
	t.expiresAt = t.createdAt + days*day
	f.num("expires_at", &t.expiresAt)
}

func (t *ticket) isOpen(now int64) bool { return t.statusAt(now) == "pending" }

// invitation is one state of an invitation to sign up.
type invitation struct{ ticket }

func (i *invitation) groups() []string { return []string{i.email} }

var invitationParams = []string{"email_address", "public_metadata", "redirect_url", "notify", "ignore_existing", "expires_in_days", "template_slug"}

// Invite invites an "email_address" to sign up like POST /v1/invitations,
// announces it, and returns the invitation's id. Beyond that endpoint it takes
// created_at, updated_at and expires_at in milliseconds.
func (c *Clerk) Invite(fields Fields) (id string, err error) {
	f, err := goForm(fields, append([]string{"expires_at"}, invitationParams...)...)
	if err != nil {
		return "", err
	}
	return made(c.invite(fromGo, f))
}

// AcceptInvitation signs up the invited person: it creates the user with the
// invitation's address and public metadata and returns his id. It announces
// user.created and invitation.accepted.
func (c *Clerk) AcceptInvitation(id string) (userID string, err error) {
	u, failure := c.acceptInvitation(fromGo, id)
	if failure != nil {
		return "", failure
	}
	return u.id, nil
}

// RevokeInvitation revokes an invitation and announces it.
func (c *Clerk) RevokeInvitation(id string) error {
	return failed(c.revokeInvitation(fromGo, id))
}

func (c *Clerk) invite(from origin, f *form) (*invitation, *apiError) {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := &invitation{c.newTicket(kindInvitation, c.nowMilli())}
	i.read(f)
	ignore := false
	f.flag("ignore_existing", &ignore)
	if !ignore {
		f.check(c.store.byKey(key{byEmail, i.email}) == nil, errTaken("email_address"))
		now := c.nowMilli()
		f.check(!slices.ContainsFunc(c.invitations.group(i.email), func(other *invitation) bool { return other.isOpen(now) }), errInvited(i.email))
	}
	if f.err != nil {
		return nil, f.err
	}
	c.invitations.put(i)
	c.announceInvitation("invitation.created", from, i)
	return i, nil
}

func (c *Clerk) acceptInvitation(from origin, id string) (*user, *apiError) {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := c.invitations.byID[id]
	if i == nil {
		return nil, errNoInvitation(id)
	}
	if err := i.mayChange(c.nowMilli()); err != nil {
		return nil, err
	}
	u, err := c.signUp(from, &i.ticket)
	if err != nil {
		return nil, err
	}
	c.endInvitation(from, i, "accepted")
	return u, nil
}

func (c *Clerk) revokeInvitation(from origin, id string) (*invitation, *apiError) {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := c.invitations.byID[id]
	if i == nil {
		return nil, errNoInvitation(id)
	}
	if err := i.mayChange(i.createdAt); err != nil { // also an expired one
		return nil, err
	}
	return c.endInvitation(from, i, "revoked"), nil
}

// mayChange refuses what has been accepted or revoked, or is expired at now.
func (t *ticket) mayChange(now int64) *apiError {
	switch t.statusAt(now) {
	case "accepted":
		return errInvitationAccepted()
	case "revoked":
		return errInvitationRevoked()
	case "expired":
		return errInvitationExpired()
	}
	return nil
}

// endInvitation changes the status and announces it. The caller holds mu.
func (c *Clerk) endInvitation(from origin, old *invitation, status string) *invitation {
	i := *old
	i.status, i.updatedAt = status, c.later(&old.head)
	c.invitations.put(&i)
	c.announceInvitation("invitation."+status, from, &i)
	return &i
}

// signUp creates the user that an invitation invites. The caller holds mu.
func (c *Clerk) signUp(from origin, t *ticket) (*user, *apiError) {
	fields := Fields{"email_address": []string{t.email}}
	raw, err := fields.raw()
	if err != nil {
		panic(err) // a list of texts has a JSON form
	}
	if t.public != nil {
		raw["public_metadata"] = t.public
	}
	return c.addUser(from, raw, goParams)
}

func (c *Clerk) announceInvitation(eventType string, from origin, i *invitation) {
	c.announce(eventType, from, &i.head, func(w *writer) { c.invitation(w, "data", i) })
}

// invitation writes an invitation to sign up. Its URL is told while it can be
// used, and by webhooks always. The caller holds mu.
func (c *Clerk) invitation(w *writer, name string, i *invitation) {
	status := i.statusAt(c.nowMilli())
	w.open(name, '{').str("object", "invitation").str("id", i.id).str("email_address", i.email).object("public_metadata", i.public)
	if status == "revoked" || !w.webhook {
		w.flag("revoked", status == "revoked")
	}
	w.str("status", status)
	if status == "pending" || w.webhook {
		w.str("url", c.url(&i.ticket))
	}
	w.num("expires_at", i.expiresAt).num("created_at", i.createdAt).num("updated_at", i.updatedAt).close('}')
}
