package sync

import "net/url"

// organizationInvitations describes invitations to an organization. Their url holds the token that accepts them: it is never
// stored. Clerk tells the user who accepted in some places only, so that is not projected.
var organizationInvitations = &kind{
	name:     OrganizationInvitations,
	singular: "organization_invitation",
	resource: "invitations",
	prefix:   "orginv_",
	events:   events{"organizationInvitation", []string{"created", "accepted", "revoked"}},
	list:     list{path: "/organization_invitations"},
	keys:     []string{"organization_id"},
	ask: func(id string, row map[string]string) []question {
		return []question{{
			endpoint: "/organizations/{id}/invitations/{id}",
			path:     "/organizations/" + url.PathEscape(row["organization_id"]) + "/invitations/" + url.PathEscape(id),
		}}
	},
	columns: []column{
		{"organization_id", text, idMember("organization_id")},
		{"user_id", text, idMember("user_id")},
		{"email_address", text, textMember("email_address")},
		{"role", text, textMember("role")},
		{"role_name", text, textMember("role_name")},
		{"status", text, textMember("status")},
		{"public_metadata", document, freeMember("public_metadata")},
		{"private_metadata", document, freeMember("private_metadata")},
		{"expires_at", instant, timeMember("expires_at")},
		{"created_at", instant, timeMember("created_at")},
		{"updated_at", instant, timeMember("updated_at")},
	},
	projected: []projected{
		{"created_at", projectInt("created_at")},
		{"email_address", projectText("email_address")},
		{"id", projectText("id")},
		{"organization_id", projectText("organization_id")},
		{"private_metadata", projectFree("private_metadata")},
		{"public_metadata", projectFree("public_metadata")},
		{"role", projectText("role")},
		{"status", projectText("status")},
	},
	free:     []string{"public_metadata", "private_metadata"},
	private:  []string{"private_metadata"},
	omitted:  []string{"url", "token", "ticket", "public_organization_data", "public_inviter_data"},
	revision: 1, // before it, who invited was kept
	shared:   []string{"role", "role_name"},
	parents:  []parent{{Organizations, "organization_id"}},

	invited:   "user_id",
	addressee: "email_address",
}
