package migrations_test

import (
	"database/sql"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	_ "github.com/lib/pq"

	"github.com/clerksync/clerksync/internal/pgtest"
)

var update = flag.Bool("update", false, "write docs/schema.md")

const (
	schemaPage = "../docs/schema.md"
	schemaHead = `# The tables

Written by ` + "`go test ./migrations -run TestSchemaPage -update`" + ` from what the migrations make in PostgreSQL; SQLite has the same with the prefix ` + "`clerk_`" + ` instead of the schema ` + "`clerk`" + `, times and JSON as text.
Applications read the views, which are all that the role ` + "`clerk_reader`" + ` may. Tables that copy objects of Clerk end in the same columns as ` + "`users`" + `, from ` + "`deleted_at`" + ` on; they are not listed again.

Ids have the collation ` + "`\"C\"`" + `, and PostgreSQL finds what a join looks for by an index of the same collation alone. Declare a column of yours that holds an id as ` + "`text COLLATE \"C\"`" + `,
with or without ` + "`REFERENCES clerk.users (id)`" + `. Where it is plain ` + "`text`" + ` already, a join from users reads all of your table unless it says ` + "`ON orders.customer = u.id COLLATE \"default\"`" + `.

## Reading many rows

Found by an index are ids, users by ` + "`email`, `external_id` and `username`" + ` as they are written, organizations by ` + "`slug`" + `, what belongs to a user or an organization, and the newest of each kind by ` + "`ORDER BY created_at DESC`" + `
(not ` + "`NULLS LAST`" + `, for which PostgreSQL sorts all). All else reads the whole table: 3 GB for a million users.

- **Search of your own** takes an index of your own, as the owner of the tables; it makes the events a little dearer that change what it holds. A hash index takes texts of any length; a B-tree refuses long ones, and with them the user, so cut them:

` + "```sql" + ownIndexes + "```" + `

- **Users without an organization** and the like: ` + "`WHERE NOT EXISTS (SELECT 1 FROM clerk.active_organization_memberships AS m WHERE m.user_id = u.id)`" + `. ` + "`NOT IN`" + ` finds nobody as soon as one ` + "`user_id`" + ` is null,
  and compares each user with each membership where there are many.
- **The views by day and month** read all users or sessions, whatever day is asked for. Ask ` + "`sign_ins`" + ` for ` + "`signed_in_at >= now() - interval '30 days'`" + `, or keep what a dashboard shows in a materialized view of your own. ` + "`count(*)`" + ` of an active view reads its table, too.

## Beside other tools

- **Tools that make a database like a model** (Alembic's autogenerate, Drizzle's push, Prisma's migrate, Atlas) take away what their model lacks. Have them look at your own schemas alone and leave ` + "`clerk`" + ` out: Alembic's ` + "`include_schemas`" + ` or Drizzle's ` + "`schemaFilter`" + ` with
  it drop the mirror. In an SQLite file, exclude ` + "`clerk_*`" + `. A foreign key to ` + "`clerk.users`" + ` is then a line of SQL in a migration of yours.
- **Tools that write a model from a database** should see the views alone, for example Drizzle by ` + "`tablesFilter: ['active_*', 'sign_ins', 'daily_*', 'monthly_*']`" + `. Of the tables they make members of one name, since ` + "`updated_at`" + ` and ` + "`_updated_at`" + ` differ by the underscore, and Drizzle's has
  a type that it does not know. A view has no primary key that they could read, so tell them that it is ` + "`id`" + `; all its columns may be null by its declaration.
- **sqlc** takes what ` + "`clerksync migrate print`" + ` writes as a schema, after a file that says ` + "`CREATE SCHEMA clerk;`" + `, since it does not look into the block that makes the schema. Say ` + "`omit_unused_structs: true`" + `, or the models of the tables
  do not compile, and ` + "`overrides: [{column: clerk.sign_ins.impersonated, go_type: bool}]`" + `.
- **GORM's AutoMigrate** follows your models to those they refer to, and so gives ` + "`clerk.users`" + ` the columns and indexes of a model of it: with a ` + "`uniqueIndex`" + ` on the address, whoever comes back under a new id is kept out. Have the model read the view (` + "`TableName`" + ` returns ` + "`clerk.active_users`" + `), give its id
  ` + "`gorm:\"primaryKey;type:text COLLATE \\\"C\\\"\"`" + `, which GORM takes over for what refers to it, and mark what refers to it ` + "`gorm:\"foreignKey:Customer;-:migration\"`" + `.
- **ent** makes an empty table ` + "`users`" + ` of its own for an entity that you put into the schema ` + "`clerk`" + `, and refers to that. Declare an ` + "`ent.View`" + ` with ` + "`entsql.Schema(\"clerk\")`" + ` and ` + "`entsql.Skip()`" + `, without edges, and generate with the feature ` + "`sql/schemaconfig`" + `. ` + "`Schema.Create`" + ` removes a foreign key that
  is no edge, such as yours to ` + "`clerk.users`" + `, at each start: give it ` + "`schema.WithForeignKeys(false)`" + `, or a ` + "`schema.WithDiffHook`" + ` that leaves the key in place.
- **goose, golang-migrate and the like** run what ` + "`clerksync migrate print`" + ` writes as one statement: in goose between ` + "`-- +goose StatementBegin`" + ` and ` + "`-- +goose StatementEnd`" + `, below ` + "`-- +goose NO TRANSACTION`" + `, since it has a transaction of its own.
- **Foreign keys** to ` + "`clerk.users (id)`" + ` need ` + "`GRANT REFERENCES (id) ON clerk.users TO`" + ` the owner of your table; give it to that role and not to ` + "`clerk_reader`" + `, from which ` + "`migrate print --roles`" + ` takes it again. A deletion in Clerk removes no row here, so ` + "`ON DELETE`" + ` does nothing then. It does when a
  tombstone or an old session is removed ([Deletion and erasure](privacy.md#deletion-and-erasure)): ` + "`CASCADE`" + ` takes your rows along and ` + "`SET NULL`" + ` loses the reference, and only without either the row stays.
- **Row-level security** on the tables is no protection, since the views read them as their owner, and it hides rows from the daemon, which then cannot write them. Put your conditions into views or functions of your own above these. Where a rule of the house asks for it all the same, a policy lets the daemon
  see everything: ` + "`CREATE POLICY daemon ON clerk.users TO clerk_daemon USING (true)`" + `. ` + "`clerksync doctor`" + ` tells where one is missing.
- **Tables, views and functions of yours** belong into another schema: ` + "`migrate print --roles`" + ` gives all that is in ` + "`clerk`" + ` to ` + "`clerk_owner`" + `, and a function that writes your tables as its owner cannot any more.
- **Publications** for logical replication may name the tables, or columns of them, and filter rows by ` + "`id`" + `. A filter by any other column, such as ` + "`WHERE (deleted_at IS NULL)`" + `, has PostgreSQL refuse each update of the table with SQLSTATE 42P10, and the endpoint answers 503. For a whole move see
  [operations.md](operations.md#what-to-do-when-).
`

	ownIndexes = `
CREATE INDEX users_lower_email ON clerk.users USING hash (lower(email));              -- WHERE lower(email) = lower('Ada@example.com')
CREATE INDEX users_begin_of_name ON clerk.users (left(last_name, 40) text_pattern_ops); -- WHERE left(last_name, 40) LIKE 'Love%'
CREATE INDEX users_public_metadata ON clerk.users USING gin (public_metadata jsonb_path_ops); -- WHERE public_metadata @> '{"plan": "pro"}'
`
)

// relation is a table or a view as its migration explains it.
type relation struct {
	name, sort, comment string
	columns             map[string]string // what is said of each, by name
}

var (
	begins = regexp.MustCompile(`^CREATE (TABLE|VIEW) \{schema\}\.(\w+)`)
	said   = regexp.MustCompile(`^    (\w+) .*?-- (.*)$`)
)

// relations reads the migrations, in their order.
func relations(t *testing.T) (all []*relation) {
	t.Helper()
	files, err := filepath.Glob("postgres/0*.sql")
	if err != nil || len(files) < 5 {
		t.Fatal(files, err)
	}
	var comment []string
	var r *relation
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			line = strings.TrimSuffix(line, "\n")
			if m := begins.FindStringSubmatch(line); m != nil {
				r = &relation{m[2], strings.ToLower(m[1]), strings.Join(comment, "\n"), map[string]string{}}
				all = append(all, r)
			}
			if m := said.FindStringSubmatch(line); m != nil && r != nil {
				r.columns[m[1]] = m[2]
			}
			if text, found := strings.CutPrefix(line, "-- "); found && !strings.HasPrefix(text, "+") {
				comment = append(comment, text)
			} else {
				comment = nil
			}
		}
	}
	return all
}

// TestSchemaPage holds docs/schema.md to the tables as they are.
func TestSchemaPage(t *testing.T) {
	t.Parallel()
	db, err := sql.Open("postgres", pgtest.Direct(t))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var b strings.Builder
	b.WriteString(schemaHead)
	all := relations(t)
	for _, r := range all {
		fmt.Fprintf(&b, "\n## %s\n\n", r.name)
		switch {
		case strings.Contains(r.comment, "\n--  "), strings.Contains(r.comment, "\n  "):
			fmt.Fprintf(&b, "```text\n%s\n```\n\n", r.comment)
		case r.comment != "":
			b.WriteString(strings.ReplaceAll(r.comment, "\n", " ") + "\n\n")
		}
		b.WriteString("| column | type | |\n|---|---|---|\n")
		columns := texts(t, db, `SELECT column_name || ' ' || data_type FROM information_schema.columns WHERE table_schema = 'clerk' AND table_name = '`+
			r.name+`' ORDER BY ordinal_position`)
		if len(columns) == 0 {
			t.Errorf("there is no %s", r.name)
		}
		for _, c := range columns {
			name, typ, _ := strings.Cut(c, " ")
			if r.sort == "table" && r.name != "users" && slices.Contains(columns, "_alive_at bigint") && name == "deleted_at" {
				b.WriteString("| … | | as `users` |\n")
				break
			}
			fmt.Fprintf(&b, "| `%s` | %s | %s |\n", name, strings.Replace(typ, "timestamp with time zone", "timestamptz", 1), r.columns[name])
		}
	}
	for _, name := range texts(t, db, `SELECT table_name FROM information_schema.tables WHERE table_schema = 'clerk' AND table_name NOT LIKE 'migrations%'`) {
		if !slices.ContainsFunc(all, func(r *relation) bool { return r.name == name }) {
			t.Errorf("%s is in the schema and not on the page", name)
		}
	}
	if *update {
		if err := os.WriteFile(schemaPage, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	shown, err := os.ReadFile(schemaPage)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(b.String(), string(shown)); diff != "" {
		t.Errorf("docs/schema.md differs from the tables; run this test with -update (-want +got):\n%s", diff)
	}
}
