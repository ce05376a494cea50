package main

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/http"
	"runtime"
	"runtime/debug"
)

// surviving answers 500 where a handler panics, and logs where it did. What it panicked with may hold somebody's data, so that is
// told only if the runtime made it.
func surviving(log *slog.Logger, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			switch p := recover(); p {
			case nil:
			case http.ErrAbortHandler:
				panic(p)
			default:
				log.Error("a request panicked: please report this", "panic", describePanic(p), "stack", string(debug.Stack()))
				http.Error(w, "internal error", http.StatusInternalServerError) // without effect where the answer has begun
			}
		}()
		next.ServeHTTP(w, r)
	})
}

func describePanic(p any) string {
	if err, ok := p.(runtime.Error); ok {
		return err.Error()
	}
	return fmt.Sprintf("%T", p)
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
