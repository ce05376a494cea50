// Command clerksync keeps a live copy of a team's Clerk users in the team's own database. See README.md and docs/operations.md.
package main

import (
	"context"
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
	if err != nil {
		fmt.Fprintln(os.Stderr, "clerksync:", err)
	}
	os.Exit(exitCode(err))
}
