package main

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	_ "modernc.org/sqlite" // the driver "sqlite"
)

// connections is the size of the pool of a daemon on PostgreSQL, and so that of the baselines.
const connections = 10

// event is an event of Clerk's as a plain handler decodes it.
type event struct {
	Type       string          `json:"type"`
	InstanceID string          `json:"instance_id"`
	Timestamp  int64           `json:"timestamp"`
	Data       json.RawMessage `json:"data"`
}

// user is the part of Clerk's user that has columns.
type user struct {
	ID             string          `json:"id"`
	ExternalID     *string         `json:"external_id"`
	Username       *string         `json:"username"`
	FirstName      *string         `json:"first_name"`
	LastName       *string         `json:"last_name"`
	PrimaryEmail   *string         `json:"primary_email_address_id"`
	EmailAddresses []emailAddress  `json:"email_addresses"`
	ImageURL       *string         `json:"image_url"`
	PublicMetadata json.RawMessage `json:"public_metadata"`
	UnsafeMetadata json.RawMessage `json:"unsafe_metadata"`
	Banned         bool            `json:"banned"`
	Locked         bool            `json:"locked"`
	CreatedAt      int64           `json:"created_at"`
	UpdatedAt      int64           `json:"updated_at"`
	LastSignInAt   *int64          `json:"last_sign_in_at"`
	LastActiveAt   *int64          `json:"last_active_at"`
}

type emailAddress struct {
	ID           string `json:"id"`
	EmailAddress string `json:"email_address"`
	Verification *struct {
		Status string `json:"status"`
	} `json:"verification"`
}

func (u *user) email() (address *string, verified *bool) {
	for _, e := range u.EmailAddresses {
		if u.PrimaryEmail != nil && e.ID == *u.PrimaryEmail {
			v := e.Verification != nil && e.Verification.Status == "verified"
			return &e.EmailAddress, &v
		}
	}
	return nil, nil
}

// The statements of the plain handler write the rows that the daemon writes, one event at a time. %s is what the tables' names
// begin with.
var (
	userColumns = []string{"id", "external_id", "username", "first_name", "last_name", "email", "email_verified", "image_url",
		"public_metadata", "unsafe_metadata", "banned", "locked", "created_at", "updated_at", "last_sign_in_at", "last_active_at",
		"data", "source", "synced_at", "_alive_at", "_updated_at", "_seen_at", "_dead_at", "_hash", "_was_visible", "_version", "_changed"}
	upsertUser = "INSERT INTO %susers AS r (" + strings.Join(userColumns, ", ") + ") VALUES (" + placeholders(len(userColumns)) + ")" + `
ON CONFLICT (id) DO UPDATE SET ` + assignments(userColumns[1:len(userColumns)-3]) + `, _was_visible = true, _version = r._version + 1, _changed = true
WHERE (excluded._alive_at, excluded._updated_at, excluded._seen_at, excluded._hash) > (r._alive_at, r._updated_at, r._seen_at, r._hash)
RETURNING _version`
	insertEvent = `INSERT INTO %[1]sevents AS r (id, type, object_id, instance_id, occurred_at, received_at, outcome, attempts)
VALUES ($1, $2, $3, $4, $5, $6, $7, 1) ON CONFLICT (id) DO UPDATE SET attempts = r.attempts + 1`
	insertChange = `INSERT INTO %[1]schanges (resource, object_id, op, version, initial, occurred_at, source)
VALUES ('users', $1, $2, $3, false, $4, 'webhook')`
)

func placeholders(n int) string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprint("$", i+1)
	}
	return strings.Join(all, ", ")
}

func assignments(columns []string) string {
	all := make([]string, len(columns))
	for i, c := range columns {
		all[i] = c + " = excluded." + c
	}
	return strings.Join(all, ", ")
}

// storage is a database behind a plain handler.
type storage struct {
	db                    *sql.DB
	upsert, event, change func(context.Context, *sql.Tx, ...any) *sql.Row
}

// store opens the database of the baseline that stores: decode with encoding/json, then one transaction an event.
func (p plain) store(ctx context.Context) (func(context.Context, string, []byte) error, error) {
	driver, prefix, size, source := "postgres", "clerk.", connections, p.Database
	if path, ok := strings.CutPrefix(p.Database, "sqlite:"); ok { // as a team would open it that waits for the disk
		driver, prefix, size = "sqlite", "clerk_", 4
		source = "file:" + path + "?_txlock=immediate&_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)"
	} else if !p.Prepared {
		source += "&binary_parameters=yes"
	}
	db, err := sql.Open(driver, source)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(size)
	db.SetMaxIdleConns(size)
	s := &storage{db: db}
	for _, one := range []struct {
		query string
		to    *func(context.Context, *sql.Tx, ...any) *sql.Row
	}{{upsertUser, &s.upsert}, {insertEvent, &s.event}, {insertChange, &s.change}} {
		query := fmt.Sprintf(one.query, prefix)
		if !p.Prepared {
			*one.to = func(ctx context.Context, tx *sql.Tx, args ...any) *sql.Row {
				return tx.QueryRowContext(ctx, query, args...)
			}
			continue
		}
		stmt, err := db.PrepareContext(ctx, query)
		if err != nil {
			return nil, err
		}
		*one.to = func(ctx context.Context, tx *sql.Tx, args ...any) *sql.Row {
			return tx.StmtContext(ctx, stmt).QueryRowContext(ctx, args...)
		}
	}
	return s.store, nil
}

func (s *storage) store(ctx context.Context, id string, body []byte) error {
	var e event
	if err := json.Unmarshal(body, &e); err != nil {
		return err
	}
	var u user
	if err := json.Unmarshal(e.Data, &u); err != nil {
		return err
	}
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	var version int64
	outcome := "updated"
	switch err := s.upsert(ctx, tx, u.row(&e)...).Scan(&version); {
	case errors.Is(err, sql.ErrNoRows):
		outcome = "stale"
	case err != nil:
		return err
	case version == 1:
		outcome = "created"
	}
	at := stamp(e.Timestamp)
	if err := none(s.event(ctx, tx, id, e.Type, u.ID, e.InstanceID, at, stamp(time.Now().UnixMilli()), outcome)); err != nil {
		return err
	}
	if outcome != "stale" {
		if err := none(s.change(ctx, tx, u.ID, outcome, version, at)); err != nil {
			return err
		}
	}
	return tx.Commit()
}

// none runs a statement that returns no row.
func none(row *sql.Row) error {
	var nothing any
	if err := row.Scan(&nothing); !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	return nil
}

func (u *user) row(e *event) []any {
	email, verified := u.email()
	hash := sha256.Sum256(e.Data)
	const never = -1 << 63
	return []any{u.ID, u.ExternalID, u.Username, u.FirstName, u.LastName, email, verified, u.ImageURL,
		string(u.PublicMetadata), string(u.UnsafeMetadata), u.Banned, u.Locked,
		stamp(u.CreatedAt), stamp(u.UpdatedAt), stampOrNull(u.LastSignInAt), stampOrNull(u.LastActiveAt),
		string(e.Data), "webhook", stamp(e.Timestamp), u.UpdatedAt, u.UpdatedAt, e.Timestamp, int64(never), hash[:], false, 1, true}
}

func stamp(ms int64) string { return time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05.000Z") }

func stampOrNull(ms *int64) *string {
	if ms == nil {
		return nil
	}
	s := stamp(*ms)
	return &s
}
