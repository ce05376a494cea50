// Command clerksync keeps a live copy of a team's Clerk users in the team's own database. See README.md and docs/operations.md.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // so that a second signal ends the process at once
	err := newCommand().Run(ctx, os.Args)
	if err != nil {
		fmt.Fprintln(os.Stderr, "clerksync:", err)
	}
	os.Exit(exitCode(err))
}
