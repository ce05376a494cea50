package main

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/clerksync/clerksync/reconcile"
	clerksync "github.com/clerksync/clerksync/sync"
)

// pass is the order to run one pass.
type pass struct {
	Database, URL, Key string
	Delta, Gzip        bool
}

// runPass is the role of a pass: clerksync reconcile, but for Clerk's rate limit.
func runPass(ctx context.Context, in *json.Decoder, out *json.Encoder) error {
	var p pass
	if err := in.Decode(&p); err != nil {
		return err
	}
	db, err := sqlx.Open("postgres", p.Database)
	if err != nil {
		return err
	}
	defer db.Close()
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	mirror, err := clerksync.Open(ctx, db, clerksync.Config{ReadMargin: -1}) // it shares the emulator's clock
	if err != nil {
		return err
	}
	wire := &stopwatch{base: &http.Transport{DisableCompression: !p.Gzip}}
	defer wire.base.CloseIdleConnections()
	api, err := clerksync.NewAPI(clerksync.APIConfig{SecretKey: p.Key, URL: p.URL, RateLimit: -1, Share: 100, Transport: wire})
	if err != nil {
		return err
	}
	order := reconcile.Pass{Kind: reconcile.Full}
	if p.Delta {
		order.Kind = reconcile.Delta
	}
	begun := time.Now()
	report, err := reconcile.New(reconcile.Config{Mirror: mirror, Clerk: api}).Do(ctx, order)
	if err != nil {
		return err
	}
	took := time.Since(begun)
	rss, err := status(os.Getpid(), "VmHWM")
	if err != nil {
		return err
	}
	return out.Encode(done{
		Seconds: took.Seconds(), Users: report.Resources[clerksync.Users].Seen, RSS: rss,
		Beside: (took - time.Duration(wire.waited.Load())).Seconds() * 1000, Lists: int(wire.lists.Load()),
	})
}

// stopwatch measures how long requests take, one after the other.
type stopwatch struct {
	base   *http.Transport
	waited atomic.Int64 // nanoseconds until answers began
	lists  atomic.Int64
}

func (s *stopwatch) RoundTrip(r *http.Request) (*http.Response, error) {
	begun := time.Now()
	defer func() { s.waited.Add(int64(time.Since(begun))) }()
	if strings.HasSuffix(r.URL.Path, "/users") {
		s.lists.Add(1)
	}
	return s.base.RoundTrip(r)
}
