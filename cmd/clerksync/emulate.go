package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/clerksync/clerksync/clerktest"
)

func emulateCommand() *cli.Command {
	return &cli.Command{
		Name:  "emulate",
		Usage: "emulate Clerk (Backend API and signed webhooks) for development and tests",
		Description: "Prints one line of JSON when it is ready: api_url, secret_key, webhook_secret, instance_id. Point CLERK_API_URL,\n" +
			"CLERK_SECRET_KEY and CLERK_WEBHOOK_SIGNING_SECRET there, and set CLERKSYNC_READ_MARGIN=0s: the two share a clock.\n" +
			"On a terminal these are printed, too, to be pasted into another one.\n" +
			"What was created is gone when it ends; the users of --users and --seed are there again.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "listen", Value: "127.0.0.1:7071", Usage: "the address of the API"},
			&cli.IntFlag{Name: "users", Usage: "how many users there are at the start; millions cost no memory"},
			&cli.IntFlag{Name: "organizations", Usage: "how many organizations there are at the start"},
			&cli.IntFlag{Name: "members", Usage: "how many members each of them has, drawn from the users"},
			&cli.IntFlag{Name: "invitations", Usage: "how many invitations there are at the start: so many to the application, and so many to organizations"},
			&cli.BoolFlag{Name: "no-organizations", Usage: "refuse requests about organizations, as an instance does that has not enabled them"},
			&cli.Uint64Flag{Name: "seed", Value: 1, Usage: "what users, keys and faults are drawn from"},
			&cli.StringFlag{Name: "webhook-url", Usage: "where events are posted; none are without it"},
			&cli.StringFlag{Name: "webhook-secret", Usage: "what signs them, whsec_…; drawn from the seed without it"},
			&cli.FloatFlag{Name: "drop", Usage: "probability that an event is never sent"},
			&cli.FloatFlag{Name: "duplicate", Usage: "probability that an event is delivered twice"},
			&cli.FloatFlag{Name: "reorder", Usage: "probability that an event is delivered after a later one"},
			&cli.StringFlag{Name: "rate-limit", Usage: "requests allowed in 10 seconds, such as 100/10s; unlimited without it"},
			&cli.DurationFlag{Name: "latency", Usage: "delays every answer of the API"},
			&cli.BoolFlag{Name: "gzip", Usage: "compress answers for clients that accept it, as Clerk does"},
			&cli.Int64Flag{Name: "page-cache", Usage: "how many MiB of written pages of users are kept until a user changes, for benchmarks"},
			&cli.FloatFlag{Name: "retry-scale", Value: 1, Usage: "multiplies the delays before failed events are posted again (5 s to 10 h)"},
		},
		ArgValidator: noArguments,
		Action:       runEmulate,
	}
}

func runEmulate(ctx context.Context, c *cli.Command) error {
	limit, err := checkEmulator(c)
	if err != nil {
		return err
	}
	server, err := clerktest.Start(ctx, clerktest.Config{
		Listen: c.String("listen"), Users: c.Int("users"), Seed: c.Uint64("seed"),
		Organizations: c.Int("organizations"), Members: c.Int("members"), Invitations: c.Int("invitations"), NoOrganizations: c.Bool("no-organizations"),
		PageCache: c.Int64("page-cache") << 20, Gzip: c.Bool("gzip"),
		WebhookURL: c.String("webhook-url"), WebhookSecret: c.String("webhook-secret"), RetryScale: c.Float("retry-scale"),
		Faults: clerktest.Faults{
			Drop: c.Float("drop"), Duplicate: c.Float("duplicate"), Reorder: c.Float("reorder"),
			RateLimit: limit, Latency: c.Duration("latency"),
		},
	})
	if err != nil {
		return err
	}
	defer server.Close()
	err = printJSON(c, struct {
		APIURL        string `json:"api_url"`
		SecretKey     string `json:"secret_key"`
		WebhookSecret string `json:"webhook_secret"`
		InstanceID    string `json:"instance_id"`
	}{server.URL(), server.SecretKey(), server.WebhookSecret(), server.InstanceID()})
	if err != nil {
		return err
	}
	if isTerminal(c.Root().ErrWriter) {
		fmt.Fprintf(c.Root().ErrWriter, "\nFor clerksync in another terminal:\nexport CLERK_API_URL=%s CLERKSYNC_READ_MARGIN=0s\nexport CLERK_SECRET_KEY=%s\nexport CLERK_WEBHOOK_SIGNING_SECRET=%s\n",
			server.URL(), server.SecretKey(), server.WebhookSecret())
	}
	<-ctx.Done()
	return nil
}

// checkEmulator reads what clerktest cannot say by the names of the flags: the rate limit, and all mistakes at once.
func checkEmulator(c *cli.Command) (limit int, err error) {
	var mistakes []error
	wrong := func(name, how string) { mistakes = append(mistakes, mistake("--"+name+" "+how)) }
	if err := checkAddress(c.String("listen")); err != nil {
		wrong("listen", err.Error())
	}
	for _, name := range []string{"users", "organizations", "members", "invitations"} {
		if c.Int(name) < 0 {
			wrong(name, "must not be negative")
		}
	}
	for _, name := range []string{"drop", "duplicate", "reorder"} {
		if p := c.Float(name); !(p >= 0 && p <= 1) {
			wrong(name, "must be a probability from 0 to 1")
		}
	}
	if c.Int64("page-cache") < 0 {
		wrong("page-cache", "must not be negative")
	}
	if c.Duration("latency") < 0 {
		wrong("latency", "must not be negative")
	}
	if !(c.Float("retry-scale") >= 0) {
		wrong("retry-scale", "must not be negative")
	}
	if v := c.String("webhook-url"); v != "" {
		if u, err := url.Parse(v); err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
			wrong("webhook-url", "must look like http://localhost:8080/api/webhooks/clerk")
		}
	}
	if v := c.String("webhook-secret"); v != "" {
		if secrets, err := parseSecrets(v, makeSecret); err != nil || len(secrets) > 1 {
			wrong("webhook-secret", "must be whsec_ and base64 of at least 24 bytes: "+makeSecret)
		}
	}
	if limit, err = parseRate(c.String("rate-limit")); err != nil {
		mistakes = append(mistakes, err)
	}
	return limit, errors.Join(mistakes...)
}

// parseRate reads a number of requests per 10 seconds, with or without saying "/10s".
func parseRate(v string) (int, error) {
	if v == "" {
		return 0, nil
	}
	number, per, divided := strings.Cut(v, "/")
	n, err := strconv.Atoi(number)
	if window, badWindow := time.ParseDuration(per); divided && (badWindow != nil || window != 10*time.Second) {
		err = errors.New("another window")
	}
	if err != nil || n < 1 {
		return 0, mistake("--rate-limit must be requests per 10 seconds, such as 100/10s")
	}
	return n, nil
}
