-- +goose Up
-- An invitation may be written to "Ada@example.com" and meet "ada@example.com". Who is erased is looked for in whatever case.
CREATE INDEX {schema}_organization_invitations_lower_email_address ON {schema}_organization_invitations (lower(email_address));
CREATE INDEX {schema}_invitations_lower_email_address ON {schema}_invitations (lower(email_address));
