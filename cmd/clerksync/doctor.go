package main

import (
	"context"
	"errors"
	"io"

	"github.com/jmoiron/sqlx"
	"github.com/urfave/cli/v3"

	clerksync "github.com/clerksync/clerksync/sync"
)

// finding is what one check of the doctor found.
type finding struct {
	Check   string  `json:"check"`
	Verdict verdict `json:"verdict"`
	Found   string  `json:"found"`
	Advice  string  `json:"advice,omitempty"` // what to do; empty where all is well
}

type verdict string

const (
	fine    verdict = "ok"
	warned  verdict = "warning" // works, and could be better
	failed  verdict = "failed"
	skipped verdict = "skipped"
)

var verdictColours = map[verdict]colour{fine: green, warned: yellow, failed: red, skipped: grey}

// errUnwell means that a check failed.
var errUnwell = errors.New("something is wrong with this set-up: see above")

func doctorCommand() *cli.Command {
	return &cli.Command{
		Name:  "doctor",
		Usage: "check a set-up, and say what to do about what is wrong",
		Description: "Looks at the configuration, the database, its tables and roles, Clerk's answer to the key, the clock, the listeners and,\n" +
			"with --url, the endpoint as Clerk reaches it. It changes nothing, but that an endpoint which works records one event of\n" +
			"an ignored type per signing secret. Exit code 0: nothing failed; 1: something did; 2: the configuration is wrong.\n\n" + secretsHelp(scopeDaemon),
		Flags: append([]cli.Flag{
			&cli.StringFlag{Name: "url", Usage: "the endpoint as Clerk's dashboard has it, https://YOUR.HOST/api/webhooks/clerk"},
			&cli.BoolFlag{Name: "json", Usage: "print the findings as JSON"},
		}, settingFlags(scopeDaemon)...),
		ArgValidator: noArguments,
		Action: withSettings(scopeDaemon, func(ctx context.Context, c *cli.Command, s settings) error {
			d := &doctor{settings: s, url: c.String("url")}
			d.examine(ctx)
			if err := d.tell(c); err != nil {
				return err
			}
			return d.conclusion()
		}),
	}
}

// doctor examines one set-up. Where a check has failed, those that need what it looked at are skipped.
type doctor struct {
	settings
	url      string
	findings []finding

	db     *sqlx.DB          // nil unless it answers
	mirror *clerksync.Mirror // nil unless its tables are at this version
}

func (d *doctor) note(check string, v verdict, found, advice string) {
	d.findings = append(d.findings, finding{check, v, found, advice})
}

func (d *doctor) examine(ctx context.Context) {
	d.checkFeeders()
	d.checkReceivers()
	d.checkFiles()
	d.checkDatabase(ctx)
	if d.db != nil {
		defer d.db.Close()
	}
	d.checkVersion(ctx)
	d.checkRoles(ctx)
	d.checkClerk(ctx)
	d.checkCondition(ctx)
	d.checkListeners(ctx)
	d.checkEndpoint(ctx)
}

func (d *doctor) conclusion() error {
	for _, f := range d.findings {
		if f.Verdict == failed {
			return errUnwell
		}
	}
	return nil
}

func (d *doctor) tell(c *cli.Command) error {
	if c.Bool("json") {
		return printJSON(c, struct {
			OK       bool      `json:"ok"`
			Findings []finding `json:"findings"`
		}{d.conclusion() == nil, d.findings})
	}
	return printFindings(c.Root().Writer, d.findings)
}

func printFindings(out io.Writer, findings []finding) error {
	var t columns
	for _, f := range findings {
		word := string(f.Verdict)
		if coloured(out) {
			word = verdictColours[f.Verdict].paint(word)
		}
		t.row(word, f.Check, f.Found)
		if f.Advice != "" {
			t.row("", "", "→ "+f.Advice)
		}
	}
	return t.print(out)
}
