-- +goose Up
-- An organization's members are read in the order of their ids, page by page.
DROP INDEX {schema}_organization_memberships_organization_id;
CREATE INDEX {schema}_organization_memberships_organization_id ON {schema}_organization_memberships (organization_id, id);
-- Suspicious sign-ins are few among many changes. The index leaves all others out, so they pay nothing for it.
CREATE INDEX {schema}_changes_suspicious ON {schema}_changes (seq) WHERE op = 'suspicious';
