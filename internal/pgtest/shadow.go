package pgtest

import (
	"database/sql"
	"fmt"
	"testing"
)

// shadows are functions that PostgreSQL prefers to its own of these names, since its own take any type, or more than one.
var shadows = []string{
	"format(text, text)", "format(text, text, text)", "format(text, text, regclass)", "format(text, regclass)", "format(text, regprocedure)",
	"format(text, regclass, text)", "format(text, text, name)",
	"jsonb_build_object(text, integer, text, text)", "jsonb_build_object(text, bigint)", "pg_has_role(name, text, text)", "format_type(oid, text)",
	"unnest(text[])", "unnest(bigint[])", "unnest(boolean[])", "unnest(timestamptz[])", "unnest(oid[])", "to_jsonb(text)", "concat_ws(text, text, text)",
}

// Shadow makes such functions, and an operator, in the schema public as another role, which may where PostgreSQL is older than 15 or was upgraded from such: each
// fails where it is called.
func Shadow(t testing.TB, admin *sql.DB, role string) {
	t.Helper()
	all := "GRANT CREATE, USAGE ON SCHEMA public TO PUBLIC; SET LOCAL ROLE " + role + ";\n"
	for _, f := range shadows {
		all += fmt.Sprintf("CREATE FUNCTION public.%s RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'shadowed: %s'; END $$;\n", f, f)
	}
	all += `CREATE FUNCTION public.shadowed(numeric, integer) RETURNS numeric LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'shadowed: *'; END $$;
CREATE OPERATOR public.* (FUNCTION = public.shadowed, LEFTARG = numeric, RIGHTARG = integer);`
	tx, err := admin.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	if _, err := tx.ExecContext(t.Context(), all); err != nil {
		t.Fatal("making functions: ", err)
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
}
