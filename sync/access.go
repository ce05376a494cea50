package sync

// organizationDomains, roles and permissions describe what organizations are made of. They are few and rarely change; their events
// feed them.
var (
	organizationDomains = &kind{
		name:     OrganizationDomains,
		singular: "organization_domain",
		columns: []column{
			{"organization_id", text, idMember("organization_id")},
			{"name", text, textMember("name")},
			{"enrollment_mode", text, textMember("enrollment_mode")},
			{"verification_status", text, nestedText("verification", "status")},
			{"created_at", instant, timeMember("created_at")},
			{"updated_at", instant, timeMember("updated_at")},
		},
		projected: []projected{
			{"affiliation_email_address", projectText("affiliation_email_address")},
			{"created_at", projectInt("created_at")},
			{"enrollment_mode", projectText("enrollment_mode")},
			{"id", projectText("id")},
			{"name", projectText("name")},
			{"organization_id", projectText("organization_id")},
			{"verification", projectNested("verification", "status")},
		},
		omitted: []string{"public_organization_data"},
		parents: []parent{{Organizations, "organization_id"}},
	}

	roles = &kind{
		name:     Roles,
		singular: "role",
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

	permissions = &kind{
		name:     Permissions,
		singular: "permission",
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
)
