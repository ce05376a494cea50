package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/urfave/cli/v3"
)

// newCommand returns the whole command line.
func newCommand() *cli.Command {
	cli.HelpPrinterCustom = func(out io.Writer, templ string, data any, custom map[string]any) {
		cli.DefaultPrintHelpCustom(fitted(out), templ, data, custom)
	}
	root := &cli.Command{
		Name:                            "clerksync",
		Usage:                           "a faithful, live copy of your Clerk users in your own database",
		Description:                     "Try it without any set-up: clerksync demo",
		Version:                         readBuild().Version,
		EnableShellCompletion:           true,
		ConfigureShellCompletionCommand: configureCompletion,
		Suggest:                         true,
		Commands: []*cli.Command{
			serveCommand(), reconcileCommand(), checkCommand(), resyncCommand(), restoreCommand(), eraseCommand(), migrateCommand(),
			statusCommand(), eventsCommand(), auditCommand(), reportCommand(), doctorCommand(), emulateCommand(), demoCommand(), versionCommand(),
		},
		ExitErrHandler: func(context.Context, *cli.Command, error) {}, // main decides
	}
	prepareUsage(root)
	return root
}

// prepareUsage makes every mistake on the command line one sentence and exit code 2.
func prepareUsage(c *cli.Command) {
	c.OnUsageError = func(_ context.Context, c *cli.Command, err error, _ bool) error {
		return mistake(fmt.Sprintf("%v: see %s --help", err, c.FullName()))
	}
	if c.Action == nil {
		c.Action = chooseSubcommand
	}
	c.HideHelpCommand = len(c.Commands) == 0 // --help is enough for those, and help would be completed as if it were an argument
	for _, sub := range c.Commands {
		prepareUsage(sub)
	}
}

// chooseSubcommand answers where a subcommand is missing or unknown.
func chooseSubcommand(_ context.Context, c *cli.Command) error {
	if c.Args().Present() {
		return mistake(fmt.Sprintf("there is no command %q: see %s --help", c.Args().First(), c.FullName()))
	}
	if c.Root() == c {
		return cli.ShowRootCommandHelp(c)
	}
	var names []string
	for _, sub := range c.Commands {
		if !sub.Hidden && sub.Name != "help" {
			names = append(names, sub.Name)
		}
	}
	return mistake(fmt.Sprintf("%s needs one of: %s", c.FullName(), strings.Join(names, ", ")))
}

// noArguments refuses arguments where a command takes none.
func noArguments(_ context.Context, c *cli.Command) error {
	if c.Args().Present() {
		return mistake(fmt.Sprintf("%s takes no arguments, and was given %q", c.FullName(), c.Args().First()))
	}
	return nil
}
