package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"

	"github.com/urfave/cli/v3"

	clerksync "github.com/clerksync/clerksync/sync"
)

const scopeRead = scopeLog | scopeDatabase | scopeMirror | scopeClerk

func resyncCommand() *cli.Command {
	return &cli.Command{
		Name:        "resync",
		Usage:       "read these users from Clerk again and merge what it says",
		ArgsUsage:   "ID…",
		Description: secretsHelp(scopeRead),
		Flags:       settingFlags(scopeRead),
		Action:      withSettings(scopeRead, runResync),
	}
}

// resyncID is stricter than a path needs, so that no id can reach another resource of Clerk's API.
var resyncID = regexp.MustCompile(`^user_[A-Za-z0-9_-]{1,120}$`)

func runResync(ctx context.Context, c *cli.Command, s settings) error {
	ids := c.Args().Slice()
	if len(ids) == 0 {
		return mistake("resync needs the ids of users, as in clerksync resync user_2b6fcd92dvf96q05x8e4a8xvt6a")
	}
	for _, id := range ids {
		if !resyncID.MatchString(id) {
			return mistake(fmt.Sprintf("%q is no user's id: Clerk's begin with user_", id))
		}
	}
	if err := s.needKey(); err != nil {
		return err
	}
	mirror, closeMirror, err := s.openMirror(ctx, false)
	if err != nil {
		return err
	}
	defer closeMirror()
	api, err := s.openAPI(nil)
	if err != nil {
		return err
	}
	reader := clerksync.NewReader(mirror, api, clerksync.Resync)
	var failures []error
	for _, id := range ids {
		if err := resync(ctx, c.Root().Writer, mirror, reader, id); err != nil {
			failures = append(failures, fmt.Errorf("resyncing %s: %w", id, err))
		}
		if ctx.Err() != nil {
			break
		}
	}
	return errors.Join(failures...)
}

// resync reads one user and merges the answer. That Clerk does not know somebody whom the mirror does not know either is kept
// nowhere: it may be a slip of the keyboard.
func resync(ctx context.Context, w io.Writer, mirror *clerksync.Mirror, reader *clerksync.Reader, id string) error {
	read, err := reader.Get(ctx, clerksync.Users, id)
	if err != nil {
		return err
	}
	_, known, _, err := mirror.User(ctx, id)
	if err != nil {
		return err
	}
	if read.Object == nil && !known {
		return errors.New("neither Clerk nor the mirror knows this user")
	}
	results, err := mirror.Apply(ctx, read)
	if err != nil {
		return err
	}
	_, _, visible, err := mirror.User(ctx, id)
	if err != nil {
		return err
	}
	note := ""
	if read.Object == nil && visible {
		note = ": Clerk does not know the user, but was seen to moments ago; try again in some minutes"
	}
	_, err = fmt.Fprintf(w, "%s %s%s\n", id, results[0].Outcome, note)
	return err
}
