-- +goose Up
-- A join from users or organizations compares by the collation of their ids, which is "C", and only an index of that collation serves it.
-- The older indexes of these columns serve whoever asks by an id that he knows.
CREATE INDEX organization_memberships_of_user ON {schema}.organization_memberships (user_id COLLATE "C");
CREATE INDEX organization_memberships_of_organization ON {schema}.organization_memberships (organization_id COLLATE "C");
CREATE INDEX organization_invitations_of_organization ON {schema}.organization_invitations (organization_id COLLATE "C");
CREATE INDEX organization_domains_of_organization ON {schema}.organization_domains (organization_id COLLATE "C");
CREATE INDEX sessions_of_user ON {schema}.sessions (user_id COLLATE "C", created_at);
