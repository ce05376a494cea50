package sync

import (
	"context"
	"fmt"
	"iter"
	"time"
)

// Organization is a visible organization as the mirror has it. Pointers are nil where Clerk has nothing. Metadata is JSON text.
type Organization struct {
	ID                    string     `db:"id"`
	Name                  *string    `db:"name"`
	Slug                  *string    `db:"slug"`
	ImageURL              *string    `db:"image_url"`
	CreatedBy             *string    `db:"created_by"` // a user's id; that user may be gone
	MembersCount          *int64     `db:"members_count"`
	MaxAllowedMemberships *int64     `db:"max_allowed_memberships"` // 0 = no limit
	PublicMetadata        *string    `db:"public_metadata"`
	PrivateMetadata       *string    `db:"private_metadata"` // nil unless it is stored
	CreatedAt             *time.Time `db:"created_at"`
	UpdatedAt             *time.Time `db:"updated_at"`
	SyncedAt              time.Time  `db:"synced_at"` // when the mirror last heard of the organization
}

var organizationColumns = columns{"id", "name", "slug", "image_url", "created_by", "members_count", "max_allowed_memberships",
	"public_metadata", "private_metadata", "created_at", "updated_at", "synced_at"}

// Membership is a visible user's place in a visible organization. Pointers are nil where Clerk has nothing. Permissions and metadata
// are JSON text.
type Membership struct {
	ID              string     `db:"id"`
	Role            *string    `db:"role"` // its key, such as "org:admin"
	RoleName        *string    `db:"role_name"`
	Permissions     *string    `db:"permissions"` // a list of keys, such as ["org:sys_memberships:read"]
	PublicMetadata  *string    `db:"public_metadata"`
	PrivateMetadata *string    `db:"private_metadata"` // nil unless it is stored
	CreatedAt       *time.Time `db:"created_at"`
	UpdatedAt       *time.Time `db:"updated_at"`
	SyncedAt        time.Time  `db:"synced_at"` // when the mirror last heard of the membership

	Organization Organization `db:"organization"`
	User         User         `db:"member"`
}

// HasRole reports whether the member has a role, by its key, such as "org:admin".
func (m Membership) HasRole(key string) bool { return m.Role != nil && *m.Role == key }

// memberships selects memberships with both their ends. Where one of them has not arrived yet, or is deleted, there is none.
var memberships = `SELECT t.id, t.role, t.role_name, t.permissions, t.public_metadata, t.private_metadata, t.created_at, t.updated_at, t.synced_at,
` + organizationColumns.of("organization") + `,
` + userColumns.of("member") + `
FROM {organization_memberships} AS t
JOIN {organizations} AS organization ON organization.id = t.organization_id AND organization.deleted_at IS NULL
JOIN {users} AS member ON member.id = t.user_id AND member.deleted_at IS NULL
WHERE t.deleted_at IS NULL`

// The end that all rows share is named once, as the joins compare it: PostgreSQL finds it by indexes of that collation. Named by the
// child's column as well, which has another one, it would count twice, and few rows be expected where there are many.
var (
	organizationByID = `SELECT ` + organizationColumns.of("") + `, deleted_at IS NULL AS visible FROM {organizations} WHERE id = $1`

	// Who left and came back has two rows until the first is known to be deleted.
	membershipOf = memberships + ` AND organization.id = $1 AND member.id = $2
ORDER BY t.created_at DESC NULLS LAST, t.id DESC LIMIT 1`

	organizationsOf = memberships + ` AND t.id > $1 AND member.id = $2 ORDER BY t.id`
	membersOf       = memberships + ` AND t.id > $1 AND organization.id = $2 ORDER BY t.id`
)

// Organization returns an organization by Clerk's id. The error is [ErrNotFound] where the mirror knows no such organization,
// [ErrDeleted] where it was deleted, and [ErrUnavailable] where the database cannot answer.
func (m *Mirror) Organization(ctx context.Context, id string) (Organization, error) {
	if err := m.needs(Organizations); err != nil {
		return Organization{}, fmt.Errorf("reading an organization: %w", err)
	}
	var row struct {
		Organization
		Visible bool `db:"visible"`
	}
	err := m.one(ctx, "an organization", &row, organizationByID, id)
	if err = shown("an organization", row.Visible, err); err != nil {
		return Organization{}, err
	}
	return row.Organization, nil
}

// Membership returns a user's place in an organization. The error is [ErrNotFound] where the mirror knows of none, be it that the
// membership, the user or the organization was deleted, or that one of them has not arrived yet; and [ErrUnavailable] where the
// database cannot answer.
func (m *Mirror) Membership(ctx context.Context, organizationID, userID string) (found Membership, err error) {
	if err := m.needs(Users, Organizations, OrganizationMemberships); err != nil {
		return Membership{}, fmt.Errorf("reading a membership: %w", err)
	}
	err = m.one(ctx, "a membership", &found, membershipOf, organizationID, userID)
	return found, err
}

// OrganizationsOf yields a user's memberships with the organizations they are in, in the order of the memberships' ids. It reads and
// ends like [Mirror.Users].
func (m *Mirror) OrganizationsOf(ctx context.Context, userID string) iter.Seq2[Membership, error] {
	return m.memberships(ctx, "organizations of a user", organizationsOf, userID)
}

// MembersOf yields an organization's memberships with the users they are of, in the order of the memberships' ids. It reads and ends
// like [Mirror.Users].
func (m *Mirror) MembersOf(ctx context.Context, organizationID string) iter.Seq2[Membership, error] {
	return m.memberships(ctx, "members of an organization", membersOf, organizationID)
}

func (m *Mirror) memberships(ctx context.Context, what, query, id string) iter.Seq2[Membership, error] {
	if err := m.needs(Users, Organizations, OrganizationMemberships); err != nil {
		return func(yield func(Membership, error) bool) { yield(Membership{}, fmt.Errorf("reading %s: %w", what, err)) }
	}
	return paged(ctx, m, what, func(found Membership) string { return found.ID }, query, "", id)
}
