package clerktest

// eventUser writes a user as webhooks do: members sorted by name, verifications
// without their object, Google accounts in a shape of their own, and without
// the members that only the Backend API tells (deprovisioned unless it is true,
// locale, bypass_client_trust, password_last_updated_at).
func (w *writer) eventUser(name string, u *user) *writer {
	w.open(name, '{').flag("backup_code_enabled", u.backupCodes).flag("banned", u.banned)
	w.flag("create_organization_enabled", u.createOrgs).numOrNull("create_organizations_limit", u.createOrgsLimit)
	w.num("created_at", u.createdAt).flag("delete_self_enabled", u.deleteSelf)
	if u.deprovisioned {
		w.flag("deprovisioned", true)
	}
	w.eventEmails(u)
	w.open("enterprise_accounts", '[').close(']')
	w.eventAccounts(u)
	w.strOrNull("external_id", u.externalID).strOrNull("first_name", u.firstName).flag("has_image", u.hasImage)
	w.str("id", u.id).str("image_url", u.imageURL).numOrNull("last_active_at", u.lastActiveAt)
	w.strOrNull("last_name", u.lastName).numOrNull("last_sign_in_at", u.lastSignInAt)
	w.numOrNull("legal_accepted_at", u.legalAcceptedAt).flag("locked", u.locked)
	w.numOrNull("lockout_expires_in_seconds", u.lockoutSeconds).numOrNull("mfa_disabled_at", u.mfaDisabledAt)
	w.numOrNull("mfa_enabled_at", u.mfaEnabledAt).str("object", "user").open("passkeys", '[').close(']')
	w.flag("password_enabled", u.password)
	w.eventPhones(u)
	w.strOrNull("primary_email_address_id", u.primaryEmail).strOrNull("primary_phone_number_id", u.primaryPhone)
	w.strOrNull("primary_web3_wallet_id", u.primaryWallet).object("private_metadata", u.private)
	w.str("profile_image_url", u.imageURL).object("public_metadata", u.public).open("saml_accounts", '[').close(']')
	w.flag("totp_enabled", u.totp).flag("two_factor_enabled", u.totp).object("unsafe_metadata", u.unsafe)
	w.num("updated_at", u.updatedAt).strOrNull("username", u.username)
	w.numOrNull("verification_attempts_remaining", u.attemptsRemaining)
	w.eventWallets(u)
	return w.close('}')
}

func (w *writer) eventEmails(u *user) {
	w.open("email_addresses", '[')
	for i := range u.emails {
		e := &u.emails[i]
		w.open("", '{').num("created_at", e.createdAt).str("email_address", e.value).str("id", e.id).linkedTo(e, false)
		w.flag("matches_sso_connection", false).str("object", "email_address").flag("reserved", e.reserved)
		w.num("updated_at", e.updatedAt).eventVerification(e).close('}')
	}
	w.close(']')
}

func (w *writer) eventPhones(u *user) {
	w.open("phone_numbers", '[')
	for i := range u.phones {
		p := &u.phones[i]
		w.open("", '{').raw("backup_codes", "null").num("created_at", p.createdAt).flag("default_second_factor", false)
		w.str("id", p.id).linkedTo(p, false).str("object", "phone_number").str("phone_number", p.value)
		w.flag("reserved", p.reserved).flag("reserved_for_second_factor", false)
		w.num("updated_at", p.updatedAt).eventVerification(p).close('}')
	}
	w.close(']')
}

func (w *writer) eventWallets(u *user) {
	w.open("web3_wallets", '[')
	for i := range u.wallets {
		x := &u.wallets[i]
		w.open("", '{').num("created_at", x.createdAt).str("id", x.id).str("object", "web3_wallet")
		w.num("updated_at", x.updatedAt).eventVerification(x).str("web3_wallet", x.value).close('}')
	}
	w.close(']')
}

func (w *writer) eventVerification(i *identifier) *writer {
	return w.open("verification", '{').raw("attempts", "null").raw("expire_at", "null").
		str("status", i.status).str("strategy", i.strategy).close('}')
}

func (w *writer) eventAccounts(u *user) {
	w.open("external_accounts", '[')
	for i := range u.accounts {
		a := &u.accounts[i]
		w.open("", '{').str("approved_scopes", googleScopes).num("created_at", a.createdAt).str("email_address", a.email)
		w.str("family_name", a.lastName).str("given_name", a.firstName).str("google_id", a.providerUserID).str("id", a.id)
		w.raw("label", "null").str("object", "google_account").str("picture", a.picture).raw("public_metadata", "{}")
		w.num("updated_at", a.createdAt).raw("username", "null")
		w.open("verification", '{').raw("attempts", "null").num("expire_at", a.createdAt+600_000)
		w.str("status", "verified").str("strategy", "oauth_google").close('}').close('}')
	}
	w.close(']')
}
