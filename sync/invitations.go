package sync

import "net/url"

// organizationInvitations describes invitations to an organization. Their url holds the token that accepts them: it is never
// stored. Clerk tells the user who accepted in some places only, so that is not projected.
var organizationInvitations = &kind{
	name:     OrganizationInvitations,
	singular: "organization_invitation",
	list:     list{path: "/organization_invitations"},
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
	free:    []string{"public_metadata", "private_metadata"},
	private: []string{"private_metadata"},
	omitted: []string{"url", "token", "ticket", "public_organization_data"},
	parents: []parent{{Organizations, "organization_id"}},
}

// invitations describes invitations to the application itself. Clerk has no GET for one by its id, and its list leaves revoked
// ones out unless they are asked for.
var invitations = &kind{
	name:     Invitations,
	singular: "invitation",
	list:     list{path: "/invitations", query: url.Values{"paginated": {"true"}}, rows: "coalesce(status, '') <> 'revoked'"},
	ask: func(id string, _ map[string]string) []question {
		q := question{endpoint: "/invitations", path: "/invitations", query: url.Values{"paginated": {"true"}, "query": {id}}, list: true}
		revoked := q
		revoked.query = url.Values{"paginated": {"true"}, "query": {id}, "status": {"revoked"}}
		return []question{q, revoked}
	},
	columns: []column{
		{"email_address", text, textMember("email_address")},
		{"status", text, textMember("status")},
		{"revoked", boolean, boolMember("revoked")},
		{"public_metadata", document, freeMember("public_metadata")},
		{"expires_at", instant, timeMember("expires_at")},
		{"created_at", instant, timeMember("created_at")},
		{"updated_at", instant, timeMember("updated_at")},
	},
	projected: []projected{
		{"created_at", projectInt("created_at")},
		{"email_address", projectText("email_address")},
		{"id", projectText("id")},
		{"public_metadata", projectFree("public_metadata")},
		{"status", projectText("status")},
	},
	free:    []string{"public_metadata"},
	omitted: []string{"url", "token", "ticket"},
}
