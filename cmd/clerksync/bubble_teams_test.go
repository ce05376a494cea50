package main_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/google/go-cmp/cmp"
	"github.com/jmoiron/sqlx"

	"github.com/clerksync/clerksync/clerktest"
)

// thing is what a bubble needs to know of an object of Clerk's.
type thing struct {
	ID             string
	Status         string
	OrganizationID string              `json:"organization_id"`
	Organization   struct{ ID string } // of a membership
	Person         struct {
		UserID string `json:"user_id"`
	} `json:"public_user_data"`
	UpdatedAt int64 `json:"updated_at"`
}

// things are all objects of a resource that Clerk has.
func (b *bubble) things(resource string) (all []thing) {
	b.t.Helper()
	for _, raw := range b.clerk.Objects(resource) {
		var o thing
		if err := json.Unmarshal(raw, &o); err != nil {
			b.t.Fatal(err)
		}
		all = append(all, o)
	}
	return all
}

// some is one of them by chance, with one of the statuses if any are given; ok is false where there is none.
func (b *bubble) some(resource string, statuses ...string) (one thing, ok bool) {
	all := slices.DeleteFunc(b.things(resource), func(o thing) bool { return statuses != nil && !slices.Contains(statuses, o.Status) })
	if len(all) == 0 {
		return thing{}, false
	}
	return all[b.rng.IntN(len(all))], true
}

// meet lets something happen to an organization, its members, those whom it invites, or a session.
func (b *bubble) meet() error {
	user := b.people[b.rng.IntN(len(b.people))]
	role := []string{"org:admin", "org:member"}[b.rng.IntN(2)]
	guest := fmt.Sprintf("guest%d@example.com", b.rng.Uint32())
	team, founded := b.some("organizations")
	member, joined := b.some("organization_memberships")
	var err error
	switch n := b.rng.IntN(14); {
	case n == 0 || !founded:
		_, err = b.clerk.CreateOrganization(clerktest.Fields{"name": fmt.Sprint("Team ", b.rng.IntN(1000)), "created_by": user})
	case n == 1:
		err = b.clerk.UpdateOrganization(team.ID, clerktest.Fields{"name": fmt.Sprint("Team ", b.rng.IntN(1000))})
	case n == 2:
		err = b.clerk.DeleteOrganization(team.ID)
	case n < 6:
		for _, m := range b.things("organization_memberships") {
			if m.Organization.ID == team.ID && m.Person.UserID == user {
				return b.clerk.UpdateMember(team.ID, user, clerktest.Fields{"role": role})
			}
		}
		_, err = b.clerk.AddMember(team.ID, user, role)
	case n == 6 && joined:
		err = b.clerk.UpdateMember(member.Organization.ID, member.Person.UserID, clerktest.Fields{"role": role})
	case n == 7 && joined:
		err = b.clerk.RemoveMember(member.Organization.ID, member.Person.UserID)
	case n == 8:
		_, err = b.clerk.InviteToOrganization(team.ID, clerktest.Fields{"email_address": guest, "role": role})
	case n == 9:
		if i, ok := b.some("organization_invitations", "pending"); ok {
			_, err = b.clerk.AcceptOrganizationInvitation(i.ID, "")
		}
	case n == 10:
		if i, ok := b.some("organization_invitations", "pending"); ok {
			err = b.clerk.RevokeOrganizationInvitation(i.ID)
		}
	case n == 11:
		_, err = b.clerk.Invite(clerktest.Fields{"email_address": guest})
	case n == 12:
		if i, ok := b.some("invitations", "pending"); ok && b.rng.IntN(2) == 0 {
			err = b.clerk.RevokeInvitation(i.ID)
		} else if ok {
			_, err = b.clerk.AcceptInvitation(i.ID)
		}
	default:
		_, err = b.clerk.CreateSession(user)
	}
	return err
}

// inhabit leaves no list empty: a pass never believes one that is.
func (b *bubble) inhabit() {
	b.t.Helper()
	team, err := b.clerk.CreateOrganization(clerktest.Fields{"name": "Team", "created_by": b.people[0]})
	if err == nil {
		_, err = b.clerk.InviteToOrganization(team, clerktest.Fields{"email_address": "last@example.com", "role": "org:member"})
	}
	if err == nil {
		_, err = b.clerk.Invite(clerktest.Fields{"email_address": "last@example.com"})
	}
	if err != nil {
		b.t.Fatal(err)
	}
}

// wantTeams compares organizations, memberships and invitations with Clerk's. Sessions are in no list: what is lost of them stays lost. Nor
// does a list show unasked who was invited to the application and is so no more.
func (b *bubble) wantTeams(db *sqlx.DB) {
	b.t.Helper()
	for _, resource := range []string{"organizations", "organization_memberships", "organization_invitations", "invitations"} {
		there, here := map[string]string{}, map[string]string{}
		for _, o := range b.things(resource) {
			there[o.ID] = fmt.Sprint(o.Status, " of ", o.UpdatedAt)
		}
		var rows []struct {
			ID      string `db:"id"`
			Status  string `db:"status"`
			Updated int64  `db:"_updated_at"`
		}
		status := "''"
		if strings.HasSuffix(resource, "invitations") {
			status = "status"
		}
		err := db.Select(&rows, fmt.Sprintf(`SELECT id, %s AS status, _updated_at FROM clerk_%s WHERE id IN (SELECT id FROM clerk_active_%[2]s)`, status, resource))
		if err != nil {
			b.t.Fatal(err)
		}
		for _, r := range rows {
			here[r.ID] = fmt.Sprint(r.Status, " of ", r.Updated)
		}
		for id, what := range there {
			if here[id] == "" && resource == "invitations" && strings.HasPrefix(what, "revoked") {
				delete(there, id)
			}
		}
		if diff := cmp.Diff(there, here); diff != "" {
			b.t.Errorf("the %s differ from Clerk's (-want +got):\n%s", resource, diff)
		}
	}
}
