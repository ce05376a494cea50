package sync

import (
	"context"
	"fmt"

	"github.com/jmoiron/sqlx"
)

// The reasons for which a sign-in is suspicious. A user's first three sign-ins have no habit to differ from, so the two reasons
// that speak of one are not given for them.
const (
	NewCountry    = "new_country"   // no sign-in before came from this country
	NewDevice     = "new_device"    // no sign-in before came from this sort of device and browser
	FarApart      = "far_apart"     // another country within an hour
	Impersonation = "impersonation" // somebody of the team signed in as the user
)

// habit is how many sign-ins make one.
const habit = 3

// signIn is a row for the past statement: a session that has just been created here. What is empty is null.
type signIn struct {
	ID, UserID               string
	Country, Device, Browser string
	At, Early, Late          string // when it was created, an hour before that, and an hour after
}

var signInColumns = []column{
	{"id", text, nil}, {"user_id", text, nil}, {"country", text, nil}, {"device_type", text, nil}, {"browser_name", text, nil},
	{"created_at", instant, nil}, {"early", instant, nil}, {"late", instant, nil},
}

// pastStatement tells of each new session whether the user has a habit of sign-ins before it, whether one of them has the same country and
// one the same device, and whether one around it comes from another country. Sessions may arrive in any order, so their own dates decide.
// Each question ends with the first sign-in that answers it, the latest first: who signs in by a program has a million of them.
func (d dialect) pastStatement() string {
	from, exprs := d.given(0, signInColumns)
	e := map[string]string{}
	for i, c := range signInColumns {
		e[c.name] = exprs[i]
	}
	first := func(condition string, offset int) string {
		return fmt.Sprintf(`coalesce((SELECT 1 FROM %s AS s WHERE s.user_id = %s AND s.id <> %s AND s.deleted_at IS NULL AND %s
ORDER BY s.created_at DESC LIMIT 1 OFFSET %d), 0)`, d.table(string(Sessions)), e["user_id"], e["id"], condition, offset)
	}
	before := "s.created_at < " + e["created_at"]
	return fmt.Sprintf(`SELECT %s, %s, CASE WHEN %s IS NULL THEN 0 ELSE %s END, CASE WHEN %s IS NULL OR %s IS NULL THEN 0 ELSE %s END, %s FROM %s`,
		e["id"], first(before, habit-1), e["country"], first(before+" AND s.country = "+e["country"], 0),
		e["device_type"], e["browser_name"], first(before+" AND s.device_type = "+e["device_type"]+" AND s.browser_name = "+e["browser_name"], 0),
		first("s.country <> "+e["country"]+" AND s.created_at > "+e["early"]+" AND s.created_at < "+e["late"], 0), from)
}

// past is what the statement tells about the sign-ins before one.
type past struct{ habit, sameCountry, sameDevice, elsewhere bool }

// remark adds a suspicious change after that of each session that was created and gives reason for one.
func (m *Mirror) remark(ctx context.Context, tx *sqlx.Tx, folds []*fold, changes []Change) ([]Change, error) {
	byID := make(map[string]*object, len(folds))
	for _, f := range folds {
		if f.live != nil {
			byID[f.id] = f.live.object
		}
	}
	var created []signIn
	for _, c := range changes {
		if c.Op == Created {
			created = append(created, newSignIn(byID[c.ObjectID]))
		}
	}
	if len(created) == 0 {
		return changes, nil
	}
	pasts, err := m.pasts(ctx, tx, created)
	if err != nil {
		return nil, err
	}
	reasons := make(map[string][]string, len(created))
	for _, s := range created {
		reasons[s.ID] = pasts[s.ID].reasons(s, byID[s.ID].member("actor") != nil)
	}
	remarked := make([]Change, 0, len(changes)+len(created))
	for _, c := range changes {
		remarked = append(remarked, c)
		if c.Op == Created && len(reasons[c.ObjectID]) > 0 {
			c.Op, c.Reasons = Suspicious, reasons[c.ObjectID]
			remarked = append(remarked, c)
		}
	}
	return remarked, nil
}

func newSignIn(o *object) signIn {
	s := signIn{ID: o.id, UserID: o.column("user_id"), Country: o.column("country"), Device: o.column("device_type"), Browser: o.column("browser_name")}
	const hour = 60 * 60 * 1000
	at, dated := stampMilli(o.created)
	early, _ := stampMilli(max(o.created, hour) - hour)
	if late, ok := stampMilli(o.created + hour); dated && ok {
		s.At, s.Early, s.Late = at, early, late
	}
	return s
}

func (m *Mirror) pasts(ctx context.Context, tx *sqlx.Tx, created []signIn) (map[string]past, error) {
	pasts := make(map[string]past, len(created))
	err := writeRows(ctx, m, tx, m.statements.past, signInColumns, created, (*row).signIn, func(rows *sqlx.Rows) error {
		defer rows.Close()
		for rows.Next() {
			var id string
			var p past
			if err := rows.Scan(&id, &p.habit, &p.sameCountry, &p.sameDevice, &p.elsewhere); err != nil {
				return err
			}
			pasts[id] = p
		}
		return finish(rows)
	})
	return pasts, err
}

func (r *row) signIn(s signIn) {
	for _, text := range []string{s.ID, s.UserID, s.Country, s.Device, s.Browser, s.At, s.Early, s.Late} {
		r.optional(text)
	}
}

func (p past) reasons(s signIn, impersonated bool) (reasons []string) {
	if p.habit && s.Country != "" && !p.sameCountry {
		reasons = append(reasons, NewCountry)
	}
	if p.habit && s.Device != "" && s.Browser != "" && !p.sameDevice {
		reasons = append(reasons, NewDevice)
	}
	if p.elsewhere {
		reasons = append(reasons, FarApart)
	}
	if impersonated {
		reasons = append(reasons, Impersonation)
	}
	return reasons
}
