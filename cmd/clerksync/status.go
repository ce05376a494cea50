package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/clerksync/clerksync/internal/admin"
)

func statusCommand() *cli.Command {
	const scopes = scopeLog | scopeDatabase | scopeKinds | scopeGuard
	return &cli.Command{
		Name:         "status",
		Usage:        "show how the mirror is: counts, last passes, quarantine, webhooks",
		Description:  secretsHelp(scopes),
		Flags:        append([]cli.Flag{&cli.BoolFlag{Name: "json", Usage: "print it as JSON"}}, settingFlags(scopes)...),
		ArgValidator: noArguments,
		Action: withSettings(scopes, func(ctx context.Context, c *cli.Command, s settings) error {
			mirror, closeMirror, err := s.openMirror(ctx, false)
			if err != nil {
				return err
			}
			defer closeMirror()
			status, err := readStatus(ctx, mirror)
			if err != nil {
				return err
			}
			judged := status.Judge(time.Now())
			if c.Bool("json") {
				return printJSON(c, judged)
			}
			return printStatus(c.Root().Writer, judged)
		}),
	}
}

func printStatus(out io.Writer, s admin.Judged) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "health\t%s\n", describeHealth(s))
	fmt.Fprintf(w, "instance\t%s\n", or(s.InstanceID, "not pinned yet"))
	for _, kind := range s.Order {
		n := s.Resources[kind]
		fmt.Fprintf(w, "%s\t%d visible, %d deleted\n", spaced(kind), n.Visible, n.Hidden)
	}
	for _, kind := range []string{"full", "delta"} {
		p, ran := s.Passes[kind]
		if !ran {
			fmt.Fprintf(w, "last %s pass\tnever\n", kind)
			continue
		}
		fmt.Fprintf(w, "last %s pass\t%s\n", kind, describePass(p))
	}
	fmt.Fprintf(w, "last event\t%s\n", describeLast(s.Events))
	fmt.Fprintf(w, "quarantined events\t%d\n", s.Events.Quarantined)
	if s.Events.Held > 0 {
		fmt.Fprintf(w, "held deletions\t%d, among those in quarantine: clerksync events list --held\n", s.Events.Held)
	}
	for _, kind := range s.Order {
		if n := s.Resources[kind]; n.Burst() {
			fmt.Fprintf(w, "burst of deletions\t%d %s within an hour, and the guard allows %d\n", n.DeletionsTold, spaced(kind), n.DeletionsAllowed)
		}
	}
	fmt.Fprintf(w, "deferred events\t%d\n", s.Events.Deferred)
	fmt.Fprintf(w, "leader\t%s\n", describeLeader(s.Leader))
	for _, name := range slices.Sorted(maps.Keys(s.Relays)) {
		r := s.Relays[name]
		fmt.Fprintf(w, "relay %s\tdelivered up to change %d, %.0f s behind\n", name, r.Seq, r.OldestSeconds)
	}
	if f := s.Events.Foreign; f != nil {
		fmt.Fprintf(w, "events of other instances\t%d ignored, the last one of %s\n", f.Count, f.Last)
	}
	for _, p := range s.Progress {
		fmt.Fprintf(w, "progress\t%d of %d %s, %.0f a second, %s left\n", p.Seen, p.Total, spaced(p.Kind), p.Rate(), p.Remaining())
	}
	return w.Flush()
}

// describeHealth says in the words of the status page whether all is well, and what is not.
func describeHealth(s admin.Judged) string {
	if s.Healthy {
		return "healthy"
	}
	var amiss []string
	for _, c := range s.Amiss() {
		amiss = append(amiss, strings.ToLower(c.Title)+" "+c.Value)
	}
	return "needs attention: " + strings.Join(amiss, ", ")
}

func describePass(p admin.Pass) string {
	text := p.StartedAt.Format(time.RFC3339)
	switch {
	case p.FinishedAt == nil:
		text += ", running or killed"
	case p.Complete:
		text += ", complete"
	default:
		text += ", not complete"
	}
	if p.Error != "" {
		text += ": " + p.Error
	}
	if p.LastCompleteAt != nil && !p.LastCompleteAt.Equal(p.StartedAt) {
		text += "; the last complete one " + p.LastCompleteAt.Format(time.RFC3339)
	}
	return text
}

func describeLeader(l *admin.Leader) string {
	if l == nil {
		return "none: no daemon runs, or another one is about to lead"
	}
	return fmt.Sprintf("%s, term %d", l.Replica, l.Term)
}

func describeLast(e admin.Events) string {
	if e.LastAt == nil {
		return "never"
	}
	text := e.LastAt.Format(time.RFC3339) + ", " + e.LastType
	if e.LagSeconds != nil {
		text += fmt.Sprintf(", %.2f s after it happened", *e.LagSeconds)
	}
	return text
}

// spaced writes a name of several words for people.
func spaced[T ~string](name T) string { return strings.ReplaceAll(string(name), "_", " ") }
