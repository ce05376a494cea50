package clerktest_test

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"testing"

	"github.com/clerk/clerk-sdk-go/v2"
	"github.com/clerk/clerk-sdk-go/v2/invitation"
	"github.com/clerk/clerk-sdk-go/v2/organization"
	"github.com/clerk/clerk-sdk-go/v2/organizationdomain"
	"github.com/clerk/clerk-sdk-go/v2/organizationinvitation"
	"github.com/clerk/clerk-sdk-go/v2/organizationmembership"
	"github.com/clerk/clerk-sdk-go/v2/organizationpermission"
	"github.com/clerk/clerk-sdk-go/v2/organizationrole"
	"github.com/clerk/clerk-sdk-go/v2/user"
	"github.com/google/go-cmp/cmp"

	"github.com/clerksync/clerksync/clerktest"
)

// must fails the test on an error.
func must[T any](t *testing.T) func(T, error) T {
	return func(value T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

func TestSDKOrganizations(t *testing.T) {
	t.Parallel()
	s := clerktest.NewServer(t, clerktest.Config{Users: 3})
	ctx := context.Background()
	organizations := organization.NewClient(sdk(t, s))
	creator := someUsers(s.Clerk)[0]
	one := must[*clerk.Organization](t)
	made := one(organizations.Create(ctx, &organization.CreateParams{Name: new("Acme Corp"), CreatedBy: &creator, MaxAllowedMemberships: new(int64(7)),
		PublicMetadata: new(json.RawMessage(`{"a":{"b":1,"c":2}}`)), PrivateMetadata: new(json.RawMessage(`{"crm":1}`))}))
	if made.Name != "Acme Corp" || made.Slug != "acme-corp" || made.CreatedBy != creator || made.MaxAllowedMemberships != 7 || made.MembersCount != nil {
		t.Errorf("got %+v", made)
	}
	other := one(organizations.Create(ctx, &organization.CreateParams{Name: new("Acme Corp")}))
	if other.Slug == made.Slug || other.CreatedBy != "" {
		t.Errorf("got %+v as the second one of that name", other)
	}
	merged := one(organizations.UpdateMetadata(ctx, made.ID, &organization.UpdateMetadataParams{PublicMetadata: new(json.RawMessage(`{"a":{"b":null}}`))}))
	if diff := cmp.Diff(map[string]any{"a": map[string]any{"c": 2.0}}, decode(t, merged.PublicMetadata)); diff != "" {
		t.Errorf("merged metadata (-want +got):\n%s", diff)
	}
	changed := one(organizations.Update(ctx, made.ID, &organization.UpdateParams{Name: new("Acme"), Slug: new("acme"), AdminDeleteEnabled: new(false),
		PublicMetadata: new(json.RawMessage(`{"only":1}`))})) //nolint:staticcheck // deprecated, and what programs call
	if changed.Name != "Acme" || changed.Slug != "acme" || changed.AdminDeleteEnabled || changed.UpdatedAt <= merged.UpdatedAt {
		t.Errorf("got %+v after the update", changed)
	}
	if diff := cmp.Diff(map[string]any{"only": 1.0}, decode(t, changed.PublicMetadata)); diff != "" {
		t.Errorf("replaced metadata (-want +got):\n%s", diff)
	}
	got := one(organizations.GetWithParams(ctx, "acme", &organization.GetParams{IncludeMembersCount: new(true)}))
	if got.ID != made.ID || *got.MembersCount != 1 || *got.PendingInvitationsCount != 0 {
		t.Errorf("got %+v by slug", got)
	}
	list, err := organizations.List(ctx, &organization.ListParams{OrderBy: new("+name"), IncludeMembersCount: new(true)})
	if err != nil || list.TotalCount != 2 || list.Organizations[0].ID != made.ID || *list.Organizations[1].MembersCount != 0 {
		t.Errorf("got %+v, %v", list, err)
	}
	list, err = organizations.List(ctx, &organization.ListParams{UserIDs: []string{creator}, Query: new("ACM")})
	if err != nil || list.TotalCount != 1 || list.Organizations[0].ID != made.ID {
		t.Errorf("got %+v, %v for the creator's", list, err)
	}
	gone, err := organizations.Delete(ctx, made.ID)
	if err != nil || gone.ID != made.ID || gone.Object != "organization" || gone.Slug != "acme" || !gone.Deleted {
		t.Errorf("got %+v, %v from the deletion", gone, err)
	}
	_, err = organizations.Get(ctx, made.ID)
	apiError(t, err, http.StatusNotFound, "resource_not_found")
	_, err = organizations.Get(ctx, "acme")
	apiError(t, err, http.StatusNotFound, "resource_not_found")
}

func someUsers(c *clerktest.Clerk) (ids []string) {
	for id := range c.Users() {
		ids = append(ids, id)
	}
	return ids
}

func TestSDKMemberships(t *testing.T) {
	t.Parallel()
	s := clerktest.NewServer(t, clerktest.Config{Users: 3})
	ctx := context.Background()
	members, users := organizationmembership.NewClient(sdk(t, s)), user.NewClient(sdk(t, s))
	ids := someUsers(s.Clerk)
	org, err := s.CreateOrganization(clerktest.Fields{"name": "Acme", "created_by": ids[0]})
	check(t, err)
	one := must[*clerk.OrganizationMembership](t)
	made := one(members.Create(ctx, &organizationmembership.CreateParams{OrganizationID: org, UserID: &ids[1], Role: new("org:member")}))
	if made.Role != "org:member" || made.RoleName != "Member" || made.Organization.ID != org || made.PublicUserData.UserID != ids[1] ||
		!slices.Equal(made.Permissions, []string{"org:sys_memberships:read", "org:sys_billing:read"}) {
		t.Errorf("got %+v", made)
	}
	changed := one(members.Update(ctx, &organizationmembership.UpdateParams{OrganizationID: org, UserID: ids[1], Role: new("org:admin")}))
	if changed.ID != made.ID || changed.Role != "org:admin" || len(changed.Permissions) != 8 || changed.UpdatedAt <= made.UpdatedAt {
		t.Errorf("got %+v after the update", changed)
	}
	lists := must[*clerk.OrganizationMembershipList](t)
	if l := lists(members.List(ctx, &organizationmembership.ListParams{OrganizationID: org, OrderBy: new("created_at")})); l.TotalCount != 2 ||
		l.OrganizationMemberships[0].PublicUserData.UserID != ids[0] || l.OrganizationMemberships[0].Role != "org:admin" {
		t.Errorf("got %+v", l)
	}
	if l := lists(members.List(ctx, &organizationmembership.ListParams{OrganizationID: org, UserIDs: []string{ids[1], ids[2]}})); l.TotalCount != 1 ||
		l.OrganizationMemberships[0].ID != made.ID {
		t.Errorf("got %+v for two users", l)
	}
	if l := lists(users.ListOrganizationMemberships(ctx, ids[1], &user.ListOrganizationMembershipsParams{})); l.TotalCount != 1 || l.OrganizationMemberships[0].ID != made.ID {
		t.Errorf("got %+v as the user's", l)
	}
	var all clerk.OrganizationMembershipList
	if _, raw := get(s.Clerk, "/v1/organization_memberships?limit=1&offset=1&order_by=created_at"); json.Unmarshal(raw, &all) != nil || all.TotalCount != 2 ||
		len(all.OrganizationMemberships) != 1 || all.OrganizationMemberships[0].ID != made.ID {
		t.Errorf("got %s instance-wide", raw)
	}
	byOrganization, err := users.List(ctx, &user.ListParams{OrganizationIDs: []string{org}, OrderBy: new("created_at")})
	if err != nil || byOrganization.TotalCount != 2 || byOrganization.Users[1].ID != ids[1] {
		t.Errorf("got %+v, %v as the users of the organization", byOrganization, err)
	}
	if got := list(t, s.Clerk, "organization_id=-"+org); !slices.Equal(got, ids[2:]) {
		t.Errorf("got %v as the others", got)
	}
	if gone := one(members.Delete(ctx, &organizationmembership.DeleteParams{OrganizationID: org, UserID: ids[1]})); gone.ID != made.ID || gone.Organization.ID != org {
		t.Errorf("got %+v from the deletion", gone)
	}
	_, err = members.Delete(ctx, &organizationmembership.DeleteParams{OrganizationID: org, UserID: ids[1]})
	apiError(t, err, http.StatusNotFound, "resource_not_found")
}

func TestSDKInvitations(t *testing.T) {
	t.Parallel()
	s := clerktest.NewServer(t, clerktest.Config{})
	ctx := context.Background()
	invitations := invitation.NewClient(sdk(t, s))
	one := must[*clerk.Invitation](t)
	made := one(invitations.Create(ctx, &invitation.CreateParams{EmailAddress: "Ada@Example.com", PublicMetadata: new(json.RawMessage(`{"a":1}`)), ExpiresInDays: new(int64(3))}))
	if made.EmailAddress != "ada@example.com" || made.Status != "pending" || made.URL == "" || *made.ExpiresAt != made.CreatedAt+3*24*60*60*1000 {
		t.Errorf("got %+v", made)
	}
	bulk, err := invitations.BulkCreate(ctx, &invitation.BulkCreateParams{Invitations: []*invitation.CreateParams{{EmailAddress: "b@example.com"}, {EmailAddress: "c@example.com"}}})
	if err != nil || len(bulk.Invitations) != 2 || bulk.Invitations[1].EmailAddress != "c@example.com" {
		t.Fatalf("got %+v, %v", bulk, err)
	}
	if revoked := one(invitations.Revoke(ctx, made.ID)); revoked.Status != "revoked" || !revoked.Revoked || revoked.UpdatedAt <= made.UpdatedAt {
		t.Errorf("got %+v", revoked)
	}
	_, err = invitations.Revoke(ctx, made.ID)
	apiError(t, err, http.StatusBadRequest, "invitation_already_revoked")
	lists := must[*clerk.InvitationList](t)
	if l := lists(invitations.List(ctx, &invitation.ListParams{OrderBy: new("email_address")})); l.TotalCount != 2 || l.Invitations[0].EmailAddress != "b@example.com" {
		t.Errorf("got %+v", l)
	}
	if l := lists(invitations.List(ctx, &invitation.ListParams{Statuses: []string{"revoked", "expired"}})); l.TotalCount != 1 || l.Invitations[0].ID != made.ID {
		t.Errorf("got %+v as revoked", l)
	}
	id, err := s.AcceptInvitation(bulk.Invitations[0].ID)
	check(t, err)
	if l := lists(invitations.List(ctx, &invitation.ListParams{Statuses: []string{"accepted"}})); l.TotalCount != 1 || l.Invitations[0].Status != "accepted" || l.Invitations[0].URL != "" {
		t.Errorf("got %+v as accepted", l)
	}
	if got := list(t, s.Clerk, "email_address=b@example.com"); !slices.Equal(got, []string{id}) {
		t.Errorf("got %v as the users who signed up, want %s", got, id)
	}
	_, err = invitations.Create(ctx, &invitation.CreateParams{EmailAddress: "c@example.com"})
	apiError(t, err, http.StatusBadRequest, "duplicate_record")
	_, err = invitations.Create(ctx, &invitation.CreateParams{EmailAddress: "b@example.com"})
	apiError(t, err, http.StatusUnprocessableEntity, "form_identifier_exists")
	if _, raw := get(s.Clerk, "/v1/invitations"); raw[0] != '[' {
		t.Errorf("got %s without pagination", raw)
	}
}

func TestSDKOrganizationInvitations(t *testing.T) {
	t.Parallel()
	s := clerktest.NewServer(t, clerktest.Config{Users: 2})
	ctx := context.Background()
	invitations := organizationinvitation.NewClient(sdk(t, s))
	ids := someUsers(s.Clerk)
	org, err := s.CreateOrganization(clerktest.Fields{"name": "Acme", "created_by": ids[0]})
	check(t, err)
	one := must[*clerk.OrganizationInvitation](t)
	params := func(email string) *organizationinvitation.CreateParams {
		return &organizationinvitation.CreateParams{OrganizationID: org, EmailAddress: &email, Role: new("org:member"), InviterUserID: &ids[0],
			PrivateMetadata: new(json.RawMessage(`{"p":1}`))}
	}
	made := one(invitations.Create(ctx, params("new@example.com")))
	if made.Status != "pending" || made.URL == "" || made.OrganizationID != org || made.Role != "org:member" {
		t.Errorf("got %+v", made)
	}
	_, err = invitations.Create(ctx, params("new@example.com"))
	apiError(t, err, http.StatusBadRequest, "organization_invitation_not_unique")
	second := one(invitations.Create(ctx, params("other@example.com")))
	if revoked := one(invitations.Revoke(ctx, &organizationinvitation.RevokeParams{OrganizationID: org, ID: second.ID, RequestingUserID: &ids[0]})); revoked.Status != "revoked" || revoked.URL != "" {
		t.Errorf("got %+v", revoked)
	}
	_, err = invitations.Revoke(ctx, &organizationinvitation.RevokeParams{OrganizationID: org, ID: second.ID})
	apiError(t, err, http.StatusNotFound, "organization_invitation_not_pending")
	membership, err := s.AcceptOrganizationInvitation(made.ID, "")
	check(t, err)
	if got := decode(t, s.Object("organization_memberships", membership)); got["private_metadata"].(map[string]any)["p"] != 1.0 || got["public_user_data"].(map[string]any)["identifier"] != "new@example.com" {
		t.Errorf("got the membership %v", got)
	}
	if got := one(invitations.Get(ctx, &organizationinvitation.GetParams{OrganizationID: org, ID: made.ID})); got.Status != "accepted" {
		t.Errorf("got %+v", got)
	}
	lists := must[*clerk.OrganizationInvitationList](t)
	if l := lists(invitations.List(ctx, &organizationinvitation.ListParams{OrganizationID: org, Statuses: &[]string{"accepted"}})); l.TotalCount != 1 || l.OrganizationInvitations[0].ID != made.ID {
		t.Errorf("got %+v", l)
	}
	l := lists(invitations.ListFromInstance(ctx, &organizationinvitation.ListFromInstanceParams{OrderBy: new("created_at")}))
	if l.TotalCount != 2 || l.OrganizationInvitations[1].ID != second.ID || l.OrganizationInvitations[1].PublicOrganizationData.Slug != "acme" {
		t.Errorf("got %+v instance-wide", l)
	}
}

func TestSDKRolesPermissionsAndDomains(t *testing.T) {
	t.Parallel()
	s := clerktest.NewServer(t, clerktest.Config{})
	ctx := context.Background()
	roles, permissions, domains := organizationrole.NewClient(sdk(t, s)), organizationpermission.NewClient(sdk(t, s)), organizationdomain.NewClient(sdk(t, s))
	permission := must[*clerk.OrganizationPermission](t)
	p := permission(permissions.Create(ctx, &organizationpermission.CreateParams{Name: new("Read posts"), Key: new("org:posts:read")}))
	if p = permission(permissions.Update(ctx, p.ID, &organizationpermission.UpdateParams{Description: new("reads")})); *p.Description != "reads" || p.Key != "org:posts:read" {
		t.Errorf("got %+v", p)
	}
	role := must[*clerk.OrganizationRole](t)
	r := role(roles.Create(ctx, &organizationrole.CreateParams{Name: new("Editor"), Key: new("org:editor"), Permissions: &[]string{p.ID}}))
	if len(r.Permissions) != 1 || r.Permissions[0].Key != "org:posts:read" || r.Description != nil {
		t.Errorf("got %+v", r)
	}
	if r = role(roles.RemovePermission(ctx, r.ID, p.ID)); len(r.Permissions) != 0 {
		t.Errorf("got %+v", r)
	}
	if r = role(roles.AssignPermission(ctx, r.ID, p.ID)); len(r.Permissions) != 1 {
		t.Errorf("got %+v", r)
	}
	_, err := roles.AssignPermission(ctx, r.ID, p.ID)
	apiError(t, err, http.StatusConflict, "organization_role_permission_association_exists")
	if r = role(roles.Update(ctx, r.ID, &organizationrole.UpdateParams{Name: new("Chief")})); r.Name != "Chief" || len(r.Permissions) != 1 {
		t.Errorf("got %+v", r)
	}
	if _, err := permissions.Delete(ctx, p.ID); err != nil {
		t.Fatal(err)
	}
	if r = role(roles.Get(ctx, r.ID)); len(r.Permissions) != 0 {
		t.Errorf("a role keeps a permission that was deleted: %+v", r)
	}
	if l := must[*clerk.OrganizationRoleList](t)(roles.List(ctx, &organizationrole.ListParams{OrderBy: new("-key")})); l.TotalCount != 3 || l.OrganizationRoles[0].Key != "org:member" {
		t.Errorf("got %+v", l)
	}
	if gone, err := roles.Delete(ctx, r.ID); err != nil || gone.ID != r.ID {
		t.Errorf("got %+v, %v", gone, err)
	}
	if l := must[*clerk.OrganizationPermissionList](t)(permissions.List(ctx, &organizationpermission.ListParams{})); l.TotalCount != 8 {
		t.Errorf("got %+v", l)
	}

	org, err := s.CreateOrganization(clerktest.Fields{"name": "Acme"})
	check(t, err)
	domain := must[*clerk.OrganizationDomain](t)
	d := domain(domains.Create(ctx, org, &organizationdomain.CreateParams{Name: new("acme.com"), Verified: new(false)}))
	if d = domain(domains.Update(ctx, &organizationdomain.UpdateParams{OrganizationID: org, DomainID: d.ID, EnrollmentMode: new("automatic_suggestion"), Verified: new(true)})); d.EnrollmentMode != "automatic_suggestion" || d.Verification.Status != "verified" {
		t.Errorf("got %+v", d)
	}
	if l := must[*clerk.OrganizationDomainList](t)(domains.List(ctx, org, &organizationdomain.ListParams{Verified: new(true)})); l.TotalCount != 1 || l.OrganizationDomains[0].Name != "acme.com" {
		t.Errorf("got %+v", l)
	}
	if gone, err := domains.Delete(ctx, &organizationdomain.DeleteParams{OrganizationID: org, DomainID: d.ID}); err != nil || gone.Object != "organization_domain" {
		t.Errorf("got %+v, %v", gone, err)
	}
}
