package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// The contestants' names of a pass.
const (
	downloading = "download only"
	scanning    = "download and scan"
	copying     = "PostgreSQL's COPY"
)

// play has a role do a list's work in its own process. cost, unless nil, gets the CPU time of it and of PostgreSQL.
func (st *stage) play(ctx context.Context, name string, order any, cost *time.Duration) (d done, err error) {
	c, err := start(ctx, name, order)
	if err != nil {
		return d, err
	}
	defer func() { err = errors.Join(err, c.stop()) }()
	stop, err := st.cost(c.pid())
	if err != nil {
		return d, err
	}
	if err := c.hear(&d); err != nil {
		return d, err
	}
	own, server, err := stop()
	if cost != nil {
		*cost = own + server
	}
	return d, err
}

// mirrorOf makes a template that holds what a clerk has, and does something to it.
func mirrorOf(ctx context.Context, st *stage, users int, name, change string) error {
	c, err := st.emulate(ctx, users, false)
	if err != nil {
		return err
	}
	return st.template(ctx, name, func(ctx context.Context, url string) error {
		if _, err := st.play(ctx, "pass", pass{Database: url, URL: c.URL, Key: c.Key}, nil); err != nil || change == "" {
			return err
		}
		db, err := sql.Open("postgres", url)
		if err != nil {
			return err
		}
		defer db.Close()
		_, err = db.ExecContext(ctx, change)
		return err
	})
}

// What a mirror has missed. A digest is that of the JSON that a list shows; a row with another one was told by a list that showed
// other bytes, or by a webhook.
const (
	// one user in five was active
	active = `UPDATE clerk.users SET _digest = _digest + 1, last_active_at = last_active_at - interval '1 day' WHERE hashtext(id) % 5 = 0`

	// of a thousand users eight were changed, one was created, and one is gone from Clerk
	drifted = `DELETE FROM clerk.changes;
UPDATE clerk.users SET _digest = _digest + 1, first_name = 'Old', _hash = substr(_hash, 1, 1) || sha256('old')
WHERE abs(hashtext(id)) % 1000 < 8;
UPDATE clerk.users SET id = 'user_gone' || id WHERE abs(hashtext(id)) % 1000 = 8`
)

// passing measures a pass over a copy of a template, or over an empty mirror.
func passing(users int, template, change string, gzip bool) func(context.Context, *stage) (figures, error) {
	return func(ctx context.Context, st *stage) (f figures, err error) {
		if template != "empty" {
			err = mirrorOf(ctx, st, users, template, change)
		} else {
			err = st.template(ctx, template, nil)
		}
		if err != nil {
			return nil, err
		}
		c, err := st.emulate(ctx, users, gzip)
		if err != nil {
			return nil, err
		}
		url, drop, err := st.fresh(ctx, template, change != "" || template == "empty")
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, drop()) }()
		var cpu time.Duration
		d, err := st.play(ctx, "pass", pass{Database: url, URL: c.URL, Key: c.Key, Gzip: gzip}, &cpu)
		if err == nil && d.Users < int64(users) {
			err = fmt.Errorf("%d of %d users were seen", d.Users, users)
		}
		return append(d.figures(cpu), figure{"RSS MiB", d.RSS}), err
	}
}

// fresh returns a copy of a template or, for a pass that writes nothing, the template itself: a copy is in nobody's memory yet, and
// writing it down goes on behind its back.
func (st *stage) fresh(ctx context.Context, template string, written bool) (url string, drop func() error, err error) {
	url, drop = st.cluster.URL(template), func() error { return nil }
	if written {
		url, drop, err = st.database(ctx, template)
	}
	if err == nil {
		_, err = st.admin.ExecContext(ctx, "CHECKPOINT")
	}
	return url, drop, err
}

func (d done) figures(cpu time.Duration) figures {
	return figures{{"users/s", float64(d.Users) / d.Seconds}, {"CPU µs/user", float64(cpu.Microseconds()) / float64(d.Users)}}
}

// walking measures a baseline that reads the list.
func walking(users int, scan, gzip bool) func(context.Context, *stage) (figures, error) {
	return func(ctx context.Context, st *stage) (figures, error) {
		c, err := st.emulate(ctx, users, gzip)
		if err != nil {
			return nil, err
		}
		var cpu time.Duration
		d, err := st.play(ctx, "walk", walk{URL: c.URL, Key: c.Key, Gzip: gzip, Scan: scan}, &cpu)
		return d.figures(cpu), err
	}
}

// copied measures how fast the server itself fills the empty table from a file of the rows of a template.
func copied(users int, template string) func(context.Context, *stage) (figures, error) {
	return func(ctx context.Context, st *stage) (f figures, err error) {
		if err := errors.Join(mirrorOf(ctx, st, users, template, ""), st.template(ctx, "empty", nil)); err != nil {
			return nil, err
		}
		folder := filepath.Join(st.dir, "copy")
		if err := errors.Join(os.MkdirAll(folder, 0o777), os.Chmod(folder, 0o777)); err != nil { // the server writes it
			return nil, err
		}
		file := filepath.Join(folder, template)
		run := func(database, statement string) (figures, error) {
			url, drop, err := st.database(ctx, database)
			if err != nil {
				return nil, err
			}
			defer func() { err = errors.Join(err, drop()) }()
			db, err := sql.Open("postgres", url)
			if err != nil {
				return nil, err
			}
			defer db.Close()
			stop, err := st.cost()
			if err != nil {
				return nil, err
			}
			begun := time.Now()
			if _, err := db.ExecContext(ctx, statement); err != nil {
				return nil, err
			}
			took := time.Since(begun)
			_, server, err := stop()
			return done{Seconds: took.Seconds(), Users: int64(users)}.figures(server), err
		}
		if _, err := os.Stat(file); err != nil {
			if _, err := run(template, `COPY clerk.users TO '`+file+`'`); err != nil {
				return nil, err
			}
		}
		return run("empty", `COPY clerk.users FROM '`+file+`'`)
	}
}

// polling measures a delta pass that finds nothing new.
func polling(users int, template string) func(context.Context, *stage) (figures, error) {
	return func(ctx context.Context, st *stage) (f figures, err error) {
		if err := mirrorOf(ctx, st, users, template, ""); err != nil {
			return nil, err
		}
		c, err := st.emulate(ctx, users, false)
		if err != nil {
			return nil, err
		}
		url, _, err := st.fresh(ctx, template, false)
		if err != nil {
			return nil, err
		}
		d, err := st.play(ctx, "pass", pass{Database: url, URL: c.URL, Key: c.Key, Delta: true}, nil)
		return figures{{"ms", d.Seconds * 1000}, {"ms beside requests", d.Beside}, {"list requests", float64(d.Lists)}}, err
	}
}

// sizes are those of the mirrors that passes are measured on.
type sizes struct{ few, many, most int }

var (
	ordinary = sizes{few: 100_000, many: 200_000, most: 1_000_000}
	brief    = sizes{few: 10_000, many: 20_000, most: 40_000}
)

func passScenarios(s sizes) []scenario {
	manyUsers := number(float64(s.many)) + " users"
	return []scenario{{
		section: "pass", name: "A full pass, nothing changed, " + manyUsers,
		text: "Pages of 500 users, with deletion detection. Clerk's rate limit, 100 requests/s at most, would allow 50,000 users/s; it is off here.",
		contestants: []contestant{
			{ours, passing(s.many, "mirror_many", "", false)}, {scanning, walking(s.many, true, false)}, {downloading, walking(s.many, false, false)},
			{"one in five users was active", passing(s.many, "mirror_active", active, false)},
			{"clerksync, gzip", passing(s.many, "mirror_many", "", true)}, {"download and scan, gzip", walking(s.many, true, true)},
		},
		goals: []goal{
			{figure: "users/s", of: ours, to: scanning, least: 0.75}, {figure: "users/s", of: ours, least: 50_000},
			{figure: "RSS MiB", of: ours, most: 64},
		},
	}, {
		section: "pass", name: "A full pass, one user in a hundred changed, " + manyUsers,
		text:        "Of a thousand users the mirror missed the change of eight, the creation of one and the deletion of one.",
		contestants: []contestant{{ours, passing(s.many, "mirror_drifted", drifted, false)}, {scanning, walking(s.many, true, false)}},
		goals:       []goal{{figure: "users/s", of: ours, to: scanning, least: 0.4}},
	}, {
		section: "pass", name: "The first pass of an empty mirror, " + number(float64(s.few)) + " users",
		text:        "The rows, and a row of the change feed for each. COPY reads the same rows from a file of the server's into the empty table, and writes no changes.",
		contestants: []contestant{{ours, passing(s.few, "empty", "", false)}, {copying, copied(s.few, "mirror_few")}},
		goals:       []goal{{figure: "users/s", of: ours, to: copying, least: 0.7}},
	}, {
		section: "pass", name: "A delta pass, nothing changed, " + manyUsers,
		text:        "One process, one pass: it also asks which instance its key belongs to.",
		contestants: []contestant{{ours, polling(s.many, "mirror_many")}},
		goals:       []goal{{figure: "ms beside requests", of: ours, most: 50}, {figure: "list requests", of: ours, most: 1}},
	}}
}

// largeScenarios take a while to set the stage: they fill a mirror with a million users.
func largeScenarios(s sizes) []scenario {
	small := "clerksync, " + number(float64(s.few)) + " users"
	return []scenario{{
		section: "large", name: "A full pass, nothing changed, " + number(float64(s.most)) + " users",
		text: "As with fewer users; and the memory of a pass does not grow with the number of users.",
		contestants: []contestant{
			{ours, passing(s.most, "mirror_most", "", false)}, {scanning, walking(s.most, true, false)}, {small, passing(s.few, "mirror_few", "", false)},
		},
		goals: []goal{
			{figure: "users/s", of: ours, to: scanning, least: 0.75}, {figure: "users/s", of: ours, least: 50_000},
			{figure: "RSS MiB", of: ours, most: 64}, {figure: "RSS MiB", of: ours, to: small, most: 1.1},
		},
	}}
}
