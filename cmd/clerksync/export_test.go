package main

import (
	"cmp"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/prometheus/client_golang/prometheus"

	clerksync "github.com/clerksync/clerksync/sync"

	"github.com/clerksync/clerksync/internal/admin"
	"github.com/clerksync/clerksync/reconcile"
)

// What the external tests need of a command, which nobody can import.
var (
	Main     = main
	ExitCode = exitCode
	ErrDrift = errDrift

	NewSecret      = newSecret
	ParseResources = parseResources
	ReadStatus     = readStatus
	Tune           = tune
	PrintEvents    = printEvents
	Fold           = fold
	NewServer      = newServer
)

// Serve runs serve in this process, with other settings than the defaults, on a network without sockets and a database that does not wait
// for the disk.
func Serve(ctx context.Context, told map[string]string, log io.Writer,
	listen func(ctx context.Context, network, address string) (net.Listener, error), clerk http.RoundTripper) error {
	var s settings
	for _, row := range table {
		value := cmp.Or(told[row.name], row.value)
		if value == "" {
			continue
		}
		if err := row.set(&s, value); err != nil {
			return err
		}
	}
	s.database.brief, s.database.alone = true, true
	s.net = network{listen, clerk}
	return newDaemon(s, newLogger(log, s), newBar(log), true).run(ctx)
}

// Progress shows progress as a command does, and returns the lines that it tells where nothing can be drawn.
func Progress(w io.Writer) (show func(reconcile.Progress), told func() []string) {
	var lines []string
	b := newBar(w)
	b.tell = func(s stretch) { lines = append(lines, s.String()) }
	return b.show, func() []string { return lines }
}

// Draw writes the bar of a pass that saw so many objects in some time, before which it had seen others.
func Draw(p reconcile.Progress, from int64, spent time.Duration, width int) string {
	return draw(stretch{p, from, spent}, width)
}

// SetHooks gives the command hooks.
func SetHooks(h clerksync.Hooks) { hooks = h }

// Lasting runs a part of the daemon as serve does, but that it rests only so long after a panic.
func Lasting(log *slog.Logger, rest time.Duration, p func(context.Context) error) func(context.Context) error {
	return lasting(log, rest, p)
}

// Renew puts a changed secret to use as serve does.
func Renew(ctx context.Context, m *clerksync.Mirror, log *slog.Logger, name string, use func()) {
	d := &daemon{log: log, metrics: newMetrics()}
	d.try(ctx, m, &renewal{
		name: name, read: func() (string, error) { return "changed", nil },
		use: func(context.Context, string) error { use(); return nil },
	})
}

// Listen serves a handler with room for so many connections, until stop is called. It returns the address.
func Listen(ctx context.Context, room int, log *slog.Logger, handler http.Handler) (address string, stop func() error, err error) {
	l, err := listen(ctx, door{setting: "the test", address: "127.0.0.1:0", room: room, left: func() {}, log: log}, handler)
	if err != nil {
		return "", nil, err
	}
	return l.addr.String(), func() error { return l.stop(time.Second) }, nil
}

type (
	Mistake = mistake
	Secret  = secret
)

// Setting is a row of the table of settings.
type Setting struct {
	Name, Old, Default, Meaning, Flag string
	Secret                            bool
}

// Settings returns the table of settings.
func Settings() (rows []Setting) {
	for _, s := range table {
		row := Setting{Name: s.name, Old: s.old, Default: s.value, Meaning: s.meaning, Secret: s.secret}
		if !s.secret {
			row.Flag = "--" + s.flag()
		}
		rows = append(rows, row)
	}
	return rows
}

// OpenDatabase opens a database as the daemon does, with another patience.
func OpenDatabase(address string, patience time.Duration) (*sqlx.DB, error) {
	d, err := parseDatabase(address)
	if err != nil {
		return nil, err
	}
	d.patience = patience
	return d.open(false)
}

// Set sets one setting.
func Set(name, value string) (err error) {
	for _, row := range table {
		if row.name == name {
			err = row.set(&settings{}, value)
		}
	}
	return err
}

// MetricNames describes every metric with its labels, as in docs/operations.md.
func MetricNames(m *clerksync.Mirror) (names []string) {
	all := newMetrics()
	defer all.watch(m, func(ctx context.Context) (admin.Status, error) { return readStatus(ctx, m) })()
	descriptions := make(chan *prometheus.Desc, 1000)
	all.registry.Describe(descriptions)
	close(descriptions)
	pattern := regexp.MustCompile(`fqName: "clerksync_([a-z_]+)".*variableLabels: (\{[^}]*\})`)
	for d := range descriptions {
		if found := pattern.FindStringSubmatch(d.String()); found != nil {
			names = append(names, found[1]+strings.TrimSuffix(found[2], "{}"))
		}
	}
	slices.Sort(names)
	return names
}

// Read returns settings as a process has them, with these secrets.
func Read(key, signing, token, database string) (any, error) {
	var s settings
	for _, row := range table {
		value := map[string]string{
			"CLERK_SECRET_KEY": key, "CLERK_WEBHOOK_SIGNING_SECRET": signing, "CLERKSYNC_ADMIN_TOKEN": token, "DATABASE_URL": database,
		}[row.name]
		if value == "" {
			continue
		}
		if err := row.set(&s, value); err != nil {
			return nil, err
		}
	}
	return s, nil
}

var (
	OpenFiles = openFiles
	RoomAmong = roomAmong
)
