package clerktest

import (
	"fmt"
	"strconv"
)

// generate makes what exists at the start: Clerk's own roles and permissions,
// and what the configuration asks for. Nothing of it is announced.
func (c *Clerk) generate() {
	c.generateRoles()
	c.generateOrganizations()
	c.generateInvitations()
}

// Clerk's system permissions: those every member has come first.
var systemPermissions = []struct{ key, name string }{
	{"org:sys_memberships:read", "Read members"}, {"org:sys_billing:read", "Read billing"},
	{"org:sys_memberships:manage", "Manage members"}, {"org:sys_billing:manage", "Manage billing"},
	{"org:sys_profile:manage", "Manage organization"}, {"org:sys_profile:delete", "Delete organization"},
	{"org:sys_domains:read", "Read domains"}, {"org:sys_domains:manage", "Manage domains"},
}

func (c *Clerk) generateRoles() {
	var all []string
	for _, p := range systemPermissions {
		row := &permission{head: c.newHeadAt(kindPermission, c.store.pop.first), key: p.key, name: p.name, description: p.name, system: true}
		c.permissions.put(row)
		all = append(all, row.id)
	}
	c.roles.put(&role{head: c.newHeadAt(kindRole, c.store.pop.first), key: adminKey, name: "Admin", permissions: all, creates: true,
		description: new("Role with elevated permissions")})
	c.roles.put(&role{head: c.newHeadAt(kindRole, c.store.pop.first), key: memberKey, name: "Member", permissions: all[:2],
		description: new("Role with non-elevated permissions")})
}

var companies = []string{"GmbH & Co. KG", "Inc.", "株式会社", "& Sons", "Ltd", "S.A.", "Labs \"R&D\"", "Кооператив"}

// spread returns an instant for the i-th of n, never decreasing; every fourth
// shares its neighbour's.
func (p *population) spread(i, n int) int64 {
	if i%4 == 3 {
		i--
	}
	return p.first + int64(i)*(span.Milliseconds()/int64(n))
}

func (c *Clerk) generateOrganizations() {
	n, members, pop := c.config.Organizations, c.config.Members, c.store.pop
	admin, member := c.roles.first(adminKey).id, c.roles.first(memberKey).id
	var organizations []*organization
	memberships := make([]*membership, 0, n*members)
	for i := range n {
		o := &organization{head: c.newHeadAt(kindOrganization, pop.spread(i, n)), adminDelete: true}
		o.name = pick(pop, int64(i), traitLastName, lastNames) + " " + pick(pop, int64(i), traitHandle, companies)
		o.slug = "organization-" + strconv.FormatInt(int64(i), 36)
		o.imageURL = defaultImage(pop.instance, o.id)
		if pop.one(int64(i), traitPublic, 3) {
			o.public, o.private = fmt.Appendf(nil, `{"tier":%d}`, i%5), []byte(`{"crm":"x-1"}`)
		}
		for j := range members {
			seq := (int64(i)*int64(members) + int64(j)) % pop.n
			m := &membership{orgID: o.id, roleID: member, userID: pop.ids.id(kindUser, 0, seq, pop.createdAt(seq))}
			m.head = c.newHeadAt(kindMembership, min(max(o.createdAt, pop.createdAt(seq))+int64(j), pop.first+span.Milliseconds()))
			if j == 0 {
				o.createdBy, m.roleID = m.userID, admin
			}
			memberships = append(memberships, m)
		}
		organizations = append(organizations, o)
	}
	c.organizations.fill(organizations)
	c.memberships.fill(memberships)
}

// generateInvitations makes invitations to addresses that nobody has, of every
// status.
func (c *Clerk) generateInvitations() {
	n, pop := c.config.Invitations, c.store.pop
	var invitations []*invitation
	var toOrganizations []*orgInvitation
	for i := range n {
		t := func(k kind, address string) ticket {
			t := c.newTicket(k, pop.spread(i, n))
			t.email, t.expiresAt = fmt.Sprintf("%s.%d@invited.example.com", address, i), t.createdAt+invitationDays*day
			t.status = []string{"pending", "accepted", "revoked", "pending"}[i%4]
			if i%4 == 3 { // still open
				t.expiresAt = pop.first + span.Milliseconds() + 10*365*day
			}
			return t
		}
		invitations = append(invitations, &invitation{t(kindInvitation, "guest")})
		if orgs := c.organizations.all; len(orgs) > 0 {
			toOrganizations = append(toOrganizations, &orgInvitation{ticket: t(kindOrgInvitation, "member"), orgID: orgs[i%len(orgs)].id,
				roleID: c.roles.first(memberKey).id})
		}
	}
	c.invitations.fill(invitations)
	c.orgInvitations.fill(toOrganizations)
}
