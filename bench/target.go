package main

import (
	"context"
	"errors"
	"net/url"
	"time"
)

// running is a contestant's processes under load.
type running struct {
	urls []string // of their endpoints
	pids []int
	stop func() error
}

// target starts what a load is directed at, on a database.
type target func(ctx context.Context, st *stage, databaseURL string) (running, error)

// clerksyncDaemon is the daemon, with further variables in its environment.
func clerksyncDaemon(env ...string) target {
	return func(ctx context.Context, st *stage, databaseURL string) (running, error) {
		d, err := st.serve(ctx, databaseURL, env...)
		if err != nil {
			return running{}, err
		}
		return running{[]string{d.webhooks}, []int{d.pid()}, d.stop}, nil
	}
}

// baseline is a plain handler.
func baseline(p plain) target {
	return func(ctx context.Context, _ *stage, databaseURL string) (running, error) {
		p.Database = databaseURL
		c, err := start(ctx, "plain", p)
		if err != nil {
			return running{}, err
		}
		var url string
		if err := c.hear(&url); err != nil {
			return running{}, errors.Join(err, c.stop())
		}
		return running{[]string{url}, []int{c.pid()}, c.stop}, nil
	}
}

// several starts a target more than once on the same database.
func several(n int, t target) target {
	return func(ctx context.Context, st *stage, databaseURL string) (all running, err error) {
		var stops []func() error
		all.stop = func() (err error) {
			for _, stop := range stops {
				err = errors.Join(err, stop())
			}
			return err
		}
		for range n {
			one, err := t(ctx, st, databaseURL)
			if err != nil {
				return running{}, errors.Join(err, all.stop())
			}
			all.urls, all.pids, stops = append(all.urls, one.urls...), append(all.pids, one.pids...), append(stops, one.stop)
		}
		return all, nil
	}
}

// distant puts a network between a target and its database. The network is a process of its own, and its cost nobody's.
func distant(delay time.Duration, t target) target {
	return func(ctx context.Context, st *stage, databaseURL string) (running, error) {
		u, err := url.Parse(databaseURL)
		if err != nil {
			return running{}, err
		}
		proxy, err := start(ctx, "proxy", slowLine{To: u.Host, Delay: delay})
		if err != nil {
			return running{}, err
		}
		if err := proxy.hear(&u.Host); err != nil {
			return running{}, errors.Join(err, proxy.stop())
		}
		r, err := t(ctx, st, u.String())
		if err != nil {
			return running{}, errors.Join(err, proxy.stop())
		}
		stop := r.stop
		r.stop = func() error { return errors.Join(stop(), proxy.stop()) }
		return r, nil
	}
}

// under measures a target under a load.
func under(s source, t target, l load) func(context.Context, *stage) (figures, error) {
	return func(ctx context.Context, st *stage) (f figures, err error) {
		databaseURL, drop, err := s(ctx, st)
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, drop()) }()
		r, err := t(ctx, st, databaseURL)
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, r.stop()) }()
		l.URLs, l.Warm, l.Span = r.urls, st.warm, st.span
		return st.measure(ctx, l, r.pids)
	}
}

// measure drives a load and tells what became of it.
func (st *stage) measure(ctx context.Context, l load, pids []int) (figures, error) {
	var stop func() (processes, server time.Duration, err error)
	var before float64
	seen, err := st.drive(ctx, l, func() (err error) {
		if before, err = status(pids[0], "VmRSS"); err != nil {
			return err
		}
		stop, err = st.cost(pids...)
		return err
	})
	if err != nil {
		return nil, err
	}
	processes, server, err := stop()
	if err != nil {
		return nil, err
	}
	after, err := status(pids[0], "VmRSS")
	if err != nil {
		return nil, err
	}
	if seen.Taken == 0 {
		return nil, errors.New("no event was taken")
	}
	each := func(cpu time.Duration) float64 { return float64(cpu.Microseconds()) / float64(seen.Taken) }
	f := figures{
		{"events/s", float64(seen.Taken) / seen.Seconds}, {"p50 ms", seen.P50}, {"p99 ms", seen.P99},
		{"CPU µs/event", each(processes + server)}, {"of it PostgreSQL", each(server)},
	}
	if l.Flood {
		f = append(f, figure{"503/s", float64(seen.Refused) / seen.Seconds}, figure{"p99 ms of 503", seen.Refused9},
			figure{"MiB", after}, figure{"memory, end ÷ begin", after / before})
	}
	return f, nil
}
