package main

import (
	"context"
	"crypto/sha256"
	"encoding/csv"
	"fmt"
	"io"
	"iter"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	clerksync "github.com/clerksync/clerksync/sync"
)

func reportCommand() *cli.Command {
	return &cli.Command{
		Name:  "report",
		Usage: "what an auditor asks for, as CSV",
		Commands: []*cli.Command{{
			Name: "deletions", Usage: "list every deletion: of what, on what evidence, when it was asked for, done and erased",
			Description: "The list is in the order in which objects were hidden. Its length and its SHA-256 are told on standard error.\n\n" +
				secretsHelp(scopeEvents),
			Flags:        append(periodFlags("written"), settingFlags(scopeEvents)...),
			ArgValidator: noArguments,
			Action:       withSettings(scopeEvents, runReportDeletions),
		}},
	}
}

func runReportDeletions(ctx context.Context, c *cli.Command, s settings) error {
	since, until, err := parsePeriod(c, time.Now())
	if err != nil {
		return err
	}
	mirror, closeMirror, err := s.openMirror(ctx, false)
	if err != nil {
		return err
	}
	defer closeMirror()
	sum := sha256.New()
	n, err := writeDeletions(io.MultiWriter(c.Root().Writer, sum), mirror.Deletions(ctx, since, until))
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(c.Root().ErrWriter, "%d deletions, SHA-256 of the list: %x\n", n, sum.Sum(nil))
	return err
}

// writeDeletions writes deletions as CSV and returns how many they were.
func writeDeletions(w io.Writer, deletions iter.Seq2[clerksync.Deletion, error]) (n int, err error) {
	table := csv.NewWriter(w)
	_ = table.Write([]string{ // its error stays until the end
		"id", "resource", "evidence", "source", "event_id", "requested_at", "hidden_at", "erased_at", "revived_at", "audit_seq",
	})
	for d, err := range deletions {
		if err != nil {
			return n, err
		}
		hidden := d.At
		if d.Action == clerksync.AuditErased {
			hidden = time.Time{}
		}
		_ = table.Write([]string{
			cell(d.ObjectID), string(d.Kind), evidenceOf(d), string(d.Source), cell(d.EventID), orNothing(d.OccurredAt), orNothing(hidden), orNothing(d.ErasedAt),
			orNothing(d.RevivedAt), fmt.Sprint(d.Seq),
		})
		n++
	}
	table.Flush()
	if err := table.Error(); err != nil {
		return n, fmt.Errorf("writing the report: %w", err)
	}
	return n, nil
}

// cell writes an id so that a program which shows the list in cells takes none for a formula: what others named can be anything.
func cell(id string) string {
	if strings.IndexAny(id, "=+-@") == 0 {
		return "'" + id
	}
	return id
}

// evidenceOf says what a deletion rests on.
func evidenceOf(d clerksync.Deletion) string {
	switch {
	case d.Action == clerksync.AuditErased:
		return "order" // nobody said that it was gone: somebody had it erased
	case d.Source == clerksync.Webhook:
		return "event"
	default:
		return "404" // to a read by id or, where Clerk has none, to the lists that would show it
	}
}

func orNothing(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return instant(&t)
}
