-- +goose Up
-- As in the version before.
SET LOCAL lock_timeout = '6s';
-- An invitation may be written to "Ada@example.com" and meet "ada@example.com". Who is erased is looked for in whatever case.
CREATE INDEX organization_invitations_lower_email_address ON {schema}.organization_invitations USING hash (lower(email_address));
CREATE INDEX invitations_lower_email_address ON {schema}.invitations USING hash (lower(email_address));
