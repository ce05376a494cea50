package sync

import "net/url"

var withMembers = url.Values{"include_members_count": {"true"}}

// organizations describes Clerk's organizations. Their counts of members and invitations move with every membership, so they are
// mirrored but not projected; lists leave them out unless they are asked for.
var organizations = &kind{
	name:     Organizations,
	singular: "organization",
	resource: "organizations",
	prefix:   "org_",
	events:   events{"organization", []string{"created", "updated"}},
	list:     list{path: "/organizations", query: withMembers, idParam: "organization_id"},
	ask: func(id string, _ map[string]string) []question {
		q := byID("/organizations")(id, nil)
		q[0].query = withMembers
		return q
	},
	columns: []column{
		{"name", text, textMember("name")},
		{"slug", text, textMember("slug")},
		{"image_url", text, textMember("image_url")},
		{"created_by", text, textMember("created_by")},
		{"members_count", integer, intMember("members_count")},
		{"pending_invitations_count", integer, intMember("pending_invitations_count")},
		{"max_allowed_memberships", integer, intMember("max_allowed_memberships")},
		{"admin_delete_enabled", boolean, boolMember("admin_delete_enabled")},
		{"public_metadata", document, freeMember("public_metadata")},
		{"private_metadata", document, freeMember("private_metadata")},
		{"created_at", instant, timeMember("created_at")},
		{"updated_at", instant, timeMember("updated_at")},
	},
	projected: []projected{
		{"admin_delete_enabled", projectBool("admin_delete_enabled")},
		{"created_at", projectInt("created_at")},
		{"created_by", projectText("created_by")},
		{"id", projectText("id")},
		{"image_url", projectText("image_url")},
		{"max_allowed_memberships", projectInt("max_allowed_memberships")},
		{"name", projectText("name")},
		{"private_metadata", projectFree("private_metadata")},
		{"public_metadata", projectFree("public_metadata")},
		{"slug", projectText("slug")},
	},
	free:    []string{"public_metadata", "private_metadata"},
	private: []string{"private_metadata"},
}
