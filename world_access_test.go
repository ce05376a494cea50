package clerksync_test

import (
	"strings"

	"github.com/clerk/clerk-sdk-go/v2/organizationdomain"
	"github.com/clerk/clerk-sdk-go/v2/organizationpermission"
	"github.com/clerk/clerk-sdk-go/v2/organizationrole"
)

// What happens to domains, roles and permissions.

func (w *world) claim() error {
	o, ok := w.some("organizations")
	if !ok {
		return nil
	}
	_, err := w.sdk.domains.Create(w.t.Context(), o.text("id"), &organizationdomain.CreateParams{
		Name: new(strings.ReplaceAll(*w.name("d"), "_", "") + ".example.com"), Verified: maybe(w, w.rng.IntN(2) == 0),
	})
	return err
}

func (w *world) reclaim() error {
	d, ok := w.some("organization_domains")
	if !ok {
		return nil
	}
	_, err := w.sdk.domains.Update(w.t.Context(), &organizationdomain.UpdateParams{
		OrganizationID: d.text("organization_id"), DomainID: d.text("id"), Verified: maybe(w, w.rng.IntN(2) == 0),
		EnrollmentMode: maybe(w, []string{"manual_invitation", "automatic_invitation", "automatic_suggestion"}[w.rng.IntN(3)]),
	})
	return err
}

func (w *world) disclaim() error {
	d, ok := w.some("organization_domains")
	if !ok {
		return nil
	}
	_, err := w.sdk.domains.Delete(w.t.Context(), &organizationdomain.DeleteParams{OrganizationID: d.text("organization_id"), DomainID: d.text("id")})
	return err
}

func (w *world) permit() error {
	_, err := w.sdk.permissions.Create(w.t.Context(), &organizationpermission.CreateParams{
		Name: w.name("Permission"), Key: new("org:" + *w.name("feature") + ":read"), Description: maybe(w, "ü"),
	})
	return err
}

// forbid removes a permission, from the roles that have it, too: those tell it neither by an event nor by their updated_at.
func (w *world) forbid() error {
	p, ok := w.some("organization_permissions", "type", "custom")
	if !ok {
		return nil
	}
	_, err := w.sdk.permissions.Delete(w.t.Context(), p.text("id"))
	return err
}

func (w *world) cast() error {
	p, _ := w.some("organization_permissions")
	_, err := w.sdk.roles.Create(w.t.Context(), &organizationrole.CreateParams{
		Name: w.name("Role"), Key: new("org:" + *w.name("role")), Description: maybe(w, "plays"), Permissions: &[]string{p.text("id")},
	})
	return err
}

func (w *world) recast() error {
	r, ok := w.custom()
	if !ok {
		return nil
	}
	_, err := w.sdk.roles.Update(w.t.Context(), r.text("id"), &organizationrole.UpdateParams{Name: w.name("Role"), Description: maybe(w, "sings")})
	return err
}

func (w *world) uncast() error {
	r, ok := w.custom()
	if !ok {
		return nil
	}
	_, err := w.sdk.roles.Delete(w.t.Context(), r.text("id"))
	return err
}

// custom draws a role that was made here, which nobody has.
func (w *world) custom() (object, bool) {
	r, ok := w.some("organization_roles")
	return r, ok && strings.HasPrefix(r.text("key"), "org:role_")
}
