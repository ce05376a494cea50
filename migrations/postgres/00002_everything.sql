-- +goose Up
-- What else Clerk tells: organizations, who belongs to them and who is invited, sign-ins, domains, roles and permissions. Every table is
-- built like users; children may arrive before their parents, so no table refers to another.

-- Organizations. Their counts move with every membership.
CREATE TABLE {schema}.organizations (
    id                        text COLLATE "C" PRIMARY KEY,
    name                      text,
    slug                      text,
    image_url                 text,
    created_by                text,
    members_count             bigint,
    pending_invitations_count bigint,
    max_allowed_memberships   bigint,
    admin_delete_enabled      boolean,
    public_metadata           jsonb,
    private_metadata          jsonb,
    created_at                timestamptz,
    updated_at                timestamptz,
    deleted_at                timestamptz,
    erased_at                 timestamptz,
    unstorable                text,
    data                      jsonb,
    source                    text NOT NULL,
    synced_at                 timestamptz NOT NULL,
    _alive_at                 bigint NOT NULL,
    _updated_at               bigint NOT NULL,
    _seen_at                  bigint NOT NULL,
    _dead_at                  bigint NOT NULL,
    _hash                     bytea NOT NULL,
    _was_visible              boolean NOT NULL,
    _version                  bigint NOT NULL,
    _changed                  boolean NOT NULL,
    _digest                   bigint NOT NULL DEFAULT 0,
    CONSTRAINT organizations_visible_unless_deleted CHECK ((_alive_at > _dead_at) = (deleted_at IS NULL)),
    CONSTRAINT organizations_version_counts CHECK (_version >= 0),
    CONSTRAINT organizations_source_known CHECK (source IN ('webhook', 'reconcile', 'delta', 'login', 'resync'))
) WITH (fillfactor = 85);

CREATE INDEX organizations_created_at_id ON {schema}.organizations (created_at, id COLLATE "C");
CREATE INDEX organizations_slug ON {schema}.organizations USING hash (slug);

-- Who belongs to which organization, in which role. Join users and organizations for the rest.
CREATE TABLE {schema}.organization_memberships (
    id               text COLLATE "C" PRIMARY KEY,
    organization_id  text,
    user_id          text,
    role             text,
    role_name        text,
    permissions      jsonb,
    public_metadata  jsonb,
    private_metadata jsonb,
    created_at       timestamptz,
    updated_at       timestamptz,
    deleted_at       timestamptz,
    erased_at        timestamptz,
    unstorable       text,
    data             jsonb,
    source           text NOT NULL,
    synced_at        timestamptz NOT NULL,
    _alive_at        bigint NOT NULL,
    _updated_at      bigint NOT NULL,
    _seen_at         bigint NOT NULL,
    _dead_at         bigint NOT NULL,
    _hash            bytea NOT NULL,
    _was_visible     boolean NOT NULL,
    _version         bigint NOT NULL,
    _changed         boolean NOT NULL,
    _digest          bigint NOT NULL DEFAULT 0,
    CONSTRAINT organization_memberships_visible_unless_deleted CHECK ((_alive_at > _dead_at) = (deleted_at IS NULL)),
    CONSTRAINT organization_memberships_version_counts CHECK (_version >= 0),
    CONSTRAINT organization_memberships_source_known CHECK (source IN ('webhook', 'reconcile', 'delta', 'login', 'resync'))
) WITH (fillfactor = 85);

CREATE INDEX organization_memberships_created_at_id ON {schema}.organization_memberships (created_at, id COLLATE "C");
CREATE INDEX organization_memberships_organization_id ON {schema}.organization_memberships (organization_id);
CREATE INDEX organization_memberships_user_id ON {schema}.organization_memberships (user_id);

-- Invitations to an organization. Their url, which holds a token, is never stored.
CREATE TABLE {schema}.organization_invitations (
    id               text COLLATE "C" PRIMARY KEY,
    organization_id  text,
    user_id          text,
    email_address    text,
    role             text,
    role_name        text,
    status           text,
    public_metadata  jsonb,
    private_metadata jsonb,
    expires_at       timestamptz,
    created_at       timestamptz,
    updated_at       timestamptz,
    deleted_at       timestamptz,
    erased_at        timestamptz,
    unstorable       text,
    data             jsonb,
    source           text NOT NULL,
    synced_at        timestamptz NOT NULL,
    _alive_at        bigint NOT NULL,
    _updated_at      bigint NOT NULL,
    _seen_at         bigint NOT NULL,
    _dead_at         bigint NOT NULL,
    _hash            bytea NOT NULL,
    _was_visible     boolean NOT NULL,
    _version         bigint NOT NULL,
    _changed         boolean NOT NULL,
    _digest          bigint NOT NULL DEFAULT 0,
    CONSTRAINT organization_invitations_visible_unless_deleted CHECK ((_alive_at > _dead_at) = (deleted_at IS NULL)),
    CONSTRAINT organization_invitations_version_counts CHECK (_version >= 0),
    CONSTRAINT organization_invitations_source_known CHECK (source IN ('webhook', 'reconcile', 'delta', 'login', 'resync'))
) WITH (fillfactor = 85);

CREATE INDEX organization_invitations_created_at_id ON {schema}.organization_invitations (created_at, id COLLATE "C");
CREATE INDEX organization_invitations_organization_id ON {schema}.organization_invitations (organization_id);
CREATE INDEX organization_invitations_email_address ON {schema}.organization_invitations USING hash (email_address);

-- Invitations to the application. Their url, which holds a token, is never stored.
CREATE TABLE {schema}.invitations (
    id              text COLLATE "C" PRIMARY KEY,
    email_address   text,
    status          text,
    revoked         boolean,
    public_metadata jsonb,
    expires_at      timestamptz,
    created_at      timestamptz,
    updated_at      timestamptz,
    deleted_at      timestamptz,
    erased_at       timestamptz,
    unstorable      text,
    data            jsonb,
    source          text NOT NULL,
    synced_at       timestamptz NOT NULL,
    _alive_at       bigint NOT NULL,
    _updated_at     bigint NOT NULL,
    _seen_at        bigint NOT NULL,
    _dead_at        bigint NOT NULL,
    _hash           bytea NOT NULL,
    _was_visible    boolean NOT NULL,
    _version        bigint NOT NULL,
    _changed        boolean NOT NULL,
    _digest         bigint NOT NULL DEFAULT 0,
    CONSTRAINT invitations_visible_unless_deleted CHECK ((_alive_at > _dead_at) = (deleted_at IS NULL)),
    CONSTRAINT invitations_version_counts CHECK (_version >= 0),
    CONSTRAINT invitations_source_known CHECK (source IN ('webhook', 'reconcile', 'delta', 'login', 'resync'))
) WITH (fillfactor = 85);

CREATE INDEX invitations_created_at_id ON {schema}.invitations (created_at, id COLLATE "C");
CREATE INDEX invitations_email_address ON {schema}.invitations USING hash (email_address);

-- Sign-ins, as webhooks tell them: Clerk has no list of them. CLERKSYNC_SESSION_ACTIVITY says how much of device and place is kept.
CREATE TABLE {schema}.sessions (
    id                          text COLLATE "C" PRIMARY KEY,
    user_id                     text,
    client_id                   text,
    status                      text,
    actor                       jsonb,
    last_active_organization_id text,
    device_type                 text,
    browser_name                text,
    browser_version             text,
    city                        text,
    country                     text,
    ip_address                  text,
    last_active_at              timestamptz,
    expire_at                   timestamptz,
    abandon_at                  timestamptz,
    created_at                  timestamptz,
    updated_at                  timestamptz,
    deleted_at                  timestamptz,
    erased_at                   timestamptz,
    unstorable                  text,
    data                        jsonb,
    source                      text NOT NULL,
    synced_at                   timestamptz NOT NULL,
    _alive_at                   bigint NOT NULL,
    _updated_at                 bigint NOT NULL,
    _seen_at                    bigint NOT NULL,
    _dead_at                    bigint NOT NULL,
    _hash                       bytea NOT NULL,
    _was_visible                boolean NOT NULL,
    _version                    bigint NOT NULL,
    _changed                    boolean NOT NULL,
    _digest                     bigint NOT NULL DEFAULT 0,
    CONSTRAINT sessions_visible_unless_deleted CHECK ((_alive_at > _dead_at) = (deleted_at IS NULL)),
    CONSTRAINT sessions_version_counts CHECK (_version >= 0),
    CONSTRAINT sessions_source_known CHECK (source IN ('webhook', 'reconcile', 'delta', 'login', 'resync'))
) WITH (fillfactor = 85);

CREATE INDEX sessions_created_at_id ON {schema}.sessions (created_at, id COLLATE "C");
CREATE INDEX sessions_user_id_created_at ON {schema}.sessions (user_id, created_at);

-- Domains whose e-mail addresses may join an organization.
CREATE TABLE {schema}.organization_domains (
    id                  text COLLATE "C" PRIMARY KEY,
    organization_id     text,
    name                text,
    enrollment_mode     text,
    verification_status text,
    created_at          timestamptz,
    updated_at          timestamptz,
    deleted_at          timestamptz,
    erased_at           timestamptz,
    unstorable          text,
    data                jsonb,
    source              text NOT NULL,
    synced_at           timestamptz NOT NULL,
    _alive_at           bigint NOT NULL,
    _updated_at         bigint NOT NULL,
    _seen_at            bigint NOT NULL,
    _dead_at            bigint NOT NULL,
    _hash               bytea NOT NULL,
    _was_visible        boolean NOT NULL,
    _version            bigint NOT NULL,
    _changed            boolean NOT NULL,
    _digest             bigint NOT NULL DEFAULT 0,
    CONSTRAINT organization_domains_visible_unless_deleted CHECK ((_alive_at > _dead_at) = (deleted_at IS NULL)),
    CONSTRAINT organization_domains_version_counts CHECK (_version >= 0),
    CONSTRAINT organization_domains_source_known CHECK (source IN ('webhook', 'reconcile', 'delta', 'login', 'resync'))
) WITH (fillfactor = 85);

CREATE INDEX organization_domains_created_at_id ON {schema}.organization_domains (created_at, id COLLATE "C");
CREATE INDEX organization_domains_organization_id ON {schema}.organization_domains (organization_id);

-- What a member can be. permissions are the keys of permissions.
CREATE TABLE {schema}.roles (
    id                  text COLLATE "C" PRIMARY KEY,
    name                text,
    key                 text,
    description         text,
    permissions         jsonb,
    is_creator_eligible boolean,
    created_at          timestamptz,
    updated_at          timestamptz,
    deleted_at          timestamptz,
    erased_at           timestamptz,
    unstorable          text,
    data                jsonb,
    source              text NOT NULL,
    synced_at           timestamptz NOT NULL,
    _alive_at           bigint NOT NULL,
    _updated_at         bigint NOT NULL,
    _seen_at            bigint NOT NULL,
    _dead_at            bigint NOT NULL,
    _hash               bytea NOT NULL,
    _was_visible        boolean NOT NULL,
    _version            bigint NOT NULL,
    _changed            boolean NOT NULL,
    _digest             bigint NOT NULL DEFAULT 0,
    CONSTRAINT roles_visible_unless_deleted CHECK ((_alive_at > _dead_at) = (deleted_at IS NULL)),
    CONSTRAINT roles_version_counts CHECK (_version >= 0),
    CONSTRAINT roles_source_known CHECK (source IN ('webhook', 'reconcile', 'delta', 'login', 'resync'))
) WITH (fillfactor = 85);

CREATE INDEX roles_created_at_id ON {schema}.roles (created_at, id COLLATE "C");

-- What a role allows.
CREATE TABLE {schema}.permissions (
    id           text COLLATE "C" PRIMARY KEY,
    name         text,
    key          text,
    description  text,
    type         text,
    created_at   timestamptz,
    updated_at   timestamptz,
    deleted_at   timestamptz,
    erased_at    timestamptz,
    unstorable   text,
    data         jsonb,
    source       text NOT NULL,
    synced_at    timestamptz NOT NULL,
    _alive_at    bigint NOT NULL,
    _updated_at  bigint NOT NULL,
    _seen_at     bigint NOT NULL,
    _dead_at     bigint NOT NULL,
    _hash        bytea NOT NULL,
    _was_visible boolean NOT NULL,
    _version     bigint NOT NULL,
    _changed     boolean NOT NULL,
    _digest      bigint NOT NULL DEFAULT 0,
    CONSTRAINT permissions_visible_unless_deleted CHECK ((_alive_at > _dead_at) = (deleted_at IS NULL)),
    CONSTRAINT permissions_version_counts CHECK (_version >= 0),
    CONSTRAINT permissions_source_known CHECK (source IN ('webhook', 'reconcile', 'delta', 'login', 'resync'))
) WITH (fillfactor = 85);

CREATE INDEX permissions_created_at_id ON {schema}.permissions (created_at, id COLLATE "C");

-- What applications read: objects that exist and whose parents are not deleted. A child whose parent has not arrived yet is active.
CREATE VIEW {schema}.active_organizations AS
SELECT t.id, t.name, t.slug, t.image_url, t.created_by, t.members_count, t.pending_invitations_count,
       t.max_allowed_memberships, t.admin_delete_enabled, t.public_metadata, t.private_metadata, t.created_at,
       t.updated_at, t.unstorable, t.data, t.source, t.synced_at
FROM {schema}.organizations AS t
WHERE t.deleted_at IS NULL;

-- Memberships of organizations and users that are not deleted.
CREATE VIEW {schema}.active_organization_memberships AS
SELECT t.id, t.organization_id, t.user_id, t.role, t.role_name, t.permissions, t.public_metadata,
       t.private_metadata, t.created_at, t.updated_at, t.unstorable, t.data, t.source, t.synced_at
FROM {schema}.organization_memberships AS t
WHERE t.deleted_at IS NULL
  AND NOT EXISTS (SELECT 1 FROM {schema}.organizations AS p WHERE p.id = t.organization_id AND p.deleted_at IS NOT NULL)
  AND NOT EXISTS (SELECT 1 FROM {schema}.users AS p WHERE p.id = t.user_id AND p.deleted_at IS NOT NULL);

-- Invitations, whatever their status, to organizations that are not deleted.
CREATE VIEW {schema}.active_organization_invitations AS
SELECT t.id, t.organization_id, t.user_id, t.email_address, t.role, t.role_name, t.status, t.public_metadata,
       t.private_metadata, t.expires_at, t.created_at, t.updated_at, t.unstorable, t.data, t.source,
       t.synced_at
FROM {schema}.organization_invitations AS t
WHERE t.deleted_at IS NULL
  AND NOT EXISTS (SELECT 1 FROM {schema}.organizations AS p WHERE p.id = t.organization_id AND p.deleted_at IS NOT NULL);

-- Invitations to the application, whatever their status.
CREATE VIEW {schema}.active_invitations AS
SELECT t.id, t.email_address, t.status, t.revoked, t.public_metadata, t.expires_at, t.created_at,
       t.updated_at, t.unstorable, t.data, t.source, t.synced_at
FROM {schema}.invitations AS t
WHERE t.deleted_at IS NULL;

-- Domains of organizations that are not deleted.
CREATE VIEW {schema}.active_organization_domains AS
SELECT t.id, t.organization_id, t.name, t.enrollment_mode, t.verification_status, t.created_at, t.updated_at,
       t.unstorable, t.data, t.source, t.synced_at
FROM {schema}.organization_domains AS t
WHERE t.deleted_at IS NULL
  AND NOT EXISTS (SELECT 1 FROM {schema}.organizations AS p WHERE p.id = t.organization_id AND p.deleted_at IS NOT NULL);

-- Roles that exist.
CREATE VIEW {schema}.active_roles AS
SELECT t.id, t.name, t.key, t.description, t.permissions, t.is_creator_eligible, t.created_at, t.updated_at,
       t.unstorable, t.data, t.source, t.synced_at
FROM {schema}.roles AS t
WHERE t.deleted_at IS NULL;

-- Permissions that exist.
CREATE VIEW {schema}.active_permissions AS
SELECT t.id, t.name, t.key, t.description, t.type, t.created_at, t.updated_at, t.unstorable, t.data, t.source,
       t.synced_at
FROM {schema}.permissions AS t
WHERE t.deleted_at IS NULL;

-- Sessions that have not ended: by an event, by their own dates, or with their user.
CREATE VIEW {schema}.active_sessions AS
SELECT t.id, t.user_id, t.client_id, t.status, t.actor, t.last_active_organization_id, t.device_type,
       t.browser_name, t.browser_version, t.city, t.country, t.ip_address, t.last_active_at, t.expire_at,
       t.abandon_at, t.created_at, t.updated_at, t.unstorable, t.data, t.source, t.synced_at
FROM {schema}.sessions AS t
WHERE t.deleted_at IS NULL
  AND t.status IN ('active', 'pending')
  AND (t.expire_at IS NULL OR t.expire_at > now())
  AND (t.abandon_at IS NULL OR t.abandon_at > now())
  AND NOT EXISTS (SELECT 1 FROM {schema}.users AS p WHERE p.id = t.user_id AND p.deleted_at IS NOT NULL);

-- The sign-in log: one row a session, also of sessions that have ended.
CREATE VIEW {schema}.sign_ins AS
SELECT t.id AS session_id, t.user_id, t.created_at AS signed_in_at, t.status, t.device_type, t.browser_name, t.city, t.country, t.ip_address,
       t.actor IS NOT NULL AS impersonated
FROM {schema}.sessions AS t
WHERE t.deleted_at IS NULL;

-- Users by the day, in UTC, on which they signed up; deleted ones included.
CREATE VIEW {schema}.daily_sign_ups AS
SELECT cast(date_trunc('day', created_at AT TIME ZONE 'UTC') AS date) AS day, count(*) AS sign_ups
FROM {schema}.users WHERE created_at IS NOT NULL GROUP BY 1;

-- Sign-ins by day in UTC.
CREATE VIEW {schema}.daily_sign_ins AS
SELECT cast(date_trunc('day', created_at AT TIME ZONE 'UTC') AS date) AS day, count(*) AS sign_ins
FROM {schema}.sessions WHERE created_at IS NOT NULL GROUP BY 1;

-- Users who signed in or were active, by day in UTC. A session counts on the day of its sign-in and on that of its last activity.
CREATE VIEW {schema}.daily_active_users AS
SELECT day, count(DISTINCT user_id) AS active_users FROM (
    SELECT user_id, cast(date_trunc('day', created_at AT TIME ZONE 'UTC') AS date) AS day FROM {schema}.sessions WHERE created_at IS NOT NULL
    UNION SELECT user_id, cast(date_trunc('day', last_active_at AT TIME ZONE 'UTC') AS date) FROM {schema}.sessions WHERE last_active_at IS NOT NULL
) AS seen GROUP BY 1;

-- The same by month; the date is the first of the month.
CREATE VIEW {schema}.monthly_active_users AS
SELECT month, count(DISTINCT user_id) AS active_users FROM (
    SELECT user_id, cast(date_trunc('month', created_at AT TIME ZONE 'UTC') AS date) AS month FROM {schema}.sessions WHERE created_at IS NOT NULL
    UNION SELECT user_id, cast(date_trunc('month', last_active_at AT TIME ZONE 'UTC') AS date) FROM {schema}.sessions WHERE last_active_at IS NOT NULL
) AS seen GROUP BY 1;
