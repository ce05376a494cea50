package main

import (
	"io"
	"log/slog"

	"github.com/lmittmann/tint"
)

// newLogger returns the logger that the settings ask for.
func newLogger(w io.Writer, s settings) *slog.Logger {
	if s.logFormat == "text" || s.logFormat == "auto" && isTerminal(w) {
		return slog.New(tint.NewTextHandler(w, &tint.Options{Level: s.logLevel, NoColor: !coloured(w)}))
	}
	return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: s.logLevel}))
}
