-- Three roles for the tables of schema {schema}, so that nobody can do more than his work needs:
--
--   {schema}_owner   owns the schema: runs clerksync migrate up, and nothing else
--   {schema}_daemon  runs clerksync serve, reconcile and all other commands: reads and writes rows. It makes, alters and drops no
--                    table, removes no row of an object that is not deleted in Clerk, nor what keeps its place in the feed and among
--                    passes, and adds to the audit log without a way to change it
--   {schema}_reader  for applications and people: reads the views, and no table
--
-- Run it as a superuser or as the administrator that your provider gives you, after clerksync migrate up, and again after each
-- later one: it may be run any number of times. The roles have no passwords, so nobody can log in yet:
--
--   \password {schema}_daemon
--
-- A user of your own becomes one of them by GRANT {schema}_reader TO the_user.

DO $$
DECLARE
    name text;
    may boolean;
BEGIN
    FOREACH name IN ARRAY ARRAY['{schema}_owner', '{schema}_daemon', '{schema}_reader'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) THEN
            EXECUTE format('CREATE ROLE %I LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION', name);
        END IF;
    END LOOP;
    -- Only who may become it may give things away to it. From PostgreSQL 16 on, whoever made a role is a member that may not.
    IF current_setting('server_version_num')::int >= 160000 THEN
        EXECUTE format('SELECT pg_has_role(%L, ''SET'')', '{schema}_owner') INTO may;
    ELSE
        may := pg_has_role('{schema}_owner', 'MEMBER');
    END IF;
    IF NOT may THEN
        GRANT {schema}_owner TO CURRENT_USER;
    END IF;
END
$$;

-- Everything belongs to the owner. The views read the tables with the owner's rights, and not with those of whoever asks.
ALTER SCHEMA {schema} OWNER TO {schema}_owner;
DO $$
DECLARE
    thing record;
BEGIN
    FOR thing IN SELECT p.oid::regprocedure AS name FROM pg_proc AS p WHERE p.pronamespace = '{schema}'::regnamespace LOOP
        EXECUTE format('ALTER ROUTINE %s OWNER TO {schema}_owner', thing.name);
    END LOOP;
END
$$;

-- Of objects, the daemon removes only what is due: tombstones, what was erased with its parent, and old sessions. Any other row stays,
-- whatever goes wrong.
CREATE OR REPLACE FUNCTION {schema}.keep_visible() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    IF NOT pg_has_role(current_user, '{schema}_owner', 'MEMBER') THEN
        RAISE EXCEPTION 'only tombstones and old sessions are removed' USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN OLD;
END
$$;
ALTER FUNCTION {schema}.keep_visible() OWNER TO {schema}_owner;

-- To give a table away, or a trigger to it, takes a lock that keeps everybody out, and a daemon at work has some tables while it waits for
-- others. So what lacks neither is let alone, and the rest is locked at once or not at all: what is not to be had within a moment is tried
-- again, and in the end left until somebody has ended the transaction that holds it.
SET LOCAL lock_timeout = '6s';
DO $$
DECLARE
    thing record;
    definition text;
    view_name text;
    views text[] := '{}'; -- whose owner is another
    tables text[] := '{}'; -- that lack something
    lacking text[]; -- what brings one of them what it lacks
    statement text;
    statements text[] := '{}'; -- the same for all
    tries int := 0;
BEGIN
    FOR thing IN SELECT c.oid, c.oid::regclass AS name, c.relname, c.relkind, c.relowner = '{schema}_owner'::regrole AS owned,
                     c.relkind <> 'v' AND EXISTS (SELECT FROM pg_attribute AS a WHERE a.attrelid = c.oid AND a.attname = 'deleted_at') AS buries
                 FROM pg_class AS c WHERE c.relnamespace = '{schema}'::regnamespace AND c.relkind IN ('r', 'p', 'v') LOOP
        lacking := '{}';
        IF NOT thing.owned AND thing.relkind = 'v' THEN
            views := views || thing.name::text;
        ELSIF NOT thing.owned THEN
            lacking := lacking || format('ALTER TABLE %s OWNER TO {schema}_owner', thing.name);
        END IF;
        definition := format('CREATE TRIGGER visible_rows_stay BEFORE DELETE ON %s FOR EACH ROW '
            'WHEN (OLD.deleted_at IS NULL AND OLD.erased_at IS NULL%s) EXECUTE FUNCTION {schema}.keep_visible()', thing.name,
            CASE thing.relname WHEN 'sessions' THEN ' AND OLD.created_at > now() - interval ''100 days''' ELSE '' END);
        -- Its comment tells by which words a trigger was made: the catalog spells them otherwise.
        IF thing.buries AND NOT EXISTS (SELECT FROM pg_trigger AS t WHERE t.tgrelid = thing.oid AND t.tgname = 'visible_rows_stay' AND t.tgenabled = 'O'
                AND obj_description(t.oid, 'pg_trigger') = definition) THEN
            lacking := lacking || ARRAY[format('DROP TRIGGER IF EXISTS visible_rows_stay ON %s', thing.name), definition,
                format('COMMENT ON TRIGGER visible_rows_stay ON %s IS %L', thing.name, definition)];
        END IF;
        IF cardinality(lacking) > 0 THEN
            tables := tables || thing.name::text;
            statements := statements || lacking;
        END IF;
    END LOOP;
    BEGIN
        -- An autovacuum makes way for who has waited for a second. Who waits for this lock keeps no daemon waiting meanwhile.
        IF cardinality(tables) > 0 THEN
            EXECUTE 'LOCK TABLE ' || array_to_string(tables, ', ') || ' IN SHARE UPDATE EXCLUSIVE MODE';
        END IF;
        SET LOCAL lock_timeout = '100ms';
        LOOP
            BEGIN
                FOREACH view_name IN ARRAY views LOOP -- LOCK TABLE would lock what they read, too, such as the team's tables
                    EXECUTE format('ALTER VIEW %s OWNER TO {schema}_owner', view_name);
                END LOOP;
                IF cardinality(tables) > 0 THEN
                    EXECUTE 'LOCK TABLE ' || array_to_string(tables, ', ') || ' IN ACCESS EXCLUSIVE MODE';
                END IF;
                EXIT;
            EXCEPTION WHEN lock_not_available THEN
                tries := tries + 1;
                IF tries = 40 THEN
                    RAISE;
                END IF;
                PERFORM pg_sleep(0.05);
            END;
        END LOOP;
    EXCEPTION WHEN lock_not_available THEN
        RAISE EXCEPTION 'somebody else''s transaction holds one of %: end it, and run this again',
            array_to_string(views || tables, ', ') USING ERRCODE = 'lock_not_available';
    END;
    FOREACH statement IN ARRAY statements LOOP
        EXECUTE statement;
    END LOOP;
END
$$;
SET LOCAL lock_timeout = '6s';

REVOKE ALL ON SCHEMA {schema} FROM PUBLIC, {schema}_daemon, {schema}_reader;
REVOKE ALL ON ALL TABLES IN SCHEMA {schema} FROM PUBLIC, {schema}_daemon, {schema}_reader;
GRANT USAGE ON SCHEMA {schema} TO {schema}_daemon, {schema}_reader;
GRANT SELECT ON ALL SEQUENCES IN SCHEMA {schema} TO {schema}_daemon; -- the doctor looks whether they are behind their rows

DO $$
DECLARE
    thing record;
    rights text;
BEGIN
    FOR thing IN SELECT c.oid::regclass AS name, c.relname, c.relkind,
                     EXISTS (SELECT FROM pg_attribute AS a WHERE a.attrelid = c.oid AND a.attname = 'deleted_at') AS buries
                 FROM pg_class AS c WHERE c.relnamespace = '{schema}'::regnamespace AND c.relkind IN ('r', 'p', 'v') LOOP
        IF thing.relkind = 'v' THEN
            EXECUTE format('GRANT SELECT ON %s TO {schema}_daemon, {schema}_reader', thing.name);
            CONTINUE;
        END IF;
        rights := CASE
            WHEN thing.relname = 'migrations' THEN 'SELECT'
            WHEN thing.relname = 'migrations_lock' THEN NULL
            WHEN thing.relname = 'audit' THEN 'SELECT, INSERT'
            WHEN thing.buries OR thing.relname IN ('events', 'changes', 'passes', 'plans') THEN 'SELECT, INSERT, UPDATE, DELETE'
            ELSE 'SELECT, INSERT, UPDATE'
        END;
        IF rights IS NOT NULL THEN
            EXECUTE format('GRANT %s ON %s TO {schema}_daemon', rights, thing.name);
        END IF;
    END LOOP;
END
$$;
