package main

import (
	"fmt"

	"github.com/urfave/cli/v3"
)

// did is what a command did about one thing: a line or, with --json, a JSON object a line.
type did struct {
	ID      string `json:"id"`
	Outcome string `json:"outcome"`
	Note    string `json:"note,omitempty"`
}

func (d did) String() string {
	if d.Note == "" {
		return d.Outcome
	}
	return d.Outcome + ": " + d.Note
}

func (d did) line() string { return d.ID + " " + d.String() }

func linesFlag() cli.Flag { return &cli.BoolFlag{Name: "json", Usage: "print a JSON object a line"} }

// printDid prints what was done, as the command was told to.
func printDid(c *cli.Command) func(did) error {
	return func(d did) error {
		if c.Bool("json") {
			return printJSON(c, d)
		}
		_, err := fmt.Fprintln(c.Root().Writer, d.line())
		return err
	}
}
