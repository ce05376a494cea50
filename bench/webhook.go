package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// preloaded is how many users the table holds before a load about different users begins.
const preloaded = 20_000

// withUsers makes the template "users": a mirror that the daemon has filled.
func withUsers(ctx context.Context, st *stage) error {
	return st.template(ctx, "users", func(ctx context.Context, url string) (err error) {
		d, err := st.serve(ctx, url)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, d.stop()) }()
		seen, err := st.drive(ctx, load{URLs: []string{d.webhooks}, Clients: 256, Users: preloaded, Events: preloaded, Span: time.Minute}, nil)
		if err == nil && seen.Taken != preloaded {
			err = fmt.Errorf("%d of %d users arrived", seen.Taken, preloaded)
		}
		return err
	})
}

// drive runs a load in its own process. began, unless nil, is called when it begins to count.
func (st *stage) drive(ctx context.Context, l load, began func() error) (seen loaded, err error) {
	c, err := start(ctx, "load", l)
	if err != nil {
		return seen, err
	}
	defer func() { err = errors.Join(err, c.stop()) }()
	if err := c.hear(&struct{}{}); err != nil {
		return seen, err
	}
	if began != nil {
		if err := began(); err != nil {
			return seen, err
		}
	}
	return seen, c.hear(&seen)
}

// server is a contestant's process under load.
type server interface {
	pid() int
	stop() error
}

// target starts what a load is directed at, on a fresh database.
type target func(ctx context.Context, st *stage, databaseURL string) (server, []string, error)

// clerksyncDaemon is the daemon, with further variables in its environment.
func clerksyncDaemon(env ...string) target {
	return func(ctx context.Context, st *stage, databaseURL string) (server, []string, error) {
		d, err := st.serve(ctx, databaseURL, env...)
		if err != nil {
			return nil, nil, err
		}
		return d, []string{d.webhooks}, nil
	}
}

// baseline is a plain handler.
func baseline(p plain) target {
	return func(ctx context.Context, _ *stage, databaseURL string) (server, []string, error) {
		p.Database = databaseURL
		c, err := start(ctx, "plain", p)
		if err != nil {
			return nil, nil, err
		}
		var url string
		if err := c.hear(&url); err != nil {
			return nil, nil, errors.Join(err, c.stop())
		}
		return c, []string{url}, nil
	}
}

// under measures a target under a load.
func under(t target, l load) func(context.Context, *stage) (figures, error) {
	return func(ctx context.Context, st *stage) (f figures, err error) {
		if err := withUsers(ctx, st); err != nil {
			return nil, err
		}
		url, drop, err := st.database(ctx, "users")
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, drop()) }()
		s, urls, err := t(ctx, st, url)
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, s.stop()) }()
		l.URLs, l.Warm, l.Span = urls, st.warm, st.span
		return st.measure(ctx, l, s.pid())
	}
}

// measure drives a load and tells what became of it.
func (st *stage) measure(ctx context.Context, l load, pids ...int) (figures, error) {
	var stop func() (time.Duration, error)
	seen, err := st.drive(ctx, l, func() (err error) {
		stop, err = st.cost(pids...)
		return err
	})
	if err != nil {
		return nil, err
	}
	cpu, err := stop()
	if err != nil {
		return nil, err
	}
	if seen.Taken == 0 {
		return nil, errors.New("no event was taken")
	}
	return figures{
		{"events/s", float64(seen.Taken) / seen.Seconds}, {"p50 ms", seen.P50}, {"p99 ms", seen.P99},
		{"CPU µs/event", float64(cpu.Microseconds()) / float64(seen.Taken)},
	}, nil
}

// The contestants' names. The letters are those by which docs and issues call them.
const (
	ours     = "clerksync"
	handler  = "plain handler"
	script   = "pgbench"
	reading  = "read only"
	verified = "read and verify"
)

var (
	storing   = baseline(plain{Step: "store", Prepared: true})
	verifying = baseline(plain{Step: "verify"})
)

func webhookScenarios() []scenario {
	distinct := load{Clients: 256, Users: preloaded, Events: 60_000}
	hot := load{Clients: 256, Users: 100, Events: 60_000}
	few := load{Clients: 16, Users: preloaded, Events: 60_000}
	one := load{Clients: 1, Users: preloaded, Events: 20_000}
	again := func(l load) load { l.Again = true; return l }
	goals := []goal{
		{figure: "events/s", of: ours, to: handler, least: 6},
		{figure: "events/s", of: ours, to: script, least: 2},
		{figure: "events/s", of: ours, to: verified, least: 0.5},
		{figure: "p99 ms", of: ours, to: handler, most: 0.125},
		{figure: "CPU µs/event", of: ours, to: handler, most: 1.0 / 6},
	}
	return []scenario{{
		section: "webhook", name: "256 clients, each event about another user", goals: goals,
		text: "Signed `user.updated` events of 2.5 KB over HTTP. The plain handler verifies, decodes and writes the same rows in one transaction an event.",
		contestants: []contestant{
			{ours, under(clerksyncDaemon(), distinct)}, {handler, under(storing, distinct)}, {script, pgbench(preloaded)},
			{verified, under(verifying, again(distinct))}, {reading, under(baseline(plain{Step: "read"}), again(distinct))},
		},
	}, {
		section: "webhook", name: "256 clients, all events about 100 users", goals: goals,
		text: "As above, so that many events of one transaction are about the same user.",
		contestants: []contestant{
			{ours, under(clerksyncDaemon(), hot)}, {handler, under(storing, hot)}, {script, pgbench(100)}, {verified, under(verifying, again(hot))},
		},
	}, {
		section: "webhook", name: "16 clients",
		text:        "As the first one.",
		contestants: []contestant{{ours, under(clerksyncDaemon(), few)}, {handler, under(storing, few)}},
		goals:       []goal{{figure: "events/s", of: ours, to: handler, least: 2}},
	}, {
		section: "webhook", name: "1 client",
		text:        "As the first one. Whoever comes alone must not wait for others.",
		contestants: []contestant{{ours, under(clerksyncDaemon(), one)}, {handler, under(storing, one)}},
		goals:       []goal{{figure: "p50 ms", of: ours, to: handler, most: 1}},
	}}
}
