package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"

	"github.com/clerksync/clerksync/clerktest"
)

// teams is what happens to organizations and to what belongs to them.
type teams struct {
	clerk  *clerktest.Server
	dice   *rand.Rand
	people []string // users who live; some are deleted afterwards, and their memberships go with them
	count  int

	founded, renamed, dissolved int
	joined, promoted, left      int
	invited, accepted, revoked  int
}

// maxTeams bounds how many organizations are founded.
const maxTeams = 200

// play lets organizations be founded, change and be dissolved, on top of those that were there before.
func (t *teams) play() error {
	if len(t.people) < 4 {
		return nil
	}
	for i := range t.count {
		if err := t.found(i); err != nil {
			return fmt.Errorf("founding an organization: %w", err)
		}
	}
	for id := range t.clerk.Objects("organizations") {
		if t.renamed == t.count {
			break
		}
		t.renamed++
		if err := t.clerk.UpdateOrganization(id, clerktest.Fields{"name": fmt.Sprintf("Renamed %d", t.renamed)}); err != nil {
			return fmt.Errorf("renaming an organization: %w", err)
		}
	}
	return t.design()
}

// found founds an organization and lets it live. Every fifth is dissolved at once.
func (t *teams) found(i int) error {
	who := t.dice.Perm(len(t.people))
	person := func(n int) string { return t.people[who[n]] }
	org, err := t.clerk.CreateOrganization(clerktest.Fields{"name": fmt.Sprintf("Team %d", i), "created_by": person(0)})
	if err != nil {
		return err
	}
	t.founded++
	t.joined += 3
	errs := []error{t.add(org, person(1)), t.add(org, person(2)), t.invite(org, person(3), i)}
	switch i % 5 {
	case 0:
		t.promoted++
		errs = append(errs, t.clerk.UpdateMember(org, person(1), clerktest.Fields{"role": "org:admin"}))
	case 1:
		t.left++
		errs = append(errs, t.clerk.RemoveMember(org, person(2)))
	case 2:
		_, err := t.clerk.CreateDomain(org, clerktest.Fields{"name": fmt.Sprintf("team-%d.example.com", i)})
		errs = append(errs, err)
	case 3:
		t.dissolved++
		errs = append(errs, t.clerk.DeleteOrganization(org))
	}
	return errors.Join(errs...)
}

func (t *teams) add(org, user string) error {
	_, err := t.clerk.AddMember(org, user, "org:member")
	return err
}

// invite invites somebody to an organization and somebody to the application: one of three accepts, one is told to stay away.
func (t *teams) invite(org, user string, i int) error {
	address := fmt.Sprintf("guest.%d@example.com", i)
	within, err := t.clerk.InviteToOrganization(org, clerktest.Fields{"email_address": address, "role": "org:member"})
	if err != nil {
		return err
	}
	outside, err := t.clerk.Invite(clerktest.Fields{"email_address": address})
	if err != nil {
		return err
	}
	t.invited += 2
	switch i % 3 {
	case 0:
		t.accepted += 2
		_, err := t.clerk.AcceptOrganizationInvitation(within, user)
		guest, otherErr := t.clerk.AcceptInvitation(outside)
		if otherErr == nil {
			otherErr = t.clerk.DeleteUser(guest) // so that there are as many users as before
		}
		return errors.Join(err, otherErr)
	case 1:
		t.revoked += 2
		return errors.Join(t.clerk.RevokeOrganizationInvitation(within), t.clerk.RevokeInvitation(outside))
	}
	return nil
}

// design makes, changes and removes permissions and roles.
func (t *teams) design() error {
	permission, err := t.clerk.CreatePermission(clerktest.Fields{"name": "Publish", "key": "org:posts:publish"})
	if err != nil {
		return fmt.Errorf("designing roles: %w", err)
	}
	for i := range 3 {
		id, err := t.clerk.CreateRole(clerktest.Fields{
			"name": fmt.Sprintf("Editor %d", i), "key": fmt.Sprintf("org:editor_%d", i), "permissions": []string{permission},
		})
		if err == nil && i == 1 {
			err = t.clerk.UpdateRole(id, clerktest.Fields{"description": "writes"})
		}
		if err == nil && i == 2 {
			err = t.clerk.DeleteRole(id)
		}
		if err != nil {
			return fmt.Errorf("designing roles: %w", err)
		}
	}
	return nil
}

// travel signs one user in at home until that is a habit, and then from elsewhere; and somebody of the team signs in as that user.
func (t *teams) travel() error {
	if len(t.people) < 4 {
		return nil
	}
	traveller, colleague := t.people[1], t.people[2] // whom nobody deletes
	home := clerktest.Activity{DeviceType: "desktop", BrowserName: "Firefox", City: "Lyon", Country: "FR", IPAddress: "192.0.2.1"}
	away := clerktest.Activity{DeviceType: "phone", BrowserName: "Chrome", City: "Osaka", Country: "JP", IPAddress: "198.51.100.7"}
	actor, err := json.Marshal(map[string]string{"sub": colleague})
	if err != nil {
		return err
	}
	signIns := []struct {
		options clerktest.SessionOptions
		then    func(id string) error
	}{
		{clerktest.SessionOptions{Activity: &home}, nil},
		{clerktest.SessionOptions{Activity: &home}, t.clerk.EndSession},
		{clerktest.SessionOptions{Activity: &home}, t.clerk.RemoveSession},
		{clerktest.SessionOptions{Activity: &away}, t.clerk.RevokeSession},
		{clerktest.SessionOptions{Activity: &home, Actor: actor}, nil},
	}
	for _, s := range signIns {
		id, err := t.clerk.SignIn(traveller, s.options)
		if err == nil && s.then != nil {
			err = s.then(id)
		}
		if err != nil {
			return fmt.Errorf("signing in: %w", err)
		}
	}
	return nil
}
