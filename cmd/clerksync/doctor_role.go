package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/clerksync/clerksync/migrations"
)

// powers is what a database user may do beyond a daemon's needs, and what it lacks.
type powers struct {
	Role        string
	Super       bool
	Creates     bool // roles or databases
	Owns        bool // the tables
	Makes       bool // relations in the schema
	EditsAudit  bool
	Unreachable string // tables that it cannot write
	Veiled      string // tables of which policies may hide rows from it
}

const askPowers = `
SELECT r.rolname AS role, r.rolsuper AS super, r.rolcreaterole OR r.rolcreatedb AS creates,
    has_schema_privilege($1, 'CREATE') AS makes,
    coalesce(bool_or(pg_has_role(c.relowner, 'MEMBER')), false) AS owns,
    coalesce(bool_or(has_table_privilege(c.oid, 'UPDATE') OR has_table_privilege(c.oid, 'DELETE')) FILTER (WHERE c.relname = 'audit'), false) AS editsaudit,
    coalesce(pg_catalog.string_agg(c.relname, ', ' ORDER BY c.relname) FILTER (WHERE c.relname NOT IN ('audit', 'migrations', 'migrations_lock')
        AND NOT (has_table_privilege(c.oid, 'SELECT') AND has_table_privilege(c.oid, 'INSERT') AND has_table_privilege(c.oid, 'UPDATE'))), '') AS unreachable,
    coalesce(pg_catalog.string_agg(c.relname, ', ' ORDER BY c.relname) FILTER (WHERE row_security_active(c.oid) AND (SELECT count(*) FILTER (WHERE NOT p.polpermissive) > 0 OR count(*) FILTER (WHERE p.polpermissive
            AND p.polcmd = '*' AND pg_get_expr(p.polqual, p.polrelid) = 'true' AND coalesce(pg_get_expr(p.polwithcheck, p.polrelid), 'true') = 'true') = 0
        FROM pg_policy AS p WHERE p.polrelid = c.oid AND (0::oid = ANY (p.polroles) OR EXISTS (SELECT FROM pg_catalog.unnest(p.polroles) AS of WHERE pg_has_role(of, 'USAGE'))))), '') AS veiled
FROM pg_roles AS r, pg_class AS c
WHERE r.rolname = current_user AND c.relnamespace = $1::regnamespace::oid AND c.relkind = 'r'
GROUP BY r.rolname, r.rolsuper, r.rolcreaterole, r.rolcreatedb`

// askOpenSchemas finds the schemas in which everybody may make functions that this user's queries find.
const askOpenSchemas = `SELECT coalesce(string_agg(s::text, ', '), '') FROM pg_catalog.unnest(current_schemas(false)) AS s WHERE pg_catalog.has_schema_privilege('public', s::text, 'CREATE')`

func (d *doctor) checkRoles(ctx context.Context) {
	const check = "role"
	switch {
	case d.db == nil:
		d.note(check, skipped, "the database does not answer", "")
		return
	case d.database.dialect == migrations.SQLite:
		d.note(check, skipped, "SQLite has no roles", "")
		return
	}
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	var p powers
	switch err := d.db.GetContext(ctx, &p, askPowers, d.schema); {
	case sqlState(err) == "3F000", errors.Is(err, sql.ErrNoRows):
		d.note(check, skipped, "there are no tables yet", "")
		return
	case err != nil:
		d.note(check, failed, "reading what the user may do: "+err.Error(), "")
		return
	}
	d.checkOpenSchemas(ctx, check)
	var beyond []string
	for what, is := range map[string]bool{
		"is a superuser": p.Super, "makes roles or databases": p.Creates, "owns the tables": p.Owns,
		"makes tables": p.Makes, "can change the audit log": p.EditsAudit,
	} {
		if is {
			beyond = append(beyond, what)
		}
	}
	slices.Sort(beyond)
	switch {
	case p.Unreachable != "":
		d.note(check, failed, fmt.Sprintf("%s may not write %s", p.Role, p.Unreachable),
			"run what clerksync migrate print --roles writes, as the administrator: it must be run after each migrate up")
	case p.Veiled != "":
		d.note(check, failed, fmt.Sprintf("row-level security may hide rows of %s from %s", p.Veiled, p.Role),
			fmt.Sprintf("for each of them, as its owner: CREATE POLICY daemon ON %s.TABLE TO %s USING (true), and ALTER what is RESTRICTIVE to name other roles; or disable it there and guard views of your own", d.schema, p.Role))
	case len(beyond) > 0:
		d.note(check, warned, fmt.Sprintf("%s %s: more than a daemon needs", p.Role, strings.Join(beyond, ", ")),
			"make a role that can do less: clerksync migrate print --roles")
	default:
		d.note(check, fine, p.Role+" may do what it needs, and no more", "")
	}
}

func (d *doctor) checkOpenSchemas(ctx context.Context, check string) {
	var open string
	if err := d.db.GetContext(ctx, &open, askOpenSchemas); err == nil && open != "" {
		d.note(check, warned, fmt.Sprintf("everybody may make functions in the schema %s, which run with the rights of whoever asks for one like them", open),
			fmt.Sprintf("let an administrator run REVOKE CREATE ON SCHEMA %s FROM PUBLIC, as it is where a database was made by PostgreSQL 15 or later", open))
	}
}
