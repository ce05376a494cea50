-- +goose Up
-- Whoever writes waits behind whoever makes an index, and he for all who wrote before. If one of those has forgotten to commit, it is better to
-- give up, and to be run again.
SET LOCAL lock_timeout = '6s';
-- A join from users or organizations compares by the collation of their ids, which is "C", and only an index of that collation serves it.
-- The older indexes of these columns serve whoever asks by an id that he knows. An organization's members are read in the order of their
-- ids, page by page.
CREATE INDEX organization_memberships_of_user ON {schema}.organization_memberships (user_id COLLATE "C");
CREATE INDEX organization_memberships_of_organization ON {schema}.organization_memberships (organization_id COLLATE "C", id);
CREATE INDEX organization_invitations_of_organization ON {schema}.organization_invitations (organization_id COLLATE "C");
CREATE INDEX organization_domains_of_organization ON {schema}.organization_domains (organization_id COLLATE "C");
CREATE INDEX sessions_of_user ON {schema}.sessions (user_id COLLATE "C", created_at);
-- Suspicious sign-ins are few among many changes. The index leaves all others out, so they pay nothing for it.
CREATE INDEX changes_suspicious ON {schema}.changes (seq) WHERE op = 'suspicious';
