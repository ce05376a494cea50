package sync

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
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

const userColumns = `id, external_id, username, first_name, last_name, email, email_verified, phone, image_url,
public_metadata, unsafe_metadata, private_metadata, banned, locked, created_at, updated_at, last_sign_in_at, last_active_at, synced_at`

// User returns a user by Clerk's id. found is false where the mirror knows no such user; a user that was deleted is returned with
// visible false, and of it only the ID is meaningful.
func (m *Mirror) User(ctx context.Context, id string) (u User, found, visible bool, err error) {
	var row struct {
		User
		Visible bool `db:"visible"`
	}
	err = m.db.GetContext(ctx, &row, m.SQL(`SELECT `+userColumns+`, deleted_at IS NULL AS visible FROM {users} WHERE id = $1`), id)
	if errors.Is(err, sql.ErrNoRows) {
		return User{}, false, false, nil
	}
	if err != nil {
		return User{}, false, false, fmt.Errorf("reading a user: %w", unavailable(err))
	}
	if !row.Visible {
		return User{ID: id}, true, false, nil
	}
	return row.User, true, true, nil
}
