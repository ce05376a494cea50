package main

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/clerksync/clerksync/internal/crash"
)

// surviving answers 500 where a handler panics, and logs where it did.
func surviving(log *slog.Logger, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			switch p := recover(); p {
			case nil:
			case http.ErrAbortHandler:
				panic(p)
			default:
				tellPanic(log, "a request panicked: please report this", crash.New(p))
				http.Error(w, "internal error", http.StatusInternalServerError) // without effect where the answer has begun
			}
		}()
		next.ServeHTTP(w, r)
	})
}

// restPause is how long a part of the daemon rests after it panicked.
const restPause = time.Minute

// lasting runs a part and, where it panics, runs it again after a rest: what ails one part must not keep the others from their work.
func lasting(log *slog.Logger, rest time.Duration, p part) part {
	return func(ctx context.Context) error {
		for {
			err := crash.Contain(func() error { return p(ctx) })
			var panicked *crash.Error
			if !errors.As(err, &panicked) {
				return err
			}
			tellPanic(log, "a part of the daemon panicked and rests: please report this", panicked)
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(rest):
			}
		}
	}
}

func tellPanic(log *slog.Logger, message string, p *crash.Error) {
	log.Error(message, "panic", p.What, "where", p.Where, "stack", p.Stack)
}

// complaints is the log of an HTTP server. Most of what it writes is about single clients, with their addresses, and anybody can
// make it do so; what keeps the server from its work is passed on.
type complaints struct{ log *slog.Logger }

// Write implements [io.Writer].
func (c complaints) Write(line []byte) (int, error) {
	if bytes.HasPrefix(line, []byte("http: Accept error")) {
		c.log.Warn("connections cannot be taken", "error", string(bytes.TrimSpace(line)))
	}
	return len(line), nil
}
