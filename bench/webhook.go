package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// preloaded is how many users the table holds before a load about different users begins.
const preloaded = 20_000

// preload lets the daemon make and fill a mirror.
func (st *stage) preload(ctx context.Context, databaseURL string) (err error) {
	d, err := st.serve(ctx, databaseURL)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.stop()) }()
	seen, err := st.drive(ctx, load{URLs: []string{d.webhooks}, Clients: 256, Users: preloaded, Stride: 1, Events: preloaded, Early: true, Span: 10 * time.Minute}, nil)
	if err == nil && seen.Taken != preloaded {
		err = fmt.Errorf("%d of %d users arrived", seen.Taken, preloaded)
	}
	return err
}

// source makes a filled mirror of its own for one measurement. drop removes it.
type source func(context.Context, *stage) (databaseURL string, drop func() error, err error)

// postgres copies a mirror that was filled once.
func postgres(ctx context.Context, st *stage) (string, func() error, error) {
	if err := st.template(ctx, "users", st.preload); err != nil {
		return "", nil, err
	}
	return st.database(ctx, "users")
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

// The contestants' names.
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
	distinct := load{Clients: 256, Users: preloaded, Stride: scattered, Events: 60_000}
	hot := load{Clients: 256, Users: 100, Stride: scattered, Events: 60_000}
	few := load{Clients: 16, Users: preloaded, Stride: scattered, Events: 60_000}
	one := load{Clients: 1, Users: preloaded, Stride: scattered, Events: 20_000}
	poisoned, flood := distinct, distinct
	poisoned.Poison = 100
	flood.Clients, flood.Flood, flood.Again = 2048, true, true
	again := func(l load) load { l.Again = true; return l }
	goals := []goal{
		{figure: "events/s", of: ours, to: handler, least: 6},
		{figure: "events/s", of: ours, to: script, least: 2},
		{figure: "events/s", of: ours, to: verified, least: 0.5},
		{figure: "p99 ms", of: ours, to: handler, most: 0.125},
		{figure: "CPU µs/event", of: ours, to: handler, most: 1.0 / 6},
	}
	all := []scenario{{
		name: "256 clients, each event about another user", goals: goals,
		text: "Signed `user.updated` events of 2.5 KB over HTTP. The plain handler verifies, decodes with encoding/json and writes the same rows in " +
			"one transaction an event, with the same driver and as many connections. pgbench runs its statements without HTTP.",
		contestants: []contestant{
			{ours, under(postgres, clerksyncDaemon(), distinct)}, {handler, under(postgres, storing, distinct)}, {script, pgbench(preloaded)},
			{verified, under(postgres, verifying, again(distinct))}, {reading, under(postgres, baseline(plain{Step: "read"}), again(distinct))},
		},
	}, {
		name: "256 clients, all events about 100 users", goals: goals,
		text: "As above, so that many events of one transaction are about the same user.",
		contestants: []contestant{
			{ours, under(postgres, clerksyncDaemon(), hot)}, {handler, under(postgres, storing, hot)}, {script, pgbench(100)},
			{verified, under(postgres, verifying, again(hot))},
		},
	}, {
		name: "256 clients, a network between clerksync and PostgreSQL",
		text: "As the first one, with a round trip of 1 ms to the database.",
		contestants: []contestant{
			{ours, under(postgres, distant(time.Millisecond, clerksyncDaemon()), distinct)},
			{handler, under(postgres, distant(time.Millisecond, storing), distinct)},
		},
		goals: []goal{{figure: "events/s", of: ours, to: handler, least: 9}},
	}, {
		name: "256 clients, no prepared statements",
		text: "As the first one, with `CLERKSYNC_DB_PREPARE=off` and a plain handler that prepares nothing either.",
		contestants: []contestant{
			{ours, under(postgres, clerksyncDaemon("CLERKSYNC_DB_PREPARE=off"), distinct)},
			{handler, under(postgres, baseline(plain{Step: "store"}), distinct)},
		},
	}, {
		name: "16 clients",
		text: "As the first one.",
		contestants: []contestant{
			{ours, under(postgres, clerksyncDaemon(), few)}, {handler, under(postgres, storing, few)},
		},
		goals: []goal{{figure: "events/s", of: ours, to: handler, least: 2}},
	}, {
		name: "1 client",
		text: "As the first one. Whoever comes alone must not wait for others.",
		contestants: []contestant{
			{ours, under(postgres, clerksyncDaemon(), one)}, {handler, under(postgres, storing, one)},
		},
		goals: []goal{{figure: "p50 ms", of: ours, to: handler, most: 1}},
	}, {
		name: "256 clients, one event in a hundred is poison",
		text: "As the first one. Poison is metadata that PostgreSQL refuses: `\\u0000`, lone surrogates, numbers out of range.",
		contestants: []contestant{
			{ours, under(postgres, clerksyncDaemon(), distinct)}, {ours + ", with poison", under(postgres, clerksyncDaemon(), poisoned)},
		},
		goals: []goal{{figure: "events/s", of: ours + ", with poison", to: ours, least: 0.8}},
	}, {
		name: "2,048 clients, a flood",
		text: "Twice as many deliveries at once as the daemon works on. The others are told at once to come again, with 503 and Retry-After, and do so at once.",
		contestants: []contestant{
			{ours, under(postgres, clerksyncDaemon(), flood)},
		},
		goals: []goal{
			{figure: "memory, end ÷ begin", of: ours, most: 1.25},
			{figure: "p99 ms of 503", of: ours, most: 1000},
		},
	}, {
		name: "1, 2 and 3 daemons on one PostgreSQL",
		text: "As the first one. Everything is on one machine, so that more daemons take from PostgreSQL what they use themselves.",
		contestants: []contestant{
			{"1 daemon", under(postgres, several(1, clerksyncDaemon()), distinct)},
			{"2 daemons", under(postgres, several(2, clerksyncDaemon()), distinct)},
			{"3 daemons", under(postgres, several(3, clerksyncDaemon()), distinct)},
		},
	}}
	for i := range all {
		all[i].section = "webhook"
	}
	return all
}
