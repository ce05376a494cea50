-- +goose Up
-- An invitation to an organization that was accepted names the user: he may have another address by the time he is erased.
CREATE INDEX organization_invitations_user_id ON {schema}.organization_invitations (user_id) WHERE user_id IS NOT NULL;
