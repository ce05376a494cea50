package clerktest

import (
	"net/http"
	"net/url"
	"slices"
)

func (c *Clerk) organizationRoutes() map[string]endpointFunc {
	return map[string]endpointFunc{
		"GET /v1/organizations":                          c.listOrganizations,
		"POST /v1/organizations":                         c.postOrganization,
		"GET /v1/organizations/{id}":                     c.getOrganization,
		"PATCH /v1/organizations/{id}":                   c.patchOrganization,
		"DELETE /v1/organizations/{id}":                  c.removeOrganization,
		"PATCH /v1/organizations/{id}/metadata":          c.organizationMetadata(true),
		"PUT /v1/organizations/{id}/metadata":            c.organizationMetadata(false),
		"GET /v1/organization_domains":                   c.listDomains,
		"GET /v1/organizations/{id}/domains":             c.listDomains,
		"POST /v1/organizations/{id}/domains":            c.postDomain,
		"PATCH /v1/organizations/{id}/domains/{domain}":  c.patchDomain,
		"DELETE /v1/organizations/{id}/domains/{domain}": c.removeDomain,
	}
}

// bodyForm reads the body of a request.
func bodyForm(r *http.Request, allowed ...string) (*form, *apiError) {
	fields, err := readBody(r)
	if err != nil {
		return nil, err
	}
	return newForm(fields, false, allowed...), nil
}

// answer writes what a write left behind, in the state it has now, which needs
// mu.
func answer[T any](c *Clerk, r T, err *apiError, write func(r T)) *apiError {
	if err != nil {
		return err
	}
	c.mu.RLock()
	defer c.mu.RUnlock()
	write(r)
	return nil
}

func askedCounts(q url.Values) counts {
	return counts{q.Get("include_members_count") == "true", q.Get("include_missing_member_with_elevated_permissions") == "true"}
}

func (c *Clerk) listOrganizations(w *writer, r *http.Request) *apiError {
	q := r.URL.Query()
	c.mu.RLock()
	defer c.mu.RUnlock()
	s := selection[*organization]{rows: c.organizations.all, orders: map[string]func(*organization) sortKey{
		"name":          func(o *organization) sortKey { return sortKey{text: o.name} },
		"members_count": func(o *organization) sortKey { return sortKey{number: int64(len(c.memberships.group(o.id)))} },
	}}
	s.search(q, "query", func(o *organization) []string { return []string{o.name, o.slug} })
	if err := s.choice(q, "organization_id", true, func(o *organization, ids []string) bool { return slices.Contains(ids, o.id) }); err != nil {
		return err
	}
	if err := s.choice(q, "user_id", true, func(o *organization, ids []string) bool {
		return slices.ContainsFunc(ids, func(id string) bool { return c.member(o.id, id) != nil })
	}); err != nil {
		return err
	}
	with := askedCounts(q)
	return writePage(c, w, q, s, func(o *organization) { c.organization(w, "", o, with) })
}

func (c *Clerk) postOrganization(w *writer, r *http.Request) *apiError {
	f, err := bodyForm(r, "name", "slug", "created_by", "max_allowed_memberships", "created_at", "role_set_key", "public_metadata", "private_metadata")
	if err != nil {
		return err
	}
	o, err := c.createOrganization(requestOrigin(r), f)
	return answer(c, o, err, func(o *organization) { c.organization(w, "", o, counts{}) })
}

// getOrganization answers by id or by slug.
func (c *Clerk) getOrganization(w *writer, r *http.Request) *apiError {
	id := r.PathValue("id")
	c.mu.RLock()
	defer c.mu.RUnlock()
	o := c.organizations.byID[id]
	if o == nil {
		o = c.organizations.first(slugGroup(id))
	}
	if o == nil || c.isFresh(o.createdAt) {
		return errNoOrganization()
	}
	c.organization(w, "", o, askedCounts(r.URL.Query()))
	return nil
}

func (c *Clerk) patchOrganization(w *writer, r *http.Request) *apiError {
	allowed := []string{"name", "slug", "max_allowed_memberships", "admin_delete_enabled", "created_at", "role_set_key"}
	if version := r.Header.Get("Clerk-API-Version"); version < metadataMoved {
		allowed = append(allowed, "public_metadata", "private_metadata")
	}
	f, err := bodyForm(r, allowed...)
	if err != nil {
		return err
	}
	o, err := c.updateOrganization(requestOrigin(r), r.PathValue("id"), f, false)
	return answer(c, o, err, func(o *organization) { c.organization(w, "", o, counts{}) })
}

func (c *Clerk) organizationMetadata(merge bool) endpointFunc {
	return func(w *writer, r *http.Request) *apiError {
		f, err := bodyForm(r, "public_metadata", "private_metadata")
		if err != nil {
			return err
		}
		o, err := c.updateOrganization(requestOrigin(r), r.PathValue("id"), f, merge)
		return answer(c, o, err, func(o *organization) { c.organization(w, "", o, counts{}) })
	}
}

func (c *Clerk) removeOrganization(w *writer, r *http.Request) *apiError {
	o, err := c.deleteOrganization(requestOrigin(r), r.PathValue("id"))
	return answer(c, o, err, func(o *organization) { w.gone("", "organization", o.id, &o.slug) })
}

// listDomains lists those of an organization, or of all.
func (c *Clerk) listDomains(w *writer, r *http.Request) *apiError {
	q, id := r.URL.Query(), r.PathValue("id")
	c.mu.RLock()
	defer c.mu.RUnlock()
	s := selection[*domain]{rows: c.domains.all, orders: map[string]func(*domain) sortKey{
		"name": func(d *domain) sortKey { return sortKey{text: d.name} },
	}}
	if id == "" {
		id = q.Get("organization_id")
	} else if c.organizations.byID[id] == nil {
		return errNoOrganization()
	}
	if id != "" {
		s.rows = c.domains.group(id)
	}
	if text := q.Get("verified"); text != "" {
		s.where(func(d *domain) bool { return d.verified == (text == "true") })
	}
	s.search(q, "query", func(d *domain) []string { return []string{d.name} })
	if err := s.choice(q, "enrollment_mode", true, func(d *domain, modes []string) bool { return slices.Contains(modes, d.mode) }); err != nil {
		return err
	}
	if names := q["domains"]; len(names) > 0 {
		s.where(func(d *domain) bool { return slices.Contains(names, d.name) })
	}
	return writePage(c, w, q, s, func(d *domain) { c.domain(w, "", d) })
}

func (c *Clerk) postDomain(w *writer, r *http.Request) *apiError {
	f, err := bodyForm(r, "name", "enrollment_mode", "verified")
	if err != nil {
		return err
	}
	d, err := c.createDomain(requestOrigin(r), r.PathValue("id"), f)
	return answer(c, d, err, func(d *domain) { c.domain(w, "", d) })
}

func (c *Clerk) patchDomain(w *writer, r *http.Request) *apiError {
	f, err := bodyForm(r, "enrollment_mode", "verified")
	if err != nil {
		return err
	}
	d, err := c.updateDomain(requestOrigin(r), r.PathValue("id"), r.PathValue("domain"), f)
	return answer(c, d, err, func(d *domain) { c.domain(w, "", d) })
}

func (c *Clerk) removeDomain(w *writer, r *http.Request) *apiError {
	d, err := c.deleteDomain(requestOrigin(r), r.PathValue("id"), r.PathValue("domain"))
	return answer(c, d, err, func(d *domain) { w.gone("", "organization_domain", d.id, nil) })
}
