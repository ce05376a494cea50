-- +goose Up
-- What else Clerk tells: organizations, who belongs to them and who is invited, sign-ins, domains, roles and permissions. Every table is
-- built like users; children may arrive before their parents, so no table refers to another.

-- Organizations. Their counts move with every membership.
CREATE TABLE {schema}_organizations (
    id                        TEXT PRIMARY KEY,
    name                      TEXT,
    slug                      TEXT,
    image_url                 TEXT,
    created_by                TEXT,
    members_count             INTEGER,
    pending_invitations_count INTEGER,
    max_allowed_memberships   INTEGER,
    admin_delete_enabled      BOOLEAN,
    public_metadata           TEXT,
    private_metadata          TEXT,
    created_at                DATETIME,
    updated_at                DATETIME,
    deleted_at                DATETIME,
    erased_at                 DATETIME,
    unstorable                TEXT,
    data                      TEXT,
    source                    TEXT NOT NULL,
    synced_at                 DATETIME NOT NULL,
    _alive_at                 INTEGER NOT NULL,
    _updated_at               INTEGER NOT NULL,
    _seen_at                  INTEGER NOT NULL,
    _dead_at                  INTEGER NOT NULL,
    _hash                     BLOB NOT NULL,
    _was_visible              BOOLEAN NOT NULL,
    _version                  INTEGER NOT NULL,
    _changed                  BOOLEAN NOT NULL,
    _digest                   INTEGER NOT NULL DEFAULT 0,
    CONSTRAINT organizations_visible_unless_deleted CHECK ((_alive_at > _dead_at) = (deleted_at IS NULL)),
    CONSTRAINT organizations_version_counts CHECK (_version >= 0),
    CONSTRAINT organizations_source_known CHECK (source IN ('webhook', 'reconcile', 'delta', 'login', 'resync'))
);

CREATE INDEX {schema}_organizations_created_at_id ON {schema}_organizations (created_at, id);
CREATE INDEX {schema}_organizations_slug ON {schema}_organizations (slug);

-- Who belongs to which organization, in which role. Join users and organizations for the rest.
CREATE TABLE {schema}_organization_memberships (
    id               TEXT PRIMARY KEY,
    organization_id  TEXT,
    user_id          TEXT,
    role             TEXT,
    role_name        TEXT,
    permissions      TEXT,
    public_metadata  TEXT,
    private_metadata TEXT,
    created_at       DATETIME,
    updated_at       DATETIME,
    deleted_at       DATETIME,
    erased_at        DATETIME,
    unstorable       TEXT,
    data             TEXT,
    source           TEXT NOT NULL,
    synced_at        DATETIME NOT NULL,
    _alive_at        INTEGER NOT NULL,
    _updated_at      INTEGER NOT NULL,
    _seen_at         INTEGER NOT NULL,
    _dead_at         INTEGER NOT NULL,
    _hash            BLOB NOT NULL,
    _was_visible     BOOLEAN NOT NULL,
    _version         INTEGER NOT NULL,
    _changed         BOOLEAN NOT NULL,
    _digest          INTEGER NOT NULL DEFAULT 0,
    CONSTRAINT organization_memberships_visible_unless_deleted CHECK ((_alive_at > _dead_at) = (deleted_at IS NULL)),
    CONSTRAINT organization_memberships_version_counts CHECK (_version >= 0),
    CONSTRAINT organization_memberships_source_known CHECK (source IN ('webhook', 'reconcile', 'delta', 'login', 'resync'))
);

CREATE INDEX {schema}_organization_memberships_created_at_id ON {schema}_organization_memberships (created_at, id);
CREATE INDEX {schema}_organization_memberships_organization_id ON {schema}_organization_memberships (organization_id);
CREATE INDEX {schema}_organization_memberships_user_id ON {schema}_organization_memberships (user_id);

-- Invitations to an organization. Their url, which holds a token, is never stored.
CREATE TABLE {schema}_organization_invitations (
    id               TEXT PRIMARY KEY,
    organization_id  TEXT,
    user_id          TEXT,
    email_address    TEXT,
    role             TEXT,
    role_name        TEXT,
    status           TEXT,
    public_metadata  TEXT,
    private_metadata TEXT,
    expires_at       DATETIME,
    created_at       DATETIME,
    updated_at       DATETIME,
    deleted_at       DATETIME,
    erased_at        DATETIME,
    unstorable       TEXT,
    data             TEXT,
    source           TEXT NOT NULL,
    synced_at        DATETIME NOT NULL,
    _alive_at        INTEGER NOT NULL,
    _updated_at      INTEGER NOT NULL,
    _seen_at         INTEGER NOT NULL,
    _dead_at         INTEGER NOT NULL,
    _hash            BLOB NOT NULL,
    _was_visible     BOOLEAN NOT NULL,
    _version         INTEGER NOT NULL,
    _changed         BOOLEAN NOT NULL,
    _digest          INTEGER NOT NULL DEFAULT 0,
    CONSTRAINT organization_invitations_visible_unless_deleted CHECK ((_alive_at > _dead_at) = (deleted_at IS NULL)),
    CONSTRAINT organization_invitations_version_counts CHECK (_version >= 0),
    CONSTRAINT organization_invitations_source_known CHECK (source IN ('webhook', 'reconcile', 'delta', 'login', 'resync'))
);

CREATE INDEX {schema}_organization_invitations_created_at_id ON {schema}_organization_invitations (created_at, id);
CREATE INDEX {schema}_organization_invitations_organization_id ON {schema}_organization_invitations (organization_id);
CREATE INDEX {schema}_organization_invitations_email_address ON {schema}_organization_invitations (email_address);

-- Invitations to the application. Their url, which holds a token, is never stored.
CREATE TABLE {schema}_invitations (
    id              TEXT PRIMARY KEY,
    email_address   TEXT,
    status          TEXT,
    revoked         BOOLEAN,
    public_metadata TEXT,
    expires_at      DATETIME,
    created_at      DATETIME,
    updated_at      DATETIME,
    deleted_at      DATETIME,
    erased_at       DATETIME,
    unstorable      TEXT,
    data            TEXT,
    source          TEXT NOT NULL,
    synced_at       DATETIME NOT NULL,
    _alive_at       INTEGER NOT NULL,
    _updated_at     INTEGER NOT NULL,
    _seen_at        INTEGER NOT NULL,
    _dead_at        INTEGER NOT NULL,
    _hash           BLOB NOT NULL,
    _was_visible    BOOLEAN NOT NULL,
    _version        INTEGER NOT NULL,
    _changed        BOOLEAN NOT NULL,
    _digest         INTEGER NOT NULL DEFAULT 0,
    CONSTRAINT invitations_visible_unless_deleted CHECK ((_alive_at > _dead_at) = (deleted_at IS NULL)),
    CONSTRAINT invitations_version_counts CHECK (_version >= 0),
    CONSTRAINT invitations_source_known CHECK (source IN ('webhook', 'reconcile', 'delta', 'login', 'resync'))
);

CREATE INDEX {schema}_invitations_created_at_id ON {schema}_invitations (created_at, id);
CREATE INDEX {schema}_invitations_email_address ON {schema}_invitations (email_address);

-- Sign-ins, as webhooks tell them: Clerk has no list of them. CLERKSYNC_SESSION_ACTIVITY says how much of device and place is kept.
CREATE TABLE {schema}_sessions (
    id                          TEXT PRIMARY KEY,
    user_id                     TEXT,
    client_id                   TEXT,
    status                      TEXT,
    actor                       TEXT,
    last_active_organization_id TEXT,
    device_type                 TEXT,
    browser_name                TEXT,
    browser_version             TEXT,
    city                        TEXT,
    country                     TEXT,
    ip_address                  TEXT,
    last_active_at              DATETIME,
    expire_at                   DATETIME,
    abandon_at                  DATETIME,
    created_at                  DATETIME,
    updated_at                  DATETIME,
    deleted_at                  DATETIME,
    erased_at                   DATETIME,
    unstorable                  TEXT,
    data                        TEXT,
    source                      TEXT NOT NULL,
    synced_at                   DATETIME NOT NULL,
    _alive_at                   INTEGER NOT NULL,
    _updated_at                 INTEGER NOT NULL,
    _seen_at                    INTEGER NOT NULL,
    _dead_at                    INTEGER NOT NULL,
    _hash                       BLOB NOT NULL,
    _was_visible                BOOLEAN NOT NULL,
    _version                    INTEGER NOT NULL,
    _changed                    BOOLEAN NOT NULL,
    _digest                     INTEGER NOT NULL DEFAULT 0,
    CONSTRAINT sessions_visible_unless_deleted CHECK ((_alive_at > _dead_at) = (deleted_at IS NULL)),
    CONSTRAINT sessions_version_counts CHECK (_version >= 0),
    CONSTRAINT sessions_source_known CHECK (source IN ('webhook', 'reconcile', 'delta', 'login', 'resync'))
);

CREATE INDEX {schema}_sessions_created_at_id ON {schema}_sessions (created_at, id);
CREATE INDEX {schema}_sessions_user_id_created_at ON {schema}_sessions (user_id, created_at);

-- Domains whose e-mail addresses may join an organization.
CREATE TABLE {schema}_organization_domains (
    id                  TEXT PRIMARY KEY,
    organization_id     TEXT,
    name                TEXT,
    enrollment_mode     TEXT,
    verification_status TEXT,
    created_at          DATETIME,
    updated_at          DATETIME,
    deleted_at          DATETIME,
    erased_at           DATETIME,
    unstorable          TEXT,
    data                TEXT,
    source              TEXT NOT NULL,
    synced_at           DATETIME NOT NULL,
    _alive_at           INTEGER NOT NULL,
    _updated_at         INTEGER NOT NULL,
    _seen_at            INTEGER NOT NULL,
    _dead_at            INTEGER NOT NULL,
    _hash               BLOB NOT NULL,
    _was_visible        BOOLEAN NOT NULL,
    _version            INTEGER NOT NULL,
    _changed            BOOLEAN NOT NULL,
    _digest             INTEGER NOT NULL DEFAULT 0,
    CONSTRAINT organization_domains_visible_unless_deleted CHECK ((_alive_at > _dead_at) = (deleted_at IS NULL)),
    CONSTRAINT organization_domains_version_counts CHECK (_version >= 0),
    CONSTRAINT organization_domains_source_known CHECK (source IN ('webhook', 'reconcile', 'delta', 'login', 'resync'))
);

CREATE INDEX {schema}_organization_domains_created_at_id ON {schema}_organization_domains (created_at, id);
CREATE INDEX {schema}_organization_domains_organization_id ON {schema}_organization_domains (organization_id);

-- What a member can be. permissions are the keys of permissions.
CREATE TABLE {schema}_roles (
    id                  TEXT PRIMARY KEY,
    name                TEXT,
    key                 TEXT,
    description         TEXT,
    permissions         TEXT,
    is_creator_eligible BOOLEAN,
    created_at          DATETIME,
    updated_at          DATETIME,
    deleted_at          DATETIME,
    erased_at           DATETIME,
    unstorable          TEXT,
    data                TEXT,
    source              TEXT NOT NULL,
    synced_at           DATETIME NOT NULL,
    _alive_at           INTEGER NOT NULL,
    _updated_at         INTEGER NOT NULL,
    _seen_at            INTEGER NOT NULL,
    _dead_at            INTEGER NOT NULL,
    _hash               BLOB NOT NULL,
    _was_visible        BOOLEAN NOT NULL,
    _version            INTEGER NOT NULL,
    _changed            BOOLEAN NOT NULL,
    _digest             INTEGER NOT NULL DEFAULT 0,
    CONSTRAINT roles_visible_unless_deleted CHECK ((_alive_at > _dead_at) = (deleted_at IS NULL)),
    CONSTRAINT roles_version_counts CHECK (_version >= 0),
    CONSTRAINT roles_source_known CHECK (source IN ('webhook', 'reconcile', 'delta', 'login', 'resync'))
);

CREATE INDEX {schema}_roles_created_at_id ON {schema}_roles (created_at, id);

-- What a role allows.
CREATE TABLE {schema}_permissions (
    id           TEXT PRIMARY KEY,
    name         TEXT,
    key          TEXT,
    description  TEXT,
    type         TEXT,
    created_at   DATETIME,
    updated_at   DATETIME,
    deleted_at   DATETIME,
    erased_at    DATETIME,
    unstorable   TEXT,
    data         TEXT,
    source       TEXT NOT NULL,
    synced_at    DATETIME NOT NULL,
    _alive_at    INTEGER NOT NULL,
    _updated_at  INTEGER NOT NULL,
    _seen_at     INTEGER NOT NULL,
    _dead_at     INTEGER NOT NULL,
    _hash        BLOB NOT NULL,
    _was_visible BOOLEAN NOT NULL,
    _version     INTEGER NOT NULL,
    _changed     BOOLEAN NOT NULL,
    _digest      INTEGER NOT NULL DEFAULT 0,
    CONSTRAINT permissions_visible_unless_deleted CHECK ((_alive_at > _dead_at) = (deleted_at IS NULL)),
    CONSTRAINT permissions_version_counts CHECK (_version >= 0),
    CONSTRAINT permissions_source_known CHECK (source IN ('webhook', 'reconcile', 'delta', 'login', 'resync'))
);

CREATE INDEX {schema}_permissions_created_at_id ON {schema}_permissions (created_at, id);

-- What applications read: objects that exist and whose parents are not deleted. A child whose parent has not arrived yet is active.
CREATE VIEW {schema}_active_organizations AS
SELECT t.id, t.name, t.slug, t.image_url, t.created_by, t.members_count, t.pending_invitations_count,
       t.max_allowed_memberships, t.admin_delete_enabled, t.public_metadata, t.private_metadata, t.created_at,
       t.updated_at, t.unstorable, t.data, t.source, t.synced_at
FROM {schema}_organizations AS t
WHERE t.deleted_at IS NULL;

-- Memberships of organizations and users that are not deleted.
CREATE VIEW {schema}_active_organization_memberships AS
SELECT t.id, t.organization_id, t.user_id, t.role, t.role_name, t.permissions, t.public_metadata,
       t.private_metadata, t.created_at, t.updated_at, t.unstorable, t.data, t.source, t.synced_at
FROM {schema}_organization_memberships AS t
WHERE t.deleted_at IS NULL
  AND NOT EXISTS (SELECT 1 FROM {schema}_organizations AS p WHERE p.id = t.organization_id AND p.deleted_at IS NOT NULL)
  AND NOT EXISTS (SELECT 1 FROM {schema}_users AS p WHERE p.id = t.user_id AND p.deleted_at IS NOT NULL);

-- Invitations, whatever their status, to organizations that are not deleted.
CREATE VIEW {schema}_active_organization_invitations AS
SELECT t.id, t.organization_id, t.user_id, t.email_address, t.role, t.role_name, t.status, t.public_metadata,
       t.private_metadata, t.expires_at, t.created_at, t.updated_at, t.unstorable, t.data, t.source,
       t.synced_at
FROM {schema}_organization_invitations AS t
WHERE t.deleted_at IS NULL
  AND NOT EXISTS (SELECT 1 FROM {schema}_organizations AS p WHERE p.id = t.organization_id AND p.deleted_at IS NOT NULL);

-- Invitations to the application, whatever their status.
CREATE VIEW {schema}_active_invitations AS
SELECT t.id, t.email_address, t.status, t.revoked, t.public_metadata, t.expires_at, t.created_at,
       t.updated_at, t.unstorable, t.data, t.source, t.synced_at
FROM {schema}_invitations AS t
WHERE t.deleted_at IS NULL;

-- Domains of organizations that are not deleted.
CREATE VIEW {schema}_active_organization_domains AS
SELECT t.id, t.organization_id, t.name, t.enrollment_mode, t.verification_status, t.created_at, t.updated_at,
       t.unstorable, t.data, t.source, t.synced_at
FROM {schema}_organization_domains AS t
WHERE t.deleted_at IS NULL
  AND NOT EXISTS (SELECT 1 FROM {schema}_organizations AS p WHERE p.id = t.organization_id AND p.deleted_at IS NOT NULL);

-- Roles that exist.
CREATE VIEW {schema}_active_roles AS
SELECT t.id, t.name, t.key, t.description, t.permissions, t.is_creator_eligible, t.created_at, t.updated_at,
       t.unstorable, t.data, t.source, t.synced_at
FROM {schema}_roles AS t
WHERE t.deleted_at IS NULL;

-- Permissions that exist.
CREATE VIEW {schema}_active_permissions AS
SELECT t.id, t.name, t.key, t.description, t.type, t.created_at, t.updated_at, t.unstorable, t.data, t.source,
       t.synced_at
FROM {schema}_permissions AS t
WHERE t.deleted_at IS NULL;

-- Sessions that have not ended: by an event, by their own dates, or with their user.
CREATE VIEW {schema}_active_sessions AS
SELECT t.id, t.user_id, t.client_id, t.status, t.actor, t.last_active_organization_id, t.device_type,
       t.browser_name, t.browser_version, t.city, t.country, t.ip_address, t.last_active_at, t.expire_at,
       t.abandon_at, t.created_at, t.updated_at, t.unstorable, t.data, t.source, t.synced_at
FROM {schema}_sessions AS t
WHERE t.deleted_at IS NULL
  AND t.status IN ('active', 'pending')
  AND (t.expire_at IS NULL OR t.expire_at > strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
  AND (t.abandon_at IS NULL OR t.abandon_at > strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
  AND NOT EXISTS (SELECT 1 FROM {schema}_users AS p WHERE p.id = t.user_id AND p.deleted_at IS NOT NULL);

-- The sign-in log: one row a session, also of sessions that have ended.
CREATE VIEW {schema}_sign_ins AS
SELECT t.id AS session_id, t.user_id, t.created_at AS signed_in_at, t.status, t.device_type, t.browser_name, t.city, t.country, t.ip_address,
       t.actor IS NOT NULL AS impersonated
FROM {schema}_sessions AS t
WHERE t.deleted_at IS NULL;

-- Users by the day, in UTC, on which they signed up; deleted ones included.
CREATE VIEW {schema}_daily_sign_ups AS
SELECT substr(created_at, 1, 10) AS day, count(*) AS sign_ups
FROM {schema}_users WHERE created_at IS NOT NULL GROUP BY 1;

-- Sign-ins by day in UTC.
CREATE VIEW {schema}_daily_sign_ins AS
SELECT substr(created_at, 1, 10) AS day, count(*) AS sign_ins
FROM {schema}_sessions WHERE created_at IS NOT NULL GROUP BY 1;

-- Users who signed in or were active, by day in UTC. A session counts on the day of its sign-in and on that of its last activity.
CREATE VIEW {schema}_daily_active_users AS
SELECT day, count(DISTINCT user_id) AS active_users FROM (
    SELECT user_id, substr(created_at, 1, 10) AS day FROM {schema}_sessions WHERE created_at IS NOT NULL
    UNION SELECT user_id, substr(last_active_at, 1, 10) FROM {schema}_sessions WHERE last_active_at IS NOT NULL
) AS seen GROUP BY 1;

-- The same by month; the date is the first of the month.
CREATE VIEW {schema}_monthly_active_users AS
SELECT month, count(DISTINCT user_id) AS active_users FROM (
    SELECT user_id, substr(created_at, 1, 7) || '-01' AS month FROM {schema}_sessions WHERE created_at IS NOT NULL
    UNION SELECT user_id, substr(last_active_at, 1, 7) || '-01' FROM {schema}_sessions WHERE last_active_at IS NOT NULL
) AS seen GROUP BY 1;
