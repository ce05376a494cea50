package clerktest_test

import (
	"context"
	"net/http"
	"testing"

	"github.com/clerk/clerk-sdk-go/v2/organizationpermission"
	"github.com/clerk/clerk-sdk-go/v2/organizationrole"

	"github.com/clerksync/clerksync/clerktest"
)

// The codes are those that Clerk lists of its Backend API: data/api_errors.json in github.com/clerk/clerk-docs.
func TestErrorsOfRoles(t *testing.T) {
	t.Parallel()
	s := clerktest.NewServer(t, clerktest.Config{Users: 3, Organizations: 1, Members: 2, Seed: 5})
	roles, permissions := organizationrole.NewClient(sdk(t, s)), organizationpermission.NewClient(sdk(t, s))
	made := func(id string, err error) string {
		t.Helper()
		check(t, err)
		return id
	}
	ctx := context.Background()
	byKey := map[string]string{}
	all, err := roles.List(ctx, &organizationrole.ListParams{})
	check(t, err)
	for _, r := range all.OrganizationRoles {
		byKey[r.Key] = r.ID
	}
	permission := made(s.CreatePermission(clerktest.Fields{"name": "Read", "key": "org:posts:read"}))
	guest := made(s.CreateRole(clerktest.Fields{"name": "Guest", "key": "org:guest"}))
	organization := ""
	for id := range s.Objects("organizations") {
		organization = id
	}
	made(s.InviteToOrganization(organization, clerktest.Fields{"email_address": "a@example.com", "role": "org:guest"}))
	for _, try := range []struct {
		role   string
		status int
		code   string
	}{
		{byKey["org:admin"], http.StatusUnprocessableEntity, "organization_role_default_creator_role"},
		{byKey["org:member"], http.StatusUnprocessableEntity, "organization_role_domain_default_role"},
		{guest, http.StatusUnprocessableEntity, "organization_role_exists_in_invitations"},
	} {
		_, err := roles.Delete(ctx, try.role)
		apiError(t, err, try.status, try.code)
	}
	_, err = roles.RemovePermission(ctx, guest, permission)
	apiError(t, err, http.StatusNotFound, "organization_role_permission_association_not_found")
	systems, err := permissions.List(ctx, &organizationpermission.ListParams{})
	check(t, err)
	for _, p := range systems.OrganizationPermissions {
		if p.Type == "system" {
			_, err := permissions.Delete(ctx, p.ID)
			apiError(t, err, http.StatusForbidden, "organization_system_permission_not_modifiable")
		}
	}
}
