package main

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	clerksync "github.com/clerksync/clerksync/sync"
)

// withSettings reads a command's settings before its action runs, and tells of variables that do nothing.
func withSettings(within scope, action func(context.Context, *cli.Command, settings) error) cli.ActionFunc {
	return func(ctx context.Context, c *cli.Command) error {
		s, err := readSettings(c, within)
		if err != nil {
			return err
		}
		warnings(os.Environ(), s.logger(c))
		return action(ctx, c, s)
	}
}

// needKey is the mistake of running a command that reads Clerk without a key.
func (s *settings) needKey() error {
	if !s.secretKey.set() {
		return mistake("CLERK_SECRET_KEY must be set: copy the secret key from the page API keys of Clerk's dashboard")
	}
	return nil
}

// hooks are none: who has hooks imports the library. The tests give the command some, to see what becomes of them when it is killed.
var hooks clerksync.Hooks

// commandPatience is how long a command waits for the next byte of PostgreSQL's answer: longer than any query of a large mirror takes, and
// not for ever, or a nightly job that meets a silent server keeps all later ones from beginning.
const commandPatience = 5 * time.Minute

// openMirror opens the database and the mirror in it, after migrating its tables or, with migrate false, after checking that they
// are migrated. The caller calls close when it is done.
func (s *settings) openMirror(ctx context.Context, migrate bool) (m *clerksync.Mirror, close func(), err error) {
	s.database.patience = cmp.Or(s.database.patience, commandPatience)
	if err := s.migrated(ctx, migrate); err != nil { // first, since it makes a SQLite file
		return nil, nil, fmt.Errorf("opening the database: %w", err)
	}
	db, err := s.database.open(s.unprepared)
	if err != nil {
		return nil, nil, err
	}
	m, err = clerksync.Open(ctx, db, clerksync.Config{
		Schema: s.schema, ReadMargin: s.readMargin, Kinds: s.kinds, PrivateMetadata: s.privateMetadata, SessionActivity: s.activity,
		EventPayloads: s.eventPayloads,
		HoldDeletes:   s.holdDeletes, Limits: s.limits(), Unprepared: s.unprepared,
		Hooks: hooks,
	})
	if err == nil {
		err = s.pin(ctx, m)
	} else if advice := adviseReference(err); advice != "" {
		err = fmt.Errorf("%w: %s", err, advice)
	}
	if err != nil {
		db.Close()
		return nil, nil, err
	}
	return m, func() { db.Close() }, nil
}

// adviseReference says what to do where SQLite cannot heed a foreign key of the team's and refuses each statement on the table that it refers
// to; otherwise it is "". Programs that heed none never meet that.
func adviseReference(err error) string {
	if !strings.Contains(err.Error(), "foreign key mismatch") {
		return ""
	}
	return "let that table refer to id, since the other columns are not unique"
}

// pin pins the mirror to what CLERK_INSTANCE_ID says. A pin is for good, so a key that can tell has to agree. While Clerk does not answer
// the setting alone must do, or else the first events of whatever instance would be merged. A dry run only looks whether it could pin.
func (s *settings) pin(ctx context.Context, m *clerksync.Mirror) error {
	if s.instanceID == "" {
		return nil
	}
	pinned, err := m.Pinned(ctx)
	if err != nil {
		return err
	}
	if pinned == "" && s.secretKey.set() {
		if err := s.agree(ctx, m); err != nil {
			return err
		}
	}
	tie := m.Pin
	if s.dryRun {
		tie = m.CheckInstance
	}
	if err := tie(ctx, s.instanceID); err != nil {
		return fmt.Errorf("looking at CLERK_INSTANCE_ID: %w", err)
	}
	return nil
}

// agree makes sure that the key is of the instance that CLERK_INSTANCE_ID names, if Clerk answers.
func (s *settings) agree(ctx context.Context, m *clerksync.Mirror) error {
	api, err := s.openAPI(nil)
	if err != nil {
		return err
	}
	id, err := clerksync.NewReader(m, api, clerksync.Login).AskInstance(ctx)
	if err != nil || id == s.instanceID {
		return nil
	}
	return fmt.Errorf("CLERK_SECRET_KEY is of %s, and CLERK_INSTANCE_ID names %s: correct one of them: %w", id, s.instanceID, clerksync.ErrWrongInstance)
}

// openAPI returns the client of Clerk's Backend API.
func (s *settings) openAPI(observe func(endpoint string, status int)) (*clerksync.API, error) {
	return clerksync.NewAPI(clerksync.APIConfig{SecretKey: s.secretKey.reveal(), URL: s.apiURL, Share: s.apiShare, Observe: observe, Transport: s.net.clerk})
}

// logger returns the logger of a command.
func (s *settings) logger(c *cli.Command) *slog.Logger { return newLogger(c.Root().ErrWriter, *s) }
