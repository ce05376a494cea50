package main

import (
	"fmt"
	"time"

	"github.com/urfave/cli/v3"
)

// periodFlags are those of a list of what was received, or written, within a time.
func periodFlags(verb string) []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "since", Usage: verb + " then or later: 24h means a day ago, 2026-01-31 a day in UTC, 2026-01-31T12:00:00Z an instant"},
		&cli.StringFlag{Name: "until", Usage: verb + " before; like --since"},
	}
}

func parsePeriod(c *cli.Command, now time.Time) (since, until time.Time, err error) {
	if since, err = parseInstant(c.String("since"), now); err != nil {
		return since, until, mistake("--since " + err.Error())
	}
	if until, err = parseInstant(c.String("until"), now); err != nil {
		return since, until, mistake("--until " + err.Error())
	}
	return since, until, nil
}

// parseInstant reads an instant: how long ago, a day or a time. Nothing is the zero time.
func parseInstant(v string, now time.Time) (time.Time, error) {
	if v == "" {
		return time.Time{}, nil
	}
	if ago, err := time.ParseDuration(v); err == nil && ago >= 0 {
		return now.Add(-ago), nil
	}
	for _, layout := range []string{time.DateOnly, time.RFC3339} {
		if t, err := time.Parse(layout, v); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("must be like 24h, 2026-01-31 or 2026-01-31T12:00:00Z, and is %q", v)
}
