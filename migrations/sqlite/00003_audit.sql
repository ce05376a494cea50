-- +goose Up
-- The audit log: what was deleted, erased, restored, approved or refused, when, and on whose word. It holds ids and no personal
-- data, so it stays when a person is erased, and it is never cleared. Rows are only ever added: clerksync audit verify proves it.
CREATE TABLE {schema}_audit (
    seq         INTEGER PRIMARY KEY,    -- 1, 2, 3 ... without a hole, in the order of commits
    at          DATETIME NOT NULL,
    action      TEXT NOT NULL,          -- deleted, revived, erased, ...
    resource    TEXT NOT NULL,          -- the kind of the object; empty where the row is about none
    object_id   TEXT NOT NULL,
    source      TEXT NOT NULL,          -- the feeder that told it, or who did it
    event_id    TEXT NOT NULL,          -- the message that told it; empty where a read did
    occurred_at DATETIME,               -- when, by the word of the source
    detail      TEXT NOT NULL,          -- numbers and digests
    previous    TEXT NOT NULL,          -- the hash of the row before; 64 zeros in the first row
    hash        TEXT NOT NULL,          -- SHA-256 in hexadecimal of all of the above, one a line, previous first
    CONSTRAINT audit_seq_counts CHECK (seq > 0)
);

CREATE INDEX {schema}_audit_object ON {schema}_audit (object_id, resource);
CREATE INDEX {schema}_audit_at ON {schema}_audit (at);

-- +goose StatementBegin
CREATE TRIGGER {schema}_audit_keeps_rows BEFORE UPDATE ON {schema}_audit
BEGIN
    SELECT RAISE(ABORT, 'rows of the audit log are neither changed nor removed');
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER {schema}_audit_loses_no_rows BEFORE DELETE ON {schema}_audit
BEGIN
    SELECT RAISE(ABORT, 'rows of the audit log are neither changed nor removed');
END;
-- +goose StatementEnd

-- The end of the log, so that rows cut off there are missed.
--   audit  sync  the last row's seq and hash
INSERT INTO {schema}_state (key, value, updated_at) VALUES
    ('audit', json_object('seq', 0, 'hash', '0000000000000000000000000000000000000000000000000000000000000000'),
        strftime('%Y-%m-%dT%H:%M:%fZ', 'now'));
