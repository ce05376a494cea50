package sync

import "net/url"

// organizationDomains describes the e-mail domains that organizations claim. Clerk has no GET for one by its id. "verification" is
// the name that affiliation_verification had first; events carry the one, and Clerk announces that it will leave it out of lists.
var organizationDomains = &kind{
	name:     OrganizationDomains,
	singular: "organization_domain",
	resource: "organizations",
	prefix:   "orgdmn_",
	events:   events{"organizationDomain", []string{"created", "updated"}},
	list:     list{path: "/organization_domains"},
	keys:     []string{"organization_id", "name"},
	ask: func(_ string, row map[string]string) []question {
		ofOrganization := question{ // it answers 404 where the organization is gone, which proves nothing about its domains
			endpoint: "/organizations/{id}/domains", path: "/organizations/" + url.PathEscape(row["organization_id"]) + "/domains",
			query: url.Values{"limit": {"500"}}, list: true,
		}
		exact := question{
			endpoint: "/organization_domains", path: "/organization_domains", list: true,
			query: url.Values{"organization_id": {row["organization_id"]}, "domains": {row["name"]}, "limit": {"100"}},
		}
		return []question{ofOrganization, exact}
	},
	columns: []column{
		{"organization_id", text, idMember("organization_id")},
		{"name", text, textMember("name")},
		{"enrollment_mode", text, textMember("enrollment_mode")},
		{"verification_status", text, func(o *object) []byte { return textColumn(o.affiliation()) }},
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
		{"verification", func(dst []byte, o *object) []byte { return appendCanonicalText(dst, o.affiliation()) }},
	},
	omitted:  []string{"public_organization_data", "affiliation_email_address"},
	revision: 1, // before it, who verified was kept
	parents:  []parent{{Organizations, "organization_id"}},
}

// affiliation is the status of a domain's verification.
func (o *object) affiliation() []byte {
	if v := o.member("affiliation_verification"); v != nil {
		return member(v, "status")
	}
	return member(o.member("verification"), "status")
}
