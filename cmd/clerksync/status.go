package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/clerksync/clerksync/internal/admin"
)

func statusCommand() *cli.Command {
	const scopes = scopeLog | scopeDatabase | scopeKinds | scopeGuard
	return &cli.Command{
		Name:        "status",
		Usage:       "show how the mirror is: counts, last passes, quarantine, webhooks",
		Description: secretsHelp(scopes),
		Flags: append([]cli.Flag{
			&cli.BoolFlag{Name: "watch", Usage: fmt.Sprintf("show it again every %d seconds, until Ctrl-C", watchEvery/time.Second)},
			&cli.BoolFlag{Name: "json", Usage: "print it as JSON"},
		}, settingFlags(scopes)...),
		ArgValidator: noArguments,
		Action: withSettings(scopes, func(ctx context.Context, c *cli.Command, s settings) error {
			mirror, closeMirror, err := s.openMirror(ctx, false)
			if err != nil {
				return err
			}
			defer closeMirror()
			if c.Bool("watch") {
				return watchStatus(ctx, c, mirror)
			}
			status, err := readStatus(ctx, mirror)
			if err != nil {
				return err
			}
			return showStatus(c, status.Judge(time.Now()))
		}),
	}
}

func showStatus(c *cli.Command, s admin.Judged) error {
	if c.Bool("json") {
		return printJSON(c, s)
	}
	out := c.Root().Writer
	return statusTable(s, coloured(out)).print(out)
}

// statusTable writes a status for people.
func statusTable(s admin.Judged, colours bool) columns {
	var t columns
	say := func(name, format string, args ...any) { t.row(name, fmt.Sprintf(format, args...)) }
	say("health", "%s", describeHealth(s, colours))
	for _, c := range s.Amiss() {
		say("", "→ %s: %s. %s", strings.ToLower(c.Title), printable(c.Detail), c.Advice)
	}
	say("instance", "%s", cmp.Or(s.InstanceID, "not pinned yet"))
	for _, kind := range s.Order {
		n := s.Resources[kind]
		say(spaced(kind), "%d visible, %d deleted", n.Visible, n.Hidden)
	}
	for _, kind := range []string{"full", "delta"} {
		p, ran := s.Passes[kind]
		if !ran {
			say("last "+kind+" pass", "never")
			continue
		}
		say("last "+kind+" pass", "%s", describePass(p))
	}
	say("last event", "%s", describeLast(s.Events))
	say("quarantined events", "%d", s.Events.Quarantined)
	if s.Events.Held > 0 {
		say("held deletions", "%d, among those in quarantine: clerksync events list --held", s.Events.Held)
	}
	for _, kind := range s.Order {
		if n := s.Resources[kind]; n.Burst() {
			say("burst of deletions", "%d %s within an hour, and the guard allows %d", n.DeletionsTold, spaced(kind), n.DeletionsAllowed)
		}
	}
	say("deferred events", "%d", s.Events.Deferred)
	say("leader", "%s", describeLeader(s.Status))
	say("replicas", "%d", len(s.Replicas))
	for _, name := range slices.Sorted(maps.Keys(s.Relays)) {
		r := s.Relays[name]
		say("relay "+name, "delivered up to change %d, %.0f s behind", r.Seq, r.OldestSeconds)
	}
	if f := s.Events.Foreign; f != nil {
		say("events of other instances", "%d ignored, the last one of %s", f.Count, printable(f.Last))
	}
	for _, p := range s.Progress {
		say("progress", "%d of %d %s, %.0f a second, %s left", p.Seen, p.Total, spaced(p.Kind), p.Rate(), p.Remaining())
	}
	return t
}

// describeHealth says in the words of the status page whether all is well, and what is not.
func describeHealth(s admin.Judged, colours bool) string {
	healthy, unwell := "healthy", "needs attention"
	if colours {
		healthy, unwell = green.paint(healthy), red.paint(unwell)
	}
	if s.Healthy {
		return healthy
	}
	var amiss []string
	for _, c := range s.Amiss() {
		amiss = append(amiss, strings.ToLower(c.Title)+" "+c.Value)
	}
	return unwell + ": " + strings.Join(amiss, ", ")
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

func describeLeader(s admin.Status) string {
	switch {
	case s.Leader != nil:
		return fmt.Sprintf("%s, term %d", s.Leader.Replica, s.Leader.Term)
	case s.NeverLed():
		return "none: no daemon has run here"
	}
	return "none: no daemon runs, or another one is about to lead"
}

func describeLast(e admin.Events) string {
	if e.LastAt == nil {
		return "never"
	}
	text := e.LastAt.Format(time.RFC3339) + ", " + printable(e.LastType)
	if e.LagSeconds != nil {
		text += fmt.Sprintf(", %.2f s after it happened", *e.LagSeconds)
	}
	return text
}

// spaced writes a name of several words for people.
func spaced[T ~string](name T) string { return strings.ReplaceAll(string(name), "_", " ") }
