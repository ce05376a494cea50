package clerktest

import (
	"fmt"
	"net/http"
)

// The errors of organizations and invitations, with the codes and texts of the
// same page.

// errNone is a 404 for an id that names no such thing.
func errNone(what, id string) *apiError {
	return &apiError{http.StatusNotFound, "resource_not_found", "not found", "No " + what + " was found with id " + id, ""}
}

func errNoOrganizations() *apiError {
	return &apiError{http.StatusForbidden, "organization_not_enabled_in_instance", "access denied",
		"The organizations feature is not enabled for this instance.", ""}
}

func errNoOrganization() *apiError {
	return &apiError{http.StatusNotFound, "resource_not_found", "not found", "Given organization not found.", ""}
}

func errNoMember() *apiError {
	return &apiError{http.StatusNotFound, "resource_not_found", "not found", "Organization membership not found", ""}
}

func errNoRole(param string) *apiError {
	return &apiError{http.StatusNotFound, "resource_not_found", "not found", "Organization role not found", param}
}

func errNoInvitation(id string) *apiError {
	return &apiError{http.StatusNotFound, "resource_not_found", "not found", "No invitation was found with id " + id + ".", ""}
}

func errNoCreator(id string) *apiError {
	return badRequest("organization_creator_not_found", "creator not found", "No users found with id "+id+".")
}

func errAlreadyMember(id string) *apiError {
	return badRequest("already_a_member_in_organization", "already a member", "User "+id+" is already a member of the organization.")
}

func errInvitedToOrganization() *apiError {
	return badRequest("organization_invitation_not_unique", "organization invitation not unique",
		"Organizations cannot have duplicate pending invitations for an email address.")
}

func errInvited(email string) *apiError {
	const text = "There are already pending invitations for the following email addresses: "
	return badRequest("duplicate_record", "duplicate invitation", text+email)
}

func errInvitationAccepted() *apiError {
	const text = "Invitation is already accepted, try signing in instead."
	return badRequest("invitation_already_accepted", text, text)
}

func errInvitationRevoked() *apiError {
	const text = "Invitation is already revoked."
	return badRequest("invitation_already_revoked", text, text)
}

func errInvitationExpired() *apiError {
	return badRequest("invitation_expired", "Invitation is expired.", "Invitation is expired.")
}

func errNotPending() *apiError {
	return &apiError{http.StatusNotFound, "organization_invitation_not_pending", "not pending",
		"The organization invitation is not in the 'pending' status.", ""}
}

func errNotMember() *apiError {
	return &apiError{http.StatusForbidden, "not_a_member_in_organization", "not a member",
		"Current user is not a member of the organization. Only organization members can perform this action.", ""}
}

func errMembersQuota(limit int64) *apiError {
	return &apiError{http.StatusForbidden, "organization_membership_quota_exceeded", "organization membership quota exceeded",
		fmt.Sprintf("You have reached your limit of %d organization memberships, including outstanding invitations.", limit), ""}
}

func errDomainTaken() *apiError {
	return unprocessable("organization_domain_already_exists", "organization domain already exists",
		"This domain is already used by another organization.", "name")
}

func errAssigned() *apiError {
	return &apiError{http.StatusConflict, "organization_role_permission_association_exists", "permission already assigned to role",
		"This organization permission is already associated to this organization role.", ""}
}

func errNotAssigned() *apiError {
	return &apiError{http.StatusNotFound, "organization_role_permission_association_not_found", "permission not assigned to role",
		"This organization permission is not associated with the organization role.", ""}
}

func errRoleCreates() *apiError {
	return unprocessable("organization_role_default_creator_role", "role is used as the creator role",
		"The organization role cannot be deleted as it is currently used as the creator role.", "")
}

func errRoleOfDomains() *apiError {
	return unprocessable("organization_role_domain_default_role", "role is used as the domain default role",
		"The organization role cannot be deleted as it is currently used as the default domain role.", "")
}

func errRoleHeld() *apiError {
	return unprocessable("organization_role_assigned_members", "role is assigned to organization members",
		"The organization role is currently assigned to one or more organization members.", "")
}

func errRoleInvited() *apiError {
	return unprocessable("organization_role_exists_in_invitations", "role exists in pending organization invitations",
		"The organization role exists in one or more pending organization invitations. Please revoke these invitations to proceed.", "")
}

func errSystemPermission() *apiError {
	return &apiError{http.StatusForbidden, "organization_system_permission_not_modifiable", "organization system permission cannot be modified",
		"This organization permission cannot be modified because it is a system permission.", ""}
}

func errTooLong(param string, limit int) *apiError {
	return unprocessable("form_param_max_length_exceeded", "exceeds maximum length", fmt.Sprintf("%s should not exceed %d characters.", param, limit), param)
}

func badRequest(code, message, long string) *apiError {
	return &apiError{http.StatusBadRequest, code, message, long, ""}
}
