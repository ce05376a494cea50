package clerktest

import (
	"slices"
	"strings"
)

// role is one state of a role that members of organizations can have.
type role struct {
	head
	key, name   string
	description *string
	permissions []string // ids
	creates     bool     // can be the role of an organization's creator
}

func (r *role) groups() []string { return []string{r.key} }

// The roles that exist from the start.
const (
	adminKey  = "org:admin"
	memberKey = "org:member"
)

// CreateRole creates a role like POST /v1/organization_roles, announces it, and
// returns its id. "permissions" are ids.
func (c *Clerk) CreateRole(fields Fields) (id string, err error) {
	f, err := goForm(fields, roleParams...)
	if err != nil {
		return "", err
	}
	return made(c.createRole(fromGo, f))
}

// UpdateRole changes a role like PATCH /v1/organization_roles/{id} and
// announces it. The memberships with this role tell its new name and
// permissions from then on, without events and without a new updated_at.
func (c *Clerk) UpdateRole(id string, fields Fields) error {
	f, err := goForm(fields, roleParams...)
	if err != nil {
		return err
	}
	return failed(c.updateRole(fromGo, id, func(r *role) *apiError { return c.readRoleForm(f, r) }))
}

// DeleteRole deletes a role that nobody has and announces it.
func (c *Clerk) DeleteRole(id string) error { return failed(c.deleteRole(fromGo, id)) }

var roleParams = []string{"name", "key", "description", "permissions", "is_managed", "include_in_initial_role_set"}

func (c *Clerk) createRole(from origin, f *form) (*role, *apiError) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := &role{head: c.newHead(kindRole)}
	f.need("name", "key")
	if err := c.readRoleForm(f, r); err != nil {
		return nil, err
	}
	c.roles.put(r)
	c.announceRole("role.created", from, r)
	return r, nil
}

func (c *Clerk) readRoleForm(f *form, r *role) *apiError {
	f.text("name", &r.name)
	if f.text("key", &r.key) {
		word, ok := strings.CutPrefix(r.key, "org:")
		f.check(ok && spelled(word, "_"), errFormat("key", "'org:' and lowercase alphanumeric characters and underscores"))
		other := c.roles.first(r.key)
		f.check(other == nil || other.id == r.id, errTaken("key"))
	}
	f.nullable("description", &r.description)
	if field(f, "permissions", "array of string", &r.permissions) {
		for _, id := range r.permissions {
			f.check(c.permissions.byID[id] != nil, errNoResource("permissions"))
		}
	}
	f.times(&r.head)
	return f.err
}

// updateRole applies edit to a copy of a role and announces the result.
func (c *Clerk) updateRole(from origin, id string, edit func(*role) *apiError) (*role, *apiError) {
	c.mu.Lock()
	defer c.mu.Unlock()
	old := c.roles.byID[id]
	if old == nil {
		return nil, errNoRole("")
	}
	r := *old
	r.permissions, r.updatedAt = slices.Clone(old.permissions), c.later(&old.head)
	if err := edit(&r); err != nil {
		return nil, err
	}
	c.roles.put(&r)
	c.announceRole("role.updated", from, &r)
	return &r, nil
}

// assign gives a role a permission or takes it away.
func (c *Clerk) assign(permissionID string, on bool) func(*role) *apiError {
	return func(r *role) *apiError {
		at := slices.Index(r.permissions, permissionID)
		switch {
		case c.permissions.byID[permissionID] == nil:
			return errNone("permission", permissionID)
		case on && at >= 0:
			return errAssigned()
		case on:
			r.permissions = append(r.permissions, permissionID)
		case at < 0:
			return errNotAssigned()
		default:
			r.permissions = slices.Delete(r.permissions, at, at+1)
		}
		return nil
	}
}

func (c *Clerk) deleteRole(from origin, id string) (*role, *apiError) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.roles.byID[id]
	if r == nil {
		return nil, errNoRole("")
	}
	switch {
	case r.key == adminKey:
		return nil, errRoleCreates()
	case r.key == memberKey:
		return nil, errRoleOfDomains()
	case slices.ContainsFunc(c.memberships.all, func(m *membership) bool { return m.roleID == id }):
		return nil, errRoleHeld()
	case slices.ContainsFunc(c.orgInvitations.all, func(i *orgInvitation) bool { return i.roleID == id }):
		return nil, errRoleInvited()
	}
	c.roles.remove(r)
	c.announce("role.deleted", from, &r.head, func(w *writer) {
		w.open("data", '{').str("object", "role").str("id", r.id).raw("slug", "null").flag("deleted", true).close('}')
	})
	return r, nil
}

func (c *Clerk) announceRole(eventType string, from origin, r *role) {
	c.announce(eventType, from, &r.head, func(w *writer) { c.role(w, "data", r) })
}

// role writes a role with its permissions. The caller holds mu.
func (c *Clerk) role(w *writer, name string, r *role) {
	w.open(name, '{').str("object", "role").str("id", r.id).str("name", r.name).str("key", r.key).strOrNull("description", r.description)
	w.flag("is_creator_eligible", r.creates).open("permissions", '[')
	for _, id := range r.permissions {
		w.permission("", c.permissions.byID[id])
	}
	w.close(']').num("created_at", r.createdAt).num("updated_at", r.updatedAt).close('}')
}
