package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/urfave/cli/v3"

	"github.com/clerksync/clerksync/erasure"
)

func restoreCommand() *cli.Command {
	return &cli.Command{
		Name:      "restore",
		Usage:     "undo a deletion, if Clerk has the object after all",
		ArgsUsage: "ID",
		Description: "Reads the object from Clerk again: what Clerk has becomes visible with all its data, what it does not have stays\n" +
			"hidden. A deletion can always be undone so; before CLERKSYNC_ERASE_AFTER has passed, nothing has been lost meanwhile.\n\n" + secretsHelp(scopeRead),
		Flags:  append([]cli.Flag{&cli.BoolFlag{Name: "json", Usage: "print what was done as JSON"}}, settingFlags(scopeRead)...),
		Action: withSettings(scopeRead, runRestore),
	}
}

// shownRestored is what restore --json prints.
type shownRestored struct {
	ID       string `json:"id"`
	Restored bool   `json:"restored"`         // false for what was not deleted, and for what stays deleted
	Reason   string `json:"reason,omitempty"` // why it stays deleted
}

func showRestored(id string, restored bool, err error) shownRestored {
	shown := shownRestored{ID: id, Restored: restored}
	if err != nil {
		shown.Reason = err.Error()
	}
	return shown
}

func runRestore(ctx context.Context, c *cli.Command, s settings) error {
	t, err := oneTarget(c)
	if err != nil {
		return err
	}
	if err := s.needKey(); err != nil {
		return err
	}
	return s.withEraser(ctx, c, func(e *erasure.Eraser) error {
		restored, err := e.Restore(ctx, erasure.Order{Kind: t.kind, ID: t.id})
		if err != nil {
			err = advise(t.id, err)
		}
		switch {
		case c.Bool("json"):
			return errors.Join(err, printJSON(c, showRestored(t.id, restored, err)))
		case err != nil:
			return err
		case restored:
			_, err = fmt.Fprintf(c.Root().Writer, "%s restored\n", t.id)
		default:
			_, err = fmt.Fprintf(c.Root().Writer, "%s is not deleted\n", t.id)
		}
		return err
	})
}
