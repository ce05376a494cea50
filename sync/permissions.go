package sync

// permissions describes what roles consist of: Clerk's own and the team's.
var permissions = &kind{
	name:     Permissions,
	singular: "permission",
	resource: "organizations",
	prefix:   "perm_",
	events:   events{"permission", []string{"created", "updated"}},
	list:     list{path: "/organization_permissions"},
	ask:      byID("/organization_permissions"),
	columns: []column{
		{"name", text, textMember("name")},
		{"key", text, textMember("key")},
		{"description", text, textMember("description")},
		{"type", text, textMember("type")},
		{"created_at", instant, timeMember("created_at")},
		{"updated_at", instant, timeMember("updated_at")},
	},
	projected: []projected{
		{"created_at", projectInt("created_at")},
		{"description", projectText("description")},
		{"id", projectText("id")},
		{"key", projectText("key")},
		{"name", projectText("name")},
		{"type", projectText("type")},
	},
}
