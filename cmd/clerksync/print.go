package main

import (
	"encoding/json"
	"strings"

	"github.com/urfave/cli/v3"
)

// printJSON prints v as one line of JSON, which scripts read.
func printJSON(c *cli.Command, v any) error {
	e := json.NewEncoder(c.Root().Writer)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// shellWord writes an id as an operator may paste it into a shell: what others named can be anything.
func shellWord(id string) string {
	const plain = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_:.-"
	word := id
	if id == "" || strings.Trim(id, plain) != "" {
		word = "'" + strings.ReplaceAll(id, "'", `'\''`) + "'"
	}
	if strings.HasPrefix(id, "-") { // and is no flag
		return "-- " + word
	}
	return word
}
