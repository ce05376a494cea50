package clerksync_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	clerksync "github.com/clerksync/clerksync/sync"
)

var everyKind = []clerksync.Kind{
	clerksync.Users, clerksync.Organizations, clerksync.OrganizationMemberships, clerksync.OrganizationInvitations, clerksync.Invitations,
	clerksync.Sessions, clerksync.OrganizationDomains, clerksync.Roles, clerksync.Permissions,
}

// resource is what is compared of a kind: which rows count as visible, and their columns. A column is followed by the member of
// Clerk's object that it shows if that has another name.
type resource struct {
	kind    clerksync.Kind
	visible string
	columns string
}

var (
	listedResources = []resource{
		{clerksync.Users, "id IN (SELECT id FROM {active_users})", `external_id username first_name last_name email=primary.email
			email_verified=primary.verified phone=primary.phone image_url public_metadata unsafe_metadata private_metadata banned locked _updated_at=updated_at`},
		{clerksync.Organizations, "id IN (SELECT id FROM {active_organizations})", `name slug image_url created_by max_allowed_memberships
			admin_delete_enabled public_metadata private_metadata _updated_at=updated_at`},
		{clerksync.OrganizationMemberships, "id IN (SELECT id FROM {active_organization_memberships})", `organization_id=organization.id
			user_id=public_user_data.user_id role role_name permissions public_metadata private_metadata _updated_at=updated_at`},
		{clerksync.OrganizationInvitations, "id IN (SELECT id FROM {active_organization_invitations})", `organization_id email_address role
			role_name status public_metadata private_metadata _updated_at=updated_at`},
		{clerksync.Invitations, "id IN (SELECT id FROM {active_invitations})", `email_address status public_metadata _updated_at=updated_at`},
		{clerksync.OrganizationDomains, "id IN (SELECT id FROM {active_organization_domains})", `organization_id name enrollment_mode
			verification_status=verification.status _updated_at=updated_at`},
		{clerksync.Roles, "id IN (SELECT id FROM {active_roles})", `name key description permissions is_creator_eligible
			_updated_at=updated_at`},
		{clerksync.Permissions, "id IN (SELECT id FROM {active_permissions})", `name key description type _updated_at=updated_at`},
	}
	// Clerk forgets the sessions of a deleted user, and so does the view: their rows belong to the log of sign-ins.
	sessionResource = resource{clerksync.Sessions, "deleted_at IS NULL AND user_id NOT IN (SELECT id FROM {users} WHERE deleted_at IS NOT NULL)",
		`user_id client_id status browser_name=latest_activity.browser_name country=latest_activity.country _updated_at=updated_at`}
)

// wantEqual compares what is visible in the mirror with what Clerk has, object by object.
func (w *world) wantEqual(when string, resources ...resource) {
	w.t.Helper()
	heard := w.heard()
	var differences []string
	for _, r := range resources {
		want, got := w.told(r), w.mirrored(r)
		for id, row := range want {
			// No list shows a revoked invitation unasked, so one that was never told of cannot be known.
			if r.kind == clerksync.Invitations && row["status"] == "revoked" && got[id] == nil && !strings.Contains(heard[id], "delivered") {
				delete(want, id)
			}
		}
		differences = append(differences, differ(r.kind, want, got, heard)...)
	}
	if len(differences) != 0 {
		w.t.Errorf("world %d, %s: %d objects differ:\n%s", w.seed, when, len(differences), strings.Join(differences[:min(5, len(differences))], "\n"))
	}
}

// row is the shown part of an object, by column. What is null is left out.
type row map[string]string

// differ tells in a line for each object what is wrong about it, and which events there were.
func differ(kind clerksync.Kind, want, got map[string]row, heard map[string]string) (lines []string) {
	all := maps.Clone(want)
	maps.Copy(all, got)
	for _, id := range slices.Sorted(maps.Keys(all)) {
		var wrong []string
		switch {
		case got[id] == nil:
			wrong = []string{"is not visible"}
		case want[id] == nil:
			wrong = []string{"is visible, and Clerk does not have it"}
		default:
			columns := maps.Clone(want[id])
			maps.Copy(columns, got[id])
			for _, c := range slices.Sorted(maps.Keys(columns)) {
				if want[id][c] != got[id][c] {
					wrong = append(wrong, fmt.Sprintf("%s is %q, want %q", c, got[id][c], want[id][c]))
				}
			}
		}
		if wrong != nil {
			lines = append(lines, fmt.Sprintf("\t%s %s: %s; events:%s", kind, id, strings.Join(wrong, ", "), heard[id]))
		}
	}
	return lines
}

// heard tells what became of the events about each object.
func (w *world) heard() map[string]string {
	heard := map[string]string{}
	for _, m := range w.clerk.Messages() {
		heard[m.ObjectID] += " " + m.Type + " " + m.Status
	}
	return heard
}

// told returns the objects that Clerk has.
func (w *world) told(r resource) map[string]row {
	all := map[string]row{}
	for id, raw := range w.clerk.Objects(resourceOf(r.kind)) {
		o, shown := decode(w.t, raw), row{}
		switch r.kind {
		case clerksync.Users:
			o["primary"] = primary(o)
		case clerksync.Roles:
			o["permissions"] = keys(o["permissions"])
		}
		for _, c := range strings.Fields(r.columns) {
			column, path, renamed := strings.Cut(c, "=")
			if !renamed {
				path = column
			}
			shown.put(column, o.at(path))
		}
		all[id] = shown
	}
	return all
}

// resourceOf is what the emulator calls a kind.
func resourceOf(k clerksync.Kind) string {
	if k == clerksync.Roles || k == clerksync.Permissions {
		return "organization_" + string(k)
	}
	return string(k)
}

// keys are the keys of a role's permissions, sorted.
func keys(permissions any) []any {
	all := []any{}
	for _, p := range permissions.([]any) {
		all = append(all, object(p.(map[string]any)).text("key"))
	}
	slices.SortFunc(all, func(a, b any) int { return strings.Compare(a.(string), b.(string)) })
	return all
}

// mirrored returns the objects that are visible in the mirror.
func (w *world) mirrored(r resource) map[string]row {
	w.t.Helper()
	columns := []string{"id"}
	for _, c := range strings.Fields(r.columns) {
		column, _, _ := strings.Cut(c, "=")
		columns = append(columns, column)
	}
	rows, err := w.db.Queryx(w.mirror.SQL(`SELECT ` + strings.Join(columns, ", ") + ` FROM {` + string(r.kind) + `} WHERE ` + r.visible))
	if err != nil {
		w.t.Fatal(err)
	}
	defer rows.Close()
	all := map[string]row{}
	for rows.Next() {
		values, err := rows.SliceScan()
		if err != nil {
			w.t.Fatal(err)
		}
		shown := row{}
		for i, v := range values[1:] {
			shown.put(columns[i+1], v)
		}
		all[fmt.Sprint(values[0])] = shown
	}
	if err := rows.Err(); err != nil {
		w.t.Fatal(err)
	}
	return all
}

// put keeps a value in a form that is the same whoever told it.
func (r row) put(column string, value any) {
	if raw, ok := value.([]byte); ok {
		value = string(raw)
	}
	switch v := value.(type) {
	case nil:
	case string:
		var document any
		if strings.IndexAny(v, "{[") == 0 && json.Unmarshal([]byte(v), &document) == nil {
			v = canonical(document)
		}
		r[column] = v
	case bool:
		r[column] = map[bool]string{false: "0", true: "1"}[v] // as SQLite tells it
	case map[string]any, []any:
		r[column] = canonical(v)
	default:
		r[column] = fmt.Sprint(v)
	}
}

func canonical(document any) string {
	raw, err := json.Marshal(document)
	if err != nil {
		panic(err) // it was decoded from JSON
	}
	var plain any
	if err := json.Unmarshal(raw, &plain); err != nil { // numbers as PostgreSQL or Clerk may write them
		panic(err)
	}
	raw, _ = json.Marshal(plain)
	return string(raw)
}

// primary picks a user's primary e-mail address and phone.
func primary(user object) map[string]any {
	out := map[string]any{}
	entry := func(list, id string) object {
		for _, e := range user[list].([]any) {
			if o := object(e.(map[string]any)); o.text("id") == user.text(id) {
				return o
			}
		}
		return nil
	}
	if e := entry("email_addresses", "primary_email_address_id"); e != nil {
		out["email"], out["verified"] = e["email_address"], e.text("verification.status") == "verified"
	}
	if p := entry("phone_numbers", "primary_phone_number_id"); p != nil {
		out["phone"] = p["phone_number"]
	}
	return out
}

// rows are the versions of all rows that a pass could write.
func (w *world) rows() (all []string) {
	w.t.Helper()
	version := ""
	if w.db.DriverName() != "sqlite" {
		version = `|| ' ' || xmin || ' ' || ctid` // whatever writes a row moves these
	}
	for _, kind := range everyKind {
		var rows []string
		if err := w.db.Select(&rows, w.mirror.SQL(`SELECT '`+kind.Singular()+` ' || id || ' ' || _alive_at || ' ' || _updated_at || ' ' ||
			_seen_at || ' ' || _dead_at || ' ' || _version || ' ' || synced_at `+version+` FROM {`+string(kind)+`} ORDER BY id`)); err != nil {
			w.t.Fatal(err)
		}
		all = append(all, rows...)
	}
	for _, table := range []string{"changes", "events", "plans"} {
		var n string
		if err := w.db.Get(&n, w.mirror.SQL(`SELECT '`+table+` ' || count(*) FROM {`+table+`}`)); err != nil {
			w.t.Fatal(err)
		}
		all = append(all, n)
	}
	return all
}

// newest returns the latest instant that the mirror has heard of.
func (w *world) newest() (ms int64) {
	w.t.Helper()
	var of []string
	for _, kind := range everyKind {
		of = append(of, `SELECT max(_alive_at) AS ms FROM {`+string(kind)+`}`)
	}
	if err := w.db.Get(&ms, w.mirror.SQL(`SELECT coalesce(max(ms), 0) FROM (`+strings.Join(of, ` UNION ALL `)+`) AS known`)); err != nil {
		w.t.Fatal(err)
	}
	return ms
}

// object is one of Clerk's.
type object map[string]any

func decode(t *testing.T, raw []byte) (o object) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	if err := d.Decode(&o); err != nil {
		t.Fatal(err)
	}
	return o
}

// at returns what is at a path, or nil; a dot leads into an object.
func (o object) at(path string) any {
	in := map[string]any(o)
	for outer, inner, nested := strings.Cut(path, "."); nested; outer, inner, nested = strings.Cut(path, ".") {
		in, _ = in[outer].(map[string]any)
		path = inner
	}
	return in[path]
}

func (o object) text(path string) string {
	s, _ := o.at(path).(string)
	return s
}
