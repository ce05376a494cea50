-- +goose Up
-- The mirror of one Clerk instance's users, and what keeps it faithful. Read the view {schema}_active_users; clerksync alone
-- writes. Times are UTC in the form 2006-01-02T15:04:05.000Z, which sorts as text. The columns that begin with _ belong to the
-- merge rule: they are milliseconds since 1970 unless said otherwise, and -9223372036854775808 stands for "never".

-- One row a user, kept as a tombstone after a deletion. The id is the only unique column: the same e-mail comes back under
-- a new id when somebody deletes the account and signs up again, and the two may arrive in any order.
CREATE TABLE {schema}_users (
    id               TEXT NOT NULL PRIMARY KEY,
    external_id      TEXT,
    username         TEXT,
    first_name       TEXT,
    last_name        TEXT,
    email            TEXT,    -- the primary address, null where there is none
    email_verified   BOOLEAN,
    phone            TEXT,    -- the primary number, null where there is none
    image_url        TEXT,
    public_metadata  TEXT,    -- JSON
    unsafe_metadata  TEXT,    -- JSON
    private_metadata TEXT,    -- JSON; null unless CLERKSYNC_PRIVATE_METADATA=store
    banned           BOOLEAN,
    locked           BOOLEAN,
    created_at       DATETIME,
    updated_at       DATETIME,
    last_sign_in_at  DATETIME,
    last_active_at   DATETIME,
    deleted_at       DATETIME, -- null = visible
    erased_at        DATETIME, -- when the personal columns were emptied
    unstorable       TEXT,    -- names the metadata that this database cannot hold and that is therefore null
    data             TEXT,    -- JSON: Clerk's object, less what is not stored
    source           TEXT NOT NULL,
    synced_at        DATETIME NOT NULL, -- when Clerk last told us about this user
    _alive_at        INTEGER NOT NULL, -- the latest instant at which the user provably existed
    _updated_at      INTEGER NOT NULL, -- Clerk's updated_at of the payload above
    _seen_at         INTEGER NOT NULL, -- breaks the tie between payloads with the same updated_at
    _dead_at         INTEGER NOT NULL, -- dead as of
    _hash            BLOB NOT NULL,    -- SHA-256 of what counts as a change, after a version byte
    _was_visible     BOOLEAN NOT NULL, -- before the last write
    _version         INTEGER NOT NULL, -- 1, 2, 3 ...: how many visible changes there were
    _changed         BOOLEAN NOT NULL, -- whether the last write was one of them, or made the row
    _digest          INTEGER NOT NULL DEFAULT 0, -- fingerprint of the JSON that Clerk's list shows
    CONSTRAINT users_visible_unless_deleted CHECK ((_alive_at > _dead_at) = (deleted_at IS NULL)),
    CONSTRAINT users_version_counts CHECK (_version >= 0),
    CONSTRAINT users_source_known CHECK (source IN ('webhook', 'reconcile', 'delta', 'login', 'resync'))
);

CREATE INDEX {schema}_users_created_at_id ON {schema}_users (created_at, id);
CREATE INDEX {schema}_users_email ON {schema}_users (email);
CREATE INDEX {schema}_users_external_id ON {schema}_users (external_id);
CREATE INDEX {schema}_users_username ON {schema}_users (username);
CREATE INDEX {schema}_users_deleted_at ON {schema}_users (deleted_at) WHERE deleted_at IS NOT NULL;

-- What applications read: the users that exist, without bookkeeping.
CREATE VIEW {schema}_active_users AS
SELECT id, external_id, username, first_name, last_name, email, email_verified, phone, image_url,
       public_metadata, unsafe_metadata, private_metadata, banned, locked,
       created_at, updated_at, last_sign_in_at, last_active_at, unstorable, data, source, synced_at
FROM {schema}_users
WHERE deleted_at IS NULL;

-- Every webhook message received and verified, once, whatever became of it.
CREATE TABLE {schema}_events (
    id          TEXT NOT NULL PRIMARY KEY, -- the verified message id: the same on every redelivery
    type        TEXT,
    object_id   TEXT,
    instance_id TEXT,
    occurred_at DATETIME,
    received_at DATETIME NOT NULL,
    outcome     TEXT NOT NULL,
    error       TEXT,
    attempts    INTEGER NOT NULL,
    payload     BLOB, -- of quarantined and deferred events only, until they are resolved
    due_at      DATETIME, -- when a deferred event, or one that a hook or a constraint refused, is applied again
    CONSTRAINT events_outcome_known CHECK (outcome IN ('created', 'updated', 'refreshed', 'deleted', 'revived', 'unchanged',
        'stale', 'ignored', 'deferred', 'quarantined'))
);

CREATE INDEX {schema}_events_received_at ON {schema}_events (received_at);
CREATE INDEX {schema}_events_quarantined ON {schema}_events (received_at) WHERE outcome = 'quarantined';
CREATE INDEX {schema}_events_deferred ON {schema}_events (due_at) WHERE outcome = 'deferred';
CREATE INDEX {schema}_events_object_id ON {schema}_events (object_id);

-- The change feed: one row a visible change, written in the transaction of the change. seq order is commit order. The unique
-- index proves that the versions of an object never double; what is only remarked about a version repeats it.
CREATE TABLE {schema}_changes (
    seq         INTEGER PRIMARY KEY AUTOINCREMENT,
    resource    TEXT NOT NULL,
    object_id   TEXT NOT NULL,
    op          TEXT NOT NULL,
    version     INTEGER NOT NULL,
    initial     BOOLEAN NOT NULL DEFAULT false, -- created before this mirror was, or kept this resource: part of the backfill
    occurred_at DATETIME,
    source      TEXT,
    reasons     TEXT, -- JSON: why a sign-in is suspicious
    created_at  DATETIME NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    CONSTRAINT changes_op_known CHECK (op IN ('created', 'updated', 'deleted', 'revived', 'erased', 'suspicious'))
);

CREATE UNIQUE INDEX {schema}_changes_object_version ON {schema}_changes (resource, object_id, version) WHERE op <> 'suspicious';

-- One row a reconcile pass, also of those that failed.
CREATE TABLE {schema}_passes (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    kind        TEXT NOT NULL,
    instance_id TEXT,
    started_at  DATETIME NOT NULL,
    finished_at DATETIME,
    complete    BOOLEAN NOT NULL DEFAULT false,
    dry_run     BOOLEAN NOT NULL DEFAULT false,
    counts      TEXT, -- JSON: what was seen, created, updated, deleted ... by resource
    requests    INTEGER NOT NULL DEFAULT 0,
    retries     INTEGER NOT NULL DEFAULT 0,
    plan        TEXT, -- the refused deletion plan, if the guard tripped
    error       TEXT
);

CREATE INDEX {schema}_passes_kind_started_at ON {schema}_passes (kind, started_at);

-- Deletion plans that the guard refused, until an operator approves one or it expires.
CREATE TABLE {schema}_plans (
    sha256     TEXT NOT NULL PRIMARY KEY,
    ids        TEXT NOT NULL, -- JSON
    term       INTEGER NOT NULL, -- of the lease under which it was made
    created_at DATETIME NOT NULL,
    expires_at DATETIME NOT NULL,
    pass_id    INTEGER,
    used_at    DATETIME
);

-- Single facts, each written by one part of clerksync:
--   born       sync       when this mirror was made, and since when it keeps each resource; older objects are created with changes.initial
--   instance   sync       the pinned Clerk instance
--   foreign    sync       ignored events of other instances
--   audit      sync       the end of the audit log
--   forgotten  sync       how recent the deletions are whose tombstones were removed
--   feed       sync       stands for the order of changes; SQLite writes one transaction at a time, so nothing locks it here
--   watermark  reconcile  how far the delta pass has read
--   lease      reconcile  who may run a pass; lease:leader tells which daemon leads, lease:relay:NAME which one runs a relay
--   progress   reconcile  where an interrupted full pass goes on
--   verdict    reconcile  the lease's term of the last complete full pass: plans of earlier terms cannot be approved
--   replicas   serve      which daemons share the database, and when each was heard of
CREATE TABLE {schema}_state (
    key        TEXT NOT NULL PRIMARY KEY,
    value      TEXT NOT NULL, -- JSON
    updated_at DATETIME NOT NULL
);

INSERT INTO {schema}_state (key, value, updated_at) VALUES
    ('feed', '{}', strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    ('born', json_object('at', CAST(round((julianday('now') - 2440587.5) * 86400000) AS INTEGER)),
        strftime('%Y-%m-%dT%H:%M:%fZ', 'now'));
