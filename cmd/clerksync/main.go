// Command clerksync keeps a live copy of a team's Clerk users in the team's own database. See README.md and docs/operations.md.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/clerksync/clerksync/internal/crash"
)

func main() {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-signals
		cancel()
		<-signals // somebody has no patience
		os.Exit(exitFailed)
	}()
	err := crash.Contain(func() error { return newCommand().Run(ctx, os.Args) })
	switch {
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		fmt.Fprintln(os.Stderr, "clerksync: interrupted")
	case err != nil:
		fmt.Fprintln(fitted(os.Stderr), "clerksync:", err)
	}
	os.Exit(exitCode(err))
}
