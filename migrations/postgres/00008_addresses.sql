-- +goose Up
-- As in the version before.
SET LOCAL lock_timeout = '6s';
-- An invitation may be written to "Ada@example.com" and meet "ada@example.com". Who is erased is looked for in whatever case. What that is must
-- not hang on the database's language: in Turkish, "INFO" in lower case is another word than "info".
CREATE INDEX organization_invitations_lower_email_address ON {schema}.organization_invitations USING hash (lower(email_address COLLATE "C"));
CREATE INDEX invitations_lower_email_address ON {schema}.invitations USING hash (lower(email_address COLLATE "C"));
