package clerktest

import "slices"

// user is one state of a user. It is never changed after it was stored: a
// write stores a changed copy, so readers need no lock.
type user struct {
	seq       int64 // order of creation; generated users come first
	id        string
	createdAt int64 // milliseconds, like every time here
	updatedAt int64

	externalID, username, firstName, lastName, locale *string
	primaryEmail, primaryPhone, primaryWallet         *string

	emails   []identifier
	phones   []identifier
	wallets  []identifier
	accounts []account

	imageURL string
	hasImage bool

	public, private, unsafe []byte // raw JSON, rendered as it is

	password, totp, backupCodes bool
	banned, locked              bool
	deprovisioned               bool
	deleteSelf, createOrgs      bool
	createOrgsLimit             *int64

	mfaEnabledAt, mfaDisabledAt       *int64
	lastSignInAt, lastActiveAt        *int64
	legalAcceptedAt                   *int64
	passwordUpdatedAt                 *int64
	lockoutSeconds, attemptsRemaining *int64
}

// identifier is an e-mail address, a phone number or a wallet of a user.
type identifier struct {
	id, value string
	status    string // verified or unverified
	strategy  string // how it was verified
	linkedTo  string // id of the external account it came from, or empty
	reserved  bool
	createdAt int64
	updatedAt int64
}

// account is a connected Google account.
type account struct {
	id, connectionID, providerUserID string
	email, firstName, lastName       string
	picture                          string
	createdAt                        int64
}

// clone returns a copy whose slices may be changed.
func (u *user) clone() *user {
	c := *u
	c.emails, c.phones = slices.Clone(u.emails), slices.Clone(u.phones)
	c.wallets, c.accounts = slices.Clone(u.wallets), slices.Clone(u.accounts)
	return &c
}

// primary returns the value of the identifier named by id, nil if there is none.
func primary(list []identifier, id *string) *string {
	if id == nil {
		return nil
	}
	for i := range list {
		if list[i].id == *id {
			return &list[i].value
		}
	}
	return nil
}

// The names of the identifiers by which a user can be looked up, as the
// parameters of GET /v1/users call them.
const (
	byEmail      = "email_address"
	byPhone      = "phone_number"
	byWallet     = "web3_wallet"
	byUsername   = "username"
	byExternalID = "external_id"
	byUserID     = "user_id"
)

// key is one value of one identifier.
type key struct{ name, value string }

// keys returns what must be unique to this user.
func (u *user) keys() []key {
	var out []key
	for _, group := range []struct {
		name string
		list []identifier
	}{{byEmail, u.emails}, {byPhone, u.phones}, {byWallet, u.wallets}} {
		for _, item := range group.list {
			out = append(out, key{group.name, item.value})
		}
	}
	if u.username != nil {
		out = append(out, key{byUsername, *u.username})
	}
	if u.externalID != nil {
		out = append(out, key{byExternalID, *u.externalID})
	}
	return out
}
