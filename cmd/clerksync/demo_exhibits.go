package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// The comparison shares no code with what it judges: it reads the emulator's JSON by itself, and the mirror as an application would,
// through its views.

// exhibit is a kind of objects as Clerk tells it and as an application sees it.
type exhibit struct {
	resource string // the emulator's name
	unlisted string // in SQL: the rows that Clerk's list leaves out
	from     string // the mirror's rows
	facets   []facet
}

const (
	allListed     = "1 = 0"
	allButRevoked = "status = 'revoked'"
	noneListed    = "1 = 1" // webhooks alone tell of them
)

// hides reports whether Clerk's list leaves an object out.
func (e exhibit) hides(o map[string]any) bool {
	return e.unlisted == noneListed || e.unlisted == allButRevoked && o["status"] == "revoked"
}

// facet is a column and what Clerk tells there.
type facet struct {
	column string
	clerks func(o map[string]any) any
	ours   func(column any) any
}

var exhibits = []exhibit{
	{"users", allListed, "{active_users}", []facet{
		textual("external_id"), textual("username"), textual("first_name"), textual("last_name"), textual("image_url"),
		{"email", primary("primary_email_address_id", "email_addresses", "email_address"), asText},
		{"phone", primary("primary_phone_number_id", "phone_numbers", "phone_number"), asText},
		documented("public_metadata"), documented("unsafe_metadata"), yesOrNo("banned"), yesOrNo("locked"),
		numeric("created_at"), numeric("updated_at"), numeric("last_sign_in_at"), numeric("last_active_at"),
	}},
	{"organizations", allListed, "{active_organizations}", []facet{
		textual("name"), textual("slug"), textual("image_url"), textual("created_by"),
		numeric("max_allowed_memberships"), yesOrNo("admin_delete_enabled"), documented("public_metadata"), numeric("created_at"), numeric("updated_at"),
	}},
	{"organization_memberships", allListed, "{active_organization_memberships}", []facet{
		{"organization_id", member("organization", "id"), asText}, {"user_id", member("public_user_data", "user_id"), asText},
		textual("role"), textual("role_name"), documented("permissions"), documented("public_metadata"),
		numeric("created_at"), numeric("updated_at"),
	}},
	{"organization_invitations", allListed, "{active_organization_invitations}", []facet{
		textual("organization_id"), textual("email_address"), textual("role"), textual("role_name"), textual("status"),
		documented("public_metadata"), numeric("expires_at"), numeric("created_at"), numeric("updated_at"),
	}},
	{"invitations", allButRevoked, "{active_invitations}", []facet{
		textual("email_address"), textual("status"), documented("public_metadata"), numeric("expires_at"),
		numeric("created_at"), numeric("updated_at"),
	}},
	{"sessions", noneListed, `(SELECT * FROM {sessions} AS s WHERE deleted_at IS NULL
AND NOT EXISTS (SELECT 1 FROM {users} AS u WHERE u.id = s.user_id AND u.deleted_at IS NOT NULL)) AS shown`, []facet{
		textual("user_id"), textual("client_id"), textual("status"), documented("actor"), textual("last_active_organization_id"),
		place("device_type"), place("browser_name"), place("browser_version"), place("city"), place("country"),
		numeric("expire_at"), numeric("abandon_at"), numeric("created_at"), numeric("updated_at"),
	}},
	{"organization_domains", allListed, "{active_organization_domains}", []facet{
		textual("organization_id"), textual("name"), textual("enrollment_mode"),
		{"verification_status", member("verification", "status"), asText}, numeric("created_at"), numeric("updated_at"),
	}},
	{"organization_roles", allListed, "{active_roles}", []facet{
		textual("name"), textual("key"), textual("description"), {"permissions", keys("permissions"), asDocument},
		yesOrNo("is_creator_eligible"), numeric("created_at"), numeric("updated_at"),
	}},
	{"organization_permissions", allListed, "{active_permissions}", []facet{
		textual("name"), textual("key"), textual("description"), textual("type"), numeric("created_at"), numeric("updated_at"),
	}},
}

func textual(name string) facet    { return facet{name, member(name), asText} }
func documented(name string) facet { return facet{name, member(name), asDocument} }
func yesOrNo(name string) facet    { return facet{name, member(name), asFlag} }
func numeric(name string) facet    { return facet{name, member(name), asNumber} } // also an instant
func place(name string) facet      { return facet{name, member("latest_activity", name), asText} }

// member finds a value by its path.
func member(path ...string) func(map[string]any) any {
	return func(o map[string]any) any {
		for _, name := range path[:len(path)-1] {
			o, _ = o[name].(map[string]any)
		}
		return o[path[len(path)-1]]
	}
}

// primary finds the value of the contact that a user names as the primary one.
func primary(id, list, value string) func(map[string]any) any {
	return func(o map[string]any) any {
		contacts, _ := o[list].([]any)
		for _, c := range contacts {
			if contact, _ := c.(map[string]any); o[id] != nil && contact["id"] == o[id] {
				return contact[value]
			}
		}
		return nil
	}
}

// keys lists the member "key" of each object in a list, in the order of the alphabet.
func keys(list string) func(map[string]any) any {
	return func(o map[string]any) any {
		objects, _ := o[list].([]any)
		all := make([]any, len(objects))
		for i := range objects {
			object, _ := objects[i].(map[string]any)
			all[i] = object["key"]
		}
		slices.SortFunc(all, func(a, b any) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
		return all
	}
}

// What the databases' drivers return, as encoding/json would: each has types of its own.

func asText(v any) any {
	if b, ok := v.([]byte); ok {
		return string(b)
	}
	return v
}

func asNumber(v any) any {
	switch v := v.(type) {
	case int64:
		return float64(v)
	case time.Time:
		return float64(v.UnixMilli())
	}
	return v
}

func asFlag(v any) any {
	if n, ok := v.(int64); ok {
		return n != 0
	}
	return v
}

func asDocument(v any) any {
	s, ok := asText(v).(string)
	if !ok {
		return v
	}
	var document any
	if json.Unmarshal([]byte(s), &document) != nil {
		return s
	}
	return document
}
