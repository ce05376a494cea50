package clerktest

import "slices"

// domain is one state of a domain of an organization.
type domain struct {
	head
	orgID, name, mode string
	verified          bool
}

func (d *domain) groups() []string { return []string{d.orgID, domainGroup(d.name)} }

func domainGroup(name string) string { return "domain " + name }

var enrollmentModes = []string{"manual_invitation", "automatic_invitation", "automatic_suggestion", "enterprise_sso"}

// CreateDomain adds a domain to an organization like POST
// /v1/organizations/{id}/domains, announces it, and returns its id.
func (c *Clerk) CreateDomain(organizationID string, fields Fields) (id string, err error) {
	f, err := goForm(fields, "name", "enrollment_mode", "verified")
	if err != nil {
		return "", err
	}
	return made(c.createDomain(fromGo, organizationID, f))
}

// UpdateDomain changes a domain like PATCH
// /v1/organizations/{id}/domains/{domain_id} and announces it.
func (c *Clerk) UpdateDomain(id string, fields Fields) error {
	f, err := goForm(fields, "enrollment_mode", "verified")
	if err != nil {
		return err
	}
	return failed(c.updateDomain(fromGo, "", id, f))
}

// DeleteDomain removes a domain and announces it.
func (c *Clerk) DeleteDomain(id string) error { return failed(c.deleteDomain(fromGo, "", id)) }

func (c *Clerk) createDomain(from origin, organizationID string, f *form) (*domain, *apiError) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.organizations.byID[organizationID] == nil {
		return nil, errNoOrganization()
	}
	d := &domain{head: c.newHead(kindDomain), orgID: organizationID, mode: "manual_invitation", verified: true}
	f.need("name")
	f.text("name", &d.name)
	f.check(c.domains.first(domainGroup(d.name)) == nil, errDomainTaken())
	if d.read(f); f.err != nil {
		return nil, f.err
	}
	c.domains.put(d)
	c.announceDomain("organizationDomain.created", from, d)
	return d, nil
}

func (d *domain) read(f *form) {
	if f.text("enrollment_mode", &d.mode) {
		f.check(slices.Contains(enrollmentModes, d.mode), errValue("enrollment_mode", d.mode))
	}
	f.flag("verified", &d.verified)
	f.times(&d.head)
}

func (c *Clerk) findDomain(organizationID, id string) (*domain, *apiError) {
	d := c.domains.byID[id]
	if d == nil || organizationID != "" && d.orgID != organizationID {
		return nil, errNone("organization domain", id)
	}
	return d, nil
}

func (c *Clerk) updateDomain(from origin, organizationID, id string, f *form) (*domain, *apiError) {
	c.mu.Lock()
	defer c.mu.Unlock()
	old, err := c.findDomain(organizationID, id)
	if err != nil {
		return nil, err
	}
	d := *old
	d.updatedAt = c.later(&old.head)
	if d.read(f); f.err != nil {
		return nil, f.err
	}
	c.domains.put(&d)
	c.announceDomain("organizationDomain.updated", from, &d)
	return &d, nil
}

func (c *Clerk) deleteDomain(from origin, organizationID, id string) (*domain, *apiError) {
	c.mu.Lock()
	defer c.mu.Unlock()
	d, err := c.findDomain(organizationID, id)
	if err != nil {
		return nil, err
	}
	c.domains.remove(d)
	c.announceGone("organizationDomain.deleted", from, &d.head, "organization_domain")
	return d, nil
}

// endDomains removes the domains of an organization that ends.
func (c *Clerk) endDomains(from origin, list []*domain) {
	list = slices.Clone(list)
	c.domains.removeAll(list)
	for _, d := range list {
		if !c.hit(c.Faults().SilentCascade) {
			c.announceGone("organizationDomain.deleted", from, &d.head, "organization_domain")
		}
	}
}

func (c *Clerk) announceDomain(eventType string, from origin, d *domain) {
	c.announce(eventType, from, &d.head, func(w *writer) { c.domain(w, "data", d) })
}

// domain writes a domain; webhooks leave out the two verifications that
// replaced the deprecated one. The caller holds mu.
func (c *Clerk) domain(w *writer, name string, d *domain) {
	w.open(name, '{').str("object", "organization_domain").str("id", d.id).str("organization_id", d.orgID).str("name", d.name)
	w.str("enrollment_mode", d.mode).raw("affiliation_email_address", "null")
	if !w.webhook {
		w.verification("affiliation_verification", d).raw("ownership_verification", "null")
	}
	w.verification("verification", d).num("total_pending_invitations", 0).num("total_pending_suggestions", 0)
	c.publicOrganization(w, d.orgID)
	w.num("created_at", d.createdAt).num("updated_at", d.updatedAt).close('}')
}

func (w *writer) verification(name string, d *domain) *writer {
	if !d.verified {
		return w.raw(name, "null")
	}
	w.open(name, '{').str("status", "verified").str("strategy", "email_code").num("attempts", 1).raw("expire_at", "null")
	if !w.webhook {
		w.raw("verified_at", "null")
	}
	return w.close('}')
}
