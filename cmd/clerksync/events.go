package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	clerksync "github.com/clerksync/clerksync/sync"
)

const (
	scopeEvents = scopeLog | scopeDatabase
	scopeRetry  = scopeRead
)

func eventsCommand() *cli.Command {
	return &cli.Command{
		Name:  "events",
		Usage: "look at received events; retry or drop those in quarantine",
		Commands: []*cli.Command{
			{
				Name: "list", Usage: "list events, those received last first",
				Description:  "What is quarantined of Clerk's lists is here, too: its id is read:KIND:ID.\n\n" + secretsHelp(scopeEvents),
				Flags:        append(listFlags(), settingFlags(scopeEvents)...),
				ArgValidator: noArguments,
				Action:       withSettings(scopeEvents, runEventsList),
			},
			{
				Name: "show", Usage: "show one event, less its content", ArgsUsage: "ID", Description: secretsHelp(scopeEvents),
				Flags:  append([]cli.Flag{&cli.BoolFlag{Name: "json", Usage: "print it as JSON"}}, settingFlags(scopeEvents)...),
				Action: withSettings(scopeEvents, runEventsShow),
			},
			{
				Name: "retry", Usage: "apply events again that are quarantined or deferred", ArgsUsage: "ID… | --all | --held",
				Description: "What is quarantined of a list is read from Clerk again, which takes a secret key.\n\n" + secretsHelp(scopeRetry),
				Flags: append([]cli.Flag{
					linesFlag(),
					&cli.BoolFlag{Name: "all", Usage: "all that are quarantined, and the deferred ones that are due; none that is held for approval"},
					&cli.BoolFlag{Name: "held", Usage: "approve all deletions that are held"},
				}, settingFlags(scopeRetry)...),
				Action: withSettings(scopeRetry, runEventsRetry),
			},
			{
				Name: "drop", Usage: "give up events that are quarantined or deferred", ArgsUsage: "ID… | --all | --held",
				Description: "They stay in the list as ignored, without their content.\n\n" + secretsHelp(scopeEvents),
				Flags: append([]cli.Flag{
					linesFlag(),
					&cli.BoolFlag{Name: "all", Usage: "all that are quarantined; none that is held for approval"},
					&cli.BoolFlag{Name: "held", Usage: "all deletions that are held for approval"},
				}, settingFlags(scopeEvents)...),
				Action: withSettings(scopeEvents, runEventsDrop),
			},
		},
	}
}

// maxListed bounds the memory of a list; --until continues it.
const maxListed = 10_000

func listFlags() []cli.Flag {
	return append([]cli.Flag{
		&cli.StringFlag{Name: "type", Usage: "such as user.updated; * stands for any text, as in organization*.deleted"},
		&cli.StringFlag{Name: "object", Usage: "the id of the object that they speak of"},
		&cli.StringFlag{Name: "outcome", Usage: "one of " + strings.Join(outcomes, ", ")},
		&cli.BoolFlag{Name: "held", Usage: "only deletions that are held for approval"},
		&cli.IntFlag{Name: "limit", Value: 50, Usage: fmt.Sprintf("how many at most, up to %d", maxListed)},
		linesFlag(),
	}, periodFlags("received")...)
}

var outcomes = []string{
	string(clerksync.Created), string(clerksync.Updated), string(clerksync.Refreshed), string(clerksync.Deleted), string(clerksync.Revived),
	string(clerksync.Unchanged), string(clerksync.Stale), string(clerksync.Ignored), string(clerksync.Deferred), string(clerksync.Quarantined),
}

func parseLogQuery(c *cli.Command, now time.Time) (q clerksync.LogQuery, err error) {
	q = clerksync.LogQuery{Type: c.String("type"), ObjectID: c.String("object"), Outcome: clerksync.Outcome(c.String("outcome")), Held: c.Bool("held"), Limit: c.Int("limit")}
	if q.Outcome != "" && !slices.Contains(outcomes, string(q.Outcome)) {
		return q, mistake("--outcome must be one of " + strings.Join(outcomes, ", "))
	}
	if q.Limit < 1 || q.Limit > maxListed {
		return q, mistake(fmt.Sprintf("--limit must be a number from 1 to %d", maxListed))
	}
	q.Since, q.Until, err = parsePeriod(c, now)
	return q, err
}

func runEventsList(ctx context.Context, c *cli.Command, s settings) error {
	q, err := parseLogQuery(c, time.Now())
	if err != nil {
		return err
	}
	mirror, closeMirror, err := s.openMirror(ctx, false)
	if err != nil {
		return err
	}
	defer closeMirror()
	events, err := mirror.Log(ctx, q)
	if err != nil {
		return err
	}
	if c.Bool("json") {
		for _, e := range events {
			if err := printJSON(c, showEvent(e)); err != nil {
				return err
			}
		}
		return nil
	}
	return printEvents(c.Root().Writer, events)
}

func runEventsShow(ctx context.Context, c *cli.Command, s settings) error {
	if c.NArg() != 1 {
		return mistake("events show needs the id of one event, as clerksync events list prints it")
	}
	mirror, closeMirror, err := s.openMirror(ctx, false)
	if err != nil {
		return err
	}
	defer closeMirror()
	events, err := mirror.Log(ctx, clerksync.LogQuery{IDs: c.Args().Slice()})
	switch {
	case err != nil:
		return err
	case len(events) == 0:
		return errors.New("there is no such event: it never came, or is older than CLERKSYNC_EVENT_RETENTION")
	case c.Bool("json"):
		return printJSON(c, showEvent(events[0]))
	}
	return printEvent(c.Root().Writer, events[0])
}

func runEventsDrop(ctx context.Context, c *cli.Command, s settings) error {
	ids, all, held := c.Args().Slice(), c.Bool("all"), c.Bool("held")
	if !oneOf(len(ids) > 0, all, held) {
		return mistake("events drop needs either the ids of events, as clerksync events list --outcome quarantined prints them, or --all, or --held")
	}
	mirror, closeMirror, err := s.openMirror(ctx, false)
	if err != nil {
		return err
	}
	defer closeMirror()
	if all || held {
		if ids, err = quarantinedIDs(ctx, mirror, held); err != nil {
			return err
		}
	}
	tell := printDid(c)
	var failures []error
	for _, id := range ids {
		dropped, err := mirror.Drop(ctx, id)
		switch {
		case err != nil:
			return errors.Join(append(failures, err)...)
		case !dropped:
			failures = append(failures, notWaiting(id))
		default:
			failures = append(failures, tell(did{ID: id, Outcome: "dropped"}))
		}
	}
	return errors.Join(failures...)
}

// notWaiting is why an event cannot be dropped.
func notWaiting(id string) error { return fmt.Errorf("%s is neither quarantined nor deferred", id) }
