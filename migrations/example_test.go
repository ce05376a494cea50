package migrations_test

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"log"
	"strings"

	"github.com/clerksync/clerksync/internal/pgtest"
	"github.com/clerksync/clerksync/migrations"
)

// empty is an application's database without the mirror's tables.
func empty() (context.Context, *sql.DB, func()) {
	t, end := pgtest.Example()
	db, err := sql.Open("postgres", pgtest.Empty(t))
	if err != nil {
		log.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return context.Background(), db, end
}

// An application makes the tables when it starts. Any number of processes may do so at once.
func ExampleUp() {
	ctx, db, end := empty()
	defer end()

	options := migrations.Options{Dialect: migrations.Postgres}
	fmt.Println("before:", migrations.Check(ctx, db, options) == nil)
	if err := migrations.Up(ctx, db, options); err != nil {
		log.Fatal(err)
	}
	fmt.Println("after:", migrations.Check(ctx, db, options) == nil)
	// Output:
	// before: false
	// after: true
}

// Which steps a database has gone through.
func ExampleStatus() {
	ctx, db, end := empty()
	defer end()

	options := migrations.Options{Dialect: migrations.Postgres}
	if err := migrations.Up(ctx, db, options); err != nil {
		log.Fatal(err)
	}
	steps, err := migrations.Status(ctx, db, options)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(steps[0].Version, steps[0].Name, !steps[0].AppliedAt.IsZero())
	// Output: 1 mirror true
}

// Plain SQL, for a team that has a tool for its migrations, in a schema of its choice.
func ExamplePrint() {
	var text bytes.Buffer
	if err := migrations.Print(&text, migrations.Options{Dialect: migrations.Postgres, Schema: "identity"}); err != nil {
		log.Fatal(err)
	}
	fmt.Println(strings.Contains(text.String(), "CREATE TABLE identity.users ("))
	// Output: true
}
