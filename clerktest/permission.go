package clerktest

import (
	"slices"
	"strings"
)

// permission is one state of a permission that roles consist of.
type permission struct {
	head
	key, name, description string
	system                 bool // Clerk's own, which cannot be changed
}

func (p *permission) groups() []string { return []string{p.key} }

const systemPrefix = "org:sys_"

// CreatePermission creates a permission like POST /v1/organization_permissions,
// announces it, and returns its id.
func (c *Clerk) CreatePermission(fields Fields) (id string, err error) {
	f, err := goForm(fields, permissionParams...)
	if err != nil {
		return "", err
	}
	return made(c.createPermission(fromGo, f))
}

// UpdatePermission changes a permission like PATCH
// /v1/organization_permissions/{id} and announces it.
func (c *Clerk) UpdatePermission(id string, fields Fields) error {
	f, err := goForm(fields, permissionParams...)
	if err != nil {
		return err
	}
	return failed(c.updatePermission(fromGo, id, f))
}

// DeletePermission deletes a permission, also from the roles that have it, and
// announces it.
func (c *Clerk) DeletePermission(id string) error { return failed(c.deletePermission(fromGo, id)) }

var permissionParams = []string{"name", "key", "description"}

func (c *Clerk) createPermission(from origin, f *form) (*permission, *apiError) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := &permission{head: c.newHead(kindPermission)}
	f.need("name", "key")
	if c.readPermission(f, p); f.err != nil {
		return nil, f.err
	}
	c.permissions.put(p)
	c.announcePermission("permission.created", from, p)
	return p, nil
}

func (c *Clerk) readPermission(f *form, p *permission) {
	f.text("name", &p.name)
	if f.text("key", &p.key) {
		parts := strings.Split(p.key, ":")
		ok := len(parts) == 3 && parts[0] == "org" && spelled(parts[1], "_") && spelled(parts[2], "_") && !strings.HasPrefix(p.key, systemPrefix)
		f.check(ok, errFormat("key", "of the format org:feature:action"))
		other := c.permissions.first(p.key)
		f.check(other == nil || other.id == p.id, errTaken("key"))
	}
	f.text("description", &p.description)
	f.times(&p.head)
}

func (c *Clerk) findPermission(id string) (*permission, *apiError) {
	p := c.permissions.byID[id]
	switch {
	case p == nil:
		return nil, errNone("permission", id)
	case p.system:
		return nil, errSystemPermission()
	}
	return p, nil
}

func (c *Clerk) updatePermission(from origin, id string, f *form) (*permission, *apiError) {
	c.mu.Lock()
	defer c.mu.Unlock()
	old, err := c.findPermission(id)
	if err != nil {
		return nil, err
	}
	p := *old
	p.updatedAt = c.later(&old.head)
	if c.readPermission(f, &p); f.err != nil {
		return nil, f.err
	}
	c.permissions.put(&p)
	c.announcePermission("permission.updated", from, &p)
	return &p, nil
}

func (c *Clerk) deletePermission(from origin, id string) (*permission, *apiError) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p, err := c.findPermission(id)
	if err != nil {
		return nil, err
	}
	for _, old := range slices.Clone(c.roles.all) {
		if at := slices.Index(old.permissions, id); at >= 0 {
			r := *old
			r.permissions = slices.Delete(slices.Clone(old.permissions), at, at+1)
			c.roles.put(&r)
		}
	}
	c.permissions.remove(p)
	c.announceGone("permission.deleted", from, &p.head, "permission")
	return p, nil
}

func (c *Clerk) announcePermission(eventType string, from origin, p *permission) {
	c.announce(eventType, from, &p.head, func(w *writer) { w.permission("data", p) })
}

func (w *writer) permission(name string, p *permission) {
	kind := "custom"
	if p.system {
		kind = "system"
	}
	w.open(name, '{').str("object", "permission").str("id", p.id).str("name", p.name).str("key", p.key).str("description", p.description)
	w.str("type", kind).num("created_at", p.createdAt).num("updated_at", p.updatedAt).close('}')
}
