package sync

import (
	"context"
	"iter"
	"strconv"
	"time"
)

// User is a visible user as the mirror has it. Pointers are nil where Clerk has nothing; a user without a name or an e-mail is an
// ordinary user. Metadata is JSON text.
type User struct {
	ID              string     `db:"id"`
	ExternalID      *string    `db:"external_id"`
	Username        *string    `db:"username"`
	FirstName       *string    `db:"first_name"`
	LastName        *string    `db:"last_name"`
	Email           *string    `db:"email"` // the primary one
	EmailVerified   *bool      `db:"email_verified"`
	Phone           *string    `db:"phone"` // the primary one
	ImageURL        *string    `db:"image_url"`
	PublicMetadata  *string    `db:"public_metadata"`
	UnsafeMetadata  *string    `db:"unsafe_metadata"`
	PrivateMetadata *string    `db:"private_metadata"` // nil unless it is stored
	Banned          *bool      `db:"banned"`
	Locked          *bool      `db:"locked"`
	CreatedAt       *time.Time `db:"created_at"`
	UpdatedAt       *time.Time `db:"updated_at"`
	LastSignInAt    *time.Time `db:"last_sign_in_at"`
	LastActiveAt    *time.Time `db:"last_active_at"`
	SyncedAt        time.Time  `db:"synced_at"` // when the mirror last heard of the user
}

var userColumns = columns{"id", "external_id", "username", "first_name", "last_name", "email", "email_verified", "phone", "image_url",
	"public_metadata", "unsafe_metadata", "private_metadata", "banned", "locked", "created_at", "updated_at", "last_sign_in_at",
	"last_active_at", "synced_at"}

var (
	userByID    = `SELECT ` + userColumns.of("") + `, deleted_at IS NULL AS visible FROM {users} WHERE id = $1`
	userByEmail = `SELECT ` + userColumns.of("") + ` FROM {users} WHERE email = $1 AND deleted_at IS NULL
ORDER BY created_at DESC NULLS LAST, id DESC LIMIT 1`
)

// User returns a user by Clerk's id. The error is [ErrNotFound] where the mirror knows no such user, [ErrDeleted] where he was
// deleted, and [ErrUnavailable] where the database cannot answer.
func (m *Mirror) User(ctx context.Context, id string) (User, error) {
	var row struct {
		User
		Visible bool `db:"visible"`
	}
	err := m.one(ctx, "a user", &row, userByID, id)
	if err = shown("a user", row.Visible, err); err != nil {
		return User{}, err
	}
	return row.User, nil
}

// UserByEmail returns the user whose primary address this is, byte for byte. Clerk gives an address to one user at a time, so where
// two visible ones have it, the mirror has not heard yet that the elder is gone, and the one who signed up last is returned. An
// address is no proof of who somebody is unless EmailVerified says so. The errors are [ErrNotFound] and [ErrUnavailable].
func (m *Mirror) UserByEmail(ctx context.Context, email string) (u User, err error) {
	err = m.one(ctx, "a user by e-mail", &u, userByEmail, email)
	return u, err
}

// UserFilter says which users [Mirror.Users] yields. Its zero value is all of them. Where several fields are set, all must match.
type UserFilter struct {
	Email      string // the primary address, byte for byte
	ExternalID string // the team's own id; Clerk gives it to one user at a time
	Username   string

	// After is the id of a user, here or not: those that come behind it are yielded. Empty begins with the first. So a page of
	// an own API can go on where the last one ended.
	After string
}

// Users yields visible users in the order of their ids, byte by byte, which is about that of their creation. It reads them page by
// page, each page as it is then, and holds neither a transaction nor a connection meanwhile: so it may take hours or be stopped at
// any time, and a user who signs up or goes away while it runs may be among them or not. An error ends it: it is [ErrUnavailable],
// and the context's where that has ended.
func (m *Mirror) Users(ctx context.Context, f UserFilter) iter.Seq2[User, error] {
	query, args := f.query()
	return paged(ctx, m, "users", func(u User) string { return u.ID }, query, args...)
}

func (f UserFilter) query() (string, []any) {
	query, args := `SELECT `+userColumns.of("")+` FROM {users} WHERE deleted_at IS NULL AND id > $1`, []any{f.After}
	for _, match := range []struct{ column, value string }{{"email", f.Email}, {"external_id", f.ExternalID}, {"username", f.Username}} {
		if match.value != "" {
			args = append(args, match.value)
			query += " AND " + match.column + " = $" + strconv.Itoa(len(args))
		}
	}
	return query + ` ORDER BY id`, args
}
