-- +goose Up
-- The mirror of one Clerk instance's users, and what keeps it faithful. Read the view active_users; clerksync alone writes.
-- Times are UTC. The columns that begin with _ belong to the merge rule: they are milliseconds since 1970 unless said
-- otherwise, and -9223372036854775808 stands for "never".

-- One row a user, kept as a tombstone after a deletion. The id is the only unique column: the same e-mail comes back under
-- a new id when somebody deletes the account and signs up again, and the two may arrive in any order.
CREATE TABLE {schema}.users (
    id               text COLLATE "C" PRIMARY KEY,
    external_id      text,
    username         text,
    first_name       text,
    last_name        text,
    email            text,    -- the primary address, null where there is none
    email_verified   boolean,
    phone            text,    -- the primary number, null where there is none
    image_url        text,
    public_metadata  jsonb,
    unsafe_metadata  jsonb,
    private_metadata jsonb,   -- null unless CLERKSYNC_PRIVATE_METADATA=store
    banned           boolean,
    locked           boolean,
    created_at       timestamptz,
    updated_at       timestamptz,
    last_sign_in_at  timestamptz,
    last_active_at   timestamptz,
    deleted_at       timestamptz, -- null = visible
    erased_at        timestamptz, -- when the personal columns were emptied
    unstorable       text,    -- names the metadata that this database cannot hold and that is therefore null
    data             jsonb,   -- Clerk's object, less what is not stored
    source           text NOT NULL,
    synced_at        timestamptz NOT NULL, -- when Clerk last told us about this user
    _alive_at        bigint NOT NULL, -- the latest instant at which the user provably existed
    _updated_at      bigint NOT NULL, -- Clerk's updated_at of the payload above
    _seen_at         bigint NOT NULL, -- breaks the tie between payloads with the same updated_at
    _dead_at         bigint NOT NULL, -- dead as of
    _hash            bytea NOT NULL,  -- SHA-256 of what counts as a change, after a version byte
    _was_visible     boolean NOT NULL, -- before the last write
    _version         bigint NOT NULL, -- 1, 2, 3 ...: how many visible changes there were
    _changed         boolean NOT NULL, -- whether the last write was one of them, or made the row
    _digest          bigint NOT NULL DEFAULT 0, -- fingerprint of the JSON that Clerk's list shows
    CONSTRAINT users_visible_unless_deleted CHECK ((_alive_at > _dead_at) = (deleted_at IS NULL)),
    CONSTRAINT users_version_counts CHECK (_version >= 0),
    CONSTRAINT users_source_known CHECK (source IN ('webhook', 'reconcile', 'delta', 'login', 'resync'))
) WITH (
    fillfactor = 85,          -- room for updates in place: sign-ins touch rows, not their indexes
    toast_tuple_target = 2800 -- an ordinary user's data stays in the row: to write it beside costs a quarter of an event
);

CREATE INDEX users_created_at_id ON {schema}.users (created_at, id COLLATE "C");
-- Hash indexes take texts of any length. A B-tree refuses long ones, and with them the whole row.
CREATE INDEX users_email ON {schema}.users USING hash (email);
CREATE INDEX users_external_id ON {schema}.users USING hash (external_id);
CREATE INDEX users_username ON {schema}.users USING hash (username);
CREATE INDEX users_deleted_at ON {schema}.users (deleted_at) WHERE deleted_at IS NOT NULL;

-- lz4 unpacks JSON several times faster. Servers before PostgreSQL 14, or built without it, keep their own default.
-- +goose StatementBegin
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['data', 'public_metadata', 'unsafe_metadata', 'private_metadata'] LOOP
        EXECUTE format('ALTER TABLE {schema}.users ALTER COLUMN %I SET COMPRESSION lz4', name);
    END LOOP;
EXCEPTION
    WHEN syntax_error OR feature_not_supported THEN
        NULL;
END
$$;
-- +goose StatementEnd

-- What applications read: the users that exist, without bookkeeping.
CREATE VIEW {schema}.active_users AS
SELECT id, external_id, username, first_name, last_name, email, email_verified, phone, image_url,
       public_metadata, unsafe_metadata, private_metadata, banned, locked,
       created_at, updated_at, last_sign_in_at, last_active_at, unstorable, data, source, synced_at
FROM {schema}.users
WHERE deleted_at IS NULL;

-- Every webhook message received and verified, once, whatever became of it.
CREATE TABLE {schema}.events (
    id          text COLLATE "C" PRIMARY KEY, -- the verified message id: the same on every redelivery
    type        text,
    object_id   text,
    instance_id text,
    occurred_at timestamptz,
    received_at timestamptz NOT NULL,
    outcome     text NOT NULL,
    error       text,
    attempts    int NOT NULL,
    payload     bytea, -- of quarantined and deferred events only, until they are resolved
    due_at      timestamptz, -- when a deferred event, or one that a hook or a constraint refused, is applied again
    CONSTRAINT events_outcome_known CHECK (outcome IN ('created', 'updated', 'refreshed', 'deleted', 'revived', 'unchanged',
        'stale', 'ignored', 'deferred', 'quarantined'))
);

CREATE INDEX events_received_at ON {schema}.events (received_at);
CREATE INDEX events_quarantined ON {schema}.events (received_at) WHERE outcome = 'quarantined';
CREATE INDEX events_deferred ON {schema}.events (due_at) WHERE outcome = 'deferred';
CREATE INDEX events_object_id ON {schema}.events (object_id);

-- The change feed: one row a visible change, written in the transaction of the change. seq order is commit order. The unique
-- index proves that the versions of an object never double; what is only remarked about a version repeats it.
CREATE TABLE {schema}.changes (
    seq         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    resource    text NOT NULL,
    object_id   text NOT NULL,
    op          text NOT NULL,
    version     bigint NOT NULL,
    initial     boolean NOT NULL DEFAULT false, -- created before this mirror was, or kept this resource: part of the backfill
    occurred_at timestamptz,
    source      text,
    reasons     jsonb, -- why a sign-in is suspicious
    created_at  timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT changes_op_known CHECK (op IN ('created', 'updated', 'deleted', 'revived', 'erased', 'suspicious'))
);

CREATE UNIQUE INDEX changes_object_version ON {schema}.changes (resource, object_id, version) WHERE op <> 'suspicious';

-- One row a reconcile pass, also of those that failed.
CREATE TABLE {schema}.passes (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind        text NOT NULL,
    instance_id text,
    started_at  timestamptz NOT NULL,
    finished_at timestamptz,
    complete    boolean NOT NULL DEFAULT false,
    dry_run     boolean NOT NULL DEFAULT false,
    counts      jsonb, -- what was seen, created, updated, deleted ... by resource
    requests    bigint NOT NULL DEFAULT 0,
    retries     bigint NOT NULL DEFAULT 0,
    plan        text, -- the refused deletion plan, if the guard tripped
    error       text
);

CREATE INDEX passes_kind_started_at ON {schema}.passes (kind, started_at);

-- Deletion plans that the guard refused, until an operator approves one or it expires.
CREATE TABLE {schema}.plans (
    sha256     text PRIMARY KEY,
    ids        jsonb NOT NULL,
    term       bigint NOT NULL, -- of the lease under which it was made
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    pass_id    bigint,
    used_at    timestamptz
);

-- Single facts, each written by one part of clerksync:
--   born       sync       when this mirror was made, and since when it keeps each resource; older objects are created with changes.initial
--   instance   sync       the pinned Clerk instance
--   foreign    sync       ignored events of other instances
--   audit      sync       the end of the audit log
--   forgotten  sync       how recent the deletions are whose tombstones were removed
--   feed       sync       locked by every transaction that appends to changes, so that seq order is commit order
--   watermark  reconcile  how far the delta pass has read
--   lease      reconcile  who may run a pass; lease:leader tells which daemon leads, lease:relay:NAME which one runs a relay
--   progress   reconcile  where an interrupted full pass goes on
--   verdict    reconcile  the lease's term of the last complete full pass: plans of earlier terms cannot be approved
--   replicas   serve      which daemons share the database, and when each was heard of
CREATE TABLE {schema}.state (
    key        text PRIMARY KEY,
    value      jsonb NOT NULL,
    updated_at timestamptz NOT NULL
);

INSERT INTO {schema}.state (key, value, updated_at) VALUES
    ('feed', '{}', now()),
    ('born', jsonb_build_object('at', floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint), now());
