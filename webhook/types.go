package webhook

import (
	"strings"

	clerksync "github.com/clerksync/clerksync/sync"
)

// telling is one thing that a type of event tells: about an object of which kind, and how.
type telling struct {
	kind clerksync.Kind
	how  how
}

type how int

const (
	whole how = iota // data is the whole object
	gone             // the object with the id of data is gone
	user             // data.user is the whole user; it may be missing
)

// types says what Clerk's events tell; an entry with * stands for the types that have none of their own. An event of any other
// type is kept as ignored, without its body: there are some 45 documented types, the documents disagree, and Clerk adds more.
//
// A session tells about its user whatever becomes of itself: signing in moves last_sign_in_at, and no end of a session is the
// end of a user. An event about a deleted membership carries the whole membership; like any deletion it counts by its id alone.
var types = map[string][]telling{
	"user.created": {{clerksync.Users, whole}},
	"user.updated": {{clerksync.Users, whole}},
	"user.deleted": {{clerksync.Users, gone}},

	"session.*": {{clerksync.Sessions, whole}, {clerksync.Users, user}},

	"organization.created": {{clerksync.Organizations, whole}},
	"organization.updated": {{clerksync.Organizations, whole}},
	"organization.deleted": {{clerksync.Organizations, gone}},

	"organizationMembership.created": {{clerksync.OrganizationMemberships, whole}},
	"organizationMembership.updated": {{clerksync.OrganizationMemberships, whole}},
	"organizationMembership.deleted": {{clerksync.OrganizationMemberships, gone}},

	"organizationInvitation.created":  {{clerksync.OrganizationInvitations, whole}},
	"organizationInvitation.accepted": {{clerksync.OrganizationInvitations, whole}},
	"organizationInvitation.revoked":  {{clerksync.OrganizationInvitations, whole}},

	"invitation.created":  {{clerksync.Invitations, whole}},
	"invitation.accepted": {{clerksync.Invitations, whole}},
	"invitation.revoked":  {{clerksync.Invitations, whole}},

	"organizationDomain.created": {{clerksync.OrganizationDomains, whole}},
	"organizationDomain.updated": {{clerksync.OrganizationDomains, whole}},
	"organizationDomain.deleted": {{clerksync.OrganizationDomains, gone}},

	"role.created": {{clerksync.Roles, whole}},
	"role.updated": {{clerksync.Roles, whole}},
	"role.deleted": {{clerksync.Roles, gone}},

	"permission.created": {{clerksync.Permissions, whole}},
	"permission.updated": {{clerksync.Permissions, whole}},
	"permission.deleted": {{clerksync.Permissions, gone}},
}

func tellings(typ string) []telling {
	if t, ok := types[typ]; ok {
		return t
	}
	object, _, dotted := strings.Cut(typ, ".")
	if !dotted {
		return nil
	}
	return types[object+".*"]
}
