package clerksync_test

import (
	"encoding/json"
	"fmt"

	"github.com/clerk/clerk-sdk-go/v2"
	"github.com/clerk/clerk-sdk-go/v2/invitation"
	"github.com/clerk/clerk-sdk-go/v2/organization"
	"github.com/clerk/clerk-sdk-go/v2/organizationdomain"
	"github.com/clerk/clerk-sdk-go/v2/organizationinvitation"
	"github.com/clerk/clerk-sdk-go/v2/organizationmembership"
	"github.com/clerk/clerk-sdk-go/v2/organizationpermission"
	"github.com/clerk/clerk-sdk-go/v2/organizationrole"
	"github.com/clerk/clerk-sdk-go/v2/session"
	"github.com/clerk/clerk-sdk-go/v2/user"

	"github.com/clerksync/clerksync/clerktest"
)

// sdk are the clients of Clerk's own Go SDK.
type sdk struct {
	users         *user.Client
	organizations *organization.Client
	members       *organizationmembership.Client
	guests        *organizationinvitation.Client
	invitations   *invitation.Client
	sessions      *session.Client
	domains       *organizationdomain.Client
	roles         *organizationrole.Client
	permissions   *organizationpermission.Client
}

func newSDK(c *clerk.ClientConfig) sdk {
	return sdk{user.NewClient(c), organization.NewClient(c), organizationmembership.NewClient(c), organizationinvitation.NewClient(c),
		invitation.NewClient(c), session.NewClient(c),
		organizationdomain.NewClient(c), organizationrole.NewClient(c), organizationpermission.NewClient(c)}
}

// steps are all that can happen, with how often it does. What the SDK has no call for, because people do it in the browser, is done
// to the emulator.
var steps = []struct {
	weight int
	do     func(*world) error
}{
	{4, (*world).signUp}, {4, (*world).rename}, {3, (*world).annotate}, {3, (*world).sanction}, {3, (*world).leave},
	{3, (*world).found}, {3, (*world).reorganize}, {2, (*world).dissolve},
	{8, (*world).join}, {2, (*world).annotateMember}, {4, (*world).quit},
	{5, (*world).inviteGuest}, {3, (*world).revokeGuest}, {2, (*world).acceptGuest},
	{4, (*world).invite}, {3, (*world).revoke}, {2, (*world).accept},
	{5, (*world).signIn}, {4, (*world).signOut},
	{2, (*world).claim}, {2, (*world).reclaim}, {1, (*world).disclaim},
	{1, (*world).permit}, {1, (*world).forbid}, {2, (*world).cast}, {1, (*world).recast}, {1, (*world).uncast},
}

// step lets one thing happen.
func (w *world) step() {
	w.t.Helper()
	total := 0
	for _, s := range steps {
		total += s.weight
	}
	n := w.rng.IntN(total)
	for _, s := range steps {
		if n -= s.weight; n < 0 {
			if err := s.do(w); err != nil {
				w.t.Fatalf("world %d: %v", w.seed, err)
			}
			return
		}
	}
}

// inhabit leaves no list of Clerk empty: a pass never believes one that is.
func (w *world) inhabit() {
	w.t.Helper()
	for _, need := range []struct {
		path  string
		begin func(*world) error
	}{
		{"users", (*world).signUp}, {"organizations", (*world).found}, {"organization_memberships", (*world).join},
		{"organization_invitations", (*world).inviteGuest}, {"invitations", (*world).invite}, {"organization_domains", (*world).claim},
	} {
		_, there := w.some(need.path)
		if need.path == "invitations" { // the list leaves revoked ones out
			_, there = w.some(need.path, "status", "pending")
		}
		if there {
			continue
		}
		if err := need.begin(w); err != nil {
			w.t.Fatalf("world %d: %v", w.seed, err)
		}
	}
}

// some draws an object that Clerk has and that fits, and reports whether there is one.
func (w *world) some(resource string, fits ...string) (object, bool) {
	var all []object
	for _, raw := range w.clerk.Objects(resource) {
		if o := decode(w.t, raw); len(fits) == 0 || o.text(fits[0]) == fits[1] {
			all = append(all, o)
		}
	}
	if len(all) == 0 {
		return nil, false
	}
	return all[w.rng.IntN(len(all))], true
}

// name gives a name that nobody has.
func (w *world) name(of string) *string {
	w.named++
	return new(fmt.Sprintf("%s_%d", of, w.named))
}

func (w *world) address() string { return *w.name("guest") + "@example.com" }

// maybe returns the value now and then.
func maybe[T any](w *world, value T) *T {
	if w.rng.IntN(2) == 0 {
		return nil
	}
	return &value
}

func (w *world) metadata() *json.RawMessage {
	return maybe(w, json.RawMessage(fmt.Sprintf(`{"plan":"p%d","n":{"deep":[%d,null,"ü \" < \u2028"]}}`, w.rng.IntN(3), w.rng.IntN(3))))
}

func (w *world) role() *string { return new([]string{"org:admin", "org:member"}[w.rng.IntN(2)]) }

func (w *world) signUp() error {
	_, err := w.sdk.users.Create(w.t.Context(), &user.CreateParams{
		EmailAddresses: &[]string{w.address(), w.address()}, Username: maybe(w, *w.name("user")), FirstName: maybe(w, "Zoë"), LastName: maybe(w, "李"),
		ExternalID: maybe(w, *w.name("ext")), PublicMetadata: w.metadata(), UnsafeMetadata: w.metadata(), PrivateMetadata: w.metadata(),
	})
	return err
}

func (w *world) rename() error {
	u, ok := w.some("users")
	if !ok {
		return nil
	}
	_, err := w.sdk.users.Update(w.t.Context(), u.text("id"), &user.UpdateParams{
		FirstName: maybe(w, *w.name("First")), LastName: maybe(w, ""), Username: maybe(w, *w.name("user")), ExternalID: maybe(w, *w.name("ext")),
	})
	return err
}

func (w *world) annotate() error {
	u, ok := w.some("users")
	if !ok {
		return nil
	}
	_, err := w.sdk.users.UpdateMetadata(w.t.Context(), u.text("id"), &user.UpdateMetadataParams{
		PublicMetadata: w.metadata(), PrivateMetadata: w.metadata(), UnsafeMetadata: new(json.RawMessage(`{"theme":"dark","n":null}`)),
	})
	return err
}

func (w *world) sanction() error {
	u, ok := w.some("users")
	if !ok {
		return nil
	}
	_, err := []func() (*clerk.User, error){
		func() (*clerk.User, error) { return w.sdk.users.Ban(w.t.Context(), u.text("id")) },
		func() (*clerk.User, error) { return w.sdk.users.Unban(w.t.Context(), u.text("id")) },
		func() (*clerk.User, error) { return w.sdk.users.Lock(w.t.Context(), u.text("id")) },
		func() (*clerk.User, error) { return w.sdk.users.Unlock(w.t.Context(), u.text("id")) },
	}[w.rng.IntN(4)]()
	return err
}

func (w *world) leave() error {
	u, ok := w.some("users")
	if !ok {
		return nil
	}
	_, err := w.sdk.users.Delete(w.t.Context(), u.text("id"))
	return err
}

func (w *world) found() error {
	params := &organization.CreateParams{Name: w.name("Org"), PublicMetadata: w.metadata(), PrivateMetadata: w.metadata()}
	if u, ok := w.some("users"); ok {
		params.CreatedBy = maybe(w, u.text("id"))
	}
	_, err := w.sdk.organizations.Create(w.t.Context(), params)
	return err
}

func (w *world) reorganize() error {
	o, ok := w.some("organizations")
	if !ok {
		return nil
	}
	if w.rng.IntN(2) == 0 {
		_, err := w.sdk.organizations.UpdateMetadata(w.t.Context(), o.text("id"), &organization.UpdateMetadataParams{
			PublicMetadata: w.metadata(), PrivateMetadata: w.metadata()})
		return err
	}
	_, err := w.sdk.organizations.Update(w.t.Context(), o.text("id"), &organization.UpdateParams{
		Name: w.name("Org"), MaxAllowedMemberships: maybe(w, int64(100+w.rng.IntN(9))), AdminDeleteEnabled: maybe(w, w.rng.IntN(2) == 0),
	})
	return err
}

func (w *world) dissolve() error {
	o, ok := w.some("organizations")
	if !ok {
		return nil
	}
	_, err := w.sdk.organizations.Delete(w.t.Context(), o.text("id"))
	return err
}

// join makes somebody a member, or gives a member a role.
func (w *world) join() error {
	u, is := w.some("users")
	o, are := w.some("organizations")
	if !is || !are {
		return nil
	}
	for _, raw := range w.clerk.Objects("organization_memberships") {
		if m := decode(w.t, raw); m.text("organization.id") == o.text("id") && m.text("public_user_data.user_id") == u.text("id") {
			_, err := w.sdk.members.Update(w.t.Context(), &organizationmembership.UpdateParams{
				OrganizationID: o.text("id"), UserID: u.text("id"), Role: w.role()})
			return err
		}
	}
	_, err := w.sdk.members.Create(w.t.Context(), &organizationmembership.CreateParams{
		OrganizationID: o.text("id"), UserID: new(u.text("id")), Role: w.role()})
	return err
}

func (w *world) annotateMember() error {
	m, ok := w.some("organization_memberships")
	if !ok {
		return nil
	}
	return w.clerk.UpdateMember(m.text("organization.id"), m.text("public_user_data.user_id"), clerktest.Fields{
		"public_metadata": map[string]any{"desk": w.rng.IntN(9)}, "private_metadata": map[string]any{"pay": w.rng.IntN(9)}})
}

func (w *world) quit() error {
	m, ok := w.some("organization_memberships")
	if !ok {
		return nil
	}
	_, err := w.sdk.members.Delete(w.t.Context(), &organizationmembership.DeleteParams{
		OrganizationID: m.text("organization.id"), UserID: m.text("public_user_data.user_id")})
	return err
}

func (w *world) inviteGuest() error {
	o, ok := w.some("organizations")
	if !ok {
		return nil
	}
	_, err := w.sdk.guests.Create(w.t.Context(), &organizationinvitation.CreateParams{
		OrganizationID: o.text("id"), EmailAddress: new(w.address()), Role: w.role(), PublicMetadata: w.metadata(), PrivateMetadata: w.metadata()})
	return err
}

func (w *world) revokeGuest() error {
	i, ok := w.some("organization_invitations", "status", "pending")
	if !ok {
		return nil
	}
	_, err := w.sdk.guests.Revoke(w.t.Context(), &organizationinvitation.RevokeParams{OrganizationID: i.text("organization_id"), ID: i.text("id")})
	return err
}

func (w *world) acceptGuest() error {
	i, ok := w.some("organization_invitations", "status", "pending")
	if !ok {
		return nil
	}
	_, err := w.clerk.AcceptOrganizationInvitation(i.text("id"), "")
	return err
}

func (w *world) invite() error {
	_, err := w.sdk.invitations.Create(w.t.Context(), &invitation.CreateParams{EmailAddress: w.address(), PublicMetadata: w.metadata()})
	return err
}

func (w *world) revoke() error {
	i, ok := w.some("invitations", "status", "pending")
	if !ok {
		return nil
	}
	_, err := w.sdk.invitations.Revoke(w.t.Context(), i.text("id"))
	return err
}

func (w *world) accept() error {
	i, ok := w.some("invitations", "status", "pending")
	if !ok {
		return nil
	}
	_, err := w.clerk.AcceptInvitation(i.text("id"))
	return err
}

func (w *world) signIn() error {
	u, ok := w.some("users")
	if !ok {
		return nil
	}
	_, err := w.sdk.sessions.Create(w.t.Context(), &session.CreateParams{UserID: u.text("id")})
	return err
}

func (w *world) signOut() error {
	s, ok := w.some("sessions", "status", "active")
	if !ok {
		return nil
	}
	switch w.rng.IntN(3) {
	case 0:
		return w.clerk.EndSession(s.text("id"))
	case 1:
		return w.clerk.RemoveSession(s.text("id"))
	}
	_, err := w.sdk.sessions.Revoke(w.t.Context(), &session.RevokeParams{ID: s.text("id")})
	return err
}
