package main

import (
	"cmp"
	"encoding/json"

	"github.com/urfave/cli/v3"
)

// printJSON prints v as one line of JSON, which scripts read.
func printJSON(c *cli.Command, v any) error {
	e := json.NewEncoder(c.Root().Writer)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

func or(text, otherwise string) string { return cmp.Or(text, otherwise) }
