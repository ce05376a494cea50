-- +goose Up
-- As in the versions before.
SET LOCAL lock_timeout = '6s';
-- What an address is in lower case must not hang on the database's language: in Turkish, "INFO" becomes another word than "info". Each table is
-- locked by what locks it most, first: to lock it more later on would end in a deadlock with those who write.
DROP INDEX {schema}.organization_invitations_lower_email_address;
CREATE INDEX organization_invitations_address ON {schema}.organization_invitations USING hash (lower(email_address COLLATE "C"));
DROP INDEX {schema}.invitations_lower_email_address;
CREATE INDEX invitations_address ON {schema}.invitations USING hash (lower(email_address COLLATE "C"));
