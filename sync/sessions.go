package sync

import (
	"slices"

	"github.com/clerksync/clerksync/internal/scan"
)

// sessions describes sign-ins. Clerk lists them only by user or by client and forgets them, so webhooks alone tell of them. The
// session event carries the whole user, which is mirrored as a user.
//
// What a session says about the device and the place is kept as far as [Config.SessionActivity] allows. last_active_at and the
// activity move while a session lives; they are not projected.
var sessions = &kind{
	name:     Sessions,
	singular: "session",
	resource: "sessions",
	prefix:   "sess_",
	events:   events{"session", anyVerb},
	carries:  []carried{{Users, "user"}},
	columns: []column{
		{"user_id", text, idMember("user_id")},
		{"client_id", text, idMember("client_id")},
		{"status", text, textMember("status")},
		{"actor", document, freeMember("actor")},
		{"last_active_organization_id", text, textMember("last_active_organization_id")},
		{"device_type", text, activity("device_type", false)},
		{"browser_name", text, activity("browser_name", false)},
		{"browser_version", text, activity("browser_version", false)},
		{"city", text, activity("city", false)},
		{"country", text, activity("country", false)},
		{"ip_address", text, activity("ip_address", true)},
		{"last_active_at", instant, timeMember("last_active_at")},
		{"expire_at", instant, timeMember("expire_at")},
		{"abandon_at", instant, timeMember("abandon_at")},
		{"created_at", instant, timeMember("created_at")},
		{"updated_at", instant, timeMember("updated_at")},
	},
	projected: []projected{
		{"abandon_at", projectInt("abandon_at")},
		{"actor", projectFree("actor")},
		{"client_id", projectText("client_id")},
		{"created_at", projectInt("created_at")},
		{"expire_at", projectInt("expire_at")},
		{"id", projectText("id")},
		{"last_active_organization_id", projectText("last_active_organization_id")},
		{"status", projectText("status")},
		{"user_id", projectText("user_id")},
	},
	free:    []string{"actor"},
	omitted: []string{"user", "latest_activity", "last_active_token"},
	parents: []parent{{Users, "user_id"}},
	final: func(o *object) bool {
		status, _ := scan.String(o.member("status"))
		return slices.Contains(terminalStatuses, status)
	},
}

// terminalStatuses are those that a session never leaves. One of them beats any other status told with the same updated_at.
var terminalStatuses = []string{"ended", "removed", "revoked", "expired", "abandoned", "replaced"}

// Activity says how much a session's row tells about device and place.
type Activity int

// The degrees. ActivityCoarse leaves the address out.
const (
	ActivityCoarse Activity = iota
	ActivityFull
	ActivityOmitted
)

func activity(name string, precise bool) func(*object) []byte {
	read := nestedText("latest_activity", name)
	return func(o *object) []byte {
		if o.keep.activity == ActivityOmitted || precise && o.keep.activity != ActivityFull {
			return nil
		}
		return read(o)
	}
}
