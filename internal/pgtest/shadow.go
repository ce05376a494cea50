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
	"pg_advisory_xact_lock(integer)", "convert_to(text, text)",
}

// shadowed are operators, of whose operands PostgreSQL's own convert at least one.
var shadowed = []struct{ operator, left, right string }{{"*", "numeric", "integer"}, {"&", "smallint", "integer"}, {"=", "oid", "regclass"}, {"=", "oid", "regproc"}}

// Shadow makes such functions and operators in the schema public as another role, which may where PostgreSQL is older than 15 or was
// upgraded from such: each fails where it is called.
func Shadow(t testing.TB, admin *sql.DB, role string) {
	t.Helper()
	all := "GRANT CREATE, USAGE ON SCHEMA public TO PUBLIC; SET LOCAL ROLE " + role + ";\n"
	for _, f := range shadows {
		all += fmt.Sprintf("CREATE FUNCTION public.%s RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'shadowed: %s'; END $$;\n", f, f)
	}
	for _, o := range shadowed {
		returns := o.left
		if o.operator == "=" {
			returns = "boolean"
		}
		all += fmt.Sprintf("CREATE FUNCTION public.shadowed(%s, %s) RETURNS %s LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'shadowed: %s'; END $$;\n", o.left, o.right, returns, o.operator)
		all += fmt.Sprintf("CREATE OPERATOR public.%s (FUNCTION = public.shadowed, LEFTARG = %s, RIGHTARG = %s);\n", o.operator, o.left, o.right)
	}
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
