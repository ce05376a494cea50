-- +goose Up
-- Indexes for what is due: what was deleted and is to be erased, what was erased and belongs together, and events with content. All of
-- them are small, since they leave out what is alive.
CREATE INDEX users_unerased ON {schema}.users (deleted_at) WHERE deleted_at IS NOT NULL AND erased_at IS NULL;
CREATE INDEX users_erased_at ON {schema}.users (erased_at) WHERE erased_at IS NOT NULL;
CREATE INDEX organizations_deleted_at ON {schema}.organizations (deleted_at) WHERE deleted_at IS NOT NULL;
CREATE INDEX organizations_unerased ON {schema}.organizations (deleted_at) WHERE deleted_at IS NOT NULL AND erased_at IS NULL;
CREATE INDEX organizations_erased_at ON {schema}.organizations (erased_at) WHERE erased_at IS NOT NULL;
CREATE INDEX organization_memberships_deleted_at ON {schema}.organization_memberships (deleted_at) WHERE deleted_at IS NOT NULL;
CREATE INDEX organization_memberships_unerased ON {schema}.organization_memberships (deleted_at) WHERE deleted_at IS NOT NULL AND erased_at IS NULL;
CREATE INDEX organization_invitations_deleted_at ON {schema}.organization_invitations (deleted_at) WHERE deleted_at IS NOT NULL;
CREATE INDEX organization_invitations_unerased ON {schema}.organization_invitations (deleted_at) WHERE deleted_at IS NOT NULL AND erased_at IS NULL;
CREATE INDEX invitations_deleted_at ON {schema}.invitations (deleted_at) WHERE deleted_at IS NOT NULL;
CREATE INDEX invitations_unerased ON {schema}.invitations (deleted_at) WHERE deleted_at IS NOT NULL AND erased_at IS NULL;
CREATE INDEX sessions_deleted_at ON {schema}.sessions (deleted_at) WHERE deleted_at IS NOT NULL;
CREATE INDEX sessions_unerased ON {schema}.sessions (deleted_at) WHERE deleted_at IS NOT NULL AND erased_at IS NULL;
CREATE INDEX organization_domains_deleted_at ON {schema}.organization_domains (deleted_at) WHERE deleted_at IS NOT NULL;
CREATE INDEX organization_domains_unerased ON {schema}.organization_domains (deleted_at) WHERE deleted_at IS NOT NULL AND erased_at IS NULL;
CREATE INDEX roles_deleted_at ON {schema}.roles (deleted_at) WHERE deleted_at IS NOT NULL;
CREATE INDEX roles_unerased ON {schema}.roles (deleted_at) WHERE deleted_at IS NOT NULL AND erased_at IS NULL;
CREATE INDEX permissions_deleted_at ON {schema}.permissions (deleted_at) WHERE deleted_at IS NOT NULL;
CREATE INDEX permissions_unerased ON {schema}.permissions (deleted_at) WHERE deleted_at IS NOT NULL AND erased_at IS NULL;
CREATE INDEX events_payload ON {schema}.events (received_at) WHERE payload IS NOT NULL;
