package main

import (
	"context"
	"log/slog"
	"os"
	"time"

	"github.com/urfave/cli/v3"
)

const scopeDaemon = scopePasses | scopeErasure | scopeUpkeep | scopePublish | scopeServe

func serveCommand() *cli.Command {
	return &cli.Command{
		Name:  "serve",
		Usage: "run the daemon: webhooks, passes, health and metrics",
		Description: "Takes Clerk's events at the webhook path, compares the whole list every night, looks for changes in between, and\n" +
			"makes the tables if there are none. SIGTERM ends it gracefully, a second one at once;\n" +
			"SIGHUP reads the secrets' files again, which it also does when they change.\n\n" + secretsHelp(scopeDaemon),
		Flags:        append([]cli.Flag{noMigrateFlag()}, settingFlags(scopeDaemon)...),
		ArgValidator: noArguments,
		Action: withSettings(scopeDaemon, func(ctx context.Context, c *cli.Command, s settings) error {
			bar, log := s.watched(c)
			defer bar.close()
			return newDaemon(s, log, bar, !c.Bool("no-migrate")).run(ctx)
		}),
	}
}

func newDaemon(s settings, log *slog.Logger, bar *bar, migrate bool) *daemon {
	m := newMetrics()
	m.expect(s.kinds)
	return &daemon{settings: s, log: log, metrics: m, bar: bar, migrate: migrate,
		orders: make(chan struct{}), returned: make(chan time.Time, 1), hangup: make(chan os.Signal, 1)}
}
