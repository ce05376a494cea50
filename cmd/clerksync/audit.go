package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	clerksync "github.com/clerksync/clerksync/sync"
)

func auditCommand() *cli.Command {
	return &cli.Command{
		Name:  "audit",
		Usage: "look at the log of deletions, erasures and approvals; prove that it is whole",
		Commands: []*cli.Command{
			{
				Name: "list", Usage: "list the log, in the order in which it was written", Description: secretsHelp(scopeEvents),
				Flags:        append(append(periodFlags("written"), linesFlag()), settingFlags(scopeEvents)...),
				ArgValidator: noArguments,
				Action:       withSettings(scopeEvents, runAuditList),
			},
			{
				Name: "verify", Usage: "check that no row was changed, added or removed; exit 1 and tell the first broken one",
				Description: "Note the hash that it prints elsewhere: --known HASH proves later that the log up to there is still the same one.\n\n" +
					secretsHelp(scopeEvents),
				Flags: append([]cli.Flag{
					&cli.StringFlag{Name: "known", Usage: "a hash that an earlier verify printed"}, &cli.BoolFlag{Name: "json", Usage: "print it as JSON"},
				}, settingFlags(scopeEvents)...),
				ArgValidator: noArguments,
				Action:       withSettings(scopeEvents, runAuditVerify),
			},
		},
	}
}

func runAuditList(ctx context.Context, c *cli.Command, s settings) error {
	since, until, err := parsePeriod(c, time.Now())
	if err != nil {
		return err
	}
	mirror, closeMirror, err := s.openMirror(ctx, false)
	if err != nil {
		return err
	}
	defer closeMirror()
	for e, err := range mirror.Audit(ctx, since, until) {
		if err != nil {
			return err
		}
		if c.Bool("json") {
			err = printJSON(c, showEntry(e))
		} else {
			err = printEntry(fitted(c.Root().Writer), e)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func runAuditVerify(ctx context.Context, c *cli.Command, s settings) error {
	mirror, closeMirror, err := s.openMirror(ctx, false)
	if err != nil {
		return err
	}
	defer closeMirror()
	rows, last, err := mirror.VerifyAudit(ctx, strings.ToLower(strings.TrimSpace(c.String("known"))))
	if err != nil {
		return err
	}
	if c.Bool("json") {
		return printJSON(c, wholeLog{rows, last})
	}
	_, err = fmt.Fprintf(c.Root().Writer, "the audit log is whole: %d rows, the last one's hash is %s\n", rows, last)
	return err
}

// wholeLog is what verify --json prints of a log that is whole; of another one it prints nothing.
type wholeLog struct {
	Rows int64  `json:"rows"`
	Last string `json:"last_hash"`
}

// shownEntry is a row of the audit log as --json prints it.
type shownEntry struct {
	Seq        int64                 `json:"seq"`
	At         time.Time             `json:"at"`
	Action     clerksync.AuditAction `json:"action"`
	Resource   clerksync.Kind        `json:"resource,omitempty"`
	ObjectID   string                `json:"object_id,omitempty"`
	Source     clerksync.Source      `json:"source,omitempty"`
	EventID    string                `json:"event_id,omitempty"`
	OccurredAt *time.Time            `json:"occurred_at,omitempty"`
	Detail     string                `json:"detail,omitempty"`
	Previous   string                `json:"previous"`
	Hash       string                `json:"hash"`
}

func showEntry(e clerksync.AuditEntry) shownEntry {
	shown := shownEntry{e.Seq, e.At, e.Action, e.Kind, e.ObjectID, e.Source, e.EventID, nil, e.Detail, e.Previous, e.Hash}
	if !e.OccurredAt.IsZero() {
		shown.OccurredAt = &e.OccurredAt
	}
	return shown
}

// printEntry prints an entry as a line: what it is about last, since that has any length.
func printEntry(w io.Writer, e clerksync.AuditEntry) error {
	about := []string{spaced(e.Kind), e.ObjectID, e.EventID, e.Detail}
	_, err := fmt.Fprintf(w, "%-6d  %s  %-8s  %-9s  %s\n", e.Seq, instant(&e.At), printable(string(e.Action)), printable(string(e.Source)),
		printable(strings.Join(strings.Fields(strings.Join(about, " ")), " ")))
	return err
}
