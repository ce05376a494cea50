-- +goose Up
-- Indexes for what is due: what was deleted and is to be erased, what was erased and belongs together, and events with content. All of
-- them are small, since they leave out what is alive.
CREATE INDEX {schema}_users_unerased ON {schema}_users (deleted_at) WHERE deleted_at IS NOT NULL AND erased_at IS NULL;
CREATE INDEX {schema}_users_erased_at ON {schema}_users (erased_at) WHERE erased_at IS NOT NULL;
CREATE INDEX {schema}_organizations_deleted_at ON {schema}_organizations (deleted_at) WHERE deleted_at IS NOT NULL;
CREATE INDEX {schema}_organizations_unerased ON {schema}_organizations (deleted_at) WHERE deleted_at IS NOT NULL AND erased_at IS NULL;
CREATE INDEX {schema}_organizations_erased_at ON {schema}_organizations (erased_at) WHERE erased_at IS NOT NULL;
CREATE INDEX {schema}_organization_memberships_deleted_at ON {schema}_organization_memberships (deleted_at) WHERE deleted_at IS NOT NULL;
CREATE INDEX {schema}_organization_memberships_unerased ON {schema}_organization_memberships (deleted_at) WHERE deleted_at IS NOT NULL AND erased_at IS NULL;
CREATE INDEX {schema}_organization_invitations_deleted_at ON {schema}_organization_invitations (deleted_at) WHERE deleted_at IS NOT NULL;
CREATE INDEX {schema}_organization_invitations_unerased ON {schema}_organization_invitations (deleted_at) WHERE deleted_at IS NOT NULL AND erased_at IS NULL;
CREATE INDEX {schema}_invitations_deleted_at ON {schema}_invitations (deleted_at) WHERE deleted_at IS NOT NULL;
CREATE INDEX {schema}_invitations_unerased ON {schema}_invitations (deleted_at) WHERE deleted_at IS NOT NULL AND erased_at IS NULL;
CREATE INDEX {schema}_sessions_deleted_at ON {schema}_sessions (deleted_at) WHERE deleted_at IS NOT NULL;
CREATE INDEX {schema}_sessions_unerased ON {schema}_sessions (deleted_at) WHERE deleted_at IS NOT NULL AND erased_at IS NULL;
CREATE INDEX {schema}_organization_domains_deleted_at ON {schema}_organization_domains (deleted_at) WHERE deleted_at IS NOT NULL;
CREATE INDEX {schema}_organization_domains_unerased ON {schema}_organization_domains (deleted_at) WHERE deleted_at IS NOT NULL AND erased_at IS NULL;
CREATE INDEX {schema}_roles_deleted_at ON {schema}_roles (deleted_at) WHERE deleted_at IS NOT NULL;
CREATE INDEX {schema}_roles_unerased ON {schema}_roles (deleted_at) WHERE deleted_at IS NOT NULL AND erased_at IS NULL;
CREATE INDEX {schema}_permissions_deleted_at ON {schema}_permissions (deleted_at) WHERE deleted_at IS NOT NULL;
CREATE INDEX {schema}_permissions_unerased ON {schema}_permissions (deleted_at) WHERE deleted_at IS NOT NULL AND erased_at IS NULL;
CREATE INDEX {schema}_events_payload ON {schema}_events (received_at) WHERE payload IS NOT NULL;
