package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	_ "github.com/lib/pq" // the driver "postgres"

	"github.com/clerksync/clerksync/internal/pgtest"
	"github.com/clerksync/clerksync/migrations"
)

// stage is what contestants work with: the daemon's binary and a PostgreSQL server.
type stage struct {
	dir       string // for files, until the end
	clerksync string // the binary
	cluster   *pgtest.Cluster
	admin     *sql.DB
	warm      time.Duration // how long a measurement runs before it counts
	span      time.Duration // how long it counts
	made      int           // databases
	templates map[string]bool
	clerks    map[string]*clerk
}

// newStage builds the daemon and starts PostgreSQL. The caller must close it.
func newStage(ctx context.Context) (*stage, error) {
	dir, err := os.MkdirTemp("", "clerksync-bench-*")
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(dir, 0o755); err != nil { // the server's programs run as another user
		return nil, err
	}
	st := &stage{dir: dir, clerksync: filepath.Join(dir, "clerksync"), warm: 1500 * time.Millisecond, span: 3 * time.Second,
		templates: map[string]bool{}, clerks: map[string]*clerk{}}
	if err := st.open(ctx); err != nil {
		st.close()
		return nil, err
	}
	return st, nil
}

func (st *stage) open(ctx context.Context) error {
	build := exec.CommandContext(ctx, "go", "build", "-o", st.clerksync, "github.com/clerksync/clerksync/cmd/clerksync")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("building the daemon: %w\n%s", err, out)
	}
	var err error
	st.cluster, err = pgtest.Start(pgtest.Options{Durable: true, Settings: []string{
		"shared_buffers=512MB", "max_wal_size=8GB", "checkpoint_timeout=30min",
	}})
	if err != nil {
		return err
	}
	st.admin, err = sql.Open("postgres", st.cluster.URL("postgres"))
	return err
}

func (st *stage) close() {
	for _, c := range st.clerks {
		if err := c.stop(); err != nil {
			fmt.Fprintln(os.Stderr, "bench: stopping the emulator:", err)
		}
	}
	if st.admin != nil {
		st.admin.Close()
	}
	if st.cluster != nil {
		if err := st.cluster.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, "bench: stopping PostgreSQL:", err)
		}
	}
	os.RemoveAll(st.dir)
}

func (st *stage) serverVersion() (version string, err error) {
	return version, st.admin.QueryRow("SELECT split_part(current_setting('server_version'), ' ', 1)").Scan(&version)
}

// template makes a migrated database that [stage.database] copies, unless it is made already. fill puts rows into it; nil leaves
// it empty.
func (st *stage) template(ctx context.Context, name string, fill func(ctx context.Context, url string) error) error {
	if st.templates[name] {
		return nil
	}
	if _, err := st.admin.ExecContext(ctx, "CREATE DATABASE "+name+" TEMPLATE template0"); err != nil {
		return err
	}
	url := st.cluster.URL(name)
	db, err := sql.Open("postgres", url)
	if err != nil {
		return err
	}
	defer db.Close() // an open connection would keep it from being copied
	if err := migrations.Up(ctx, db, migrations.Options{Dialect: migrations.Postgres}); err != nil {
		return err
	}
	if fill != nil {
		if err := fill(ctx, url); err != nil {
			return fmt.Errorf("filling the template %s: %w", name, err)
		}
	}
	if _, err := db.ExecContext(ctx, "VACUUM ANALYZE"); err != nil {
		return err
	}
	st.templates[name] = true
	return nil
}

// database returns the address of a copy of a template, and a function that drops it.
func (st *stage) database(ctx context.Context, template string) (url string, drop func() error, err error) {
	st.made++
	name := fmt.Sprintf("bench_%d", st.made)
	if _, err := st.admin.ExecContext(ctx, "CREATE DATABASE "+name+" TEMPLATE "+template); err != nil {
		return "", nil, fmt.Errorf("creating a database: %w", err)
	}
	return st.cluster.URL(name), func() error {
		_, err := st.admin.ExecContext(context.WithoutCancel(ctx), "DROP DATABASE "+name+" WITH (FORCE)")
		return err
	}, nil
}

// cost measures the CPU time that processes use, and PostgreSQL beside them, until the function it returns is called.
func (st *stage) cost(pids ...int) (stop func() (processes, server time.Duration, err error), err error) {
	measure := func() (processes, server time.Duration, err error) {
		server, err = cpuOfFamily(st.cluster.PID())
		for _, pid := range pids {
			one, e := cpuOf(pid)
			processes, err = processes+one, errors.Join(err, e)
		}
		return processes, server, err
	}
	processes, server, err := measure()
	return func() (time.Duration, time.Duration, error) {
		p, s, err := measure()
		return p - processes, s - server, err
	}, err
}
