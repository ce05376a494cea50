package main

import (
	"context"
	"fmt"
	"text/tabwriter"
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
	return &cli.Command{
		Name:  "migrate",
		Usage: "make the tables, or bring them to this version",
		Commands: []*cli.Command{
			sub("up", "run what is missing", migrateUp),
			sub("status", "list the versions of the tables", migrateStatus),
			sub("print", "write plain SQL, for teams that migrate with a tool of their own", migratePrint),
		},
	}
}

func migrateUp(ctx context.Context, _ *cli.Command, s settings) error {
	db, err := s.database.open(s.unprepared)
	if err != nil {
		return err
	}
	defer db.Close()
	return s.migrated(ctx, db, true)
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
	w := tabwriter.NewWriter(c.Root().Writer, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "VERSION\tNAME\tAPPLIED")
	for _, step := range steps {
		applied := "pending"
		if !step.AppliedAt.IsZero() {
			applied = step.AppliedAt.Format(time.RFC3339)
		}
		fmt.Fprintf(w, "%d\t%s\t%s\n", step.Version, or(step.Name, "(of a later release)"), applied)
	}
	return w.Flush()
}

func migratePrint(_ context.Context, c *cli.Command, s settings) error {
	return migrations.Print(c.Root().Writer, s.tables())
}
