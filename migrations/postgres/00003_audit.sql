-- +goose Up
-- The audit log: what was deleted, erased, restored, approved or refused, when, and on whose word. It holds ids and no personal
-- data, so it stays when a person is erased, and it is never cleared. Rows are only ever added: clerksync audit verify proves it.
CREATE TABLE {schema}.audit (
    seq         bigint PRIMARY KEY,  -- 1, 2, 3 ... without a hole, in the order of commits
    at          timestamptz NOT NULL,
    action      text NOT NULL,       -- deleted, revived, erased, ...
    resource    text NOT NULL,       -- the kind of the object; empty where the row is about none
    object_id   text NOT NULL,
    source      text NOT NULL,       -- the feeder that told it, or who did it
    event_id    text NOT NULL,       -- the message that told it; empty where a read did
    occurred_at timestamptz,         -- when, by the word of the source
    detail      text NOT NULL,       -- numbers and digests
    previous    text NOT NULL,       -- the hash of the row before; 64 zeros in the first row
    hash        text NOT NULL,       -- SHA-256 in hexadecimal of all of the above, one a line, previous first
    CONSTRAINT audit_seq_counts CHECK (seq > 0)
);

CREATE INDEX audit_object ON {schema}.audit (object_id, resource);
CREATE INDEX audit_at ON {schema}.audit (at);

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION {schema}.keep_audit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'rows of the audit log are neither changed nor removed' USING ERRCODE = 'insufficient_privilege';
END
$$;
-- +goose StatementEnd

CREATE TRIGGER audit_is_only_appended BEFORE UPDATE OR DELETE OR TRUNCATE ON {schema}.audit
    FOR EACH STATEMENT EXECUTE FUNCTION {schema}.keep_audit();

-- The end of the log, so that rows cut off there are missed.
--   audit  sync  the last row's seq and hash
INSERT INTO {schema}.state (key, value, updated_at) VALUES
    ('audit', jsonb_build_object('seq', 0, 'hash', repeat('0', 64)), now());
