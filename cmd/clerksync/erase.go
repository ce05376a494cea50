package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/urfave/cli/v3"

	clerksync "github.com/clerksync/clerksync/sync"

	"github.com/clerksync/clerksync/erasure"
)

const scopeErase = scopeRead | scopeErasure

func eraseCommand() *cli.Command {
	return &cli.Command{
		Name:      "erase",
		Usage:     "erase a person's data now, everywhere in the mirror's tables, and look for what is left of it",
		ArgsUsage: "ID",
		Description: "Takes the id of a user (user_…) or of anything else that resync takes. Delete the user in Clerk first: while Clerk\n" +
			"has it, this refuses. It empties the user's row, the rows of what belongs to it, of which ids are left, and the content of\n" +
			"kept events that name it; then it reads every column of the schema that can hold a text.\n\n" + secretsHelp(scopeErase),
		Flags: append([]cli.Flag{
			&cli.BoolFlag{Name: "force", Usage: "erase it also while Clerk has it, or cannot be asked; the next pass or event brings it back"},
			&cli.BoolFlag{Name: "json", Usage: "print what was done as JSON"},
		}, settingFlags(scopeErase)...),
		Action: withSettings(scopeErase, runErase),
	}
}

// oneTarget reads the one argument of a command.
func oneTarget(c *cli.Command) (target, error) {
	if c.NArg() != 1 {
		return target{}, mistake(fmt.Sprintf("%s needs one id, as in %s user_2b6fcd92dvf96q05x8e4a8xvt6a", c.Name, c.FullName()))
	}
	return findTarget(c.Args().First())
}

// withEraser opens what the commands about one object need.
func (s *settings) withEraser(ctx context.Context, c *cli.Command, do func(*erasure.Eraser) error) error {
	mirror, closeMirror, err := s.openMirror(ctx, false)
	if err != nil {
		return err
	}
	defer closeMirror()
	var api *clerksync.API
	if s.secretKey.set() {
		if api, err = s.openAPI(nil); err != nil {
			return err
		}
	}
	return do(s.openEraser(mirror, api, s.logger(c)))
}

func runErase(ctx context.Context, c *cli.Command, s settings) error {
	t, err := oneTarget(c)
	if err != nil {
		return err
	}
	return s.withEraser(ctx, c, func(e *erasure.Eraser) error {
		out, err := e.Erase(ctx, erasure.Order{Kind: t.kind, ID: t.id, Force: c.Bool("force")})
		if err != nil && !errors.Is(err, erasure.ErrRemains) {
			return advise(t.id, err)
		}
		if c.Bool("json") {
			return errors.Join(err, printJSON(c, showErased(t, out)))
		}
		return errors.Join(err, printErased(c.Root().Writer, t, out))
	})
}

// advise says what to do about an order that was not carried out.
func advise(id string, err error) error {
	advice := ""
	switch {
	case errors.Is(err, erasure.ErrLives):
		advice = "delete it in Clerk first, or give --force"
	case errors.Is(err, erasure.ErrRecent):
		advice = "try again after CLERKSYNC_READ_MARGIN"
	case errors.Is(err, erasure.ErrGone):
		advice = "it stays hidden"
	case errors.Is(err, clerksync.ErrVisible):
		advice = "without CLERK_SECRET_KEY nobody can be asked; give --force to erase it all the same"
	case errors.Is(err, erasure.ErrUnknown):
		advice = "see that the id is right"
	}
	if advice == "" {
		return fmt.Errorf("%s: %w", id, err)
	}
	return fmt.Errorf("%s: %w: %s", id, err, advice)
}

// shownErased is an erasure as --json prints it. It never tells what the values were.
type shownErased struct {
	ID       string                   `json:"id"`
	Resource clerksync.Kind           `json:"resource"`
	Rows     map[clerksync.Kind]int64 `json:"rows"`
	Events   int64                    `json:"events"`
	Left     []shownRemnant           `json:"left"`
}

type shownRemnant struct {
	Table  string `json:"table"`
	Column string `json:"column"`
	Rows   int64  `json:"rows"`
	Other  bool   `json:"other"` // of other objects, about which Clerk tells the same
}

func showErased(t target, out erasure.Outcome) shownErased {
	shown := shownErased{t.id, t.kind, out.Rows, out.Events, []shownRemnant{}}
	for _, l := range out.Left {
		shown.Left = append(shown.Left, shownRemnant{l.Table, l.Column, l.Rows, l.Other})
	}
	return shown
}

func printErased(w io.Writer, t target, out erasure.Outcome) error {
	var parts []string
	for _, kind := range inOrder(out.Rows) {
		parts = append(parts, fmt.Sprintf("%s: %d", spaced(kind), out.Rows[kind]))
	}
	parts = append(parts, fmt.Sprintf("events: %d", out.Events))
	fmt.Fprintf(w, "%s erased: %s\n", t.id, strings.Join(parts, ", "))
	for _, l := range out.Left {
		if l.Other {
			fmt.Fprintf(w, "%s.%s says the same about other objects, in %d rows, as Clerk does\n", l.Table, l.Column, l.Rows)
		}
	}
	_, err := fmt.Fprintln(w, "backups and the database's own log keep it until they age out")
	return err
}
