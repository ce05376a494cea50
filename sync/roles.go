package sync

// roles describes the roles that members of organizations can have, each with its permissions.
var roles = &kind{
	name:     Roles,
	singular: "role",
	resource: "organizations",
	prefix:   "role_",
	events:   events{"role", []string{"created", "updated"}},
	list:     list{path: "/organization_roles"},
	ask:      byID("/organization_roles"),
	columns: []column{
		{"name", text, textMember("name")},
		{"key", text, textMember("key")},
		{"description", text, textMember("description")},
		{"permissions", document, keysOf("permissions")},
		{"is_creator_eligible", boolean, boolMember("is_creator_eligible")},
		{"created_at", instant, timeMember("created_at")},
		{"updated_at", instant, timeMember("updated_at")},
	},
	projected: []projected{
		{"created_at", projectInt("created_at")},
		{"description", projectText("description")},
		{"id", projectText("id")},
		{"is_creator_eligible", projectBool("is_creator_eligible")},
		{"key", projectText("key")},
		{"name", projectText("name")},
		{"permissions", projectKeys("permissions")},
	},
}
