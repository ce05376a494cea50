package main

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/clerksync/clerksync/migrations"
)

func migrateCommand() *cli.Command {
	const scopes = scopeLog | scopeDatabase
	sub := func(name, usage string, action func(context.Context, *cli.Command, settings) error) *cli.Command {
		return &cli.Command{
			Name: name, Usage: usage, Description: secretsHelp(scopes), Flags: settingFlags(scopes), ArgValidator: noArguments,
			Action: withSettings(scopes, action),
		}
	}
	printing := sub("print", "write plain SQL, for teams that migrate with a tool of their own", migratePrint)
	printing.Flags = append([]cli.Flag{
		&cli.IntFlag{Name: "after", Usage: "write only what comes after this version, for tables that are at it: migrate status tells"},
		&cli.BoolFlag{Name: "roles", Usage: "write the SQL of PostgreSQL roles instead: an owner, a daemon and a reader"},
	}, printing.Flags...)
	status := sub("status", "list the versions of the tables", migrateStatus)
	status.Flags = append([]cli.Flag{linesFlag()}, status.Flags...)
	return &cli.Command{
		Name:  "migrate",
		Usage: "make the tables, or bring them to this version",
		Commands: []*cli.Command{
			sub("up", "run what is missing", migrateUp),
			status,
			printing,
		},
	}
}

func migrateUp(ctx context.Context, c *cli.Command, s settings) error {
	if err := s.migrated(ctx, true); err != nil {
		return err
	}
	_, err := fmt.Fprintf(c.Root().Writer, "%s has the tables of this version\n", s.whose())
	return err
}

// whose says which tables a command works on, since a setting that is missing means others.
func (s settings) whose() string {
	if d := s.database; d.dialect == migrations.Postgres {
		return fmt.Sprintf("the schema %s of the database %s at %s", s.schema, cmp.Or(d.url.Query().Get("dbname"), strings.TrimPrefix(d.url.Path, "/"), "of the user"),
			cmp.Or(d.url.Query().Get("host"), d.url.Host, "this machine"))
	}
	return fmt.Sprintf("the file %s, with the prefix %s_,", s.database.path, s.schema)
}

func migrateStatus(ctx context.Context, c *cli.Command, s settings) error {
	db, err := s.database.open(s.unprepared)
	if err != nil {
		return err
	}
	defer db.Close()
	steps, err := migrations.Status(ctx, db.DB, s.tables())
	if err != nil {
		return err
	}
	if c.Bool("json") {
		for _, step := range steps {
			if err := printJSON(c, shownStep(step)); err != nil {
				return err
			}
		}
		return nil
	}
	t := columns{{"VERSION", "NAME", "APPLIED"}}
	for _, step := range steps {
		applied := "pending"
		if !step.AppliedAt.IsZero() {
			applied = step.AppliedAt.Format(time.RFC3339)
		}
		t.row(fmt.Sprint(step.Version), cmp.Or(step.Name, "(of a later release)"), applied)
	}
	return t.print(c.Root().Writer)
}

// shownStep is a version of the tables as --json prints it.
type shownStep struct {
	Version   int64     `json:"version"`
	Name      string    `json:"name,omitempty"`      // empty for one of a later release
	AppliedAt time.Time `json:"applied_at,omitzero"` // absent while it is pending
}

func migratePrint(_ context.Context, c *cli.Command, s settings) error {
	if c.Bool("roles") {
		return printRoles(c, s)
	}
	if !s.told["DATABASE_URL"] {
		s.logger(c).Warn("DATABASE_URL is not set, so this is the SQL of SQLite; postgres:// has that of PostgreSQL printed")
	}
	var text bytes.Buffer
	if err := migrations.PrintAfter(&text, s.tables(), int64(c.Int("after"))); err != nil {
		return mistake(err.Error())
	}
	_, err := text.WriteTo(c.Root().Writer)
	return err
}

func printRoles(c *cli.Command, s settings) error {
	switch {
	case c.IsSet("after"):
		return mistake("--roles and --after exclude each other: roles have no versions")
	case s.database.dialect != migrations.Postgres:
		return mistake("DATABASE_URL must be postgres://… for --roles: who may read an SQLite file may read the mirror")
	}
	return migrations.PrintRoles(c.Root().Writer, s.tables())
}
