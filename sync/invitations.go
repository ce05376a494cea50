package sync

import "net/url"

// invitations describes invitations to the application itself. Clerk has no GET for one by its id, and its list leaves revoked
// ones out unless they are asked for.
var invitations = &kind{
	name:     Invitations,
	singular: "invitation",
	resource: "invitations",
	prefix:   "inv_",
	events:   events{"invitation", []string{"created", "accepted", "revoked"}},
	list: list{
		path: "/invitations", query: url.Values{"paginated": {"true"}}, rows: "coalesce(status, '') <> 'revoked'",
		aside: url.Values{"status": {"revoked"}},
	},
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

	addressee: "email_address",
}
