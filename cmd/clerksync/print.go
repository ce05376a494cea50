package main

import (
	"encoding/json"

	"github.com/urfave/cli/v3"
)

// printJSON prints v as one line of JSON, which scripts read.
func printJSON(c *cli.Command, v any) error {
	e := json.NewEncoder(c.Root().Writer)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}
