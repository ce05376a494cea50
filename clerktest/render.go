package clerktest

const googleScopes = "email https://www.googleapis.com/auth/userinfo.email https://www.googleapis.com/auth/userinfo.profile openid profile"

// listUser writes a user as the Backend API does: GET /v1/users, GET
// /v1/users/{id} and the answer to every write.
func (w *writer) listUser(name string, u *user) *writer {
	w.open(name, '{').str("id", u.id).str("object", "user").strOrNull("username", u.username)
	w.strOrNull("first_name", u.firstName).strOrNull("last_name", u.lastName).strOrNull("locale", u.locale)
	w.str("image_url", u.imageURL).flag("has_image", u.hasImage)
	w.strOrNull("primary_email_address_id", u.primaryEmail).strOrNull("primary_phone_number_id", u.primaryPhone)
	w.strOrNull("primary_web3_wallet_id", u.primaryWallet)
	w.flag("password_enabled", u.password).flag("two_factor_enabled", u.totp).flag("totp_enabled", u.totp)
	w.flag("backup_code_enabled", u.backupCodes)
	w.listIdentifiers(u)
	w.open("passkeys", '[').close(']')
	w.listAccounts(u)
	w.open("saml_accounts", '[').close(']').open("enterprise_accounts", '[').close(']')
	w.numOrNull("password_last_updated_at", u.passwordUpdatedAt)
	w.object("public_metadata", u.public).object("private_metadata", u.private).object("unsafe_metadata", u.unsafe)
	w.strOrNull("external_id", u.externalID).numOrNull("last_sign_in_at", u.lastSignInAt)
	w.flag("banned", u.banned).flag("locked", u.locked).flag("deprovisioned", u.deprovisioned)
	w.numOrNull("lockout_expires_in_seconds", u.lockoutSeconds).numOrNull("verification_attempts_remaining", u.attemptsRemaining)
	w.num("created_at", u.createdAt).num("updated_at", u.updatedAt)
	w.flag("delete_self_enabled", u.deleteSelf).flag("create_organization_enabled", u.createOrgs)
	w.numOrNull("create_organizations_limit", u.createOrgsLimit).numOrNull("last_active_at", u.lastActiveAt)
	w.numOrNull("mfa_enabled_at", u.mfaEnabledAt).numOrNull("mfa_disabled_at", u.mfaDisabledAt)
	w.numOrNull("legal_accepted_at", u.legalAcceptedAt).flag("bypass_client_trust", false)
	return w.str("profile_image_url", u.imageURL).close('}')
}

func (w *writer) listIdentifiers(u *user) {
	w.open("email_addresses", '[')
	for i := range u.emails {
		e := &u.emails[i]
		w.open("", '{').str("id", e.id).str("object", "email_address").str("email_address", e.value).flag("reserved", e.reserved)
		w.listVerification(e).linkedTo(e, true).flag("matches_sso_connection", false)
		w.num("created_at", e.createdAt).num("updated_at", e.updatedAt).close('}')
	}
	w.close(']').open("phone_numbers", '[')
	for i := range u.phones {
		p := &u.phones[i]
		w.open("", '{').str("id", p.id).str("object", "phone_number").str("phone_number", p.value)
		w.flag("reserved_for_second_factor", false).flag("default_second_factor", false).flag("reserved", p.reserved)
		w.listVerification(p).linkedTo(p, true).raw("backup_codes", "null")
		w.num("created_at", p.createdAt).num("updated_at", p.updatedAt).close('}')
	}
	w.close(']').open("web3_wallets", '[')
	for i := range u.wallets {
		x := &u.wallets[i]
		w.open("", '{').str("id", x.id).str("object", "web3_wallet").str("web3_wallet", x.value)
		w.listVerification(x).num("created_at", x.createdAt).num("updated_at", x.updatedAt).close('}')
	}
	w.close(']')
}

func (w *writer) listVerification(i *identifier) *writer {
	return w.open("verification", '{').str("object", i.verificationObject()).str("status", i.status).str("strategy", i.strategy).
		raw("attempts", "null").raw("expire_at", "null").close('}')
}

// verificationObject names the schema of a verification, which only the
// Backend API tells.
func (i *identifier) verificationObject() string {
	switch i.strategy {
	case "admin":
		return "verification_admin"
	case "from_oauth_google":
		return "verification_from_oauth"
	case "web3_metamask_signature":
		return "verification_web3"
	}
	return "verification_otp"
}

// linkedTo writes the connected account of an address; the order of its two
// members differs between API and webhook.
func (w *writer) linkedTo(i *identifier, typeFirst bool) *writer {
	w.open("linked_to", '[')
	switch {
	case i.linkedTo == "":
	case typeFirst:
		w.open("", '{').str("type", "oauth_google").str("id", i.linkedTo).close('}')
	default:
		w.open("", '{').str("id", i.linkedTo).str("type", "oauth_google").close('}')
	}
	return w.close(']')
}

func (w *writer) listAccounts(u *user) {
	w.open("external_accounts", '[')
	for i := range u.accounts {
		a := &u.accounts[i]
		w.open("", '{').str("object", "external_account").str("id", a.connectionID).str("provider", "oauth_google")
		w.str("identification_id", a.id).str("provider_user_id", a.providerUserID).str("approved_scopes", googleScopes)
		w.str("email_address", a.email).str("first_name", a.firstName).str("last_name", a.lastName)
		w.str("avatar_url", a.picture).str("image_url", a.picture).raw("username", "null").raw("phone_number", "null")
		w.raw("public_metadata", "{}").raw("label", "null").num("created_at", a.createdAt).num("updated_at", a.createdAt)
		w.open("verification", '{').str("object", "verification_oauth").str("status", "verified").str("strategy", "oauth_google")
		w.raw("attempts", "null").num("expire_at", a.createdAt+600_000).close('}').close('}')
	}
	w.close(']')
}
