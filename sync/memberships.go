package sync

import "net/url"

// organizationMemberships describes who belongs to which organization. Clerk sends the whole organization and a part of the user
// along; both are mirrored as themselves, so only their ids are kept here. Clerk has no GET for a membership by its id.
var organizationMemberships = &kind{
	name:     OrganizationMemberships,
	singular: "organization_membership",
	resource: "memberships",
	prefix:   "orgmem_",
	events:   events{"organizationMembership", []string{"created", "updated"}},
	list:     list{path: "/organization_memberships"},
	keys:     []string{"organization_id", "user_id"},
	ask: func(_ string, row map[string]string) []question {
		return []question{{
			endpoint: "/organizations/{id}/memberships", path: "/organizations/" + url.PathEscape(row["organization_id"]) + "/memberships",
			query: url.Values{"user_id": {row["user_id"]}, "limit": {"100"}}, list: true,
		}}
	},
	columns: []column{
		{"organization_id", text, nestedID("organization", "id")},
		{"user_id", text, nestedID("public_user_data", "user_id")},
		{"role", text, textMember("role")},
		{"role_name", text, textMember("role_name")},
		{"permissions", document, listMember("permissions")},
		{"public_metadata", document, freeMember("public_metadata")},
		{"private_metadata", document, freeMember("private_metadata")},
		{"created_at", instant, timeMember("created_at")},
		{"updated_at", instant, timeMember("updated_at")},
	},
	projected: []projected{
		{"created_at", projectInt("created_at")},
		{"id", projectText("id")},
		{"organization_id", projectNested("organization", "id")},
		{"permissions", projectTexts("permissions")},
		{"private_metadata", projectFree("private_metadata")},
		{"public_metadata", projectFree("public_metadata")},
		{"role", projectText("role")},
		{"user_id", projectNested("public_user_data", "user_id")},
	},
	free:     []string{"public_metadata", "private_metadata"},
	private:  []string{"private_metadata"},
	ids:      []named{{"organization", "id"}, {"public_user_data", "user_id"}},
	revision: 2, // before it, both were kept whole
	shared:   []string{"role", "role_name", "permissions"},
	parents:  []parent{{Organizations, "organization_id"}, {Users, "user_id"}},
}
