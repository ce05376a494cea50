package main

import (
	"fmt"
	"io"
)

// secret is a text that must not be seen: however it is printed, logged or marshalled, it reads [redacted].
type secret string

const redacted = "[redacted]"

// Format implements [fmt.Formatter], which covers every verb.
func (secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// String implements [fmt.Stringer].
func (secret) String() string { return redacted }

// MarshalText implements [encoding.TextMarshaler], which JSON and slog ask for.
func (secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// reveal returns the text itself, for the one place that needs it.
func (s secret) reveal() string { return string(s) }
