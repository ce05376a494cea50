package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// sqlite copies a SQLite file that was filled once.
func sqlite(ctx context.Context, st *stage) (databaseURL string, drop func() error, err error) {
	filled := filepath.Join(st.dir, "users.db")
	if _, err := os.Stat(filled); errors.Is(err, fs.ErrNotExist) {
		if err := st.preload(ctx, "sqlite:"+filled); err != nil {
			return "", nil, fmt.Errorf("filling a SQLite file: %w", err)
		}
	}
	content, err := os.ReadFile(filled)
	if err != nil {
		return "", nil, err
	}
	dir, err := os.MkdirTemp(st.dir, "sqlite-*")
	if err != nil {
		return "", nil, err
	}
	path := filepath.Join(dir, "bench.db")
	return "sqlite:" + path, func() error { return os.RemoveAll(dir) }, os.WriteFile(path, content, 0o600)
}

func sqliteScenarios() []scenario {
	l := load{Clients: 256, Users: preloaded, Stride: scattered, Events: 60_000}
	return []scenario{{
		section: "sqlite", name: "256 clients on the embedded database",
		text:        "The load of the webhook section, on SQLite. Both wait for the disk at every commit (`synchronous=FULL`).",
		contestants: []contestant{{ours, under(sqlite, clerksyncDaemon(), l)}, {handler, under(sqlite, storing, l)}},
		goals:       []goal{{figure: "events/s", of: ours, to: handler, least: 5}},
	}}
}
