package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/jmoiron/sqlx"

	clerksync "github.com/clerksync/clerksync/sync"
)

// The comparison shares no code with what it judges: it reads the emulator's JSON by itself, and the mirror as an application
// would, through the view.

// listed is a user as Clerk's list shows it.
type listed struct {
	ID             string          `json:"id"`
	ExternalID     *string         `json:"external_id"`
	Username       *string         `json:"username"`
	FirstName      *string         `json:"first_name"`
	LastName       *string         `json:"last_name"`
	ImageURL       *string         `json:"image_url"`
	PrimaryEmail   *string         `json:"primary_email_address_id"`
	PrimaryPhone   *string         `json:"primary_phone_number_id"`
	Emails         []listedContact `json:"email_addresses"`
	Phones         []listedContact `json:"phone_numbers"`
	PublicMetadata json.RawMessage `json:"public_metadata"`
	UnsafeMetadata json.RawMessage `json:"unsafe_metadata"`
	Banned         *bool           `json:"banned"`
	Locked         *bool           `json:"locked"`
	CreatedAt      *int64          `json:"created_at"`
	UpdatedAt      *int64          `json:"updated_at"`
	LastSignInAt   *int64          `json:"last_sign_in_at"`
	LastActiveAt   *int64          `json:"last_active_at"`
}

type listedContact struct {
	ID    string `json:"id"`
	Email string `json:"email_address"`
	Phone string `json:"phone_number"`
}

// maxDifferences is how many differences are printed.
const maxDifferences = 20

// compare compares mirror and emulator, user by user, and returns the differences: ids and members, no values.
func (d *demo) compare(ctx context.Context) (differences []string, err error) {
	matched := 0
	batch := make([]listed, 0, 500)
	flush := func() error {
		rows, err := d.rows(ctx, batch)
		if err != nil {
			return err
		}
		matched += len(rows)
		for _, u := range batch {
			differences = append(differences, u.differences(rows[u.ID])...)
		}
		batch = batch[:0]
		return nil
	}
	for id, raw := range d.clerk.Users() {
		var u listed
		if err := json.Unmarshal(raw, &u); err != nil {
			return nil, fmt.Errorf("reading %s of the emulator: %w", id, err)
		}
		if batch = append(batch, u); len(batch) == cap(batch) {
			if err := flush(); err != nil || len(differences) > maxDifferences {
				return head(differences, maxDifferences), err
			}
		}
	}
	if err := flush(); err != nil {
		return nil, err
	}
	extra, err := d.extra(ctx, matched)
	return head(append(differences, extra...), maxDifferences), err
}

const viewColumns = `id, external_id, username, first_name, last_name, email, phone, image_url, public_metadata, unsafe_metadata,
banned, locked, created_at, updated_at, last_sign_in_at, last_active_at`

// rows reads the mirror's rows of some users.
func (d *demo) rows(ctx context.Context, users []listed) (map[string]*clerksync.User, error) {
	if len(users) == 0 {
		return nil, nil
	}
	ids := make([]string, len(users))
	for i, u := range users {
		ids[i] = u.ID
	}
	db := d.mirror.DB()
	query, args, err := sqlx.In(d.mirror.SQL(`SELECT `+viewColumns+` FROM {active_users} WHERE id IN (?)`), ids)
	if err != nil {
		return nil, err
	}
	var found []clerksync.User
	if err := db.SelectContext(ctx, &found, db.Rebind(query), args...); err != nil {
		return nil, fmt.Errorf("reading the mirror: %w", err)
	}
	rows := make(map[string]*clerksync.User, len(found))
	for i := range found {
		rows[found[i].ID] = &found[i]
	}
	return rows, nil
}

// extra finds users whom the mirror shows and Clerk does not have.
func (d *demo) extra(ctx context.Context, matched int) (differences []string, err error) {
	var visible int
	if err := d.mirror.DB().GetContext(ctx, &visible, d.mirror.SQL(`SELECT count(*) FROM {active_users}`)); err != nil {
		return nil, fmt.Errorf("counting the mirror's users: %w", err)
	}
	if visible == matched {
		return nil, nil
	}
	var ids []string
	if err := d.mirror.DB().SelectContext(ctx, &ids, d.mirror.SQL(`SELECT id FROM {active_users}`)); err != nil {
		return nil, fmt.Errorf("reading the mirror's users: %w", err)
	}
	for _, id := range ids {
		if d.clerk.User(id) == nil {
			differences = append(differences, id+": the mirror shows a user whom Clerk does not have")
		}
	}
	return differences, nil
}

// differences compares one user with its row; nil is a row that is missing.
func (u listed) differences(row *clerksync.User) (all []string) {
	if row == nil {
		return []string{u.ID + ": the mirror does not show this user"}
	}
	for _, member := range []struct {
		name  string
		equal bool
	}{
		{"external_id", same(u.ExternalID, row.ExternalID)},
		{"username", same(u.Username, row.Username)},
		{"first_name", same(u.FirstName, row.FirstName)},
		{"last_name", same(u.LastName, row.LastName)},
		{"image_url", same(u.ImageURL, row.ImageURL)},
		{"email", same(primary(u.PrimaryEmail, u.Emails, func(c listedContact) string { return c.Email }), row.Email)},
		{"phone", same(primary(u.PrimaryPhone, u.Phones, func(c listedContact) string { return c.Phone }), row.Phone)},
		{"public_metadata", sameJSON(u.PublicMetadata, row.PublicMetadata)},
		{"unsafe_metadata", sameJSON(u.UnsafeMetadata, row.UnsafeMetadata)},
		{"banned", same(u.Banned, row.Banned)},
		{"locked", same(u.Locked, row.Locked)},
		{"created_at", same(u.CreatedAt, milli(row.CreatedAt))},
		{"updated_at", same(u.UpdatedAt, milli(row.UpdatedAt))},
		{"last_sign_in_at", same(u.LastSignInAt, milli(row.LastSignInAt))},
		{"last_active_at", same(u.LastActiveAt, milli(row.LastActiveAt))},
	} {
		if !member.equal {
			all = append(all, u.ID+": "+member.name+" differs")
		}
	}
	return all
}

func same[T comparable](a, b *T) bool {
	return a == nil && b == nil || a != nil && b != nil && *a == *b
}

func primary(id *string, all []listedContact, value func(listedContact) string) *string {
	i := slices.IndexFunc(all, func(c listedContact) bool { return id != nil && c.ID == *id })
	if i < 0 {
		return nil
	}
	v := value(all[i])
	return &v
}

func milli(t *time.Time) *int64 {
	if t == nil {
		return nil
	}
	ms := t.UnixMilli()
	return &ms
}

// sameJSON compares by content: databases rewrite JSON. Clerk's list shows absent metadata as null or {}.
func sameJSON(a json.RawMessage, b *string) bool {
	var x, y any
	if len(bytes.TrimSpace(a)) > 0 && json.Unmarshal(a, &x) != nil {
		return false
	}
	return (b == nil || json.Unmarshal([]byte(*b), &y) == nil) && reflect.DeepEqual(x, y)
}
