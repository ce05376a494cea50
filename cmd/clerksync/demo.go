package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/urfave/cli/v3"

	clerksync "github.com/clerksync/clerksync/sync"

	"github.com/clerksync/clerksync/clerktest"
	"github.com/clerksync/clerksync/migrations"
)

func demoCommand() *cli.Command {
	return &cli.Command{
		Name:  "demo",
		Usage: "see it work, without any set-up",
		Description: "Starts an emulator of Clerk and the daemon's parts on an embedded database in a temporary folder; changes users,\n" +
			"organizations and all else that Clerk tells while events get lost, doubled and overtaken; lets all three paths repair\n" +
			"that; and compares the mirror with Clerk, object by object. On a terminal the status page stays up until Ctrl-C.",
		Flags: []cli.Flag{
			&cli.IntFlag{Name: "users", Value: 1000, Usage: "how many users there are"},
			&cli.StringFlag{Name: "database-url", Usage: "postgres://… or sqlite:PATH, instead of a temporary file"},
			&cli.Uint64Flag{Name: "seed", Value: 1, Usage: "what users, changes and faults are drawn from"},
			&cli.BoolFlag{Name: "once", Usage: "exit at the end, also on a terminal"},
		},
		ArgValidator: noArguments,
		Action:       runDemo,
	}
}

func runDemo(ctx context.Context, c *cli.Command) error {
	if c.Int("users") < 1 || c.Int("users") > 10_000_000 {
		return mistake("--users must be a number from 1 to 10000000")
	}
	d := &demo{users: c.Int("users"), seed: c.Uint64("seed"), out: c.Root().Writer, metrics: newMetrics()}
	defer d.close()
	if err := d.openDatabase(ctx, c.String("database-url")); err != nil {
		return err
	}
	if err := d.startClerk(ctx); err != nil {
		return err
	}
	if err := d.startParts(ctx); err != nil {
		return err
	}
	lingers := isTerminal(c.Root().Writer) && !c.Bool("once")
	if lingers {
		if err := d.startPage(ctx); err != nil {
			return err
		}
	}
	bar := newBar(c.Root().ErrWriter)
	bar.tell = func(s stretch) { fmt.Fprintln(c.Root().ErrWriter, s) }
	if err := d.play(ctx, bar); err != nil {
		return err
	}
	if lingers {
		<-ctx.Done()
	}
	return nil
}

// emulated begins the ids of emulated instances. The demo changes and deletes users as it likes, so it touches no other mirror.
const emulated = "ins_emulator"

// openDatabase opens the mirror to play in.
func (d *demo) openDatabase(ctx context.Context, address string) error {
	where, err := d.findDatabase(address)
	if err != nil {
		return err
	}
	where.create = true
	db, err := where.open(false)
	if err != nil {
		return err
	}
	d.atEnd(func() { db.Close() })
	tables := migrations.Options{Dialect: where.dialect}
	if err := makeTables(ctx, db, tables); err != nil {
		return fmt.Errorf("opening the database: %w", err)
	}
	d.mirror, err = clerksync.Open(ctx, db, clerksync.Config{
		Kinds:      allKinds(),
		ReadMargin: -1, // the emulator has our clock, and no replicas
	})
	if err != nil {
		return err
	}
	d.instance, err = d.mirror.Pinned(ctx)
	if err == nil && d.instance != "" && !strings.HasPrefix(d.instance, emulated) {
		err = fmt.Errorf("this database mirrors %s, which is no emulator: %w", d.instance, clerksync.ErrWrongInstance)
	}
	if err != nil {
		return err
	}
	return d.outwaitDeletions(ctx)
}

func (d *demo) findDatabase(address string) (database, error) {
	if address != "" {
		where, err := parseDatabase(address)
		if err != nil {
			return where, mistake("--database-url " + err.Error())
		}
		return where, nil
	}
	folder, err := os.MkdirTemp("", "clerksync-demo-")
	if err != nil {
		return database{}, fmt.Errorf("making a temporary folder, which TMPDIR or --database-url puts elsewhere: %w", err)
	}
	d.atEnd(func() { os.RemoveAll(folder) })
	return database{dialect: migrations.SQLite, path: filepath.Join(folder, "clerksync.db"), brief: true}, nil
}

// makeTables migrates an empty database. Older tables may be those of a real mirror, which is not known before they are opened.
func makeTables(ctx context.Context, db *sqlx.DB, o migrations.Options) error {
	err := migrations.Check(ctx, db.DB, o)
	if !errors.Is(err, migrations.ErrPending) {
		return err
	}
	steps, err := migrations.Status(ctx, db.DB, o)
	if err != nil {
		return err
	}
	for _, s := range steps {
		if !s.AppliedAt.IsZero() {
			return migrations.ErrPending
		}
	}
	return migrations.Up(ctx, db.DB, o)
}

// outwaitDeletions waits until the deletions of a demo that has just ended in the same database lie in the past: until then they
// outweigh the emulator's assertion that everything is there again.
func (d *demo) outwaitDeletions(ctx context.Context) error {
	var latest int64
	for _, kind := range allKinds() {
		var dead int64
		err := d.mirror.DB().GetContext(ctx, &dead, d.mirror.SQL(`SELECT coalesce(max(_dead_at), 0) FROM {`+string(kind)+`}`))
		if err != nil {
			return fmt.Errorf("reading the last deletion: %w", err)
		}
		latest = max(latest, dead)
	}
	wait := time.Until(time.UnixMilli(latest))
	if wait <= 0 {
		return nil
	}
	d.say("waiting", "%s, until the deletions of the last demo here lie in the past", wait.Round(100*time.Millisecond))
	select {
	case <-time.After(min(wait, time.Minute) + time.Millisecond):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (d *demo) startClerk(ctx context.Context) (err error) {
	organizations := min(max(d.users/50, 1), 2*maxTeams)
	d.clerk, err = clerktest.Start(ctx, clerktest.Config{
		Users: d.users, Organizations: organizations, Members: 10, Invitations: organizations, Seed: d.seed, InstanceID: d.instance, RetryScale: 0.001,
		Faults: clerktest.Faults{Drop: 0.1, Duplicate: 0.15, Reorder: 0.2},
	})
	if err != nil {
		return fmt.Errorf("starting the emulator: %w", err)
	}
	d.atEnd(d.clerk.Close)
	return nil
}

// say prints one line of the demo's story.
func (d *demo) say(what, format string, args ...any) {
	fmt.Fprintf(fitted(d.out), "%-10s  %s\n", what, fmt.Sprintf(format, args...))
}

func (d *demo) atEnd(f func()) { d.closers = append(d.closers, f) }

// close ends everything in the reverse order of its start.
func (d *demo) close() {
	for i := len(d.closers) - 1; i >= 0; i-- {
		d.closers[i]()
	}
}

// errDiffers is the end of a demo that failed.
var errDiffers = errors.New("the mirror differs from Clerk")

// conclude prints the last lines.
func (d *demo) conclude(w io.Writer, differences []string) error {
	if len(differences) == 0 {
		_, err := fmt.Fprintf(w, "mirror = Clerk: %d users, 0 differences\n", d.clerk.Count())
		return err
	}
	for _, difference := range differences {
		fmt.Fprintln(w, difference)
	}
	return errDiffers
}
