package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	clerksync "github.com/clerksync/clerksync/sync"

	"github.com/clerksync/clerksync/reconcile"
	"github.com/clerksync/clerksync/webhook"
)

const (
	scopePasses  = scopeLog | scopeDatabase | scopeMirror | scopeClerk | scopePass
	scopeNightly = scopePasses | scopeErasure | scopeUpkeep | scopePublish
)

func reconcileCommand() *cli.Command {
	return &cli.Command{
		Name:  "reconcile",
		Usage: "run one pass and exit: the nightly job",
		Description: "Compares all that Clerk lists with the mirror, users first, and repairs what differs; then applies deferred events,\n" +
			"erases and removes what is due. It makes the tables if there are none.\n\n" + secretsHelp(scopeNightly),
		Flags: append([]cli.Flag{
			&cli.BoolFlag{Name: "dry-run", Usage: "write nothing, and tell what would be written"},
			&cli.BoolFlag{Name: "delta", Usage: "only look for users created or changed since the last pass: one request, no deletions"},
			&cli.StringFlag{Name: "approve", Usage: "make the deletions of the plan of this name that the guard refused, after asking Clerk for each again"},
			&cli.BoolFlag{Name: "json", Usage: "print the report as JSON"},
			noMigrateFlag(),
		}, settingFlags(scopeNightly)...),
		ArgValidator: noArguments,
		Action:       withSettings(scopeNightly, runReconcile),
	}
}

func noMigrateFlag() cli.Flag {
	return &cli.BoolFlag{Name: "no-migrate", Usage: "leave the tables alone, and refuse to run unless they are at this version"}
}

func runReconcile(ctx context.Context, c *cli.Command, s settings) error {
	order := reconcile.Pass{DryRun: c.Bool("dry-run"), Approve: strings.ToLower(strings.TrimSpace(c.String("approve")))}
	switch {
	case c.IsSet("approve") && order.Approve == "":
		return mistake("--approve needs the name of a plan, as the refused pass printed it")
	case c.Bool("delta") && order.Approve != "":
		return mistake("--delta and --approve exclude each other: a delta pass deletes nothing")
	case c.Bool("delta"):
		order.Kind = reconcile.Delta
	}
	_, err := s.pass(ctx, c, order)
	return err
}

// pass runs one pass, and prints and returns its report.
func (s *settings) pass(ctx context.Context, c *cli.Command, order reconcile.Pass) (report reconcile.Report, err error) {
	if err := s.needKey(); err != nil {
		return report, err
	}
	s.dryRun = order.DryRun
	mirror, closeMirror, err := s.openMirror(ctx, !order.DryRun && !c.Bool("no-migrate"))
	if err != nil {
		return report, err
	}
	defer closeMirror()
	api, err := s.openAPI(nil)
	if err != nil {
		return report, err
	}
	bar, log := s.watched(c)
	reconciler := reconcile.New(reconcile.Config{
		Mirror: mirror, Clerk: api, MaxDeletes: s.maxDeletes, MaxDeletePercent: s.maxPercent,
		WebhooksExpected: len(s.signingSecrets) > 0, Logger: log, Progress: bar.show,
	})
	report, err = reconciler.Do(ctx, order)
	bar.close()
	switch {
	case ctx.Err() != nil && order.Approve != "" && report.Plan != "" && !order.DryRun:
		err = errors.New("interrupted: the plan is spent, so run a pass for what is left")
	case ctx.Err() != nil && !order.DryRun:
		err = errors.New("interrupted: the next pass goes on where this one was")
	case !order.DryRun && !errors.Is(err, clerksync.ErrWrongInstance):
		silenceErr := noteSilence(ctx, mirror, report)
		_, retryErr := webhook.Retry(ctx, mirror)
		_, upkeepErr := s.openKeeper(mirror, api, log, nil).RunOnce(ctx)
		err = errors.Join(err, silenceErr, retryErr, upkeepErr, s.publishOnce(ctx, mirror, log))
	}
	if c.Bool("json") {
		err = errors.Join(err, printJSON(c, report))
	} else {
		err = errors.Join(err, printReport(fitted(c.Root().Writer), report))
	}
	return report, err
}

func printReport(w io.Writer, r reconcile.Report) error {
	if _, err := io.WriteString(w, reportText(r)); err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	return nil
}

func reportText(r reconcile.Report) string {
	var b strings.Builder
	verb := "took"
	if r.DryRun {
		verb = "dry run, took"
	}
	took := r.FinishedAt.Sub(r.StartedAt).Round(time.Millisecond)
	if r.InstanceID == "" { // counts of what nobody looked at would read like those of an empty instance
		return fmt.Sprintf("%s pass: nothing was read, %s %s, %d requests\n", r.Kind, verb, took, r.Requests)
	}
	fmt.Fprintf(&b, "%s pass of %s: %s %s, %d requests\n", r.Kind, r.InstanceID, verb, took, r.Requests)
	for _, kind := range inOrder(r.Resources) {
		n := r.Resources[kind]
		fmt.Fprintf(&b, "%s: %d seen", spaced(kind), n.Seen)
		for _, c := range []struct {
			n    int64
			what string
		}{
			{n.Created, "created"}, {n.Updated, "updated"}, {n.Deleted, "deleted"}, {n.Revived, "revived"}, {n.Refreshed, "refreshed"},
			{n.Unchanged, "unchanged"}, {n.Stale, "stale"}, {n.Quarantined, "quarantined"}, {n.Candidates, "candidates for deletion"},
			{n.Pending, "pending"},
		} {
			if c.n > 0 {
				fmt.Fprintf(&b, ", %d %s", c.n, c.what)
			}
		}
		if slices.Contains(r.Incomplete, kind) {
			fmt.Fprint(&b, ", incomplete")
		}
		fmt.Fprintln(&b)
	}
	if r.Unannounced != nil && (r.Complete || *r.Unannounced > 0) { // a pass that compared nothing found no differences, and says nothing
		fmt.Fprintf(&b, "%d differences that no webhook had told\n", *r.Unannounced)
	}
	if r.Total().Quarantined > 0 && !r.DryRun {
		fmt.Fprintln(&b, "clerksync events list --outcome quarantined tells why something could not be stored")
	}
	switch {
	case r.Plan == "":
	case len(r.Refused) == 0 && r.DryRun:
		fmt.Fprintf(&b, "deletion plan that may be approved: %s\n", r.Plan)
	case len(r.Refused) == 0:
		fmt.Fprintf(&b, "approved deletion plan: %s\n", r.Plan)
	default:
		fmt.Fprintf(&b, "refused deletion plan: %s\n", r.Plan)
	}
	return b.String()
}

func checkCommand() *cli.Command {
	return &cli.Command{
		Name:  "check",
		Usage: "compare the mirror with Clerk, change nothing of it, exit 5 if they differ",
		Description: "Differences of the last minutes are pending and no drift, since a webhook may be about to tell them.\n\n" +
			secretsHelp(scopePasses),
		Flags:        append([]cli.Flag{&cli.BoolFlag{Name: "json", Usage: "print the report as JSON"}}, settingFlags(scopePasses)...),
		ArgValidator: noArguments,
		Action: withSettings(scopePasses, func(ctx context.Context, c *cli.Command, s settings) error {
			report, err := s.pass(ctx, c, reconcile.Pass{DryRun: true})
			if report.Drift() > 0 && ctx.Err() == nil { // what was interrupted has found too little to say anything
				err = errors.Join(err, errDrift)
			}
			return err
		}),
	}
}
