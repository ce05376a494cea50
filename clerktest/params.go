package clerktest

import (
	"encoding/json"
	"maps"
	"slices"
)

// The members a user shares between POST and PATCH /v1/users.
var shared = map[string]setter{
	"external_id":                 textSetter(func(u *user) **string { return &u.externalID }),
	"username":                    textSetter(func(u *user) **string { return &u.username }),
	"first_name":                  textSetter(func(u *user) **string { return &u.firstName }),
	"last_name":                   textSetter(func(u *user) **string { return &u.lastName }),
	"locale":                      textSetter(func(u *user) **string { return &u.locale }),
	"delete_self_enabled":         flagSetter(func(u *user) *bool { return &u.deleteSelf }),
	"create_organization_enabled": flagSetter(func(u *user) *bool { return &u.createOrgs }),
	"create_organizations_limit":  milliSetter(func(u *user, n *int64) { u.createOrgsLimit = n }),
	"legal_accepted_at":           timeSetter(func(u *user, ms *int64) { u.legalAcceptedAt = ms }),
	"created_at":                  timeSetter(setCreatedAt),
	"password":                    setPassword,
	"password_digest":             setPassword,
	"totp_secret":                 setTOTP,
	"backup_codes":                setBackupCodes,
	"password_hasher":             ignored,
	"skip_password_checks":        ignored,
	"skip_legal_checks":           ignored,
	"bypass_client_trust":         ignored,
}

// metadata are the members of the metadata endpoints, of POST, and of PATCH
// before API version 2026-05-12.
var metadata = map[string]setter{
	"public_metadata":  metadataSetter(func(u *user) *[]byte { return &u.public }),
	"private_metadata": metadataSetter(func(u *user) *[]byte { return &u.private }),
	"unsafe_metadata":  metadataSetter(func(u *user) *[]byte { return &u.unsafe }),
}

var identifiers = map[string]setter{
	byEmail: identifierSetter(kindEmail, func(u *user) *[]identifier { return &u.emails }, func(u *user) **string { return &u.primaryEmail },
		normalEmail, "a valid email address"),
	byPhone: identifierSetter(kindPhone, func(u *user) *[]identifier { return &u.phones }, func(u *user) **string { return &u.primaryPhone },
		normalPhone, "a valid phone number according to E.164 international standard"),
	byWallet: identifierSetter(kindWallet, func(u *user) *[]identifier { return &u.wallets }, func(u *user) **string { return &u.primaryWallet },
		normalWallet, "a valid web3 wallet address"),
}

var states = map[string]setter{
	"banned": flagSetter(func(u *user) *bool { return &u.banned }),
	"locked": flagSetter(func(u *user) *bool { return &u.locked }),
}

var primaries = map[string]setter{
	"primary_email_address_id": primarySetter(func(u *user) []identifier { return u.emails }, func(u *user) **string { return &u.primaryEmail }),
	"primary_phone_number_id":  primarySetter(func(u *user) []identifier { return u.phones }, func(u *user) **string { return &u.primaryPhone }),
	"primary_web3_wallet_id":   primarySetter(func(u *user) []identifier { return u.wallets }, func(u *user) **string { return &u.primaryWallet }),
}

// The bodies of the endpoints.
var (
	createParams = join(shared, metadata, identifiers, states, map[string]setter{
		"skip_password_requirement": ignored, "skip_user_requirement": ignored,
		"email_address_identification_status": ignored, "phone_number_identification_status": ignored,
	})
	updateParams = join(shared, primaries, map[string]setter{
		"notify_primary_email_address_changed": ignored, "sign_out_of_other_sessions": ignored,
		"profile_image_id": ignored, "profile_image": ignored,
	})
	oldUpdateParams = join(updateParams, metadata)

	// goParams is what CreateUser and UpdateUser take: also what Clerk changes
	// only by itself.
	goParams = join(createParams, oldUpdateParams, map[string]setter{
		"image_url":       setImage,
		"deprovisioned":   flagSetter(func(u *user) *bool { return &u.deprovisioned }),
		"last_sign_in_at": milliSetter(func(u *user, ms *int64) { u.lastSignInAt = ms }),
		"last_active_at":  milliSetter(func(u *user, ms *int64) { u.lastActiveAt = ms }),
		"updated_at":      milliSetter(setUpdatedAt),
	})
)

func join(sets ...map[string]setter) map[string]setter {
	out := map[string]setter{}
	for _, set := range sets {
		maps.Copy(out, set)
	}
	return out
}

// apply reads a body into the user, in the order of the names so that the same
// body always gives the same ids and the same error.
func (ch *change) apply(body map[string]json.RawMessage, allowed map[string]setter) *apiError {
	for _, param := range slices.Sorted(maps.Keys(body)) {
		set, ok := allowed[param]
		if !ok {
			return errUnknownParam(param)
		}
		if err := set(ch, param, body[param]); err != nil {
			return err
		}
	}
	return ch.checkUnique()
}

// checkUnique refuses what another user carries already.
func (ch *change) checkUnique() *apiError {
	for _, k := range ch.u.keys() {
		if other := ch.c.store.byKey(k); other != nil && other.seq != ch.u.seq {
			return errTaken(k.name)
		}
	}
	return nil
}

func setCreatedAt(u *user, ms *int64) {
	if ms != nil {
		u.createdAt = *ms
	}
}

// setUpdatedAt overrides the clock: so a test makes a change that keeps
// updated_at, or a roll-back at the provider.
func setUpdatedAt(u *user, ms *int64) {
	if ms != nil {
		u.updatedAt = *ms
	}
}

func setPassword(ch *change, param string, raw json.RawMessage) *apiError {
	var text *string
	if json.Unmarshal(raw, &text) != nil {
		return errType(param, "string")
	}
	if text == nil {
		return nil
	}
	if param == "password" && len(*text) < 8 {
		return unprocessable("form_password_length_too_short", "Passwords must be 8 characters or more.", "Passwords must be 8 characters or more.", param)
	}
	ch.u.password, ch.u.passwordUpdatedAt = true, new(ch.now)
	return nil
}

func setTOTP(ch *change, _ string, raw json.RawMessage) *apiError {
	ch.u.totp, ch.u.mfaEnabledAt = string(raw) != "null", new(ch.now)
	return nil
}

func setBackupCodes(ch *change, _ string, raw json.RawMessage) *apiError {
	ch.u.backupCodes = string(raw) != "null"
	return nil
}

func setImage(ch *change, param string, raw json.RawMessage) *apiError {
	if json.Unmarshal(raw, &ch.u.imageURL) != nil {
		return errType(param, "string")
	}
	ch.u.hasImage = true
	return nil
}
