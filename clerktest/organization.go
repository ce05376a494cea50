package clerktest

import (
	"slices"
	"strconv"
	"strings"
)

// organization is one state of an organization.
type organization struct {
	head
	name, slug, imageURL string
	createdBy            string // id of a user who may be gone; "" for none
	maxMembers           int64  // 0 does not limit
	adminDelete          bool
	public, private      []byte
}

func slugGroup(slug string) string { return "slug " + slug }

func (o *organization) groups() []string { return []string{slugGroup(o.slug)} }

// organizationParams are the members of an organization that can be written.
var organizationParams = []string{"name", "slug", "created_by", "max_allowed_memberships", "admin_delete_enabled", "created_at", "role_set_key",
	"public_metadata", "private_metadata"}

// CreateOrganization creates an organization like POST /v1/organizations and
// announces it. The user that "created_by" names becomes its first member, an
// admin. Beyond that endpoint it takes created_at and updated_at in
// milliseconds.
func (c *Clerk) CreateOrganization(fields Fields) (id string, err error) {
	f, err := goForm(fields, organizationParams...)
	if err != nil {
		return "", err
	}
	return made(c.createOrganization(fromGo, f))
}

// UpdateOrganization changes an organization like PATCH
// /v1/organizations/{id}, its metadata too, and announces it. Beyond that
// endpoint it takes created_at and updated_at in milliseconds.
func (c *Clerk) UpdateOrganization(id string, fields Fields) error {
	f, err := goForm(fields, organizationParams...)
	if err != nil {
		return err
	}
	return failed(c.updateOrganization(fromGo, id, f, false))
}

// MergeOrganizationMetadata merges metadata like PATCH
// /v1/organizations/{id}/metadata.
func (c *Clerk) MergeOrganizationMetadata(id string, fields Fields) error {
	f, err := goForm(fields, "public_metadata", "private_metadata")
	if err != nil {
		return err
	}
	return failed(c.updateOrganization(fromGo, id, f, true))
}

// DeleteOrganization deletes an organization with its memberships, domains and
// invitations. The memberships and domains are announced as far as
// Faults.SilentCascade lets them, the invitations never.
func (c *Clerk) DeleteOrganization(id string) error {
	return failed(c.deleteOrganization(fromGo, id))
}

func (c *Clerk) createOrganization(from origin, f *form) (*organization, *apiError) {
	c.mu.Lock()
	defer c.mu.Unlock()
	o := &organization{head: c.newHead(kindOrganization), adminDelete: true}
	f.need("name")
	f.text("created_by", &o.createdBy)
	c.readOrganization(f, o, false)
	creator := c.store.byID(o.createdBy)
	f.check(o.createdBy == "" || creator != nil, errNoCreator(o.createdBy))
	if f.err != nil {
		return nil, f.err
	}
	if o.slug == "" {
		o.slug = c.freeSlug(o.name)
	}
	o.imageURL = defaultImage(c.config.InstanceID, o.id)
	c.organizations.put(o)
	if creator == nil {
		c.announce("organization.created", from, &o.head, func(w *writer) { c.organization(w, "data", o, counted) })
		return o, nil
	}
	m := &membership{head: c.newHead(kindMembership), orgID: o.id, userID: creator.id, roleID: c.roles.first(adminKey).id}
	c.memberships.put(m)
	c.announce("organization.created", from, &o.head, func(w *writer) { c.organization(w, "data", o, counted) })
	c.announceMembership("organizationMembership.created", from, m)
	return o, nil
}

// readOrganization reads what creating and changing share.
func (c *Clerk) readOrganization(f *form, o *organization, merge bool) {
	if f.text("name", &o.name) {
		f.check(o.name != "", errMissingParam("name"))
		f.check(f.trustful || len([]rune(o.name)) <= 256, errTooLong("name", 256))
	}
	if f.text("slug", &o.slug) && o.slug != "" {
		f.check(spelled(o.slug, "-"), errFormat("slug", "lowercase alphanumeric characters and dashes"))
		other := c.organizations.first(slugGroup(o.slug))
		f.check(other == nil || other.id == o.id, errTaken("slug"))
	}
	if f.num("max_allowed_memberships", &o.maxMembers) {
		f.check(o.maxMembers >= 0, errValue("max_allowed_memberships", strconv.FormatInt(o.maxMembers, 10)))
	}
	f.flag("admin_delete_enabled", &o.adminDelete)
	f.metadata("public_metadata", &o.public, merge)
	f.metadata("private_metadata", &o.private, merge)
	f.times(&o.head)
}

// freeSlug makes a slug of a name.
func (c *Clerk) freeSlug(name string) string {
	slug := strings.Trim(strings.Map(func(r rune) rune {
		if r < 0x80 && spelled(string(r), "") {
			return r
		}
		return '-'
	}, strings.ToLower(name)), "-")
	if slug == "" || c.organizations.first(slugGroup(slug)) != nil {
		c.serial++
		slug = strings.Trim(slug+"-"+strconv.FormatInt(c.serial, 36), "-")
	}
	return slug
}

func (c *Clerk) updateOrganization(from origin, id string, f *form, merge bool) (*organization, *apiError) {
	c.mu.Lock()
	defer c.mu.Unlock()
	old := c.organizations.byID[id]
	if old == nil {
		return nil, errNoOrganization()
	}
	o := *old
	o.updatedAt = c.later(&old.head)
	if c.readOrganization(f, &o, merge); o.slug == "" {
		o.slug = old.slug
	}
	if f.err != nil {
		return nil, f.err
	}
	c.organizations.put(&o)
	c.announce("organization.updated", from, &o.head, func(w *writer) { c.organization(w, "data", &o, counted) })
	return &o, nil
}

func (c *Clerk) deleteOrganization(from origin, id string) (*organization, *apiError) {
	c.mu.Lock()
	defer c.mu.Unlock()
	o := c.organizations.byID[id]
	if o == nil {
		return nil, errNoOrganization()
	}
	c.endMemberships(from, c.memberships.group(id))
	c.endDomains(from, c.domains.group(id))
	c.orgInvitations.removeAll(slices.Clone(c.orgInvitations.group(id)))
	c.leaveSessions(id)
	c.organizations.remove(o)
	c.announce("organization.deleted", from, &o.head, func(w *writer) { w.gone("data", "organization", id, &o.slug) })
	return o, nil
}

// counts says which optional members of an organization are told.
type counts struct{ members, missing bool }

var counted = counts{members: true, missing: true}

// organization writes an organization: the Backend API tells the counts only
// when asked, webhooks always. The caller holds mu.
func (c *Clerk) organization(w *writer, name string, o *organization, with counts) {
	w.open(name, '{').str("object", "organization").str("id", o.id).str("name", o.name).str("slug", o.slug)
	w.str("image_url", o.imageURL).flag("has_image", false)
	if with.members {
		w.num("members_count", int64(len(c.memberships.group(o.id)))).num("pending_invitations_count", c.pending(o.id))
	}
	if with.missing {
		w.flag("missing_member_with_elevated_permissions", !c.hasAdmin(o.id))
	}
	w.num("max_allowed_memberships", o.maxMembers).flag("admin_delete_enabled", o.adminDelete)
	w.object("public_metadata", o.public).object("private_metadata", o.private)
	if o.createdBy != "" {
		w.str("created_by", o.createdBy)
	}
	if w.num("created_at", o.createdAt).num("updated_at", o.updatedAt); !w.webhook {
		w.raw("role_set_key", "null")
	}
	w.close('}')
}

// publicOrganization writes what invitations and domains tell about theirs.
func (c *Clerk) publicOrganization(w *writer, id string) {
	o := c.organizations.byID[id]
	w.open("public_organization_data", '{').str("id", o.id).str("name", o.name).str("slug", o.slug)
	w.str("image_url", o.imageURL).flag("has_image", false).close('}')
}

// pending counts the invitations that are still open.
func (c *Clerk) pending(organizationID string) (n int64) {
	now := c.nowMilli()
	for _, i := range c.orgInvitations.group(organizationID) {
		if i.statusAt(now) == "pending" {
			n++
		}
	}
	return n
}

func (c *Clerk) hasAdmin(organizationID string) bool {
	admin := c.roles.first(adminKey)
	return admin != nil && len(c.memberships.group(pairGroup(organizationID, admin.id))) > 0
}
