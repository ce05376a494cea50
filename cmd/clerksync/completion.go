package main

import (
	"context"
	_ "embed"
	"fmt"

	"github.com/urfave/cli/v3"
)

// bashCompletion takes the place of the library's script, which does nothing where the package bash-completion is not installed, and runs what
// has been typed so far through eval.
//
//go:embed completion.bash
var bashCompletion string

// configureCompletion shows the command that prints completion scripts.
func configureCompletion(c *cli.Command) {
	c.Hidden = false
	c.Usage = "print the completion script of a shell: bash, zsh, fish, pwsh"
	c.Description = "In ~/.bashrc:  source <(clerksync completion bash)\n" +
		"In ~/.zshrc:   source <(clerksync completion zsh)   after compinit\n" +
		"For fish:      clerksync completion fish > ~/.config/fish/completions/clerksync.fish\n" +
		"For pwsh:      clerksync completion pwsh > clerksync.ps1, and run that in the profile"
	for _, shell := range c.Commands {
		shell.Usage = "print that of " + shell.Name
		if shell.Name == "bash" {
			shell.Action = func(_ context.Context, c *cli.Command) error {
				_, err := fmt.Fprint(c.Root().Writer, bashCompletion)
				return err
			}
		}
	}
}
