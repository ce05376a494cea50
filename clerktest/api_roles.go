package clerktest

import (
	"net/http"
	"slices"
)

func (c *Clerk) roleRoutes() map[string]endpointFunc {
	return map[string]endpointFunc{
		"GET /v1/organization_roles":                                  c.listRoles,
		"POST /v1/organization_roles":                                 c.postRole,
		"GET /v1/organization_roles/{id}":                             c.getRole,
		"PATCH /v1/organization_roles/{id}":                           c.patchRole,
		"DELETE /v1/organization_roles/{id}":                          c.removeRole,
		"POST /v1/organization_roles/{id}/permissions/{permission}":   c.postAssign(true),
		"DELETE /v1/organization_roles/{id}/permissions/{permission}": c.postAssign(false),
		"GET /v1/organization_permissions":                            c.listPermissions,
		"POST /v1/organization_permissions":                           c.postPermission,
		"GET /v1/organization_permissions/{id}":                       c.getPermission,
		"PATCH /v1/organization_permissions/{id}":                     c.patchPermission,
		"DELETE /v1/organization_permissions/{id}":                    c.removePermission,
	}
}

func (c *Clerk) listRoles(w *writer, r *http.Request) *apiError {
	q := r.URL.Query()
	c.mu.RLock()
	defer c.mu.RUnlock()
	s := selection[*role]{rows: c.roles.all, orders: map[string]func(*role) sortKey{
		"name": func(r *role) sortKey { return sortKey{text: r.name} },
		"key":  func(r *role) sortKey { return sortKey{text: r.key} },
	}}
	s.search(q, "query", func(r *role) []string { return []string{r.name, r.key} })
	return writePage(c, w, q, s, func(r *role) { c.role(w, "", r) })
}

func (c *Clerk) postRole(w *writer, r *http.Request) *apiError {
	f, err := bodyForm(r, roleParams...)
	if err != nil {
		return err
	}
	created, err := c.createRole(requestOrigin(r), f)
	return c.answerRole(w, created, err)
}

func (c *Clerk) getRole(w *writer, r *http.Request) *apiError {
	c.mu.RLock()
	defer c.mu.RUnlock()
	found := c.roles.byID[r.PathValue("id")]
	if found == nil || c.isFresh(found.createdAt) {
		return errNoRole("")
	}
	c.role(w, "", found)
	return nil
}

func (c *Clerk) patchRole(w *writer, r *http.Request) *apiError {
	f, err := bodyForm(r, "name", "key", "description", "permissions")
	if err != nil {
		return err
	}
	changed, err := c.updateRole(requestOrigin(r), r.PathValue("id"), func(r *role) *apiError { return c.readRoleForm(f, r) })
	return c.answerRole(w, changed, err)
}

// postAssign serves the assigning and the removing of a permission.
func (c *Clerk) postAssign(on bool) endpointFunc {
	return func(w *writer, r *http.Request) *apiError {
		changed, err := c.updateRole(requestOrigin(r), r.PathValue("id"), c.assign(r.PathValue("permission"), on))
		return c.answerRole(w, changed, err)
	}
}

// answerRole writes a role after a write, with the permissions that are left.
func (c *Clerk) answerRole(w *writer, changed *role, err *apiError) *apiError {
	return answer(c, changed, err, func(r *role) {
		now := *r
		now.permissions = slices.DeleteFunc(slices.Clone(r.permissions), func(id string) bool { return c.permissions.byID[id] == nil })
		c.role(w, "", &now)
	})
}

func (c *Clerk) removeRole(w *writer, r *http.Request) *apiError {
	gone, err := c.deleteRole(requestOrigin(r), r.PathValue("id"))
	return answer(c, gone, err, func(r *role) { w.gone("", "role", r.id, nil) })
}

func (c *Clerk) listPermissions(w *writer, r *http.Request) *apiError {
	q := r.URL.Query()
	c.mu.RLock()
	defer c.mu.RUnlock()
	s := selection[*permission]{rows: c.permissions.all, orders: map[string]func(*permission) sortKey{
		"name": func(p *permission) sortKey { return sortKey{text: p.name} },
		"key":  func(p *permission) sortKey { return sortKey{text: p.key} },
	}}
	s.search(q, "query", func(p *permission) []string { return []string{p.name, p.key} })
	return writePage(c, w, q, s, func(p *permission) { w.permission("", p) })
}

func (c *Clerk) postPermission(w *writer, r *http.Request) *apiError {
	f, err := bodyForm(r, permissionParams...)
	if err != nil {
		return err
	}
	p, err := c.createPermission(requestOrigin(r), f)
	return answer(c, p, err, func(p *permission) { w.permission("", p) })
}

func (c *Clerk) getPermission(w *writer, r *http.Request) *apiError {
	id := r.PathValue("id")
	c.mu.RLock()
	defer c.mu.RUnlock()
	p := c.permissions.byID[id]
	if p == nil || c.isFresh(p.createdAt) {
		return errNone("permission", id)
	}
	w.permission("", p)
	return nil
}

func (c *Clerk) patchPermission(w *writer, r *http.Request) *apiError {
	f, err := bodyForm(r, permissionParams...)
	if err != nil {
		return err
	}
	p, err := c.updatePermission(requestOrigin(r), r.PathValue("id"), f)
	return answer(c, p, err, func(p *permission) { w.permission("", p) })
}

func (c *Clerk) removePermission(w *writer, r *http.Request) *apiError {
	p, err := c.deletePermission(requestOrigin(r), r.PathValue("id"))
	return answer(c, p, err, func(p *permission) { w.gone("", "permission", p.id, nil) })
}
