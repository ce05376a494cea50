package sync

// users describes Clerk's users. Its members are those of the user object in Clerk's Backend API and webhooks; the volatile ones
// (last_sign_in_at, last_active_at, lockout counters, external accounts) are mirrored but not projected, since they move without
// anything having changed and a webhook tells them in another shape than a list.
var users = &kind{
	name:     Users,
	singular: "user",
	resource: "users",
	prefix:   "user_",
	events:   events{"user", []string{"created", "updated"}},
	list:     list{path: "/users", count: "/users/count", cursor: true, idParam: "user_id"},
	ask:      byID("/users"),
	columns: []column{
		{"external_id", text, textMember("external_id")},
		{"username", text, textMember("username")},
		{"first_name", text, textMember("first_name")},
		{"last_name", text, textMember("last_name")},
		{"email", text, emails.primaryValue},
		{"email_verified", boolean, emails.primaryVerified},
		{"phone", text, phones.primaryValue},
		{"image_url", text, textMember("image_url")},
		{"public_metadata", document, freeMember("public_metadata")},
		{"unsafe_metadata", document, freeMember("unsafe_metadata")},
		{"private_metadata", document, freeMember("private_metadata")},
		{"banned", boolean, boolMember("banned")},
		{"locked", boolean, boolMember("locked")},
		{"created_at", instant, timeMember("created_at")},
		{"updated_at", instant, timeMember("updated_at")},
		{"last_sign_in_at", instant, timeMember("last_sign_in_at")},
		{"last_active_at", instant, timeMember("last_active_at")},
	},
	projected: []projected{
		{"banned", projectBool("banned")},
		{"created_at", projectInt("created_at")},
		{"deprovisioned", projectBool("deprovisioned")},
		{"email_addresses", emails.project},
		{"external_id", projectText("external_id")},
		{"first_name", projectText("first_name")},
		{"id", projectText("id")},
		{"image_url", projectText("image_url")},
		{"last_name", projectText("last_name")},
		{"locked", projectBool("locked")},
		{"phone_numbers", phones.project},
		{"primary_email_address_id", projectText("primary_email_address_id")},
		{"primary_phone_number_id", projectText("primary_phone_number_id")},
		{"primary_web3_wallet_id", projectText("primary_web3_wallet_id")},
		{"private_metadata", projectFree("private_metadata")},
		{"public_metadata", projectFree("public_metadata")},
		{"two_factor_enabled", projectBool("two_factor_enabled")},
		{"unsafe_metadata", projectFree("unsafe_metadata")},
		{"username", projectText("username")},
		{"web3_wallets", wallets.project},
	},
	free:     []string{"public_metadata", "unsafe_metadata", "private_metadata"},
	private:  []string{"private_metadata"},
	codes:    []coded{{"phone_numbers", "backup_codes"}},
	revision: 1, // before it, those were kept
	addresses: func(o *object, proven bool) (all []string) {
		for _, c := range []contacts{emails, phones, wallets} {
			primary, _ := c.primaryOf(o)
			for _, one := range c.of(o) {
				if !proven || one.status == "verified" || one == primary {
					all = append(all, one.value)
				}
			}
		}
		return all
	},
}
