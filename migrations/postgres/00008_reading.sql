-- +goose Up
-- An organization's members in the order of their ids: page by page, since each page of a large one read and sorted all of them.
DROP INDEX {schema}.organization_memberships_of_organization;
CREATE INDEX organization_memberships_of_organization ON {schema}.organization_memberships (organization_id COLLATE "C", id);
-- Suspicious sign-ins are few among many changes. The index leaves all others out, so they pay nothing for it.
CREATE INDEX changes_suspicious ON {schema}.changes (seq) WHERE op = 'suspicious';
